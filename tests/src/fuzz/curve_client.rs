//! A CURVE client against a server that has keys and makes every command itself.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{EngineConfig, SocketType};

use super::curve::Attack;
use super::input::Input;
use super::nacl::{PairBox, WEAK, nonce, public};
use super::side::{CLIENT, OTHER, SERVER, Side, config, curve_client, curve_server, still_works};

const KIND: SocketType = SocketType::Pair;

static CONFIGS: LazyLock<[Arc<EngineConfig>; 2]> = LazyLock::new(|| {
    let client = Arc::new(config(KIND, curve_client()));
    [client, Arc::new(config(KIND, curve_server()))]
});

/// The secret of the attacker's transient pair.
const TRANSIENT: [u8; 32] = [7; 32];

pub(super) fn run(data: &[u8]) {
    let [client, server] = &*CONFIGS;
    attack(Attack::begin(Input::new(data), Side::new(client, 1)));
    still_works(server, client);
}

fn attack(mut attack: Attack<'_>) {
    let hello = attack.heard().expect("HELLO");
    assert_eq!(hello.len(), 200);
    let theirs: [u8; 32] = hello[80..112].try_into().expect("C'");
    welcome(&mut attack, &theirs);
    let initiate = attack.heard();
    assert_eq!(
        initiate.is_some(),
        attack.sound,
        "who we are is for the server alone"
    );
    let Some(initiate) = initiate else {
        return attack.refused();
    };
    let session = PairBox::new(&theirs, &TRANSIENT);
    let sealed = nonce("CurveZMQINITIATE", &initiate[105..113]);
    let clear = session.open(&sealed, &initiate[113..]).expect("INITIATE");
    assert_eq!(clear[..32], public(&CLIENT));
    attack.repeat();

    let counter = ready(&mut attack, &session);
    assert_eq!(attack.side.seen.ready.is_some(), attack.sound);
    let Some(peer) = attack.side.seen.ready.clone() else {
        return attack.refused();
    };
    let key = peer.key.map(|key| *key.as_octets());
    assert_eq!((key, peer.name.as_deref()), (Some(public(&SERVER)), None));
    attack.repeat();
    let direction = ["CurveZMQMESSAGES", "CurveZMQMESSAGEC"];
    attack.messages(&session, direction, counter, KIND);
}

fn welcome(attack: &mut Attack<'_>, theirs: &[u8; 32]) {
    let [zero, one, minus, zero_again] = WEAK;
    let secret = attack.choose(&[SERVER, OTHER, TRANSIENT]);
    let point = attack.choose(&[public(&TRANSIENT), zero, one, minus, zero_again]);
    let to = attack.choose(&[*theirs, public(&CLIENT), zero]);
    let prefix = attack.choose(&["WELCOME-", "COOKIE--"]);
    // What a cookie is, is for its server to say.
    let cookie = [attack.input.octet(); 96];
    let unique = [8; 16];
    let clear = [&point[..], &cookie].concat();
    let sealed = PairBox::new(&to, &secret).seal(&nonce(prefix, &unique), &clear);
    attack.deliver("WELCOME", [&unique[..], &sealed].concat());
}

/// Sends READY; its counter, of which any is as good as another.
fn ready(attack: &mut Attack<'_>, session: &PairBox) -> u64 {
    let counter = attack.input.counter(1);
    let prefix = attack.choose(&["CurveZMQREADY---", "CurveZMQMESSAGES"]);
    let metadata = attack.metadata(KIND, KIND);
    let counted = counter.to_be_bytes();
    let sealed = session.seal(&nonce(prefix, &counted), &metadata);
    attack.deliver("READY", [&counted[..], &sealed].concat());
    counter
}
