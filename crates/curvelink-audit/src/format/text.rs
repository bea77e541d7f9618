//! Text that ends no line and drives no terminal.

use std::fmt::Write as _;

use crate::record::Record;

/// The text with an escape (`\n`, `\u{1b}`) for each character that is not visible. Quotes and
/// backslashes stand for themselves: each format has its own way with them.
pub(super) fn visible(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(|c| {
        let stands = matches!(c, '"' | '\'' | '\\');
        let escaped = (!stands).then(|| c.escape_debug());
        escaped.into_iter().flatten().chain(stands.then_some(c))
    })
}

/// Adds the visible text, each character of `special` after a backslash.
pub(super) fn push_escaped(line: &mut String, text: &str, special: &[char]) {
    for c in visible(text) {
        if special.contains(&c) {
            line.push('\\');
        }
        line.push(c);
    }
}

/// A name of the header of a syslog line or a CEF field: visible ASCII without spaces, at most
/// `max`.
pub(super) fn token(text: &str, max: usize) -> String {
    let visible = text.chars().filter(char::is_ascii_graphic);
    visible.take(max).collect()
}

/// What happened, as a line for a human: visible ASCII without quotes and backslashes, at most a
/// few hundred characters.
pub(super) fn summary(record: &Record) -> String {
    let mut line = words(record.name()).replace('-', " ");
    let field = |name| record.field(name).map(|value| words(&value.to_string()));
    for what in ["action", "reason", "setting"] {
        if let Some(value) = field(what) {
            let _ = write!(line, ": {value}");
        }
    }
    if let Some(peer) = field("peer") {
        let _ = write!(line, ", peer {peer}");
    }
    if let Some(identity) = field("identity") {
        let _ = write!(line, ", identity {identity}");
    }
    if record.count() > 1 {
        let _ = write!(line, ", {} times", record.count());
    }
    line
}

/// At most 64 characters, each that a quoted or piped format could take for its own left out.
fn words(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || " -_./:+*[]@(),".contains(*c);
    text.chars().filter(plain).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_visible_is_written_as_an_escape() {
        let shown: String = visible("a\"b\\c'\n\u{1b}\u{9b}\u{2028}\u{202e}\u{e9}").collect();
        assert_eq!(shown, "a\"b\\c'\\n\\u{1b}\\u{9b}\\u{2028}\\u{202e}\u{e9}");
    }

    #[test]
    fn special_characters_follow_a_backslash() {
        let mut line = String::new();
        push_escaped(&mut line, "a=b\n|", &['\\', '=']);
        assert_eq!(line, r"a\=b\\n|");
        assert_eq!(token("a b\u{e9}\n]c", 3), "ab]");
    }
}
