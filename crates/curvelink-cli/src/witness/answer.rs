//! A witness' answer: one frame of text.
//!
//! ```text
//! cosigned SIZE EPOCH       it signed, and knows the log up to there; a second line has the
//! SIGNATURE                 cosignature as it stands in a signed note
//! elsewhere SIZE EPOCH      it knows the log up to there: ask from there
//! CODE                      it does not sign
//! ```

use std::fmt;

use curvelink_audit::WitnessError;
use curvelink_tlog::NoteSignature;

/// No answer is longer.
const MAX_ANSWER: usize = 4096;

/// Why a witness does not sign, or what it says is not believed.
pub(super) const CODES: &[&str] = &[
    "malformed",
    "unknown-log",
    "bad-signature",
    "bad-certificate",
    "inconsistent",
    BEHIND,
    "not-saved",
    NO_ANSWER,
];

/// The witness knows more of the log than there is.
pub(super) const BEHIND: &str = "behind";

/// What came is no answer of a witness, or not signed by it.
pub(super) const NO_ANSWER: &str = "no-answer-of-a-witness";

/// How far a witness knows a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) size: u64,
    pub(super) epoch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Cosigned(Known, NoteSignature),
    Elsewhere(Known),
    Refused(&'static str),
}

impl Answer {
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let text = str::from_utf8(octets).ok()?;
        let text = text.strip_suffix('\n')?;
        if text.len() > MAX_ANSWER {
            return None;
        }
        if let Some(rest) = text.strip_prefix("cosigned ") {
            let (known, signature) = rest.split_once('\n')?;
            return Some(Self::Cosigned(
                Known::parse(known)?,
                signature.parse().ok()?,
            ));
        }
        if let Some(known) = text.strip_prefix("elsewhere ") {
            return Some(Self::Elsewhere(Known::parse(known)?));
        }
        let code = CODES.iter().find(|code| **code == text)?;
        Some(Self::Refused(code))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cosigned(known, signature) => writeln!(f, "cosigned {known}\n{signature}"),
            Self::Elsewhere(known) => writeln!(f, "elsewhere {known}"),
            Self::Refused(code) => writeln!(f, "{code}"),
        }
    }
}

impl From<WitnessError> for Answer {
    fn from(error: WitnessError) -> Self {
        match error {
            WitnessError::Elsewhere { size, epoch } => Self::Elsewhere(Known { size, epoch }),
            other => Self::Refused(other.code()),
        }
    }
}

impl Known {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = text.bytes().all(|it| it.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        let (size, epoch) = text.split_once(' ')?;
        Some(Self {
            size: number(size)?,
            epoch: number(epoch)?,
        })
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use curvelink_tlog::{Checkpoint, Cosigner, EMPTY_ROOT, Note, TreeHead};

    use super::*;

    fn signature() -> NoteSignature {
        let head = TreeHead {
            size: 0,
            root: EMPTY_ROOT,
        };
        let text = Checkpoint::new("log.example", head).unwrap().to_string();
        let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
        cosigner.cosign(&Note::new(text).unwrap(), 1).unwrap()
    }

    #[test]
    fn an_answer_survives_the_wire() {
        let known = Known {
            size: u64::MAX,
            epoch: 7,
        };
        let refused = [
            WitnessError::Malformed,
            WitnessError::Unknown,
            WitnessError::Signature,
            WitnessError::Certificate,
            WitnessError::Inconsistent,
            WitnessError::NotSaved(ErrorKind::Other),
        ];
        let refused = refused.map(Answer::from);
        for answer in [
            Answer::Cosigned(known, signature()),
            Answer::Elsewhere(known),
        ]
        .into_iter()
        .chain(refused)
        {
            let text = answer.to_string();
            assert_eq!(Answer::parse(text.as_bytes()), Some(answer), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let signed = Answer::Cosigned(Known::default(), signature()).to_string();
        for text in [
            "",
            "\n",
            "inconsistent",
            "inconsistent \n",
            "whatever\n",
            "elsewhere 1\n",
            "elsewhere +1 0\n",
            "elsewhere 1 0 0\n",
            "elsewhere 18446744073709551616 0\n",
            "cosigned 1 0\n",
            "cosigned 1 0\n\n",
            &signed.replace("cosigned", "elsewhere"),
            &signed.repeat(2),
            &format!("{}\n", "a".repeat(MAX_ANSWER + 1)),
        ] {
            assert_eq!(Answer::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Answer::parse(b"malformed\xff\n"), None);
    }
}
