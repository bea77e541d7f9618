//! `curvelink show`: the running hub and who is connected, in the manner of `wg show`.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::Path;

use crate::args::operate::ShowArgs;
use crate::control::{Answer, LinkShown, Request, Shown, Through, WitnessedShown, ask};
use crate::exit::{one_line, usage};
use crate::home::Home;
use crate::output;

pub(crate) async fn run(args: &ShowArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find(dir)?;
    match ask(&home.path("run"), Request::Show {}).await? {
        Some(Answer::Shown(shown)) => {
            output::either(args.json, &shown, || text(&shown, is_coloured()))?;
            Ok(())
        }
        Some(Answer::Refused { error }) => Err(usage(error)),
        Some(Answer::Reloaded(_)) => Err(usage("the hub answers something else")),
        None => Err(usage(
            "no hub runs in this folder: start it with `curvelink up`",
        )),
    }
}

fn is_coloured() -> bool {
    let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && io::stdout().is_terminal()
}

fn text(shown: &Shown, coloured: bool) -> String {
    let head = |what: &str, name: &str| match coloured {
        true => format!("\u{1b}[1;33m{what}\u{1b}[0m: \u{1b}[33m{name}\u{1b}[0m\n"),
        false => format!("{what}: {name}\n"),
    };
    let mut text = head("hub", &format!("curvelink {}", one_line(&shown.version)));
    let policy = &shown.policy;
    let _ = writeln!(text, "  server key: {}", shown.keys.current);
    if let Some(next) = &shown.keys.next {
        let _ = writeln!(text, "  next server key: {next}");
    }
    let _ = writeln!(text, "  up: {}", duration(shown.up));
    let _ = writeln!(
        text,
        "  policy: {}, {} {}, in force for {}\n  policy digest: sha256:{}",
        one_line(&policy.file),
        policy.identities,
        if policy.identities == 1 {
            "identity"
        } else {
            "identities"
        },
        duration(policy.age),
        policy.digest
    );
    if let Some(witnessed) = &shown.witnessed {
        text.push_str(&witnessed_text(witnessed));
    }
    let refused: Vec<_> = shown
        .refused
        .iter()
        .map(|(reason, count)| format!("{count} {}", one_line(reason)))
        .collect();
    if !refused.is_empty() {
        let _ = writeln!(text, "  refused: {}", refused.join(", "));
    }
    for socket in &shown.sockets {
        let endpoint = one_line(&socket.endpoint);
        let _ = write!(text, "\n{}", head(&socket.name, &endpoint));
        for link in &socket.links {
            let name = link.name.as_deref().unwrap_or("(no name)");
            let _ = write!(text, "\n{}", head("peer", &one_line(name)));
            text.push_str(&link_text(link, shown));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn witnessed_text(shown: &WitnessedShown) -> String {
    let ago = |age: Option<u64>| match age {
        Some(age) => format!("{} ago", duration(age)),
        None => "not since the hub started".to_owned(),
    };
    let mut text = format!(
        "  witnessed: {} entries, {} (at least {} of {})\n",
        shown.size,
        ago(shown.age),
        shown.wanted,
        shown.witnesses.len()
    );
    for witness in &shown.witnesses {
        let trouble = witness.trouble.as_deref().map(one_line);
        let said = trouble.unwrap_or_else(|| format!("signs, {}", ago(witness.age)));
        let _ = writeln!(text, "  witness: {}, {said}", one_line(&witness.name));
    }
    text
}

fn link_text(link: &LinkShown, shown: &Shown) -> String {
    let mut text = String::new();
    let mut line = |what: &str, said: &str| {
        let _ = writeln!(text, "  {what}: {}", one_line(said));
    };
    line("key", link.key.as_deref().unwrap_or("(none)"));
    line("endpoint", &link.address);
    line("socket", &link.socket);
    line(
        "latest handshake",
        &format!("{} ago", duration(link.handshake)),
    );
    let through = |through: Through| {
        let plural = if through.messages == 1 { "" } else { "s" };
        format!(
            "{} message{plural}, {}",
            through.messages,
            octets(through.octets)
        )
    };
    let (received, sent) = (through(link.received), through(link.sent));
    line("transfer", &format!("{received} received; {sent} sent"));
    if link.queued > 0 {
        line("queued", &format!("{} messages", link.queued));
    }
    if link.subscriptions > 0 {
        line("subscriptions", &link.subscriptions.to_string());
    }
    // Of interest while there are two.
    if let (Some(pinned), Some(next)) = (&link.server_key, &shown.keys.next) {
        let which = if pinned == next { "next" } else { "old" };
        line("server key", &format!("{pinned} (the {which} one)"));
    }
    text
}

/// The two largest units, as people say it.
pub(super) fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (length, name) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 && parts.len() < 2 {
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{count} {name}{plural}"));
        }
    }
    if parts.is_empty() {
        return "0 seconds".to_owned();
    }
    parts.join(", ")
}

fn octets(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(size, _)| count >= *size);
    match unit {
        // For eyes: the JSON has the number.
        Some((size, name)) => format!("{:.2} {name}", count as f64 / size as f64),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_as_people_say_them() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (62, "1 minute, 2 seconds"),
            (3_600, "1 hour"),
            (90_061, "1 day, 1 hour"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.50 KiB"),
            (1 << 30, "1.00 GiB"),
        ] {
            assert_eq!(octets(count), text);
        }
    }
}
