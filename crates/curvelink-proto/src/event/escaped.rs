//! Octets of a peer's choosing, as a log can bear them.

use std::fmt::{self, Write as _};

/// Octets of a peer's choosing for one line of a log: at most [`MAX`](Self::MAX) octets of visible
/// text. Whatever is no visible character, and the backslash, is written as an escape; what is too
/// long is cut, and ends with an ellipsis.
///
/// ```
/// # use curvelink_proto::Escaped;
/// assert_eq!(Escaped(b"a\n\x1b[2J\xff\\").to_string(), r"a\n\u{1b}[2J\xff\\");
/// assert_eq!(Escaped(&[b'a'; 65_536]).to_string().len(), Escaped::MAX);
/// ```
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a way to show octets, and nothing else"
)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Escaped<'_> {
    /// The longest text, in octets.
    pub const MAX: usize = 256;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CUT: &str = "…";
        // One escape is at most 10 octets; what may follow is not even looked at.
        let looked_at = &self.0[..self.0.len().min(Self::MAX + 1)];
        let mut line = Line::default();
        for chunk in looked_at.utf8_chunks() {
            for character in chunk.valid().chars() {
                line.push(character)?;
            }
            for octet in chunk.invalid() {
                line.escape(format_args!("\\x{octet:02x}"))?;
            }
        }
        if line.text.len() <= Self::MAX {
            return f.write_str(&line.text);
        }
        let whole = line
            .starts
            .partition_point(|start| start + CUT.len() <= Self::MAX);
        let end = whole.checked_sub(1).and_then(|last| line.starts.get(last));
        f.write_str(
            line.text
                .get(..end.copied().unwrap_or_default())
                .unwrap_or_default(),
        )?;
        f.write_str(CUT)
    }
}

/// Escaped text, and where each character of the original begins in it.
#[derive(Default)]
struct Line {
    text: String,
    starts: Vec<usize>,
}

impl Line {
    fn push(&mut self, character: char) -> fmt::Result {
        match character {
            // Quotes stand for themselves: who quotes the line escapes them.
            '"' | '\'' => self.escape(format_args!("{character}")),
            _ => self.escape(format_args!("{}", character.escape_debug())),
        }
    }

    fn escape(&mut self, escaped: fmt::Arguments<'_>) -> fmt::Result {
        self.starts.push(self.text.len());
        self.text.write_fmt(escaped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_drives_a_terminal_or_turns_text_around_is_written_as_an_escape() {
        for (octets, shown) in [
            (&b"findings/sast"[..], "findings/sast"),
            (b"", ""),
            (b"a\r\nINFO forged", r"a\r\nINFO forged"),
            (b"\x1b]0;x\x07", r"\u{1b}]0;x\u{7}"),
            (b"\xc2\x9b2J", r"\u{9b}2J"),
            (
                "a\u{202e}b\u{2066}c\u{feff}".as_bytes(),
                r"a\u{202e}b\u{2066}c\u{feff}",
            ),
            ("\u{2028}".as_bytes(), r"\u{2028}"),
            ("grün/\"x\"".as_bytes(), "grün/\"x\""),
            (b"\xf0\x28\0", r"\xf0(\0"),
            (br"\n", r"\\n"),
        ] {
            assert_eq!(Escaped(octets).to_string(), shown);
        }
    }

    #[test]
    fn what_is_cut_says_so_and_ends_with_a_whole_escape() {
        let exact = Escaped(&[b'a'; 256]).to_string();
        assert_eq!(exact, "a".repeat(256));
        let cut = Escaped(&[b'a'; 257]).to_string();
        assert_eq!(cut, "a".repeat(253) + "…");
        let cut = Escaped(&[0x1b; 65_536]).to_string();
        assert_eq!(cut, r"\u{1b}".repeat(42) + "…");
    }

    proptest! {
        #[test]
        fn any_octets_are_one_bounded_line_of_visible_text(octets: Vec<u8>) {
            let shown = Escaped(&octets).to_string();
            prop_assert!(shown.len() <= Escaped::MAX);
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }

        #[test]
        fn different_short_octets_are_shown_differently(
            one in prop::collection::vec(any::<u8>(), 0..20),
            other in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let same = Escaped(&one).to_string() == Escaped(&other).to_string();
            prop_assert_eq!(same, one == other);
        }
    }
}
