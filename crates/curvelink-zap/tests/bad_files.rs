//! Mistakes in a policy file: each is an error on its own line that says what to do, and none
//! shows a password or a key.

use curvelink_zap::Policy;

const GOOD: &str = r#"version = 1
max_session_age = "24h"
[identities.scanner]
curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
sign = [{ key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", not_before = 2026-11-01T00:00:00Z, not_after = 2027-11-01T00:00:00Z }]
domains = ["findings"]
publish = ["findings/"]

[identities.siem]
curve = ["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"]
plain = [{ username = "siem", password_hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA" }]
domains = ["findings"]
subscribe = ["findings/"]
relay = false
routing_ids = ["siem-1"]
sources = ["10.0.0.0/8", "ipc:uid=1000"]
endpoints = ["tcp://0.0.0.0:5570"]
patterns = ["SUB", "XSUB"]
max_message = "4 MiB"
rate = 100
max_session_age = "12h"
"#;

const SCANNER: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const SIEM: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
/// That of "hunter2".
const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA";
const PASSWORD: &str = "password_hash = \"$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA\"";
const SIGN: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// What is replaced (first occurrence), by what, the line of the error, a part of its words.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str, usize, &str)] = &[
    // the file
    ("version = 1\n", "", 1, "begin the file with version = 1"),
    ("version = 1", "version = 2", 1, "write version = 1, or update"),
    ("version = 1", "version = 0", 1, "version of the format is not known"),
    ("version = 1", "version = \"1\"", 1, "version of the format is not known"),
    ("version = 1", "version = 1.0", 1, "version of the format is not known"),
    ("version = 1", "version = 2\nnovelty = true", 1, "version of the format is not known"),
    ("version = 1", "version = 1\nversion = 1", 2, "the same name stands here already"),
    ("version = 1", "version = 1\nallow_all = true", 2, "unknown field `allow_all`, expected"),
    ("max_session_age = \"24h\"", "identities = []", 3, ""),
    ("max_session_age = \"24h\"", "[domains]", 2, "unknown field `domains`"),
    ("version = 1", "version = 1\n\n\n\"\\u0007\\n\" = 1", 4, "unknown field"),
    ("max_session_age = \"24h\"", "rate = 1", 2, "unknown field `rate`"),
    ("[identities.siem]", "[identities.siem", 9, "]"),
    ("[identities.siem]", "[identities.scanner]", 9, "the same name stands here already"),
    ("[identities.siem]", "[identitys.siem]", 9, "unknown field `identitys`"),
    ("[identities.siem]", "[[identities.siem]]", 9, "expected a table of names and values"),
    ("[identities.scanner]", "[identities]\nlist = [[\"Yne\"]]\n[identities.scanner]", 4, "expected a table"),
    ("[identities.scanner]", "[identities]\nword = true\n[identities.scanner]", 4, "expected a table"),
    ("[identities.siem]\n", "", 9, "the same name stands here already"),
    // the names
    ("[identities.siem]", "[identities.Siem]", 9, "an identity's name is 1 to 64 of a-z"),
    ("[identities.siem]", "[identities.\"\"]", 9, "an identity's name is 1 to 64 of a-z"),
    ("[identities.siem]", "[identities.\"..\"]", 9, "a letter or digit first"),
    ("[identities.siem]", "[identities.\"a b\"]", 9, "rename it"),
    ("[identities.siem]", "[identities.\"../key\"]", 9, "rename it"),
    ("[identities.siem]", "[identities.\"siem\\n\"]", 9, "rename it"),
    ("[identities.siem]", "[identities.é]", 9, ""),
    ("[identities.siem]", "[identities.siem.extra]", 9, "unknown field `extra`"),
    ("[identities.siem]", "[identities.none]\nrelay = true\n[identities.siem]", 9, "no credential"),
    // the fields
    ("domains", "domain", 6, "unknown field `domain`, expected one of `curve`"),
    ("publish", "publishes", 7, "unknown field `publishes`"),
    ("publish", "Publish", 7, "unknown field `Publish`"),
    ("publish", "domains", 7, "the same name stands here already"),
    ("relay = false", "relay = \"false\"", 14, "expected a boolean"),
    ("relay = false", "relay = 1", 14, "expected a boolean"),
    ("relay = false", "relay = yes", 14, ""),
    ("relay = false", "anonymous = true", 14, "unknown field `anonymous`"),
    // the lists
    ("[\"findings\"]", "[]", 6, "domains = [] allows nothing: leave domains out"),
    ("[\"findings/\"]", "[]", 7, "publish = [] allows nothing"),
    ("subscribe = [\"findings/\"]", "subscribe = []", 13, "subscribe = [] allows nothing"),
    ("[\"findings\"]", "\"findings\"", 6, "domains is a list in [brackets], or the one word"),
    ("[\"findings/\"]", "\"*\"", 7, "the one word \"everything\""),
    ("[\"findings/\"]", "\"\"", 7, "the one word \"everything\""),
    ("[\"findings/\"]", "\"Everything\"", 7, "the one word \"everything\""),
    ("[\"findings/\"]", "\"all\"", 7, "the one word \"everything\""),
    ("[\"findings/\"]", "true", 7, "expected a list in [brackets] or the word \"everything\""),
    ("[\"findings/\"]", "[1]", 7, "expected a string"),
    ("[\"findings/\"]", "[[\"findings/\"]]", 7, "expected a string"),
    ("[\"findings/\"]", "[\n  \"a/\",\n  \"*\",\n]", 9, "write publish = \"everything\" if all"),
    ("[\"findings/\"]", "[\"findings/*\"]", 7, "takes no wildcard"),
    ("[\"findings/\"]", "[\"\"]", 7, "no empty string"),
    ("[\"findings/\"]", "[\"findings/\", \"\"]", 7, "no empty string"),
    ("[\"findings\"]", "[\"*\"]", 6, "write domains = \"everything\" if all"),
    ("[\"findings\"]", "[\"\"]", 6, "no empty string"),
    ("[\"findings/\"]", "[\"everything\"]", 7, "without brackets if all is meant"),
    ("[\"findings\"]", "[\"everything\"]", 6, "without brackets if all is meant"),
    ("[\"findings/\"]", "[\" findings/\"]", 7, "no white space at its ends"),
    ("[\"findings/\"]", "[\"findings/\\n\"]", 7, "no control characters"),
    ("[\"findings\"]", "[\"a\", \"b\", \"a\"]", 6, "stands in domains already"),
    // the keys
    ("curve = [\"Yne", "curve = [\"ne", 4, "a key in Z85 has 40 characters"),
    ("curve = [\"Yne", "curve = [\"\\\"ne", 4, "a character that Z85 does not use"),
    ("curve = [\"Yne", "curve = [\"##e", 4, ""),
    (SCANNER, "0000000000000000000000000000000000000000", 4, "all zeroes or of low order"),
    (SCANNER, "0rr9100000000000000000000000000000000000", 4, "of low order"),
    (SCANNER, "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", 4, "low order"),
    (SCANNER, "g5a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f70751100", 4, "hex"),
    (SCANNER, "", 4, "40 characters"),
    (SCANNER, SIEM, 10, "stands on line 4 already"),
    (SIEM, SIGN, 10, "stands on line 5 already"),
    ("curve = [\"Yne", "curve = [\"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\",\n\"Yne", 11, "line 4 already"),
    ("hID\"]", "hID\",\n\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"]", 5, "stands on line 4 already"),
    ("curve = [\"Yne", "curve = []\n# [\"Yne", 4, "curve = [] allows nothing"),
    (SIGN, "d75a", 5, "64 hex digits, or the base64 line"),
    (SIGN, SCANNER, 5, "64 hex digits, or the base64 line"),
    (SIGN, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 5, "small order"),
    (SIGN, "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", 5, "small order"),
    (SCANNER, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\", expected D", 4, ""),
    // the times of keys
    ("not_before = 2026", "from = 2026", 5, "unknown field `from`, expected one of `key`"),
    ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00", 5, "write it as in 2026-11-01T00:00:00Z"),
    ("2026-11-01T00:00:00Z", "2026-11-01", 5, "a time has a date and an offset"),
    ("2027-11-01T00:00:00Z", "00:00:00", 5, "a time has a date and an offset"),
    ("2027-11-01T00:00:00Z", "\"2027-11-01T00:00:00Z\"", 5, "expected a TOML datetime"),
    ("2027-11-01T00:00:00Z", "1793491200", 5, "expected a TOML datetime"),
    ("2027-11-01T00:00:00Z", "2027-02-29T00:00:00Z", 5, ""),
    ("2027-11-01T00:00:00Z", "2026-11-01T00:00:00Z", 5, "not_before must be earlier than not_after"),
    ("2027-11-01T00:00:00Z", "2026-11-01T01:00:00+02:00", 5, "not_before must be earlier"),
    ("2027-11-01T00:00:00Z", "2025-11-01T00:00:00Z", 5, "not_before must be earlier"),
    ("{ key = ", "{ not_after = 2027-01-01T00:00:00Z }, { key = ", 5, "missing field `key`"),
    ("curve = [", "curve = [{}, ", 4, "missing field `key`"),
    ("curve = [", "curve = [1, ", 4, "expected a key, or a table"),
    ("curve = [", "curve = [[\"x\"], ", 4, "expected a key, or a table"),
    ("curve = [\"Yne", "curve = { key = \"Yne", 4, ""),
    // PLAIN
    ("[{ username", "{ username", 11, ""),
    ("plain = [", "plain = [] # ", 11, "plain = [] allows nothing"),
    ("plain = [", "plain = \"hunter2\" # ", 11, "expected a list"),
    ("plain = [", "plain = [\"hunter2\"] # ", 11, "expected a table"),
    ("plain = [", "plain = [[\"siem\", \"hunter2\"]] # ", 11, "expected a table"),
    ("username = \"siem\", ", "", 11, "missing field `username`"),
    (PASSWORD, "password = \"hunter2\"", 11, "`curvelink policy password`"),
    (PASSWORD, "password = 271828", 11, "a password must not stand in the file"),
    (PASSWORD, "password = [\"hunter2\"]", 11, "a password must not stand in the file"),
    (PASSWORD, "password = \"hunter2", 12, ""),
    ("password_hash", "password = \"hunter2\", password_hash", 11, "must not stand in the file"),
    ("password_hash", "passwort_hash", 11, "unknown field `passwort_hash`"),
    (PASSWORD, "", 11, "this user has no password_hash"),
    (PASSWORD, "password_hash = 271828", 11, "expected a string"),
    (PASSWORD, "password_hash = \"hunter2\"", 11, "a password_hash is one line $argon2id$"),
    (PASSWORD, "password_hash = \"\"", 11, "a password_hash is one line"),
    (PASSWORD, "password_hash = \"$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\"", 11, "one line"),
    ("argon2id$", "argon2i$", 11, "one line"),
    ("v=19$", "v=16$", 11, "one line"),
    ("v=19$", "", 11, "one line"),
    ("m=8192,t=1,p=1", "t=1,m=8192,p=1", 11, "one line"),
    ("m=8192,t=1,p=1", "m=8192,t=1", 11, "one line"),
    ("m=8192,t=1,p=1", "m=8192,t=1,p=1,keyid=AAAA", 11, "one line"),
    ("m=8192,t=1,p=1", "m=+8192,t=1,p=1", 11, "one line"),
    ("m=8192,t=1,p=1", "m=08192,t=1,p=1", 11, "one line"),
    ("m=8192,t=1,p=1", "m=99999999999,t=1,p=1", 11, "one line"),
    ("m=8192", "m=8191", 11, "m of 8192 to 262144 KiB, t of 1 to 16 and p of 1 to 4"),
    ("m=8192", "m=0", 11, "m of 8192"),
    ("m=8192", "m=262145", 11, "m of 8192"),
    ("t=1", "t=0", 11, "t of 1 to 16"),
    ("t=1", "t=17", 11, "t of 1 to 16"),
    ("p=1", "p=0", 11, "p of 1 to 4"),
    ("p=1", "p=5", 11, "p of 1 to 4"),
    ("c2FsdC1vZi1zaWVtLTAwMA$", "c2FsdA$", 11, "one line"),
    ("c2FsdC1vZi1zaWVtLTAwMA$", "c2FsdC1vZi1zaWVtLTAwMA==$", 11, "one line"),
    ("PANveLA\"", "PANveLB\"", 11, "one line"),
    ("PANveLA\"", "PANveLA$\"", 11, "one line"),
    ("PANveLA\"", "PANveLA \"", 11, "one line"),
    ("$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA", "$6DmxWyjU", 11, "one line"),
    ("\"siem\", pass", "\"\", pass", 11, "a PLAIN user name has 1 to 255"),
    ("\"siem\", pass", "\"a\\u0000\", pass", 11, "no control characters"),
    ("veLA\" }", "veLA\" },\n{ username = \"siem\", password_hash = \"$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw\" }", 12, "line 11 already"),
    // routing ids
    ("[\"siem-1\"]", "[]", 15, "routing_ids = [] allows nothing"),
    ("[\"siem-1\"]", "\"siem-1\"", 15, "the one word \"everything\""),
    ("[\"siem-1\"]", "[\"everything\"]", 15, "without brackets if all is meant"),
    ("[\"siem-1\"]", "[\"*\"]", 15, "takes no wildcard"),
    ("[\"siem-1\"]", "[\"\"]", 15, "no empty string"),
    ("[\"siem-1\"]", "[\"\\u0000siem\"]", 15, "no control characters"),
    ("[\"siem-1\"]", "[\"siem-1\", \"siem-1\"]", 15, "stands in routing_ids already"),
    ("publish = ", "routing_ids = [\"siem-1\"]\npublish = ", 16, "stands on line 7 already"),
    // where peers come from
    ("[\"10.0.0.0/8\", \"ipc:uid=1000\"]", "[]", 16, "sources = [] allows nothing"),
    ("[\"10.0.0.0/8\", \"ipc:uid=1000\"]", "\"10.0.0.0/8\"", 16, "expected a list"),
    ("[\"10.0.0.0/8\", \"ipc:uid=1000\"]", "\"everything\"", 16, "expected a list"),
    ("10.0.0.0/8", "10.0.0.1/8", 16, "write 10.0.0.0/8"),
    ("10.0.0.0/8", "::ffff:10.0.0.0/104", 16, "write 10.0.0.0/8"),
    ("10.0.0.0/8", "10.0.0.0/33", 16, "is a network (10.0.0.0/8"),
    ("10.0.0.0/8", "10.0.0.0/", 16, "is a network"),
    ("10.0.0.0/8", "*", 16, "is a network"),
    ("10.0.0.0/8", "", 16, "is a network"),
    ("10.0.0.0/8", "hub.example", 16, "is a network"),
    ("10.0.0.0/8", "ipc:uid=1000", 16, "stands in sources already"),
    ("ipc:uid=1000", "ipc:uid=root", 16, "\"ipc:uid=1000\""),
    // by which endpoints
    ("[\"tcp://0.0.0.0:5570\"]", "[]", 17, "endpoints = [] allows nothing"),
    ("tcp://0.0.0.0:5570", "0.0.0.0:5570", 17, "begins with tcp://, ipc://"),
    ("tcp://0.0.0.0:5570", "tcp://0.0.0.0", 17, "ends with a port"),
    ("tcp://0.0.0.0:5570", "tcp://0.0.0.0:*", 17, "with its port or path"),
    ("tcp://0.0.0.0:5570", "ipc://*", 17, "with its port or path"),
    ("tcp://0.0.0.0:5570", "inproc://x", 17, "of inproc nobody is asked"),
    ("tcp://0.0.0.0:5570\"", "tcp://0.0.0.0:5570\", \"tcp://0.0.0.0:5570\"", 17, "stands in endpoints already"),
    // with which types
    ("[\"SUB\", \"XSUB\"]", "[]", 18, "patterns = [] allows nothing"),
    ("\"SUB\"", "\"Sub\"", 18, "an entry of patterns is REQ"),
    ("\"SUB\"", "\"STREAM\"", 18, "an entry of patterns is REQ"),
    ("\"SUB\"", "\"*\"", 18, "an entry of patterns is REQ"),
    ("\"SUB\"", "\"XSUB\"", 18, "stands in patterns already"),
    // the limits
    ("\"4 MiB\"", "0", 19, "a size is a number of octets from 1"),
    ("\"4 MiB\"", "-1", 19, "leave max_message out to set none"),
    ("\"4 MiB\"", "4.5", 19, "expected a number of octets"),
    ("\"4 MiB\"", "\"0 B\"", 19, "a size is a number"),
    ("\"4 MiB\"", "\"4 MB\"", 19, "(B, KiB, MiB, GiB)"),
    ("\"4 MiB\"", "\"4\"", 19, "(B, KiB, MiB, GiB)"),
    ("\"4 MiB\"", "\"everything\"", 19, "(B, KiB, MiB, GiB)"),
    ("rate = 100", "rate = 0", 20, "from 1 to 4294967295: leave rate out"),
    ("rate = 100", "rate = -1", 20, "from 1 to"),
    ("rate = 100", "rate = 4294967296", 20, "from 1 to"),
    ("rate = 100", "rate = \"100\"", 20, "expected"),
    ("rate = 100", "rate = 1.5", 20, "expected"),
    ("\"12h\"", "\"0h\"", 21, "a duration is a text as in \"12h\""),
    ("\"12h\"", "\"\"", 21, "leave max_session_age out"),
    ("\"12h\"", "\"3651d\"", 21, "from 1s to 3650d"),
    ("\"12h\"", "43200", 21, "expected a string"),
    ("\"24h\"", "\"0s\"", 2, "a duration is a text"),
    ("\"24h\"", "86400", 2, "expected a string"),
];

#[test]
fn the_file_without_mistakes_is_read() {
    Policy::from_toml(GOOD, "zap.toml").unwrap();
}

#[test]
fn each_mistake_is_one_line_with_its_place_and_what_to_do() {
    let mut wrong = Vec::new();
    for (old, new, line, fragment) in MISTAKES {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD, "{old:?} is not in the file");
        let Err(error) = Policy::from_toml(&text, "config/zap.toml") else {
            wrong.push(format!("{old:?} -> {new:?} was read without an error"));
            continue;
        };
        let shown = error.to_string();
        let debug = format!("{error:?}");
        println!("{shown}");
        let placed = shown.starts_with(&format!("config/zap.toml:{line}: "));
        let leaks = ["hunter2", "271828", HASH, SCANNER, SIEM, SIGN]
            .iter()
            .any(|secret| shown.contains(secret) || debug.contains(secret));
        if !placed || !shown.contains(fragment) || shown.contains(char::is_control) || leaks {
            wrong.push(format!(
                "{old:?} -> {new:?}, line {line}, {fragment:?}: {shown}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_file_without_identities_is_refused() {
    for text in [
        "version = 1",
        "version = 1\n[identities]\n",
        "version = 1\nidentities = {}",
    ] {
        let error = Policy::from_toml(text, "zap.toml").unwrap_err();
        assert!(
            error.to_string().contains("add a table [identities.NAME]"),
            "{error}"
        );
    }
    assert!(Policy::from_toml("", "zap.toml").is_err());
}

#[test]
fn lengths_end_where_the_text_says() {
    for (old, template, longest) in [
        ("siem]", "#]", 64),
        ("\"findings\"", "\"#\"", 255),
        ("\"findings/\"", "\"#\"", 255),
        ("username = \"siem\"", "username = \"#\"", 255),
        ("\"siem-1\"", "\"#\"", 255),
    ] {
        let with = |length| GOOD.replacen(old, &template.replace('#', &"a".repeat(length)), 1);
        assert!(
            Policy::from_toml(&with(longest), "zap.toml").is_ok(),
            "{template} {longest}"
        );
        assert!(
            Policy::from_toml(&with(longest + 1), "zap.toml").is_err(),
            "{template}"
        );
    }
}

#[test]
fn a_file_over_one_mebibyte_is_refused_before_it_is_parsed() {
    let padded = |length: usize| format!("{GOOD}#{}", " ".repeat(length - GOOD.len() - 1));
    assert!(Policy::from_toml(&padded(1 << 20), "zap.toml").is_ok());
    let error = Policy::from_toml(&padded((1 << 20) + 1), "zap.toml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "zap.toml: is larger than 1 MiB: is it a policy file?"
    );
}

#[test]
fn nesting_without_end_is_an_error_and_not_a_crash() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!(
            "{GOOD}x = {}1{}",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        assert!(Policy::from_toml(&text, "zap.toml").is_err());
    }
    let dotted = format!("{GOOD}a{} = 1", ".a".repeat(100_000));
    assert!(Policy::from_toml(&dotted, "zap.toml").is_err());
}
