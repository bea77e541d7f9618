//! Everything that can be wrong with an envelope's form.

/// The envelope is not one that this version can read; nothing in it was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The last frame does not start with `CLE1`, or there is no frame.
    #[error("the message carries no envelope: its last frame does not start with CLE1")]
    NoTrailer,
    /// The kind of envelope is defined, but not read by this version.
    #[error("the envelope is of kind {kind} (sealed later): this version reads kinds 1 and 2 only")]
    UnsupportedKind {
        /// 3 = member of a batch whose proof follows, 4 = that proof.
        kind: u8,
    },
    /// The kind of envelope is not defined.
    #[error("the envelope is of no known kind")]
    UnknownKind,
    /// The payload is not an in-toto statement.
    #[error("the envelope's payload type is unknown: only 1 (in-toto statement) is read")]
    PayloadType,
    /// Kind 1 carries 1 to 16 signatures, kind 2 at most 16.
    #[error("the envelope carries no signature or more than 16")]
    SignatureCount,
    /// The proof of kind 2 is none, or not one of a batch.
    #[error("the envelope's proof is not a tlog-proof of one of its signer's batches")]
    Proof,
    /// The statement has 1 to 65 535 octets.
    #[error("the envelope's statement is empty or longer than 65535 octets")]
    StatementLength,
    /// The trailer ends before the lengths in it say so.
    #[error("the envelope ends too early")]
    Truncated,
    /// Something follows the last signature.
    #[error("octets follow the envelope's end")]
    TrailingOctets,
    /// A signature is not Ed25519 with a 32-octet key id and 64 octets.
    #[error("the envelope carries a signature that is not ed25519")]
    Algorithm,
    /// Two signatures name the same key.
    #[error("the envelope carries two signatures by one key")]
    RepeatedKey,
    /// The statement is no JSON, repeats a key, or lacks or has a member that it must or must not.
    #[error("the statement is not the json that it must be")]
    Json,
    /// The statement is JSON of the right shape with a value that its rules forbid.
    #[error("the statement's {field} breaks the rules for it")]
    Field {
        /// The member's name.
        field: &'static str,
    },
    /// The statement names a topic, but frame 0 is another.
    #[error("the statement's topic is not the message's first frame")]
    TopicDiffers,
    /// An epoch counts at most 65 536 topics.
    #[error("the signer used more than 65536 topics in one epoch")]
    TooManyTopics,
}

impl Malformed {
    /// The reason code: `unsupported-kind` for a kind that this version knows of but does not
    /// read, otherwise `malformed-envelope`.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnsupportedKind { .. } => "unsupported-kind",
            _ => "malformed-envelope",
        }
    }
}
