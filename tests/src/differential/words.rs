//! How frames are written in scenarios.
//!
//! Frames stand between bars: `id|""|body`. `""` is the empty frame, `x{300}` the octet 300 times,
//! `\00` an octet in hexadecimal, `\_` a space, and `id#1` the first routing id that a ROUTER or
//! STREAM made up in this scenario.

use std::fmt::Write as _;

/// Runs of at least this many equal octets are counted.
const LONG: usize = 9;

/// The ids that sockets made up, in the order of their appearance.
#[derive(Debug, Default)]
pub(super) struct Ids(Vec<Vec<u8>>);

impl Ids {
    /// A message as written.
    pub(super) fn write(&mut self, frames: &[Vec<u8>]) -> String {
        let frames: Vec<_> = frames.iter().map(|frame| self.frame(frame)).collect();
        frames.join("|")
    }

    fn frame(&mut self, frame: &[u8]) -> String {
        // libzmq's ids and ours have this form; no other frame of a scenario does.
        if frame.len() == 5 && frame[0] == 0 {
            let known = self.0.iter().position(|id| id == frame);
            let index = known.unwrap_or_else(|| {
                self.0.push(frame.to_vec());
                self.0.len() - 1
            });
            return format!("id#{}", index + 1);
        }
        if frame.is_empty() {
            return "\"\"".to_owned();
        }
        let runs = frame.chunk_by(|one, other| one == other);
        runs.map(|run| run_of(run[0], run.len())).collect()
    }

    /// The frames that are written.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn read(&self, text: &str) -> Result<Vec<Vec<u8>>, String> {
        text.split('|')
            .map(|frame| self.read_frame(frame))
            .collect()
    }

    fn read_frame(&self, text: &str) -> Result<Vec<u8>, String> {
        if let Some(number) = text.strip_prefix("id#") {
            let index: usize = number.parse().map_err(|_| format!("no id: {text}"))?;
            let id = index.checked_sub(1).and_then(|index| self.0.get(index));
            return id.cloned().ok_or_else(|| format!("nobody made up {text}"));
        }
        if text == "\"\"" {
            return Ok(Vec::new());
        }
        let mut octets = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            match first {
                '{' => {
                    rest = repeat(&mut octets, rest).ok_or_else(|| format!("bad run: {text}"))?
                }
                '\\' => {
                    rest = escape(&mut octets, rest).ok_or_else(|| format!("bad \\: {text}"))?
                }
                _ => octets.extend(first.to_string().bytes()),
            }
        }
        Ok(octets)
    }
}

fn run_of(octet: u8, length: usize) -> String {
    let mut one = String::new();
    let _fits = match octet {
        b' ' => one.write_str("\\_"),
        b'|' | b'\\' | b'{' => write!(one, "\\{octet:02x}"),
        0x21..=0x7e => write!(one, "{}", char::from(octet)),
        _ => write!(one, "\\{octet:02x}"),
    };
    if length < LONG {
        one.repeat(length)
    } else {
        format!("{one}{{{length}}}")
    }
}

/// `{300}`: the last octet so many times in all.
fn repeat<'a>(octets: &mut Vec<u8>, rest: &'a str) -> Option<&'a str> {
    let (times, rest) = rest.split_once('}')?;
    let times: usize = times.parse().ok()?;
    let last = *octets.last()?;
    octets.extend(std::iter::repeat_n(last, times.checked_sub(1)?));
    Some(rest)
}

fn escape<'a>(octets: &mut Vec<u8>, rest: &'a str) -> Option<&'a str> {
    if let Some(rest) = rest.strip_prefix('_') {
        octets.push(b' ');
        return Some(rest);
    }
    let (digits, rest) = rest.split_at_checked(2)?;
    octets.push(u8::from_str_radix(digits, 16).ok()?);
    Some(rest)
}

/// Many messages in a few words: numbers in order as `1..5`.
#[must_use]
pub(super) fn summary(messages: &[String]) -> String {
    if messages.is_empty() {
        return "nothing".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut run: Option<(u64, u64)> = None;
    for message in messages {
        let number = message.parse::<u64>().ok();
        run = match (run, number) {
            (Some((first, last)), Some(number)) if number == last + 1 => Some((first, number)),
            (ended, number) => {
                words.extend(ended.map(span));
                if number.is_none() {
                    words.push(message.clone());
                }
                number.map(|number| (number, number))
            }
        };
    }
    words.extend(run.map(span));
    words.join(" ")
}

fn span((first, last): (u64, u64)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}..{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut ids = Ids::default();
        let id = vec![0, 1, 2, 3, 4];
        let message = vec![
            id.clone(),
            vec![],
            b"two words".to_vec(),
            vec![b'x'; 300],
            vec![0, 1, b'|', b'{', b'\\', 255],
        ];
        let text = ids.write(&message);
        assert_eq!(text, r#"id#1|""|two\_words|x{300}|\00\01\7c\7b\5c\ff"#);
        assert_eq!(ids.read(&text), Ok(message));
        assert_eq!(ids.write(&[vec![0, 9, 9, 9, 9], id]), "id#2|id#1");
        for bad in [
            "id#9", "id#0", "id#x", "{3}", "x{", "x{0}", "\\", "\\0", "\\xy",
        ] {
            assert!(ids.read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_in_order_are_one_word() {
        let given =
            |texts: &[&str]| summary(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(given(&[]), "nothing");
        assert_eq!(
            given(&["1", "2", "3", "a", "7", "9", "10"]),
            "1..3 a 7 9..10"
        );
        assert_eq!(given(&["1"]), "1");
    }
}
