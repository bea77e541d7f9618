//! What is read to be sent.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::{Frame, Message};
use tokio::sync::mpsc;

use super::json;
use crate::args::socket::CutArgs;
use crate::exit::usage;

/// A message of this size is more than any peer takes; a file is not read further.
const MAX_MESSAGE: u64 = 1 << 30;

/// How input is cut into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All of it is one message.
    Whole,
    /// Each line is one message of one frame.
    Lines,
    /// Each line is one message in JSON.
    Json,
}

impl From<&CutArgs> for Cut {
    fn from(args: &CutArgs) -> Self {
        match (args.lines, args.jsonl) {
            (true, _) => Self::Lines,
            (_, true) => Self::Json,
            _ => Self::Whole,
        }
    }
}

/// Messages from a file or standard input, one after the other.
pub(crate) struct Input(mpsc::Receiver<anyhow::Result<Message>>);

impl Input {
    /// Opens `path`, or standard input for `-`.
    pub(crate) fn open(path: &Path, cut: Cut) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let reader: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?)
        };
        // Reading blocks, and a read of standard input cannot be taken back: its own thread ends
        // with the program.
        let (sender, receiver) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            while let Some(message) = next(&mut reader, cut).transpose() {
                let message = message.with_context(|| name.clone());
                let is_last = message.is_err() || cut == Cut::Whole;
                if sender.blocking_send(message).is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Self(receiver))
    }

    /// The next message; `None` at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Message>> {
        self.0.recv().await.transpose()
    }
}

fn next(reader: &mut impl BufRead, cut: Cut) -> anyhow::Result<Option<Message>> {
    let mut octets = Vec::new();
    let mut limited = reader.take(MAX_MESSAGE + 1);
    let length = match cut {
        Cut::Whole => limited.read_to_end(&mut octets)?,
        Cut::Lines | Cut::Json => limited.read_until(b'\n', &mut octets)?,
    };
    if length as u64 > MAX_MESSAGE {
        return Err(usage("a message has at most 1 GiB: cut it into several"));
    }
    if cut == Cut::Whole {
        return Ok(Some(Frame::from(octets).into()));
    }
    if length == 0 {
        return Ok(None);
    }
    let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match cut {
        Cut::Json => json::parse(line).map(Some).ok_or_else(|| {
            usage("each line is one message: {\"frames\":[\"text\",{\"base64\":\"...\"}]}")
        }),
        _ => Ok(Some(Frame::from(line).into())),
    }
}

/// The media type that a file's name tells.
pub(crate) fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("sarif") => "application/sarif+json",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// The path that an optional word names: standard input where it is left out.
pub(crate) fn path_of(word: Option<&String>) -> PathBuf {
    word.map_or_else(|| PathBuf::from("-"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, cut: Cut) -> Vec<Message> {
        let mut reader = text.as_bytes();
        let mut messages = Vec::new();
        while let Some(message) = next(&mut reader, cut).unwrap() {
            messages.push(message);
            if cut == Cut::Whole {
                break;
            }
        }
        messages
    }

    #[test]
    fn input_is_cut_as_asked() {
        assert_eq!(all("a\nb\n", Cut::Whole), [Message::from("a\nb\n")]);
        assert_eq!(all("", Cut::Whole), [Message::from("")]);
        let lines = ["a", "", "b"].map(Message::from);
        assert_eq!(all("a\n\r\nb", Cut::Lines), lines);
        let json = [Message::from(["t", "x"]), Message::from("y")];
        assert_eq!(
            all(
                "{\"frames\":[\"t\",\"x\"]}\n{\"frames\":[\"y\"]}",
                Cut::Json
            ),
            json
        );
    }

    #[test]
    fn a_line_that_is_no_message_is_an_error() {
        assert!(next(&mut &b"{\n"[..], Cut::Json).is_err());
    }
}
