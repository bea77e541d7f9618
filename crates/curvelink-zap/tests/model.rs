//! Random policies and operations, judged by the policy and by a small model of what its file
//! means, which knows no code of it: both always say the same.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use curvelink_proto::{
    Credentials, MechanismName, Password, PeerAddress, PublicKey, Reason, SocketType, ZapReply,
    ZapRequest, ZapStatus,
};
use curvelink_zap::{Policy, changes};

const POLICIES: usize = 200;
const OPERATIONS: usize = 500;

const DOMAINS: [&str; 4] = ["", "findings", "metrics", "jobs"];
const TOPICS: [&str; 7] = ["", "a", "a/", "a/b", "a/b/c", "b/", "c"];
const PREFIXES: [&str; 5] = ["a", "a/", "a/b", "b/", "c/"];
const IDS: [&str; 5] = ["w1", "w2", "w3", "w4", "w5"];
const ENDPOINTS: [&str; 3] = ["tcp://0.0.0.0:1", "tcp://127.0.0.1:2", "ipc:///x"];
const KINDS: [SocketType; 4] = [
    SocketType::Push,
    SocketType::Sub,
    SocketType::Dealer,
    SocketType::Req,
];
const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw";
/// Where the times of the keys lie around.
const EPOCH: u64 = 1_793_491_200;

/// What an entry of a list is, and whether it is written; `All` is the word.
#[derive(Debug)]
enum Grant {
    Nothing,
    All,
    Some(Vec<&'static str>),
}

#[derive(Debug)]
enum From {
    /// The first bits of an address in IPv6 form, and how many: IPv4 is ::ffff:0:0/96.
    Bits(u128, u32),
    Ipc,
    User(u32),
}

/// One identity as the model knows it.
#[derive(Debug)]
struct Member {
    name: String,
    keys: Vec<(PublicKey, Option<u64>, Option<u64>)>,
    has_user: bool,
    domains: Grant,
    publish: Grant,
    subscribe: Grant,
    ids: Grant,
    sources: Option<Vec<(String, From)>>,
    endpoints: Option<Vec<&'static str>>,
    kinds: Option<Vec<SocketType>>,
    size: Option<usize>,
    rate: Option<u32>,
    age: Option<u64>,
}

#[derive(Debug)]
struct Operation {
    who: Credentials,
    mechanism: MechanismName,
    domain: &'static str,
    address: PeerAddress,
    endpoint: &'static str,
    now: u64,
    kind: SocketType,
    id: &'static str,
    topic: &'static str,
}

#[test]
fn a1_no_operation_is_judged_otherwise_than_the_model_judges_it() {
    let mut random = Random::from_environment();
    let mut admitted = 0;
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..POLICIES {
        let members = members(&mut random);
        let text = text(&members);
        let policy = Policy::from_toml(&text, "zap.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert!(changes(&policy, &policy).is_empty());
        for step in 0..OPERATIONS {
            let operation = operation(&mut random, &members);
            let expected = model(&members, &operation);
            let (reply, is_open) = ask(&policy, &operation, step == 0);
            let told = match reply.status {
                ZapStatus::Admitted => Ok(verdict(&reply, &operation)),
                _ => Err(reply.reason),
            };
            let place = format!("seed {} round {round} step {step}\n{text}", random.seed);
            assert_eq!(told, expected, "{operation:?} {place}");
            assert_eq!(
                is_open,
                opens(&members, &operation),
                "{operation:?} {place}"
            );
            match told {
                Ok(_) => admitted += 1,
                Err(reason) => *reasons.entry(reason.code()).or_default() += 1,
            }
        }
    }
    println!("{admitted} admitted, {reasons:?}");
    assert!(admitted > 1_000, "{admitted}");
    for reason in [
        Reason::UnknownKey,
        Reason::UnknownUser,
        Reason::KeyExpired,
        Reason::AddressDenied,
        Reason::DomainDenied,
        Reason::EndpointDenied,
        Reason::MechanismDenied,
    ] {
        assert!(
            reasons.get(reason.code()).is_some_and(|n| *n > 50),
            "{reason:?} {reasons:?}"
        );
    }
}

/// Who it is, and what it may: the type, the id, publish, subscribe, size, rate, age, end.
type Verdict = (
    String,
    [bool; 4],
    Option<usize>,
    Option<u32>,
    Option<u64>,
    Option<u64>,
);

fn ask(policy: &Policy, operation: &Operation, hash: bool) -> (ZapReply, bool) {
    let who = operation.who.clone();
    let mut request = ZapRequest::new(
        operation.domain,
        operation.address,
        operation.mechanism,
        who,
    );
    request.endpoint = operation.endpoint.into();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(operation.now);
    // A hash takes milliseconds: that decide() leads to the same is looked at now and then.
    let decision = policy.decide_proven(&request, now);
    if hash {
        assert_eq!(policy.decide(&request, now).settle(), decision);
    }
    let is_open = policy.admits_address(operation.domain, &operation.address);
    (decision.reply(), is_open)
}

fn verdict(reply: &ZapReply, operation: &Operation) -> Verdict {
    let rights = &reply.rights;
    let may = [
        rights.socket_types.contain(operation.kind),
        rights.routing_ids.contain(operation.id.as_bytes()),
        rights.publish.contain(operation.topic.as_bytes()),
        rights.subscribe.contain(operation.topic.as_bytes()),
    ];
    let end = reply.expires.map(|end| {
        let since = end.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap().as_secs()
    });
    let rate = rights.rate.map(std::num::NonZero::get);
    let age = reply.max_age.map(|age| age.as_secs());
    (
        reply.user_id.to_string(),
        may,
        rights.max_message,
        rate,
        age,
        end,
    )
}

fn model(members: &[Member], operation: &Operation) -> Result<Verdict, Reason> {
    let (member, end) = match (&operation.who, operation.mechanism) {
        (Credentials::Curve(key), MechanismName::CURVE) => {
            let owner = members.iter().find_map(|member| {
                let listed = member.keys.iter().find(|(listed, ..)| listed == key)?;
                Some((member, listed))
            });
            let (member, (_, from, to)) = owner.ok_or(Reason::UnknownKey)?;
            let begun = from.is_none_or(|from| operation.now >= from);
            let over = to.is_some_and(|to| operation.now >= to);
            if !begun || over {
                return Err(Reason::KeyExpired);
            }
            (member, *to)
        }
        (Credentials::Plain { username, .. }, MechanismName::PLAIN) => {
            let named =
                |member: &&Member| member.has_user && member.name.as_bytes() == &username[..];
            let member = members.iter().find(named);
            (member.ok_or(Reason::UnknownUser)?, None)
        }
        _ => return Err(Reason::MechanismDenied),
    };
    if !comes_from(member, operation.address) {
        return Err(Reason::AddressDenied);
    }
    if !names(&member.domains, operation.domain) {
        return Err(Reason::DomainDenied);
    }
    let endpoints = member.endpoints.as_ref();
    if endpoints.is_some_and(|listed| !listed.contains(&operation.endpoint)) {
        return Err(Reason::EndpointDenied);
    }
    let is_anothers = members.iter().any(|other| {
        !std::ptr::eq(other, member)
            && matches!(&other.ids, Grant::Some(ids) if ids.contains(&operation.id))
    });
    let may = [
        member
            .kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&operation.kind)),
        names(&member.ids, operation.id) && !is_anothers,
        begins(&member.publish, operation.topic),
        begins(&member.subscribe, operation.topic),
    ];
    Ok((
        member.name.clone(),
        may,
        member.size,
        member.rate,
        member.age,
        end,
    ))
}

/// Whether anybody who may enter the domain could come from the address.
fn opens(members: &[Member], operation: &Operation) -> bool {
    members.iter().any(|member| {
        names(&member.domains, operation.domain) && comes_from(member, operation.address)
    })
}

fn names(grant: &Grant, what: &str) -> bool {
    match grant {
        Grant::Nothing => false,
        Grant::All => true,
        Grant::Some(listed) => listed.contains(&what),
    }
}

fn begins(grant: &Grant, topic: &str) -> bool {
    match grant {
        Grant::Nothing => false,
        Grant::All => true,
        Grant::Some(listed) => listed.iter().any(|prefix| topic.starts_with(prefix)),
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn comes_from(member: &Member, address: PeerAddress) -> bool {
    let Some(sources) = &member.sources else {
        return true;
    };
    sources.iter().any(|(_, source)| match (source, address) {
        (From::Bits(network, prefix), PeerAddress::Tcp(address)) => {
            let (ip, mapped) = (bits(address.ip()), 0xffff_u128);
            // All of IPv6 is not all of IPv4 in IPv6 form.
            let is_mapped = ip >> 32 == mapped;
            let same = (0..*prefix).all(|bit| (ip ^ network) >> (127 - bit) & 1 == 0);
            same && is_mapped == (network >> 32 == mapped && *prefix >= 96)
        }
        (From::Ipc, PeerAddress::Ipc { .. }) => true,
        (From::User(listed), PeerAddress::Ipc { uid, .. }) => *listed == uid,
        _ => false,
    })
}

fn members(random: &mut Random) -> Vec<Member> {
    let mut ids = IDS.to_vec();
    let count = 1 + random.below(5);
    (0..count)
        .map(|number| Member {
            name: format!("m{number}"),
            keys: (0..1 + random.below(2))
                .map(|key| random.key(number * 2 + key))
                .collect(),
            has_user: random.below(3) == 0,
            domains: random.grant(&DOMAINS[1..]),
            publish: random.grant(&PREFIXES),
            subscribe: random.grant(&PREFIXES),
            ids: match random.below(3) {
                0 => Grant::Nothing,
                1 => Grant::All,
                _ => match ids.pop() {
                    Some(id) => Grant::Some(vec![id]),
                    None => Grant::Nothing,
                },
            },
            sources: random.maybe(|random| random.sources()),
            endpoints: random.maybe(|random| random.some(&ENDPOINTS)),
            kinds: random.maybe(|random| random.some(&KINDS)),
            size: random.maybe(|random| 1 + random.below(1 << 20)),
            rate: random.maybe(|random| 1 + u32::try_from(random.below(1_000)).unwrap()),
            age: random.maybe(|random| 1 + random.below(1_000) as u64),
        })
        .collect()
}

fn text(members: &[Member]) -> String {
    let mut text = "version = 1\n".to_owned();
    for member in members {
        writeln!(text, "[identities.{}]", member.name).unwrap();
        let keys = member.keys.iter().map(|(key, from, to)| {
            let mut table = format!("{{ key = \"{}\"", key.to_hex());
            for (name, at) in [("not_before", from), ("not_after", to)] {
                if let Some(at) = at {
                    // All within one day.
                    let (hour, minute) = ((at - EPOCH) / 3600, (at - EPOCH) / 60 % 60);
                    write!(table, ", {name} = 2026-11-01T{hour:02}:{minute:02}:00Z").unwrap();
                }
            }
            table + " }"
        });
        let keys: Vec<String> = keys.collect();
        writeln!(text, "curve = [{}]", keys.join(", ")).unwrap();
        if member.has_user {
            let name = &member.name;
            let user = format!("{{ username = \"{name}\", password_hash = \"{HASH}\" }}");
            writeln!(text, "plain = [{user}]").unwrap();
        }
        for (name, grant) in [
            ("domains", &member.domains),
            ("publish", &member.publish),
            ("subscribe", &member.subscribe),
            ("routing_ids", &member.ids),
        ] {
            match grant {
                Grant::Nothing => {}
                Grant::All => writeln!(text, "{name} = \"everything\"").unwrap(),
                Grant::Some(listed) => writeln!(text, "{name} = {listed:?}").unwrap(),
            }
        }
        if let Some(sources) = &member.sources {
            let listed: Vec<_> = sources.iter().map(|(text, _)| text).collect();
            writeln!(text, "sources = {listed:?}").unwrap();
        }
        if let Some(endpoints) = &member.endpoints {
            writeln!(text, "endpoints = {endpoints:?}").unwrap();
        }
        if let Some(kinds) = &member.kinds {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            writeln!(text, "patterns = {kinds:?}").unwrap();
        }
        if let Some(size) = member.size {
            writeln!(text, "max_message = {size}").unwrap();
        }
        if let Some(rate) = member.rate {
            writeln!(text, "rate = {rate}").unwrap();
        }
        if let Some(age) = member.age {
            writeln!(text, "max_session_age = \"{age}s\"").unwrap();
        }
    }
    text
}

fn operation(random: &mut Random, members: &[Member]) -> Operation {
    let member = &members[random.below(members.len())];
    let plain = |username: &str| Credentials::Plain {
        username: username.to_owned().into(),
        password: Password::new(*b"p"),
    };
    let (who, mechanism) = match random.below(12) {
        0 => (Credentials::Curve(random.key(99).0), MechanismName::CURVE),
        1 => (plain("nobody"), MechanismName::PLAIN),
        2 | 3 => (plain(&member.name), MechanismName::PLAIN),
        4 => (Credentials::Null, MechanismName::NULL),
        5 => (plain(&member.name), MechanismName::CURVE),
        _ => {
            let key = member.keys[random.below(member.keys.len())].0;
            (Credentials::Curve(key), MechanismName::CURVE)
        }
    };
    Operation {
        who,
        mechanism,
        domain: random.one(&DOMAINS),
        address: random.address(),
        endpoint: random.one(&ENDPOINTS),
        now: EPOCH + random.below(24 * 60) as u64 * 60,
        kind: random.one(&KINDS),
        id: random.one(&IDS),
        topic: random.one(&TOPICS),
    }
}

/// SplitMix64: enough to choose, and to choose the same again.
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

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Some of all, at least one.
    fn some<T: Copy>(&mut self, all: &[T]) -> Vec<T> {
        let first = self.below(all.len());
        let mut some = vec![all[first]];
        for (index, item) in all.iter().enumerate() {
            if index != first && self.below(2) == 0 {
                some.push(*item);
            }
        }
        some
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    fn grant(&mut self, all: &[&'static str]) -> Grant {
        match self.below(6) {
            0 => Grant::Nothing,
            1 | 2 => Grant::All,
            _ => Grant::Some(self.some(all)),
        }
    }

    /// A key of that number, and when it counts: minutes of one day.
    fn key(&mut self, number: usize) -> (PublicKey, Option<u64>, Option<u64>) {
        let mut octets = [0x5a; 32];
        octets[0] = u8::try_from(number).unwrap();
        let from = self.maybe(|random| EPOCH + random.below(12 * 60) as u64 * 60);
        let to = self.maybe(|random| EPOCH + (12 * 60 + random.below(12 * 60)) as u64 * 60);
        (PublicKey::from_octets(octets).unwrap(), from, to)
    }

    /// Few distinct addresses, so that networks of every length meet them.
    fn ip(&mut self) -> IpAddr {
        if self.below(2) == 0 {
            Ipv4Addr::from_bits(0x0a00_0000 | self.wide() as u32).into()
        } else {
            Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(self.wide()) << 64).into()
        }
    }

    /// One bit or two of 24.
    fn wide(&mut self) -> u64 {
        1 << self.below(24) | 1 << self.below(24)
    }

    fn address(&mut self) -> PeerAddress {
        match self.below(6) {
            0 => PeerAddress::Inproc,
            1 => {
                let (uid, gid, pid) = (u32::try_from(self.below(3)).unwrap(), 0, None);
                PeerAddress::Ipc { uid, gid, pid }
            }
            2 => match self.ip() {
                IpAddr::V4(ip) => PeerAddress::Tcp((ip.to_ipv6_mapped(), 1).into()),
                ip => PeerAddress::Tcp((ip, 1).into()),
            },
            _ => PeerAddress::Tcp((self.ip(), 1).into()),
        }
    }

    fn sources(&mut self) -> Vec<(String, From)> {
        let mut sources: BTreeMap<String, From> = BTreeMap::new();
        for _ in 0..1 + self.below(4) {
            let (text, from) = match self.below(8) {
                0 => ("ipc".to_owned(), From::Ipc),
                1 => {
                    let uid = u32::try_from(self.below(3)).unwrap();
                    (format!("ipc:uid={uid}"), From::User(uid))
                }
                _ => self.network(),
            };
            sources.insert(text, from);
        }
        sources.into_iter().collect()
    }

    fn network(&mut self) -> (String, From) {
        let ip = self.ip();
        let (length, before) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = u32::try_from(self.below(length + 1)).unwrap();
        let all = prefix + before;
        let mask = u128::MAX.checked_shl(128 - all).unwrap_or(0);
        let network = bits(ip) & mask;
        let shown: IpAddr = match ip {
            IpAddr::V4(_) => Ipv4Addr::from_bits(network as u32).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(network).into(),
        };
        (format!("{shown}/{prefix}"), From::Bits(network, all))
    }
}
