//! Long work: shown on a terminal, and ended by Ctrl-C between two steps.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use curvelink_audit::Progress;

/// How often the bar moves.
const STEP: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

/// Runs `work` on a thread of its own; Ctrl-C tells it to stop, and it ends where it may.
pub(crate) async fn interruptible<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce(&mut dyn Progress) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let stopped = Arc::new(AtomicBool::new(false));
    let mut bar = Bar {
        what,
        stopped: Arc::clone(&stopped),
        shown: io::stderr().is_terminal().then(Instant::now),
        drawn: false,
    };
    let mut work = tokio::task::spawn_blocking(move || {
        let outcome = work(&mut bar);
        bar.clear();
        outcome
    });
    loop {
        tokio::select! {
            outcome = &mut work => return outcome?,
            _ = tokio::signal::ctrl_c() => stopped.store(true, Ordering::Relaxed),
        }
    }
}

struct Bar {
    what: &'static str,
    stopped: Arc<AtomicBool>,
    /// When it was drawn last; `None` where nobody looks.
    shown: Option<Instant>,
    drawn: bool,
}

impl Progress for Bar {
    fn tell(&mut self, done: u64, of: u64) -> bool {
        if self.shown.is_some_and(|shown| shown.elapsed() >= STEP) {
            self.shown = Some(Instant::now());
            self.drawn = true;
            // A terminal that has gone is no reason to end.
            let _ = write!(io::stderr(), "\r{}", line(self.what, done, of));
        }
        !self.stopped.load(Ordering::Relaxed)
    }
}

impl Bar {
    fn clear(&self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn line(what: &str, done: u64, of: u64) -> String {
    let part = done.min(of) as f64 / of.max(1) as f64;
    let full = (part * WIDTH as f64) as usize;
    let (full, rest) = ("#".repeat(full), " ".repeat(WIDTH - full));
    format!(
        "{what} [{full}{rest}] {:3.0} %  {done} of {of}",
        part * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_wide_at_the_end_as_at_the_beginning() {
        let at = |done| line("verifying", done, 200);
        assert!(
            at(0).contains(&format!("[{}]", " ".repeat(WIDTH))),
            "{}",
            at(0)
        );
        assert!(at(200).contains(&format!("[{}]", "#".repeat(WIDTH))));
        assert!(at(100).contains(" 50 %  100 of 200"), "{}", at(100));
        // More than there was when it began, and nothing at all.
        assert!(at(300).contains("100 %"));
        assert!(line("x", 0, 0).contains("  0 %"));
    }
}
