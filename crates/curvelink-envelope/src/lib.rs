//! Signed envelopes for messages: who sent this, to whom, in which order, unaltered, and checked
//! months later by tools that this project did not write.
//!
//! A [`Signer`] makes one more frame, the *trailer*, that is sent as the last of a message; the
//! other frames stay as they are, so prefix filters and programs that know nothing of envelopes
//! work as before. A [`Verifier`] knows the senders ([`Registry`]) and lets a message pass or says
//! which check it failed ([`VerifyError::code`]).
//!
//! ```
//! use curvelink_envelope::{
//!     Identity, Progress, Registry, Signer, SigningKey, Timestamp, Verifier, Via,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::generate()?;
//! let scanner = Identity::new("ci-scanner")
//!     .with_key(key.verifying_key())
//!     .may_publish("findings/");
//!
//! // The sender appends the trailer. A long-lived key keeps its progress in a `ProgressFile`.
//! let mut signer =
//!     Signer::start(key, "ci-scanner", "hub.example", Progress::default(), Timestamp::now())?;
//! let mut message = vec![b"findings/sast".to_vec(), b"{\"runs\":[]}".to_vec()];
//! message.push(signer.sign(&message, "application/sarif+json")?);
//!
//! // The receiver checks all of it.
//! let mut verifier = Verifier::new(Registry::new(vec![scanner])?, ["hub.example"]);
//! let verified = verifier.verify(&message, Via::Identity("ci-scanner"))?;
//! assert_eq!(verified.statement.signer, "ci-scanner");
//! assert!(verified.flags.is_empty());
//!
//! // The same message a second time, and an altered one.
//! let refusal = verifier.verify(&message, Via::Identity("ci-scanner")).unwrap_err();
//! assert_eq!(refusal.code(), "replayed");
//! message[1][0] = b'[';
//! let refusal = verifier.verify(&message, Via::Identity("ci-scanner")).unwrap_err();
//! assert_eq!(refusal.to_string(), "frame/1 digest mismatch: it is not the frame that was signed");
//! # Ok(())
//! # }
//! ```
//!
//! # What is signed
//!
//! A [`Statement`]: an in-toto Statement v1 in JSON that lists the SHA-256 of every frame and says
//! who signed, for whom, when, on which topic, and two numbers. It is signed with Ed25519
//! (RFC 8032) over its DSSE encoding, so [`export`] can hand the same signature to `openssl`,
//! securesystemslib and sigstore. JSON is text: **a topic that is not UTF-8 cannot be signed**, and
//! [`Signer::sign`] says so. Bodies can be any octets.
//!
//! Where messages are many and small, [`BatchSigner`] holds them for a moment and signs 64 of them
//! at once: the statements are the entries of a small transparency log, one checkpoint of which is
//! signed, and each message carries its own proof (`c2sp.org/tlog-proof@v1`). Each can still be
//! checked alone, by us and by whatever checks such proofs ([`export::tlog_proof`]). [`SignPolicy`]
//! says for each topic which of the two it is, or neither.
//!
//! Some topics need more than one person: a [`Quorum`] asks for several signers, and
//! [`Trailer::countersign`] adds a signature to a message that another has signed.
//!
//! # What the numbers show
//!
//! `seq` counts all messages of a key in an `epoch` (a run of the signer): a second copy and an
//! older epoch are refused. `tseq` counts those of one topic: a subscriber that filters by prefix
//! sees all of each topic that it gets, so a leap is a gap and nothing else is. Both only show what
//! is missing *before* a message that came. The loss of the last ones shows with the next, or with
//! a heartbeat ([`Signer::with_heartbeats`]), which says how far its topic has come.
//!
//! # What an envelope does not do
//!
//! It hides nothing: that is for the connection. It does not prove *when* something was signed
//! beyond the signer's word, and a stolen key signs as well as its owner.

mod about;
mod batch;
mod batch_proof;
mod heartbeat;
mod hex;
mod json;
mod keys;
mod malformed;
mod pem;
mod policy;
mod progress;
mod quorum;
mod registry;
mod replay;
mod sign;
mod statement;
mod store;
mod time;
mod trailer;
mod verify;
mod window;

pub mod export;
pub mod file;

pub use about::About;
pub use batch::{BATCH_DELAY, BATCH_MESSAGES, BatchSigner};
pub use heartbeat::{HEARTBEAT_LATER, HEARTBEAT_SOON};
pub use keys::{KeyError, KeyId, SigningKey, VerifyingKey};
pub use malformed::Malformed;
pub use pem::PemError;
pub use policy::{SignMode, SignPolicy};
pub use progress::{DamagedState, Progress, TOPICS_PER_EPOCH};
pub use quorum::Quorum;
pub use registry::{Identity, Registry, RegistryError};
pub use replay::{Flag, ReplayState};
pub use sign::{SignError, Signer};
pub use statement::{PREDICATE_TYPE, Position, Statement};
pub use store::{ProgressFile, ProgressStore};
pub use time::{InvalidTimestamp, Timestamp};
pub use trailer::{PAYLOAD_TYPE, Signature, Trailer};
pub use verify::{DEFAULT_MAX_SKEW, Verified, Verifier, VerifyError, Via};
