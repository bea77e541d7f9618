//! A CURVE server against a client that has keys and makes every command itself.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{Credentials, EngineConfig, Reason, SocketType, ZapReply};

use super::curve::Attack;
use super::input::Input;
use super::nacl::{PairBox, WEAK, nonce, public};
use super::side::{CLIENT, OTHER, SERVER, Side, config, curve_client, curve_server, still_works};

const KIND: SocketType = SocketType::Pair;

static CONFIGS: LazyLock<[Arc<EngineConfig>; 2]> = LazyLock::new(|| {
    let server = Arc::new(config(KIND, curve_server()));
    [server, Arc::new(config(KIND, curve_client()))]
});

/// The secret of the attacker's transient pair.
const TRANSIENT: [u8; 32] = [7; 32];

pub(super) fn run(data: &[u8]) {
    let [server, client] = &*CONFIGS;
    let mut input = Input::new(data);
    let mut side = Side::new(server, 1);
    let admitted = match input.octet() % 8 {
        1 => {
            side = side.with_verdict(Some(ZapReply::deny(Reason::UnknownKey)));
            false
        }
        2 => {
            side = side.with_verdict(None);
            false
        }
        _ => true,
    };
    attack(Attack::begin(input, side), admitted);
    still_works(server, client);
}

fn attack(mut attack: Attack<'_>, admitted: bool) {
    let first = hello(&mut attack);
    let Some(welcome) = attack
        .heard()
        .filter(|body| body.starts_with(b"\x07WELCOME"))
    else {
        return attack.refused();
    };
    attack.repeat();
    let Some((session, claimed)) = initiate(&mut attack, &welcome, first) else {
        return attack.refused();
    };
    assert_eq!(attack.side.seen.asked.len(), usize::from(attack.sound));
    if let Some(request) = attack.side.seen.asked.first() {
        let Credentials::Curve(key) = &request.credentials else {
            panic!("the policy is asked about a key");
        };
        assert_eq!(*key.as_octets(), claimed, "a key that was proven");
    }
    attack.side.check_admission(true);
    let ready = attack.sound && admitted;
    assert_eq!(attack.side.seen.ready.is_some(), ready);
    if !ready {
        return attack.refused();
    }
    let body = attack.heard().expect("READY");
    let sealed = nonce("CurveZMQREADY---", &body[6..14]);
    assert!(session.open(&sealed, &body[14..]).is_some(), "a good READY");
    attack.repeat();
    let direction = ["CurveZMQMESSAGEC", "CurveZMQMESSAGES"];
    attack.messages(&session, direction, first.wrapping_add(1), KIND);
}

/// Sends HELLO; its counter.
fn hello(attack: &mut Attack<'_>) -> u64 {
    let [zero, first, minus, zero_again] = WEAK;
    let mut fixed = [0; 74];
    fixed[0] = 1;
    attack.flip(&mut fixed);
    let point = attack.choose(&[public(&TRANSIENT), zero, first, minus, zero_again]);
    // Any counter may be the first.
    let counter = attack.input.counter(1);
    let mut signature = [0; 64];
    attack.flip(&mut signature);
    let server = attack.choose(&[public(&SERVER), public(&OTHER), zero]);
    let counted = counter.to_be_bytes();
    let greeting = PairBox::new(&server, &TRANSIENT);
    let sealed = greeting.seal(&nonce("CurveZMQHELLO---", &counted), &signature);
    attack.deliver("HELLO", [&fixed[..], &point, &counted, &sealed].concat());
    counter
}

/// Sends INITIATE; the box of the traffic that may follow, and whose key was claimed; `None` if
/// WELCOME is not for us.
fn initiate(attack: &mut Attack<'_>, welcome: &[u8], first: u64) -> Option<(PairBox, [u8; 32])> {
    let greeting = PairBox::new(&public(&SERVER), &TRANSIENT);
    let sealed = nonce("WELCOME-", &welcome[8..24]);
    let clear = greeting.open(&sealed, &welcome[24..])?;
    let (transient, cookie) = clear.split_first_chunk::<32>()?;
    let session = PairBox::new(transient, &TRANSIENT);

    let mut cookie = cookie.to_vec();
    attack.flip(&mut cookie);
    let counter = attack.counter(first.wrapping_add(1));
    attack.sound &= first < u64::MAX;
    // Whoever owns a key may claim it.
    let owner = [CLIENT, OTHER, TRANSIENT][attack.input.below(3)];
    let claimed = attack.choose(&[public(&owner), public(&SERVER), WEAK[0], WEAK[1]]);
    let mut vouched = [public(&TRANSIENT), public(&SERVER)].concat();
    attack.flip(&mut vouched);
    // A point of low order opens its box for everybody.
    let to = attack.choose(&[*transient, WEAK[0], public(&SERVER)]);
    let unique = [9; 16];
    let vouch = PairBox::new(&to, &owner).seal(&nonce("VOUCH---", &unique), &vouched);
    let metadata = attack.metadata(KIND, KIND);

    let counted = counter.to_be_bytes();
    let clear = [&claimed[..], &unique, &vouch, &metadata].concat();
    let sealed = session.seal(&nonce("CurveZMQINITIATE", &counted), &clear);
    attack.deliver("INITIATE", [&cookie[..], &counted, &sealed].concat());
    Some((session, claimed))
}
