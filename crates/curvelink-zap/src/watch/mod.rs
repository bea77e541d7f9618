//! Watching a policy file, however it is replaced.

#[cfg(not(target_os = "linux"))]
mod blind;
#[cfg(target_os = "linux")]
mod inotify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(not(target_os = "linux"))]
use self::blind::{Ears, Stop};
#[cfg(target_os = "linux")]
use self::inotify::{Ears, Stop};
use crate::handler::PolicyHandler;
use crate::reload::Reload;

/// How often a file is looked at though nothing was heard of it: a good measure for [`watch`].
pub const RECHECK: Duration = Duration::from_secs(30);

/// How often it is looked at where the system tells nothing of files.
const BLIND: Duration = Duration::from_secs(2);

/// A file is looked at once nothing was heard of it for this time: who writes it may not be done.
const SETTLED: Duration = Duration::from_millis(100);

/// It is looked at after this time even if the noise goes on.
const PATIENCE: Duration = Duration::from_millis(400);

/// Keeps what a policy file holds in force: it is [reloaded](PolicyHandler::reload) at once, after
/// each news of it, and after `recheck` at the latest ([`RECHECK`] is a good measure). The policy in
/// force stays while the file is wrong or missing.
///
/// `tell` is called on the watching thread with every [`Reload::Applied`], and with a
/// [`Reload::Refused`] once for as long as it stays the same; the [`Reload::Unchanged`] after it says
/// that the file is good again.
///
/// A file that is cut short while it is written may be a valid policy of fewer identities: write
/// another file and rename it.
///
/// # Errors
/// As [`FileWatch::start`].
pub fn watch(
    path: impl Into<PathBuf>,
    handler: Arc<PolicyHandler>,
    recheck: Duration,
    tell: impl FnMut(&Reload) + Send + 'static,
) -> io::Result<FileWatch> {
    let path = path.into();
    let look = keep_in_force(path.clone(), handler, tell);
    FileWatch::start(path, recheck, look)
}

/// Reloads, and tells of what is new.
fn keep_in_force(
    path: PathBuf,
    handler: Arc<PolicyHandler>,
    mut tell: impl FnMut(&Reload),
) -> impl FnMut() {
    // The last refusal, until the file is good again.
    let mut known = None;
    move || {
        let outcome = handler.reload(&path);
        let refused = match &outcome {
            Reload::Refused(error) => Some(error.to_string()),
            _ => None,
        };
        if matches!(outcome, Reload::Applied { .. }) || refused != known {
            tell(&outcome);
        }
        known = refused;
    }
}

/// Watches a file, however it is replaced. Dropping this ends it.
///
/// A thread waits for news of the file's directory, and of the directory above, so that it makes no
/// difference whether the file is written, renamed into its place, reached through a symbolic link
/// that is swapped (as Kubernetes swaps `..data`), or gone with its directory and made again. News
/// are hints: whoever is told looks at the content, and does so every so often without any. Only
/// Linux gives hints; elsewhere, or where it will not, a look is due every two seconds.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct FileWatch {
    _stop: Stop,
}

/// What is heard while waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Something happened to the file, or near it.
    Hint,
    /// Nothing, for as long as was waited.
    Nothing,
    /// The watch ends.
    Stop,
}

impl FileWatch {
    /// Calls `look` on a thread of its own: at once, a tenth of a second after each news of the
    /// file, and after `recheck` at the latest (at least 10 ms).
    ///
    /// # Errors
    /// No thread, or no descriptor to end it by, could be had.
    pub fn start(
        path: impl Into<PathBuf>,
        recheck: Duration,
        look: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(path.into(), recheck, true, look)
    }

    fn start_with(
        path: PathBuf,
        recheck: Duration,
        hints: bool,
        look: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let (ears, stop) = Ears::open(hints)?;
        let recheck = recheck.max(Duration::from_millis(10));
        let thread = thread::Builder::new().name("curvelink-watch".to_owned());
        thread.spawn(move || keep_looking(&path, recheck, ears, look))?;
        Ok(Self { _stop: stop })
    }
}

fn keep_looking(path: &Path, recheck: Duration, mut ears: Ears, mut look: impl FnMut()) {
    loop {
        // First the ears, then the eyes: nothing is missed between the two.
        let longest = if ears.listen(path) {
            recheck
        } else {
            recheck.min(BLIND)
        };
        look();
        match ears.wait(longest) {
            Heard::Stop => return,
            Heard::Hint if settle(&ears) == Heard::Stop => return,
            Heard::Hint | Heard::Nothing => {}
        }
    }
}

/// Waits until nothing is heard for a while.
fn settle(ears: &Ears) -> Heard {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match ears.wait(SETTLED) {
            Heard::Hint => {}
            heard => return heard,
        }
    }
    Heard::Hint
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;

    use super::*;
    use crate::policy::Policy;

    fn text(name: &str) -> String {
        format!(
            "version = 1\n[identities.{name}]\ndomains = [\"d\"]\n\
             curve = [\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{{hID\"]\n"
        )
    }

    #[test]
    fn without_hints_the_file_is_read_every_so_often() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zap.toml");
        fs::write(&path, text("one")).unwrap();
        let handler = Arc::new(PolicyHandler::new(Policy::from_file(&path).unwrap()));
        let (tell, told) = mpsc::channel();
        let tell = move |outcome: &Reload| tell.send(outcome.to_string()).unwrap_or_default();
        let recheck = Duration::from_millis(50);
        let look = keep_in_force(path.clone(), handler.clone(), tell);
        let watch = FileWatch::start_with(path.clone(), recheck, false, look).unwrap();
        for name in ["two", "three"] {
            fs::write(&path, text(name)).unwrap();
            let applied = told.recv_timeout(recheck + BLIND).unwrap();
            assert!(applied.contains("in force"), "{applied}");
            assert!(handler.policy().identity(name).is_some());
        }
        drop(watch);
        assert!(told.recv().is_err(), "the thread ends");
    }
}
