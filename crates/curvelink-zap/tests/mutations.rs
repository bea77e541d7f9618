//! A slip of the hand in a policy file is an error or takes access away: it never gives any.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use curvelink_proto::{
    Credentials, MechanismName, Password, PeerAddress, PublicKey, SocketType, ZapReply, ZapRequest,
};
use curvelink_zap::{Decision, Effect, Policy, changes};

const EXAMPLE: &str = include_str!("../../../config/zap.toml");

/// The example with a PLAIN user, which it cannot hold itself: it is readable by everybody.
fn example() -> String {
    let end = "relay = true\n";
    let user = "\n[identities.alice]\nplain = [{ username = \"alice\", password_hash = \
                \"$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1hbGljZS0wMQ$m4uyX2Z+dnPXPapJto5wG/igcK04SgBRZWYD6rsBmPI\" }]\n\
                domains = [\"metrics\"]\nsubscribe = [\"metrics/\"]\nrelay = false\n";
    let text = EXAMPLE.replacen(end, &format!("{end}{user}"), 1);
    assert_ne!(text, EXAMPLE);
    text
}

const KEYS: [&str; 4] = [
    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
    "G=]<>I7>&bBC>O5V{aj/4zK}kco8}o(.HIuS*=:#",
    "1111111111111111111111111111111111111111",
];
const USERS: [(&str, &str); 4] = [
    ("alice", "sesame"),
    ("alice", ""),
    ("alice", "x"),
    ("bob", "sesame"),
];
/// Where the example's sources let somebody come from, and where not; none of them is inside of
/// what a slip makes of a network, a digit more or less.
fn addresses() -> [PeerAddress; 5] {
    let tcp = |text: &str| PeerAddress::Tcp((text.parse::<IpAddr>().unwrap(), 9).into());
    let (uid, gid, pid) = (7, 7, None);
    [
        tcp("10.1.2.3"),
        tcp("192.0.2.7"),
        tcp("2001:db8::1"),
        tcp("3fff::1"),
        PeerAddress::Ipc { uid, gid, pid },
    ]
}
const ENDPOINTS: [&str; 3] = [
    "tcp://0.0.0.0:5570",
    "tcp://0.0.0.0:9999",
    "ipc:///run/curvelink/hub.sock",
];
const IDS: [&str; 4] = ["ci-scanner-1", "ci-scanner-2", "other", "everything"];
const DOMAINS: [&str; 6] = ["", "findings", "metrics", "payroll", "*", "everything"];
/// Topics of two levels and more, as the example's prefixes divide them. A prefix that lost its last
/// separator allows one topic more, `findings`; that is valid, and a lint speaks of it.
const TOPICS: [&str; 10] = [
    "",
    "findings/sast/7",
    "findings/deps/7",
    "findings/other",
    "metrics/cpu",
    "metrics/disk/0",
    "payroll/may",
    "remediate/prod",
    "*",
    "everything",
];

/// Whether a user's password fits. The same hash is not computed again for every mutation.
fn proves(policy: &Policy, credentials: &Credentials) -> bool {
    static KNOWN: Mutex<BTreeMap<(String, Vec<u8>), bool>> = Mutex::new(BTreeMap::new());
    let Credentials::Plain { username, password } = credentials else {
        return true;
    };
    let Some(identity) = policy.identity_of_user(username) else {
        return false;
    };
    let mut users = identity.users.iter();
    let user = users.find(|user| user.username.as_bytes() == &username[..]);
    let hash = user.unwrap().password.to_string();
    let asked = (hash, password.expose_octets().to_owned());
    *KNOWN.lock().unwrap().entry(asked).or_insert_with(|| {
        let credentials = credentials.clone();
        let address = PeerAddress::Inproc;
        let request = ZapRequest::new("", address, MechanismName::PLAIN, credentials);
        let decision = policy.decide(&request, SystemTime::now()).settle();
        decision.identity().is_some()
    })
}

/// Everything that a policy allows somebody to do, as words that can be compared.
fn allowed(policy: &Policy) -> BTreeSet<String> {
    let curve = KEYS.iter().map(|text| {
        let key = PublicKey::from_z85(text).unwrap();
        (*text, MechanismName::CURVE, Credentials::Curve(key))
    });
    let plain = USERS.iter().map(|(user, password)| {
        let credentials = Credentials::Plain {
            username: user.to_owned().into(),
            password: Password::new(*password),
        };
        (*user, MechanismName::PLAIN, credentials)
    });
    let null = [("nobody", MechanismName::NULL, Credentials::Null)];
    let mut allowed = BTreeSet::new();
    for (who, mechanism, credentials) in curve.chain(plain).chain(null) {
        if !proves(policy, &credentials) {
            continue;
        }
        for domain in DOMAINS {
            for address in addresses() {
                let credentials = credentials.clone();
                let mut request = ZapRequest::new(domain, address, mechanism, credentials);
                for endpoint in ENDPOINTS {
                    request.endpoint = endpoint.into();
                    let decision = policy.decide_proven(&request, now());
                    if decision.is_admitted() {
                        allowed.insert(format!(
                            "{who} enters {domain} from {address} by {endpoint}"
                        ));
                        add_rights(&mut allowed, &format!("{who} in {domain}"), &decision);
                    }
                }
            }
        }
    }
    allowed
}

/// A moment within the times that the example gives.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn add_rights(allowed: &mut BTreeSet<String>, who: &str, decision: &Decision) {
    if decision.identity().unwrap().relay {
        allowed.insert(format!("{who} relays"));
    }
    let ZapReply {
        rights, max_age, ..
    } = decision.reply();
    for topic in TOPICS {
        if rights.publish.contain(topic.as_bytes()) {
            allowed.insert(format!("{who} publishes {topic}"));
        }
        if rights.subscribe.contain(topic.as_bytes()) {
            allowed.insert(format!("{who} subscribes {topic}"));
        }
    }
    for id in IDS
        .iter()
        .filter(|id| rights.routing_ids.contain(id.as_bytes()))
    {
        allowed.insert(format!("{who} is {id}"));
    }
    for kind in SocketType::ALL {
        if rights.socket_types.contain(*kind) {
            allowed.insert(format!("{who} has a {kind}"));
        }
    }
    // How large a number is, a slip can change; whether there is one, it must not.
    for (limit, is_missing) in [
        ("size", rights.max_message.is_none()),
        ("rate", rights.rate.is_none()),
        ("age", max_age.is_none()),
        ("end", decision.expires().is_none()),
    ] {
        if is_missing {
            allowed.insert(format!("{who} has no limit of {limit}"));
        }
    }
}

#[derive(Default)]
struct Tally {
    refused: usize,
    narrower: usize,
    same: usize,
    told: usize,
}

/// The settings that narrow: without their line they do not.
const NARROWING: [&str; 6] = [
    "sources",
    "endpoints",
    "patterns",
    "max_message",
    "rate",
    "max_session_age",
];

/// Whether a mutation took a narrowing setting away, all of it, and the comparison of the two
/// files says so.
fn is_told(before: &Policy, after: &Policy) -> bool {
    changes(before, after).iter().any(|change| {
        let is_gone = change.what.starts_with("every one: it is left out")
            || change.what.starts_with("no limit after");
        change.effect == Effect::Gains && NARROWING.contains(&change.setting) && is_gone
    })
}

impl Tally {
    fn judge(&mut self, (old, before): &(Policy, BTreeSet<String>), mutated: &str, what: &str) {
        let Ok(policy) = Policy::from_toml(mutated, "zap.toml") else {
            self.refused += 1;
            return;
        };
        let after = allowed(&policy);
        let gained: Vec<_> = after.difference(before).collect();
        if !gained.is_empty() && is_told(old, &policy) {
            self.told += 1;
            return;
        }
        assert!(
            gained.is_empty(),
            "{what} gives access: {gained:#?}\n{mutated}"
        );
        if after == *before {
            self.same += 1
        } else {
            self.narrower += 1
        }
    }
}

#[test]
fn the_example_is_read_and_allows_what_it_says() {
    let policy = Policy::from_toml(EXAMPLE, "config/zap.toml").unwrap();
    let names: Vec<_> = policy
        .identities()
        .map(|identity| &*identity.name)
        .collect();
    assert_eq!(names, ["ci-scanner", "hub", "siem"]);
    let allowed = allowed(&policy);
    assert!(allowed.contains(&format!(
        "{} in findings publishes findings/sast/7",
        KEYS[0]
    )));
    assert!(!allowed.contains(&format!("{} in findings publishes findings/other", KEYS[0])));
    assert!(allowed.contains(&format!(
        "{} in findings subscribes findings/other",
        KEYS[1]
    )));
    assert!(allowed.contains(&format!("{} in findings relays", KEYS[2])));
    assert!(!allowed.contains(&format!("{} in findings relays", KEYS[1])));
    for (what, is_allowed) in [
        (
            "enters findings from 10.1.2.3:9 by tcp://0.0.0.0:5570",
            true,
        ),
        (
            "enters findings from 192.0.2.7:9 by tcp://0.0.0.0:5570",
            false,
        ),
        (
            "enters findings from 10.1.2.3:9 by tcp://0.0.0.0:9999",
            false,
        ),
        ("in findings is ci-scanner-1", true),
        ("in findings is other", false),
        ("in findings has a PUSH", true),
        ("in findings has a PUB", false),
        ("in findings has no limit of size", false),
        ("in findings has no limit of rate", false),
        ("in findings has no limit of age", false),
    ] {
        let what = format!("{} {what}", KEYS[0]);
        assert_eq!(allowed.contains(&what), is_allowed, "{what}");
    }
    assert!(!allowed.iter().any(|what| what.starts_with(KEYS[3])));
}

#[test]
fn access_that_is_given_on_purpose_is_seen() {
    let before = allowed(&Policy::from_toml(EXAMPLE, "zap.toml").unwrap());
    for (old, new) in [
        ("subscribe = [\"findings/\"]", "subscribe = \"everything\""),
        ("domains = [\"findings\"]", "domains = \"everything\""),
        (
            "domains = [\"findings\"]",
            "domains = [\"findings\", \"payroll\"]",
        ),
        (
            "publish = [\"findings/sast/\"",
            "publish = [\"findings/\", \"findings/sast/\"",
        ),
        (
            "publish = [\"findings/sast/\"",
            "relay = true\npublish = [\"findings/sast/\"",
        ),
        ("\"10.0.0.0/8\"", "\"10.0.0.0/8\", \"192.0.2.0/24\""),
        ("\"tcp://*:5570\"", "\"tcp://*:5570\", \"tcp://*:9999\""),
        ("\"PUSH\"", "\"PUSH\", \"PUB\""),
        ("\"ci-scanner-2\"", "\"ci-scanner-2\", \"other\""),
        ("max_session_age = \"24h\"", ""),
        ("rate = 100", ""),
        (
            "curve = [\"Yne",
            "curve = [\"1111111111111111111111111111111111111111\", \"Yne",
        ),
    ] {
        let text = EXAMPLE.replacen(old, new, 1);
        let after = allowed(&Policy::from_toml(&text, "zap.toml").unwrap());
        assert!(!after.is_subset(&before), "{new}");
    }
}

fn judged(text: &str) -> (Policy, BTreeSet<String>) {
    let policy = Policy::from_toml(text, "zap.toml").unwrap();
    let allowed = allowed(&policy);
    (policy, allowed)
}

#[test]
fn no_typical_slip_gives_access() {
    let example = example();
    let before = judged(&example);
    let mut tally = Tally::default();
    let lines: Vec<&str> = example.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let mut with = |new: &[&str], what: &str| {
            let mutated = [&lines[..i], new, &lines[i + 1..]].concat().join("\n");
            tally.judge(&before, &mutated, &format!("{what} line {}", i + 1));
        };
        let (setting, value) = line.split_once('=').unwrap_or((line, ""));
        with(&[], "without");
        with(&[line, line], "twice");
        with(&[&format!("#{line}")], "commented out");
        with(&[line.trim_start_matches(['#', ' '])], "without its # in");
        with(&[line.split('#').next().unwrap_or_default()], "cut at # in");
        with(&[&line.to_uppercase()], "upper case in");
        with(&[&line.replace('"', "")], "without quotes in");
        with(&[&line.replace(['[', ']'], "")], "without brackets in");
        with(&[&line.replace("/\"", "/*\"")], "star added in");
        if !value.is_empty() {
            with(&[value], "without its name in");
            with(&[setting], "without its value in");
            for value in [
                "[]", "[\"\"]", "\"\"", "\"*\"", "[\"*\"]", "\"all\"", "{}", "[[]]",
            ] {
                with(&[&format!("{setting}= {value}")], &format!("{value} in"));
            }
        }
    }
    assert!(
        tally.refused > 200 && tally.narrower > 10 && tally.same > 10 && tally.told > 5,
        "{} {} {} {}",
        tally.refused,
        tally.narrower,
        tally.same,
        tally.told
    );
}

#[test]
fn no_single_octet_gives_access() {
    let example = example();
    let before = judged(&example);
    let mut random = Random::from_environment();
    let mut tally = Tally::default();
    const OCTETS: &[u8] = b"\"'[]{}=.,#*/\\ \n\t-_019azAZ";
    for round in 0..2_000 {
        let mut octets = example.clone().into_bytes();
        let at = random.below(octets.len());
        let octet = OCTETS[random.below(OCTETS.len())];
        match random.below(4) {
            0 => octets[at] = octet,
            1 => octets.insert(at, octet),
            2 => drop(octets.remove(at)),
            _ => octets.truncate(at),
        }
        let what = format!("seed {} round {round} octet {at}", random.seed);
        tally.judge(&before, &String::from_utf8(octets).unwrap(), &what);
    }
    assert!(
        tally.refused > 100 && tally.narrower > 30,
        "{}",
        tally.refused
    );
}

/// SplitMix64: enough to choose places in a text, and to choose them again.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn from_environment() -> Self {
        let seed = std::env::var("CURVELINK_SEED").map_or_else(
            |_| RandomState::new().build_hasher().finish(),
            |text| text.parse().unwrap(),
        );
        println!("CURVELINK_SEED={seed}");
        Self { seed, state: seed }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}
