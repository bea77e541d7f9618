//! Mistakes in a policy file: each is an error on its own line that says what to do, and none
//! shows a password or a key.

use curvelink_zap::Policy;

const GOOD: &str = r#"version = 1

[identities.scanner]
curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
sign = ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]
domains = ["findings"]
publish = ["findings/"]

[identities.siem]
curve = ["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"]
plain = [{ username = "siem", password = "hunter2" }]
domains = ["findings"]
subscribe = ["findings/"]
relay = false
"#;

const SCANNER: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const SIEM: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
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
    ("version = 1", "version = 1\nidentities = []", 4, ""),
    ("version = 1", "version = 1\n[domains]", 2, "unknown field `domains`"),
    ("version = 1", "version = 1\n\n\n\"\\u0007\\n\" = 1", 4, "unknown field"),
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
    // PLAIN
    ("[{ username", "{ username", 11, ""),
    ("[{ username = \"siem\", password = \"hunter2\" }]", "[]", 11, "plain = [] allows nothing"),
    ("[{ username = \"siem\", password = \"hunter2\" }]", "\"hunter2\"", 11, "expected a list"),
    ("[{ username = \"siem\", password = \"hunter2\" }]", "[\"hunter2\"]", 11, "expected a table"),
    ("{ username = \"siem\", password = \"hunter2\" }", "[\"siem\", \"hunter2\"]", 11, "expected a table"),
    (SCANNER, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\", expected D", 4, ""),
    ("username = \"siem\", ", "", 11, "missing field `username`"),
    (", password = \"hunter2\"", "", 11, "missing field `password`"),
    (", password = \"hunter2\"", ", password = 271828", 11, "expected a string"),
    (", password = \"hunter2\"", ", password = [\"hunter2\"]", 11, "expected a string"),
    (", password = \"hunter2\"", ", password = \"hunter2", 12, ""),
    (", password = \"hunter2\"", ", password = \"\"", 11, "a PLAIN password has 1 to 255"),
    (", password = \"hunter2\"", ", passwort = \"hunter2\"", 11, "unknown field `passwort`"),
    (", password = \"hunter2\"", ", password = \"hunter2\", hash = \"\"", 11, "unknown field `hash`"),
    ("\"siem\", pass", "\"\", pass", 11, "a PLAIN user name has 1 to 255"),
    ("\"siem\", pass", "\"a\\u0000\", pass", 11, "no control characters"),
    ("hunter2\" }", "hunter2\" },\n{ username = \"siem\", password = \"x\" }", 12, "line 11 already"),
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
        let leaks = ["hunter2", "271828", SCANNER, SIEM, SIGN]
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
        ("\"hunter2\"", "\"#\"", 255),
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
