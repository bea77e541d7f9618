use super::*;

/// 2026-11-01T00:00:00Z.
const NOW: Duration = Duration::from_secs(1_793_491_200);

fn found(text: &str) -> Vec<String> {
    let policy = Policy::from_toml(text, "zap.toml").unwrap();
    let lints = lints(&policy, SystemTime::UNIX_EPOCH + NOW);
    lints.iter().map(Lint::to_string).collect()
}

const QUIET: &str = r#"version = 1
[identities.scanner]
curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
domains = ["findings"]
publish = ["findings/", "metrics/"]
sources = ["10.0.0.0/8", "127.0.0.0/8", "ipc"]
endpoints = ["tcp://10.0.0.1:5570", "tcp://127.0.0.1:5570", "ipc:///run/hub"]
patterns = ["PUSH", "DEALER"]
routing_ids = ["scanner-1"]
max_message = "4 MiB"
rate = 100
[identities.siem]
curve = [{ key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", not_before = 2026-11-01T00:00:00Z, not_after = 2026-12-01T00:00:01Z }]
domains = ["findings"]
subscribe = ["findings/"]
patterns = ["SUB", "XSUB"]
"#;

const SIGN: &str = "sign = [\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]";
const FIRST: &str = "curve = [\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"]";
const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw";

#[test]
fn a_policy_that_says_what_it_means_has_none() {
    assert_eq!(found(QUIET), [""; 0]);
}

/// What is replaced, by what, and where which doubt is raised, in whose table.
#[rustfmt::skip]
const DOUBTS: &[(&str, &str, &str)] = &[
    ("[\"findings/\", ", "[\"findings\", ", "5: scanner: publish: \"findings\" also allows \"findingsx\""),
    ("\"metrics/\"", "\"findings/a/\"", "5: scanner: publish: \"findings/a/\" adds nothing to \"findings/\""),
    ("[\"findings/\", \"metrics/\"]", "\"everything\"", "5: scanner: publish = \"everything\" sets no limit"),
    ("domains = [\"findings\"]\npub", "domains = \"everything\"\npub", "4: scanner: domains = \"everything\" sets no"),
    ("[\"scanner-1\"]", "\"everything\"", "9: scanner: routing_ids = \"everything\" sets no"),
    ("domains = [\"findings\"]\npub", "pub", "2: scanner: domains is left out"),
    ("publish = [\"findings/\", \"metrics/\"]\n", "", "2: scanner: may neither publish nor subscribe"),
    ("publish", "relay = true\npublish", "2: scanner: relay = true"),
    ("\"findings\"]\npub", "\"findings\", \"x\"]\npub", "4: scanner: no other identity may enter domain \"x\""),
    ("\"10.0.0.0/8\",", "\"10.0.0.0/8\", \"10.1.0.0/16\",", "6: scanner: sources: \"10.1.0.0/16\" adds nothing"),
    ("\"ipc\"]", "\"ipc\", \"ipc:uid=7\"]", "6: scanner: sources: \"ipc:uid=7\" adds nothing to \"ipc\""),
    ("\"10.0.0.0/8\"", "\"0.0.0.0/0\"", "6: scanner: sources: 0.0.0.0/0 sets no limit"),
    ("\"10.0.0.0/8\",", "\"10.0.0.0/8\", \"2001:db8::/32\",", "6: scanner: sources: nobody comes from 2001:db8::/32"),
    (", \"ipc\"]", "]", "7: scanner: endpoints: nobody comes by ipc:///run/hub"),
    (", \"127.0.0.0/8\"", "", "7: scanner: endpoints: nobody comes by tcp://127.0.0.1:5570"),
    ("\"tcp://127.0.0.1:5570\", \"ipc:///run/hub\"", "\"tcp://10.0.0.2:1\"", "6: scanner: sources: nobody comes from ipc by"),
    ("\"PUSH\", \"DEALER\"", "\"PULL\", \"SUB\"", "5: scanner: publish: no socket of its patterns"),
    ("\"PUSH\", \"DEALER\"", "\"PULL\", \"SUB\"", "10: scanner: max_message: no socket of its patterns sends"),
    ("\"PUSH\", \"DEALER\"", "\"PULL\", \"SUB\"", "11: scanner: rate: no socket of its patterns sends"),
    ("\"PUSH\", \"DEALER\"", "\"PUSH\"", "9: scanner: routing_ids: no socket of its patterns"),
    ("\"SUB\", \"XSUB\"", "\"DEALER\"", "15: siem: subscribe: no socket of its patterns"),
    ("2026-12-01T00:00:01Z", "2026-12-01T00:00:00Z", "13: siem: key SHA256:"),
    ("2026-12-01T00:00:01Z", "2026-12-01T00:00:00Z", " expires at 2026-12-01T00:00:00Z: list the next one"),
    ("not_before = 2026-11-01T00:00:00Z, not_after = 2026-12-01T00:00:01Z", "not_after = 2026-11-01T00:00:00Z",
        " has expired at 2026-11-01T00:00:00Z: remove it"),
    ("2026-11-01T00:00:00Z", "2026-11-01T00:00:01Z", " does not count before 2026-11-01T00:00:01Z"),
];

#[test]
fn each_doubt_is_raised_once_where_it_stands() {
    let plain = format!("plain = [{{ username = \"u\", password_hash = \"{HASH}\" }}]\npublish");
    let strong = plain.replace("m=8192,t=1", "m=19456,t=2");
    let old = "{ key = \"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\", \
               not_after = 2000-01-01T00:00:00Z }";
    let dead = format!("sign = [{old}]\npublish");
    let own = [
        (FIRST, SIGN, "2: scanner: has only a sign key"),
        (
            "publish",
            &plain,
            "2: scanner: plain: the password goes over the wire in clear",
        ),
        (
            "publish",
            &plain,
            "5: scanner: the password_hash of \"u\" is cheap to attack",
        ),
        ("publish", &strong, "2: scanner: plain: the password goes"),
        (
            "publish",
            &dead,
            "5: scanner: key d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a has",
        ),
    ];
    for (old, new, expected) in DOUBTS.iter().copied().chain(own) {
        let text = QUIET.replacen(old, new, 1);
        assert_ne!(text, QUIET, "{old}");
        let lints = found(&text);
        let count = lints.iter().filter(|lint| lint.contains(expected)).count();
        assert_eq!(count, 1, "{expected}: {lints:#?}");
        assert!(lints.iter().all(|lint| lint.starts_with("zap.toml:")));
        assert!(!lints.concat().contains("argon2id"));
    }
    let weak = found(&QUIET.replacen("publish", &strong, 1));
    assert!(!weak.concat().contains("cheap"), "{weak:#?}");

    let hash = |line: &str| format!("{{ username = \"{line}\", password_hash = \"{HASH}\" }}");
    for (other, told) in [("m=8192,t=1", 0), ("m=8192,t=2", 1), ("m=19456,t=2", 1)] {
        let dear = hash("v").replace("m=8192,t=1", other);
        let plain = format!("plain = [{}, {dear}]\npublish", hash("u"));
        let lints = found(&QUIET.replacen("publish", &plain, 1));
        let unequal = lints
            .iter()
            .filter(|it| it.contains("costs less than another"));
        assert_eq!(unequal.clone().count(), told, "{lints:#?}");
        assert!(unequal.into_iter().all(|it| it.contains("of \"u\"")));
    }
}
