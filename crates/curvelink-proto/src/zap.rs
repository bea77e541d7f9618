//! The ZeroMQ Authentication Protocol (RFC 27): what is asked, what is answered, and the codec
//! for handlers behind a socket at `inproc://zeromq.zap.01`.

use core::net::IpAddr;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::event::Reason;
use crate::frame::Frame;
use crate::keys::PublicKey;
use crate::mechanism::MechanismName;
use crate::message::Message;
use crate::peer::PeerAddress;
use crate::rights::Rights;

/// The endpoint of RFC 27 handlers.
pub const ZAP_ENDPOINT: &str = "inproc://zeromq.zap.01";

const VERSION: &[u8] = b"1.0";

/// A boxed future, as [`ZapHandler`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides who may connect (RFC 27).
///
/// Called once per handshake, after the mechanism has proven the credentials and before the peer
/// can send or be sent anything. The runtime calls it with a deadline; a handler that is slow,
/// panics or answers outside RFC 27 refuses the peer.
pub trait ZapHandler: fmt::Debug + Send + Sync + 'static {
    /// Answers one request. Dropping the future must be harmless: the peer has gone by then.
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply>;

    /// Whether anybody could be admitted to a domain from this address: asked before an octet of a
    /// peer is read, so that a stranger costs nothing. A yes promises nothing. Default: yes.
    ///
    /// Must not block.
    fn admits_address(&self, _domain: &str, _address: &PeerAddress) -> bool {
        true
    }

    /// Resolves once answers may differ from those given before change number `seen`, with the
    /// number of the last change; at once when there has been one since. The first call passes 0.
    /// Whoever runs links then asks [`review`](Self::review) about each. Default: never.
    ///
    /// Dropping the future must be harmless.
    fn changed(&self, _seen: u64) -> BoxFuture<'_, u64> {
        Box::pin(std::future::pending())
    }

    /// The answer that a peer, admitted before under the name `user_id`, would get now; `None`
    /// where the earlier answer stands. `request` is as it was then, without its password and with
    /// the mark of that answer.
    /// Default: it stands.
    ///
    /// Called for each link after every change: must not block, and costs a lookup.
    fn review(&self, _request: &ZapRequest, _user_id: &str) -> Option<ZapReply> {
        None
    }
}

impl<H: ZapHandler + ?Sized> ZapHandler for Arc<H> {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        (**self).authenticate(request)
    }

    fn admits_address(&self, domain: &str, address: &PeerAddress) -> bool {
        (**self).admits_address(domain, address)
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        (**self).changed(seen)
    }

    fn review(&self, request: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        (**self).review(request, user_id)
    }
}

/// Who asks to be let in, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ZapRequest {
    /// The domain of our socket; empty when it has none. Up to 255 octets.
    pub domain: Arc<str>,
    /// The peer's address.
    pub address: PeerAddress,
    /// Our endpoint, on which the peer came.
    pub endpoint: Arc<str>,
    /// The routing id that the peer asks for; empty where it has none or has not said yet (PLAIN).
    pub routing_id: Bytes,
    /// The mechanism that proved the credentials.
    pub mechanism: MechanismName,
    /// What was proven.
    pub credentials: Credentials,
    /// At a [`review`](ZapHandler::review), the [`mark`](ZapReply::mark) of the reply that
    /// admitted the peer; 0 before.
    pub mark: u64,
}

impl ZapRequest {
    /// A request; for handlers' own tests and for offline tools that ask "would this peer be
    /// admitted?".
    #[must_use]
    pub fn new(
        domain: impl Into<Arc<str>>,
        address: PeerAddress,
        mechanism: MechanismName,
        credentials: Credentials,
    ) -> Self {
        Self {
            domain: domain.into(),
            address,
            endpoint: Arc::from(""),
            routing_id: Bytes::new(),
            mechanism,
            credentials,
            mark: 0,
        }
    }

    /// The request as it may be kept: of a PLAIN peer's words, the password is left out.
    #[must_use]
    pub fn without_password(&self) -> Self {
        Self {
            domain: self.domain.clone(),
            address: self.address,
            endpoint: self.endpoint.clone(),
            routing_id: self.routing_id.clone(),
            mechanism: self.mechanism,
            credentials: match &self.credentials {
                Credentials::Plain { username, .. } => Credentials::Plain {
                    username: username.clone(),
                    password: Password::new([]),
                },
                other => other.clone(),
            },
            mark: self.mark,
        }
    }
}

/// What a mechanism has proven of a peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// NULL: nothing.
    Null,
    /// PLAIN: a name and a password, as the peer sent them; up to 255 octets each.
    Plain {
        /// The user.
        username: Bytes,
        /// The password; compare it only with [`Password::matches`].
        password: Password,
    },
    /// CURVE: the peer owns this key.
    Curve(PublicKey),
    /// Another mechanism's frames, in its own order.
    Foreign(Vec<Bytes>),
}

/// A password: wiped when dropped, not shown, compared in constant time.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes up to 255 octets; what the length is, the mechanism checks.
    #[must_use]
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// Whether it equals `expected`, in time that depends on the lengths alone.
    #[must_use]
    pub fn matches(&self, expected: &[u8]) -> bool {
        self.0.ct_eq(expected).into()
    }

    /// The octets, for a password hash or a handler behind RFC 27.
    #[must_use]
    pub fn expose_octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The three digits of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "RFC 27 has four")]
pub enum ZapStatus {
    /// 200: let in.
    Admitted,
    /// 300: not now; the connection is closed without a word and the peer tries again.
    Temporary,
    /// 400: refused.
    Denied,
    /// 500: the handler failed.
    Failed,
}

impl ZapStatus {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Admitted => 200,
            Self::Temporary => 300,
            Self::Denied => 400,
            Self::Failed => 500,
        }
    }

    fn from_octets(octets: &[u8]) -> Option<Self> {
        match octets {
            b"200" => Some(Self::Admitted),
            b"300" => Some(Self::Temporary),
            b"400" => Some(Self::Denied),
            b"500" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// A handler's answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ZapReply {
    /// Yes or which no.
    pub status: ZapStatus,
    /// Why not, for the operator's events; never sent to the peer.
    pub reason: Reason,
    /// The name of an admitted peer.
    pub user_id: Arc<str>,
    /// What an admitted peer may do.
    pub rights: Rights,
    /// When an admitted peer's link must end, by this host's clock: its key's time is over then.
    pub expires: Option<SystemTime>,
    /// How long an admitted peer's link may last before it must prove itself again.
    pub max_age: Option<Duration>,
    /// What the handler wants to know again at a [`review`](ZapHandler::review): which of two
    /// passwords it was, for instance. No secret: it is kept as long as the link. Default 0.
    pub mark: u64,
}

impl ZapReply {
    /// Lets the peer in under a name. RFC 27 handlers know no rights: they give [`Rights::all`].
    #[must_use]
    pub fn admit(user_id: impl Into<Arc<str>>, rights: Rights) -> Self {
        Self {
            status: ZapStatus::Admitted,
            reason: Reason::Internal,
            user_id: user_id.into(),
            rights,
            expires: None,
            max_age: None,
            mark: 0,
        }
    }

    /// Refuses the peer.
    #[must_use]
    pub fn deny(reason: Reason) -> Self {
        Self::refusal(ZapStatus::Denied, reason)
    }

    /// Asks the peer to come back later.
    #[must_use]
    pub fn temporary() -> Self {
        Self::refusal(ZapStatus::Temporary, Reason::Temporary)
    }

    /// Says that no decision could be made, which refuses the peer.
    #[must_use]
    pub fn failed() -> Self {
        Self::refusal(ZapStatus::Failed, Reason::HandlerError)
    }

    fn refusal(status: ZapStatus, reason: Reason) -> Self {
        Self {
            status,
            reason,
            user_id: Arc::from(""),
            rights: Rights::none(),
            expires: None,
            max_age: None,
            mark: 0,
        }
    }
}

/// Why frames are not a ZAP request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ZapError {
    /// Not the number of frames that RFC 27 gives.
    #[error("a ZAP message has the wrong number of frames")]
    FrameCount,
    /// Not version 1.0.
    #[error("a ZAP message is not of version 1.0")]
    Version,
    /// The reply answers another request.
    #[error("a ZAP reply answers another request")]
    RequestId,
    /// A status outside 200, 300, 400, 500.
    #[error("a ZAP reply has a status that RFC 27 does not know")]
    Status,
    /// A field with a length or content that it may not have.
    #[error("a ZAP message has a malformed {0}")]
    Field(&'static str),
}

/// Writes a request's frames, the empty delimiter not included.
///
/// RFC 27, "Request". The address goes without its port, as libzmq's handlers expect it.
#[must_use]
pub fn encode_request(request: &ZapRequest, id: &[u8]) -> Message {
    let mut message = Message::from([VERSION, id]);
    message.push_back(&*request.domain);
    message.push_back(match request.address {
        PeerAddress::Ipc { uid, gid, pid } => {
            format!("localhost:{uid}:{gid}:{}", pid.unwrap_or_default())
        }
        address => address
            .ip()
            .map_or_else(|| "localhost".to_owned(), |ip| ip.to_string()),
    });
    message.push_back(request.routing_id.clone());
    message.push_back(request.mechanism.as_str());
    match &request.credentials {
        Credentials::Null => {}
        Credentials::Plain { username, password } => {
            message.push_back(username.clone());
            message.push_back(password.expose_octets());
        }
        Credentials::Curve(key) => message.push_back(key.as_octets()),
        Credentials::Foreign(frames) => {
            frames
                .iter()
                .for_each(|frame| message.push_back(frame.clone()));
        }
    }
    message
}

/// Reads a request's frames, the empty delimiter not included: the request id and the request.
///
/// # Errors
/// [`ZapError`] for anything that RFC 27, "Request", does not allow.
pub fn decode_request(message: &Message) -> Result<(Bytes, ZapRequest), ZapError> {
    let frames: Vec<&Frame> = message.iter().collect();
    let [
        version,
        id,
        domain,
        address,
        routing_id,
        mechanism,
        credentials @ ..,
    ] = &frames[..]
    else {
        return Err(ZapError::FrameCount);
    };
    if version[..] != *VERSION {
        return Err(ZapError::Version);
    }
    let mechanism = MechanismName::new(mechanism).ok_or(ZapError::Field("mechanism"))?;
    let credentials = match (mechanism, credentials) {
        (MechanismName::NULL, []) => Credentials::Null,
        (MechanismName::PLAIN, [username, password]) => Credentials::Plain {
            username: username.to_bytes(),
            password: Password::new(password.to_vec()),
        },
        (MechanismName::CURVE, [key]) => Credentials::Curve(curve_key(key)?),
        (MechanismName::NULL | MechanismName::PLAIN | MechanismName::CURVE, _) => {
            return Err(ZapError::FrameCount);
        }
        (_, frames) => Credentials::Foreign(frames.iter().map(|frame| frame.to_bytes()).collect()),
    };
    let request = ZapRequest {
        domain: short_text(domain).ok_or(ZapError::Field("domain"))?,
        address: address_of(address).ok_or(ZapError::Field("address"))?,
        endpoint: Arc::from(""),
        routing_id: id_of(routing_id).ok_or(ZapError::Field("routing id"))?,
        mechanism,
        credentials,
        mark: 0,
    };
    Ok((id.to_bytes(), request))
}

fn curve_key(frame: &Frame) -> Result<PublicKey, ZapError> {
    let octets: [u8; 32] = frame[..].try_into().map_err(|_| ZapError::Field("key"))?;
    PublicKey::from_octets(octets).map_err(|_| ZapError::Field("key"))
}

/// R27-19.
fn id_of(frame: &Frame) -> Option<Bytes> {
    (frame.len() <= 255).then(|| frame.to_bytes())
}

fn short_text(octets: &[u8]) -> Option<Arc<str>> {
    if octets.len() > 255 {
        return None;
    }
    std::str::from_utf8(octets).ok().map(Arc::from)
}

fn address_of(octets: &[u8]) -> Option<PeerAddress> {
    let text = std::str::from_utf8(octets).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(PeerAddress::Tcp((ip, 0).into()));
    }
    let mut fields = text.split(':');
    fields.next().filter(|host| *host == "localhost")?;
    let Some(uid) = fields.next() else {
        return Some(PeerAddress::Inproc);
    };
    let (uid, gid) = (uid.parse().ok()?, fields.next()?.parse().ok()?);
    let pid = fields.next().and_then(|pid| pid.parse().ok());
    Some(PeerAddress::Ipc { uid, gid, pid })
}

/// Writes a reply's frames, the empty delimiter not included (RFC 27, "Reply").
#[must_use]
pub fn encode_reply(reply: &ZapReply, id: &[u8]) -> Message {
    let mut message = Message::from([VERSION, id]);
    message.push_back(reply.status.code().to_string());
    match reply.status {
        ZapStatus::Admitted => {
            message.push_back("OK");
            message.push_back(&*reply.user_id);
        }
        _ => {
            message.push_back(reply.reason.code());
            message.push_back("");
        }
    }
    message.push_back("");
    message
}

/// Reads a reply's frames, the empty delimiter not included, and checks that it answers `id`.
///
/// A user id is believed only with status 200 (R27-23). The status text and the metadata are not used:
/// the text is the handler's free words, and metadata would need rules of its own before an
/// application may trust it.
///
/// # Errors
/// [`ZapError`] for anything that RFC 27, "Reply", does not allow.
pub fn decode_reply(message: &Message, id: &[u8]) -> Result<ZapReply, ZapError> {
    let frames: Vec<&Frame> = message.iter().collect();
    let [version, reply_id, status, _text, user_id, _metadata] = frames[..] else {
        return Err(ZapError::FrameCount);
    };
    if version[..] != *VERSION {
        return Err(ZapError::Version);
    }
    if reply_id[..] != *id {
        return Err(ZapError::RequestId);
    }
    Ok(
        match ZapStatus::from_octets(status).ok_or(ZapError::Status)? {
            ZapStatus::Admitted => {
                let user_id = short_text(user_id).ok_or(ZapError::Field("user id"))?;
                ZapReply::admit(user_id, Rights::all())
            }
            ZapStatus::Temporary => ZapReply::temporary(),
            ZapStatus::Denied => ZapReply::deny(Reason::Denied),
            ZapStatus::Failed => ZapReply::failed(),
        },
    )
}

#[cfg(test)]
mod tests;
