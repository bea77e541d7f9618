//! From the first octet to Ready: greeting, the mechanism's steps, the policy's verdict.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use zeroize::{Zeroize as _, Zeroizing};

use super::config::OnDeny;
use super::{Engine, Event, State};
use crate::error::{MechanismError, ProtocolError};
use crate::event::{Reason, Stage};
use crate::mechanism::{Admitted, Handshake, HandshakeCx, MechanismName, Provenance, Ready, Step};
use crate::peer::Peer;
use crate::rights::Rights;
use crate::socket_type::SocketType;
use crate::wire::command::{self, Command, ERROR};
use crate::wire::frame_header::FrameHeader;
use crate::wire::greeting;
use crate::wire::metadata::{IDENTITY, Metadata, SOCKET_TYPE};
use crate::zap::{Credentials, ZapReply, ZapRequest, ZapStatus};

/// The largest frame before Ready, octets.
const MAX_COMMAND: usize = 16 * 1024;

/// Room for a name and a password of PLAIN's, so that no copy is left behind where a buffer grows.
const LOGIN: usize = 1024;

/// The longest routing id, octets (R37-51).
const MAX_ROUTING_ID: usize = 255;

/// What all commands before Ready may have together, octets: a HELLO and the largest INITIATE.
const MAX_HANDSHAKE: usize = 209 + MAX_COMMAND;

impl Engine {
    /// Whether [`handle_input`](Self::handle_input) would run a step of the handshake now that is
    /// [costly](crate::Mechanism::is_costly).
    #[must_use]
    pub fn has_costly_step(&self) -> bool {
        let mechanism = &self.config.mechanism;
        let octets = self.inbound.octets();
        let commands = match self.state {
            // A client has much to say at once, a server only in reply.
            State::Greeting if !mechanism.as_server() => {
                return octets.len() >= greeting::LENGTH && mechanism.is_costly();
            }
            State::Greeting => octets.get(greeting::LENGTH..).unwrap_or_default(),
            State::Handshake(_) => octets,
            _ => return false,
        };
        let header = FrameHeader::parse(commands, MAX_COMMAND).ok().flatten();
        let whole = header.is_some_and(|(header, skip)| commands.len() - skip >= header.length);
        whole && mechanism.is_costly()
    }

    pub(super) fn parse_greeting(&mut self) -> Result<bool, ProtocolError> {
        let name = self.config.mechanism.name();
        let octets = self.inbound.octets();
        let checked = greeting::check(octets, name);
        let stranger = matches!(
            checked,
            Err(ProtocolError::NotZmtp | ProtocolError::LegacyVersion { .. })
        );
        if octets.len() >= greeting::FIRST_PART && !stranger {
            // R37-16: a peer of another mechanism is told ours too, so that it can say why we part.
            self.outbound.push_raw(mem::take(&mut self.greeting));
        }
        let Some(minor) = checked? else {
            return Ok(false);
        };
        self.inbound.skip(greeting::LENGTH);
        self.minor = minor.min(1);
        self.deadline = self
            .handshake_ends
            .map(|deadline| (deadline, "the handshake"));
        let mut handshake = self.config.mechanism.handshake();
        let step = self.run(|cx| handshake.start(cx));
        self.take_step(handshake, step)?;
        Ok(true)
    }

    pub(super) fn parse_handshake(&mut self) -> Result<bool, ProtocolError> {
        let Some((flags, body)) = self.inbound.frame(MAX_COMMAND)? else {
            return Ok(false);
        };
        if !flags.command {
            return Err(ProtocolError::Malformed(
                "handshake: a message came before its end",
            ));
        }
        self.heard += body.len();
        if self.heard > MAX_HANDSHAKE {
            return Err(ProtocolError::TooLarge {
                what: "handshake",
                announced: self.heard as u64,
                limit: MAX_HANDSHAKE as u64,
            });
        }
        let mut body = self.inbound.split(&body);
        let command = Command::parse(&body).ok_or(ProtocolError::Malformed("command"))?;
        if command.is(ERROR) {
            // R37-18, R37-19: nobody vouches for an ERROR, so that it ends this connection and decides
            // nothing else.
            return Err(ProtocolError::RefusedByPeer {
                status: command.error_status(),
            });
        }
        let mut handshake = self.take_handshake()?;
        let step = self.run(|cx| handshake.on_command(command, cx));
        // It may have held a password, and the buffer is used again.
        body.zeroize();
        self.take_step(handshake, step)?;
        Ok(true)
    }

    /// The verdict on [`Event::Authenticate`].
    pub(super) fn judge(&mut self, reply: ZapReply, now: Instant) -> Result<(), ProtocolError> {
        if self.stage() != Stage::Admission || matches!(self.state, State::Closed(_)) {
            return Ok(());
        }
        if let Some((_, what)) = self.deadline.filter(|(deadline, _)| now >= *deadline) {
            return Err(ProtocolError::Timeout(what));
        }
        if reply.status != ZapStatus::Admitted {
            return Err(self.deny(reply.status, reply.reason));
        }
        self.verdict = Some(reply);
        match mem::replace(&mut self.state, State::Closed(Stage::Admission)) {
            State::Deciding(mut ready) => {
                ready.admitted = Admitted::by_policy();
                self.finish(*ready)
            }
            State::Authenticating(mut handshake) => {
                let step = self.run(|cx| handshake.on_admitted(Admitted::by_policy(), cx));
                self.take_step(handshake, step)
            }
            _ => Err(ProtocolError::NotAdmitted),
        }
    }

    /// Tells the peer no, as far as it is to be told.
    fn deny(&mut self, status: ZapStatus, reason: Reason) -> ProtocolError {
        let code = status.code();
        let told = self.config.on_deny == OnDeny::Error && status != ZapStatus::Temporary;
        if told && !self.is_sealed_client() {
            let mut out = BytesMut::new();
            let plain = self.config.mechanism.name() == MechanismName::PLAIN;
            command::write_error(&mut out, code, plain);
            self.outbound.push_raw(out.freeze());
        }
        ProtocolError::Denied {
            status: code,
            reason,
        }
    }

    /// Whether the peer is ready, and takes sealed frames only, before the policy is asked about it.
    fn is_sealed_client(&self) -> bool {
        let mechanism = &self.config.mechanism;
        mechanism.properties().confidential && !mechanism.as_server()
    }

    fn take_handshake(&mut self) -> Result<Box<dyn Handshake>, ProtocolError> {
        let stage = self.stage();
        match mem::replace(&mut self.state, State::Closed(stage)) {
            State::Handshake(handshake) => Ok(handshake),
            _ => Err(ProtocolError::NotAdmitted),
        }
    }

    /// Runs one step of a mechanism; what it sends is kept apart until the step is accepted.
    fn run<T>(
        &mut self,
        step: impl FnOnce(&mut HandshakeCx<'_>) -> Result<T, MechanismError>,
    ) -> (Result<T, MechanismError>, Bytes) {
        let mut out = BytesMut::with_capacity(LOGIN);
        let result = step(&mut HandshakeCx {
            out: &mut out,
            metadata: &self.metadata,
            entropy: &mut *self.entropy,
            zap_domain: &self.config.zap_domain,
        });
        (result, wiped_in_the_end(out))
    }

    fn take_step(
        &mut self,
        handshake: Box<dyn Handshake>,
        (step, out): (Result<Step, MechanismError>, Bytes),
    ) -> Result<(), ProtocolError> {
        match step? {
            Step::Continue => self.state = State::Handshake(handshake),
            Step::Authenticate {
                credentials,
                metadata,
            } => {
                let request = self.request(credentials, metadata.as_ref())?;
                self.state = State::Authenticating(handshake);
                self.events.push(Event::Authenticate(request));
            }
            Step::Ready(ready) => self.finish(ready)?,
        }
        self.outbound.push_raw(out);
        Ok(())
    }

    fn request(
        &mut self,
        credentials: Credentials,
        metadata: Option<&Metadata>,
    ) -> Result<ZapRequest, ProtocolError> {
        if let Credentials::Curve(key) = &credentials {
            self.claimed = Some(key.fingerprint());
        }
        let routing_id = match metadata {
            Some(metadata) => {
                self.socket_type(metadata)?;
                routing_id(metadata)?
            }
            None => Bytes::new(),
        };
        Ok(ZapRequest {
            domain: self.config.zap_domain.clone(),
            address: self.address,
            endpoint: self.endpoint.clone(),
            routing_id,
            mechanism: self.config.mechanism.name(),
            credentials,
            mark: 0,
        })
    }

    /// A client in a ZAP domain asks about the server that has proven its key, as NULL asks in one
    /// about everybody (RFC 27, "Overall Operation").
    fn ask_about_server(&mut self, ready: Ready) -> Result<(), ProtocolError> {
        let key = ready.key.ok_or(ProtocolError::NotAdmitted)?;
        let request = self.request(Credentials::Curve(key), Some(&ready.metadata))?;
        self.state = State::Deciding(Box::new(ready));
        self.events.push(Event::Authenticate(request));
        Ok(())
    }

    fn finish(&mut self, ready: Ready) -> Result<(), ProtocolError> {
        let verdict = self.verdict.take();
        let mechanism = &self.config.mechanism;
        let decided = match ready.admitted.provenance() {
            Provenance::Policy => verdict.is_some(),
            Provenance::ServerProven if mechanism.as_server() => false,
            Provenance::ServerProven if !self.config.zap_domain.is_empty() => {
                return self.ask_about_server(ready);
            }
            Provenance::ServerProven => true,
            Provenance::Anyone => !mechanism.properties().asks_policy,
        };
        if !decided {
            return Err(ProtocolError::NotAdmitted);
        }
        match self.admit(&ready, verdict) {
            Ok(peer) => self.begin_traffic(ready, Arc::new(peer)),
            Err(error) => {
                if self.is_sealed_client() {
                    self.state = State::Deciding(Box::new(ready));
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// The peer, if all that it says of itself is within its rights.
    fn admit(&mut self, ready: &Ready, verdict: Option<ZapReply>) -> Result<Peer, ProtocolError> {
        let sealer = ready.protection.as_ref().map(|both| &both.sealer);
        let peer = Peer {
            address: self.address,
            mechanism: self.config.mechanism.name(),
            key: ready.key,
            our_key: ready.our_key,
            cipher: sealer.and_then(|sealer| sealer.cipher()),
            socket_type: self.socket_type(&ready.metadata)?,
            routing_id: routing_id(&ready.metadata)?,
            minor: self.minor,
            rights: verdict
                .as_ref()
                .map_or(Rights::all(), |reply| reply.rights.clone()),
            name: verdict.map(|reply| reply.user_id),
        };
        match beyond_rights(&peer) {
            Some(reason) => Err(self.deny(ZapStatus::Denied, reason)),
            None => Ok(peer),
        }
    }

    fn begin_traffic(&mut self, ready: Ready, peer: Arc<Peer>) {
        let awaits_end = ready.protection.is_some() && ready.metadata.announces_end();
        let (sealer, opener) = match ready.protection {
            Some(protection) => (Some(protection.sealer), Some(protection.opener)),
            None => (None, None),
        };
        self.deadline = None;
        self.inbound.trust();
        self.limit(&peer.rights);
        self.events.push(Event::Ready(peer.clone()));
        self.state = State::Ready {
            peer,
            sealer,
            opener,
            awaits_end,
        };
        debug_assert_eq!(self.stage(), Stage::Traffic);
    }

    fn socket_type(&self, metadata: &Metadata) -> Result<SocketType, ProtocolError> {
        metadata
            .property(SOCKET_TYPE)
            .and_then(|name| SocketType::from_name(name))
            .filter(|theirs| self.config.socket_type.talks_to(*theirs))
            .ok_or(ProtocolError::SocketType)
    }
}

/// What the peer is or asks for and the policy does not let it: known of every mechanism only now.
fn beyond_rights(peer: &Peer) -> Option<Reason> {
    if !peer.rights.socket_types.contain(peer.socket_type) {
        Some(Reason::PatternDenied)
    } else if !peer.rights.routing_ids.contain(&peer.routing_id) {
        Some(Reason::RoutingIdDenied)
    } else {
        None
    }
}

/// What a step wrote, as octets that are wiped when the last of them are written, or dropped: among
/// them may be a password.
fn wiped_in_the_end(mut out: BytesMut) -> Bytes {
    let octets = Zeroizing::new(out.to_vec());
    out.zeroize();
    Bytes::from_owner(octets)
}

/// The routing id that the peer asks for. Ids that begin with 0 are ours to make (R37-52).
fn routing_id(metadata: &Metadata) -> Result<Bytes, ProtocolError> {
    match metadata.property(IDENTITY) {
        None => Ok(Bytes::new()),
        Some(id) if id.len() > MAX_ROUTING_ID || id.first() == Some(&0) => Err(
            ProtocolError::Malformed("routing id: over 255 octets or beginning with 0"),
        ),
        Some(id) => Ok(id.clone()),
    }
}
