//! A mechanism that breaks its contract in every way that the traits allow, and what the engine
//! makes of it.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;

use crate::backlog::Backlog;
use crate::engine::config::EngineConfig;
use crate::engine::tests::pair::{Pair, Side};
use crate::error::{MechanismError, ProtocolError};
use crate::event::{Reason, Stage};
use crate::mechanism::{
    Admitted, FrameFlags, Handshake, HandshakeCx, Mechanism, MechanismName, Opener, Properties,
    Protection, Ready, Sealer, Step,
};
use crate::socket_type::SocketType;
use crate::wire::command::Command;
use crate::wire::metadata::Metadata;
use crate::zap::Credentials;

const GO: &str = "GO";

type Token = Arc<Mutex<Option<Admitted>>>;

/// Where the clear body of a frame of such a length is said to be.
type Where = fn(usize) -> Range<usize>;

/// Both sides send GO with their metadata and are ready when they hear it. Whom that admits is
/// the rogue's own idea.
#[derive(Clone, Debug)]
pub(super) struct Rogue {
    as_server: bool,
    asks_policy: bool,
    admits: Admits,
    /// How many frames its sealer seals.
    pub(super) seals: usize,
    /// What its opener says.
    opens: Where,
}

#[derive(Clone, Debug)]
enum Admits {
    ServerProven,
    Anyone,
    /// Asks the policy, and keeps the token for another connection.
    Keeps(Token),
    /// Takes the token that another connection kept.
    Steals(Token),
}

impl Rogue {
    const fn new(as_server: bool, asks_policy: bool, admits: Admits) -> Self {
        Self {
            as_server,
            asks_policy,
            admits,
            seals: usize::MAX,
            opens: |length| 0..length,
        }
    }

    /// One that lets anyone in, which it may.
    pub(super) const fn harmless() -> Self {
        Self::new(false, false, Admits::Anyone)
    }

    pub(super) fn config(self) -> EngineConfig {
        EngineConfig::new(SocketType::Dealer, Arc::new(self))
    }
}

impl Mechanism for Rogue {
    fn name(&self) -> MechanismName {
        MechanismName::new(b"ROGUE").unwrap()
    }

    fn as_server(&self) -> bool {
        self.as_server
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: false,
            asks_policy: self.asks_policy,
        }
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        Box::new(RogueHandshake(self.clone()))
    }
}

#[derive(Debug)]
struct RogueHandshake(Rogue);

impl Handshake for RogueHandshake {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        cx.send(GO, cx.metadata())?;
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        let admitted = match &self.0.admits {
            Admits::ServerProven => Admitted::server_proven(),
            Admits::Anyone => Admitted::anyone(),
            Admits::Steals(token) => token.lock().unwrap().take().unwrap(),
            Admits::Keeps(_) => {
                return Ok(Step::Authenticate {
                    credentials: Credentials::Foreign(vec![]),
                    metadata: None,
                });
            }
        };
        Ok(Step::Ready(Ready {
            admitted,
            metadata: Metadata::parse(command.body)?,
            key: None,
            our_key: None,
            protection: Some(Protection {
                sealer: Box::new(Clear(self.0.seals)),
                opener: Box::new(Opens(self.0.opens)),
            }),
        }))
    }

    fn on_admitted(
        &mut self,
        admitted: Admitted,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        if let Admits::Keeps(token) = &self.0.admits {
            token.lock().unwrap().replace(admitted);
        }
        Ok(Step::Continue)
    }
}

/// Seals nothing, and only so often.
#[derive(Debug)]
struct Clear(usize);

impl Sealer for Clear {
    fn sealed_len(&self, clear: usize) -> usize {
        clear
    }

    fn seal(
        &mut self,
        _flags: FrameFlags,
        clear: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), MechanismError> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or(MechanismError::NonceExhausted)?;
        out.extend_from_slice(clear);
        Ok(())
    }
}

/// Opens nothing, and says where.
#[derive(Debug)]
struct Opens(Where);

impl Opener for Opens {
    fn open_in_place(
        &mut self,
        body: &mut [u8],
    ) -> Result<(FrameFlags, Range<usize>), MechanismError> {
        Ok((FrameFlags::default(), self.0(body.len())))
    }
}

/// The engine of a rogue after its handshake with a harmless peer.
fn met(rogue: Rogue) -> Side {
    let mut pair = Pair::new(Rogue::harmless().config(), rogue.config());
    pair.drive();
    pair.server
}

/// The error of an engine whose rogue admitted somebody that it may not admit.
pub(super) fn not_admitted() -> Side {
    met(Rogue::new(true, false, Admits::ServerProven))
}

#[test]
fn nobody_is_admitted_by_a_name_that_does_not_fit_the_role() {
    let refused = [
        Rogue::new(true, false, Admits::ServerProven),
        Rogue::new(true, true, Admits::ServerProven),
        Rogue::new(true, true, Admits::Anyone),
        Rogue::new(false, true, Admits::Anyone),
    ];
    for rogue in refused {
        let side = met(rogue.clone());
        assert_eq!(side.error, Some(ProtocolError::NotAdmitted), "{rogue:?}");
        assert!(side.ready.is_none() && side.engine.peer().is_none());
        let error = side.error.as_ref().unwrap();
        let refusal = side.engine.refusal(error);
        assert_eq!(
            (refusal.stage, refusal.reason),
            (Stage::Handshake, Reason::Internal)
        );
    }
    let fitting = [
        Rogue::new(false, false, Admits::ServerProven),
        Rogue::new(false, true, Admits::ServerProven),
        Rogue::new(false, false, Admits::Anyone),
        Rogue::new(true, false, Admits::Anyone),
    ];
    for rogue in fitting {
        let side = met(rogue.clone());
        assert!(side.ready.is_some(), "{rogue:?}: {:?}", side.error);
    }
}

#[test]
fn the_policys_yes_to_one_connection_admits_no_other() {
    let token = Token::default();
    let asked = met(Rogue::new(true, true, Admits::Keeps(token.clone())));
    assert_eq!((asked.asked.len(), asked.ready.is_some()), (1, false));
    assert!(token.lock().unwrap().is_some());
    let side = met(Rogue::new(true, true, Admits::Steals(token)));
    assert_eq!(side.error, Some(ProtocolError::NotAdmitted));
    assert!(side.ready.is_none() && side.asked.is_empty());
}

#[test]
fn what_a_step_sent_before_it_failed_does_not_go_out() {
    let mut side = not_admitted();
    let greeting_and_go = side.out.record.len();
    assert!(side.sent().is_empty());
    assert_eq!(greeting_and_go, met(Rogue::harmless()).out.record.len());
}

#[test]
fn an_opener_that_points_outside_of_the_frame_is_refused() {
    #[allow(
        clippy::reversed_empty_ranges,
        reason = "that is what a rogue would give"
    )]
    let cases: [(Where, Option<&str>); 6] = [
        (|length| 0..length, Some("abc")),
        (|length| 1..length - 1, Some("b")),
        (|length| length..length, Some("")),
        (|length| 0..length + 1, None),
        (|_| 2..1, None),
        (|_| usize::MAX..usize::MAX, None),
    ];
    for (row, (opens, expected)) in cases.into_iter().enumerate() {
        let mut rogue = Rogue::harmless();
        rogue.opens = opens;
        let mut pair = Pair::new(Rogue::harmless().config(), rogue.config());
        pair.drive();
        pair.client.send(["abc"]);
        pair.drive();
        let bodies: Vec<_> = pair.server.messages.iter().flatten().collect();
        assert_eq!(
            bodies.first().map(|body| &body[..]),
            expected.map(str::as_bytes),
            "row {row}"
        );
        assert_eq!(pair.server.error.is_some(), expected.is_none(), "row {row}");
    }
}

#[test]
fn a_sealer_that_comes_to_its_end_loses_no_message() {
    for seals in 0..=4 {
        let mut rogue = Rogue::harmless();
        rogue.seals = seals;
        let mut pair = Pair::new(rogue.config(), Rogue::harmless().config());
        pair.drive();
        let messages = [["a", "b"], ["c", "d"]];
        pair.client.send(messages);
        pair.drive();
        let ended = ProtocolError::Mechanism(MechanismError::NonceExhausted);
        assert_eq!(pair.client.error, (seals < 4).then_some(ended), "{seals}");
        let back: Backlog = pair.client.engine.take_unsent();
        assert_eq!(pair.client.written + back.len(), 2, "{seals}");

        // The rogue's frames lose their MORE on the way, so that frames are counted.
        let mut next = Pair::new(Rogue::harmless().config(), Rogue::harmless().config());
        next.drive();
        next.client.engine.send(back).unwrap();
        next.drive();
        let arrived = pair.server.messages.len() + next.server.messages.len();
        assert!(!next.client.engine.wants_output(), "{seals}");
        assert_eq!(arrived, 4, "{seals}");
    }
}
