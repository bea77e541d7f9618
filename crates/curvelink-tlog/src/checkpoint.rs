//! Checkpoints (c2sp.org/tlog-checkpoint): what the key of a log signs.

use std::fmt;
use std::str::FromStr;

use crate::decimal;
use crate::note::{Note, NoteError, VerifyingNoteKey};
use crate::tree::TreeHead;

/// Go's tools read sizes as 63 bits.
const MAX_SIZE: u64 = (1 << 63) - 1;
const MAX_ORIGIN: usize = 1_024;

/// A log's name and its tree at one size.
///
/// Displays as, and parses from, the text of a note: three lines. Further lines, which the
/// specification allows and advises against, are passed over when read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Which log: see [`is_origin`].
    pub origin: String,
    /// How large it is, and its root.
    pub head: TreeHead,
}

impl Checkpoint {
    /// The checkpoint of the log `origin` at `head`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Origin`] unless [`is_origin`], [`CheckpointError::Size`] from 2^63 on.
    pub fn new(origin: &str, head: TreeHead) -> Result<Self, CheckpointError> {
        if !is_origin(origin) {
            return Err(CheckpointError::Origin);
        }
        if head.size > MAX_SIZE {
            return Err(CheckpointError::Size);
        }
        Ok(Self {
            origin: origin.to_owned(),
            head,
        })
    }

    /// The checkpoint that `note` holds, signed by `key`, of the log `origin`.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]; [`CheckpointError::OtherOrigin`] for another log's.
    pub fn open(
        note: &Note,
        key: &VerifyingNoteKey,
        origin: &str,
    ) -> Result<Self, CheckpointError> {
        note.verify(key)?;
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin == origin {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::OtherOrigin)
        }
    }
}

/// Whether a log can be called `text`: 1 to 1024 octets without control characters, that begin
/// neither with `DSSEv1 ` nor with `SSHSIG`. Signatures of those two formats are over octets that
/// begin so; a key that makes them as well must never sign a checkpoint that reads as one.
pub fn is_origin(text: &str) -> bool {
    let is_other_format = text.starts_with("DSSEv1 ") || text.starts_with("SSHSIG");
    (1..=MAX_ORIGIN).contains(&text.len()) && !text.contains(char::is_control) && !is_other_format
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, self.head.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError::Form)?;
        let mut lines = text.split('\n');
        let mut line = || lines.next().ok_or(CheckpointError::Form);
        let (origin, size, root) = (line()?, line()?, line()?);
        let size = decimal::parse(size, MAX_SIZE).ok_or(CheckpointError::Size)?;
        let root = root.parse().map_err(|_| CheckpointError::Form)?;
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Form);
        }
        Self::new(origin, TreeHead { size, root })
    }
}

/// A text is no checkpoint, or not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text has not the lines of a checkpoint.
    #[error("not a checkpoint: expected an origin, a size and a root, a line each")]
    Form,
    /// The first line cannot be the name of a log.
    #[error(
        "a log's origin has 1 to 1024 octets, no control characters, and does not begin as other signed formats do"
    )]
    Origin,
    /// The second line is no number, or one beyond 63 bits.
    #[error("a checkpoint's size is a decimal number below 2^63 without leading zeros")]
    Size,
    /// The checkpoint is another log's.
    #[error("the checkpoint is of another log")]
    OtherOrigin,
    /// The note is not signed as it should be.
    #[error(transparent)]
    Note(#[from] NoteError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::EMPTY_ROOT;
    use crate::note::NoteSigner;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_text_of_the_specification_reads_and_is_written_back() {
        let checkpoint: Checkpoint = TEXT.parse().expect("a checkpoint");
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.head.size, 20_852_163);
        assert_eq!(checkpoint.to_string(), TEXT);
        let extended = format!("{TEXT}more\nlines\n");
        assert_eq!(extended.parse(), Ok(checkpoint));
        let empty = Checkpoint::new(
            "a",
            TreeHead {
                size: 0,
                root: EMPTY_ROOT,
            },
        )
        .expect("sound");
        assert_eq!(empty.to_string().parse(), Ok(empty));
    }

    #[test]
    fn every_other_text_is_refused() {
        let refusal = |text: String| text.parse::<Checkpoint>().expect_err("refused");
        for (from, to, expected) in [
            ("2I=\n", "2I=", CheckpointError::Form),
            ("2I=\n", "2I=\n\n", CheckpointError::Form),
            ("2I=\n", "2I=\nx\n\ny\n", CheckpointError::Form),
            ("2I=\n", "2I= \n", CheckpointError::Form),
            ("2I=\n", "2J=\n", CheckpointError::Form),
            ("\nCs", "\n\nCs", CheckpointError::Form),
            ("20852163", "020852163", CheckpointError::Size),
            ("20852163", "-1", CheckpointError::Size),
            ("20852163", "9223372036854775808", CheckpointError::Size),
            ("example.com/behind-the-sofa", "", CheckpointError::Origin),
            (
                "example.com/behind-the-sofa",
                "a\tb",
                CheckpointError::Origin,
            ),
            ("example", "DSSEv1 28 example", CheckpointError::Origin),
            ("example", "SSHSIGexample", CheckpointError::Origin),
        ] {
            assert_eq!(
                refusal(TEXT.replacen(from, to, 1)),
                expected,
                "{from} -> {to}"
            );
        }
        assert_eq!(refusal(String::new()), CheckpointError::Form);
        assert_eq!(refusal("a\n1\n".into()), CheckpointError::Form);
        assert_eq!(
            refusal(TEXT.replacen("example", &"e".repeat(1_025), 1)),
            CheckpointError::Origin
        );
        let beyond = TreeHead {
            size: 1 << 63,
            root: EMPTY_ROOT,
        };
        assert_eq!(Checkpoint::new("a", beyond), Err(CheckpointError::Size));
        assert_eq!(
            Checkpoint::new("DSSEv1 ", TreeHead { size: 0, ..beyond }),
            Err(CheckpointError::Origin)
        );
        assert!(
            is_origin("DSSEv1") && is_origin("sshsig"),
            "only what could be confused"
        );
    }

    #[test]
    fn a_note_opens_with_its_key_and_origin_only() {
        let signer = NoteSigner::from_seed("log", &[1; 32]).expect("a name");
        let other = NoteSigner::from_seed("log", &[2; 32]).expect("a name");
        let note = signer.sign(TEXT).expect("signs");
        let open =
            |signer: &NoteSigner, origin| Checkpoint::open(&note, signer.verifying_key(), origin);
        assert_eq!(open(&signer, "example.com/behind-the-sofa"), TEXT.parse());
        assert_eq!(
            open(&signer, "example.com"),
            Err(CheckpointError::OtherOrigin)
        );
        let refused = open(&other, "example.com/behind-the-sofa");
        assert_eq!(refused, Err(NoteError::NotSigned.into()));
    }
}
