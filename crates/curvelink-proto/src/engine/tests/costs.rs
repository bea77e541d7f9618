//! What a peer may cost before it is ready: octets, memory and work.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::config::EngineConfig;
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Side;
use crate::engine::tests::transcript::{State, Transcript, command};
use crate::error::{MechanismError, ProtocolError};
use crate::mechanism::{
    Admitted, Handshake, HandshakeCx, Mechanism, MechanismName, Properties, Step,
};
use crate::socket_type::SocketType;
use crate::wire::command::Command;
use crate::wire::greeting;

/// Always wants one more command.
#[derive(Debug)]
struct Endless;

impl Mechanism for Endless {
    fn name(&self) -> MechanismName {
        MechanismName::NULL
    }

    fn as_server(&self) -> bool {
        true
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: false,
            asks_policy: true,
        }
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        Box::new(Self)
    }
}

impl Handshake for Endless {
    fn start(&mut self, _cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        _command: Command<'_>,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Ok(Step::Continue)
    }

    fn on_admitted(
        &mut self,
        _admitted: Admitted,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Ok(Step::Continue)
    }
}

#[test]
fn t18_commands_before_ready_have_a_bound_together() {
    let now = Instant::now();
    for size in [0, 1, 200, 5000, (16 << 10) - 3] {
        let config = EngineConfig::new(SocketType::Dealer, Arc::new(Endless));
        let mut side = Side::new(config, 1, now);
        side.receive(&greeting::write(MechanismName::NULL, false), now);
        let step = command("GO", &vec![0; size]);
        let mut heard = 0;
        while side.error.is_none() {
            side.receive(&step, now);
            heard += 3 + size;
        }
        let limit = (16 << 10) + 209;
        let refused = ProtocolError::TooLarge {
            what: "handshake",
            announced: heard as u64,
            limit: limit as u64,
        };
        assert_eq!(side.error, Some(refused));
        assert!((limit..=limit + 3 + size).contains(&heard), "{heard}");
    }
}

#[test]
fn before_ready_memory_is_what_came_and_not_what_was_announced() {
    let now = Instant::now();
    for state in State::all().iter().filter(|state| !state.is_ready()) {
        let mut side = state.side(now);
        // The longest command, of which some comes.
        side.receive(&[&[6][..], &(16_u64 << 10).to_be_bytes()].concat(), now);
        let mut came = 9;
        while side.error.is_none() && came < 10_000 {
            let room = side.engine.read_buf().capacity();
            assert!(room <= 2 * came + 2048, "{}: {room} for {came}", state.what);
            side.receive(&[0; 100], now);
            came += 100;
        }
    }
}

#[test]
fn a_step_is_costly_where_a_curve_has_keys_to_multiply() {
    let now = Instant::now();
    for case in Case::all() {
        for role in [Role::Client, Role::Server] {
            let transcript = Transcript::record(&case, role);
            let mut side = transcript.listener(now);
            let mut costly = Vec::new();
            for (at, octet) in transcript.octets().iter().enumerate() {
                if side.ready.is_some() {
                    break;
                }
                side.engine.read_buf().extend_from_slice(&[*octet]);
                if side.engine.has_costly_step() {
                    costly.push(at + 1);
                }
                side.force(&[], now);
            }
            let ends = transcript.handshake.iter().scan(0, |end, piece| {
                *end += piece.len();
                Some(*end)
            });
            // A client has much to say once it is greeted, a server once it hears HELLO.
            let commands: Vec<usize> = ends.skip(usize::from(role == Role::Server)).collect();
            let expected = if case.is_sealed() {
                commands
            } else {
                Vec::new()
            };
            assert_eq!(costly, expected, "{case:?}");
        }
    }
}
