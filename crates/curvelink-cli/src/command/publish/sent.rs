//! What is told of a message that was sent.

use curvelink::Message;
use curvelink_envelope::Trailer;
use serde::Serialize;

use super::outlet::Delivered;
use crate::exit::one_line;
use crate::output;

#[derive(Serialize)]
pub(super) struct Sent {
    to: usize,
    subscribers: Vec<String>,
    /// Who should have confirmed the message and did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unconfirmed: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    signed: Option<Signed>,
}

#[derive(Serialize)]
struct Signed {
    seq: u64,
    /// SHA-256 of the first body frame: what `sha256sum FILE` says.
    sha256: String,
    signer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// How many others have signed it too.
    #[serde(skip_serializing_if = "is_zero")]
    others: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Sent {
    pub(super) const fn unsigned() -> Self {
        Self {
            to: 0,
            subscribers: Vec::new(),
            unconfirmed: Vec::new(),
            signed: None,
        }
    }

    /// Of a message with an envelope, by the key of that fingerprint; by the one that it names
    /// itself where that is none.
    pub(super) fn signed(message: &Message, key: Option<&str>) -> Self {
        let signed = || {
            let trailer = Trailer::parse(message.last()?).ok()?;
            let statement = trailer.statement().ok()?;
            let own = trailer.signatures().first();
            let own = own.map(|signature| signature.key().fingerprint());
            Some(Signed {
                seq: statement.seq,
                sha256: output::hex(statement.frames.get(1)?),
                signer: statement.signer,
                key: key.map(str::to_owned).or(own),
                others: trailer.signatures().len().saturating_sub(1),
            })
        };
        Self {
            signed: signed(),
            ..Self::unsigned()
        }
    }

    /// The same, sent.
    pub(super) fn to(self, delivered: Delivered) -> Self {
        Self {
            to: delivered.to,
            subscribers: delivered.subscribers,
            unconfirmed: delivered.unconfirmed,
            ..self
        }
    }

    pub(super) fn text(&self) -> String {
        let plural = if self.to == 1 { "" } else { "s" };
        let names = match self.subscribers.is_empty() {
            true => String::new(),
            false => format!(" ({})", one_line(&self.subscribers.join(", "))),
        };
        let unconfirmed = match self.unconfirmed.is_empty() {
            true => String::new(),
            false => format!(", not confirmed by {}", self.unconfirmed.join(", ")),
        };
        let signed = self.signed.as_ref().map(Signed::text);
        format!(
            "sent to {} subscriber{plural}{names}{unconfirmed}{}",
            self.to,
            signed.unwrap_or_default()
        )
    }
}

impl Signed {
    fn text(&self) -> String {
        let key = self.key.as_deref().unwrap_or_default();
        let others = match self.others {
            0 => String::new(),
            1 => " and one other".to_owned(),
            others => format!(" and {others} others"),
        };
        format!(
            "  seq {}  sha256:{}  signed by {} {key}{others}",
            self.seq, self.sha256, self.signer
        )
    }
}
