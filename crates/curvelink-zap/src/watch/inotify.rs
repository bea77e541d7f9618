//! News of files as Linux tells them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::Heard;

/// Ends the watch when it is dropped.
pub(super) type Stop = PipeWriter;

#[derive(Debug)]
pub(super) struct Ears {
    hints: bool,
    inotify: Option<Inotify>,
    /// The names that count in each place.
    names: HashMap<WatchDescriptor, Vec<OsString>>,
    stop: PipeReader,
}

impl Ears {
    pub(super) fn open(hints: bool) -> io::Result<(Self, Stop)> {
        let (reader, writer) = io::pipe()?;
        let ears = Self {
            hints,
            inotify: None,
            names: HashMap::new(),
            stop: reader,
        };
        Ok((ears, writer))
    }

    /// Listens near a file, as the way to it is now; whether anything can be heard.
    pub(super) fn listen(&mut self, path: &Path) -> bool {
        self.names.clear();
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        self.inotify = Inotify::init(flags).ok().filter(|_| self.hints);
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let news = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_MODIFY;
        for (place, name) in places(path) {
            if let Ok(watch) = inotify.add_watch(&place, news) {
                self.names.entry(watch).or_default().push(name);
            }
        }
        !self.names.is_empty()
    }

    pub(super) fn wait(&self, longest: Duration) -> Heard {
        let end = Instant::now() + longest.min(Duration::from_secs(3600));
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.wait_once(left) {
                Heard::Nothing if !left.is_zero() => {}
                heard => return heard,
            }
        }
    }

    fn wait_once(&self, left: Duration) -> Heard {
        // Rounded up: a wait of less than a millisecond is not one of none.
        let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let mut ready = vec![PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        let inotify = self.inotify.as_ref().map(|inotify| inotify.as_fd());
        ready.extend(inotify.map(|inotify| PollFd::new(inotify, PollFlags::POLLIN)));
        let _interrupted = poll(&mut ready, left);
        if ready[0].any() == Some(true) {
            return Heard::Stop;
        }
        let events = self.inotify.as_ref().and_then(|it| it.read_events().ok());
        let concerns_us = events.unwrap_or_default().into_iter().any(|event| {
            let names = self.names.get(&event.wd);
            // News of the place itself have no name, and those of a queue that ran over no place.
            match (names, event.name) {
                (Some(names), Some(name)) => names.contains(&name),
                _ => true,
            }
        });
        if concerns_us {
            Heard::Hint
        } else {
            Heard::Nothing
        }
    }
}

/// Where something may happen to a file, and the name there that counts: the file, a link on the way
/// to it, the directory of either.
fn places(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut places = Vec::new();
    let link = path.read_link().ok().filter(|link| link.is_relative());
    let link = link.and_then(|link| Some(path.with_file_name(link.components().next()?)));
    let real = path.canonicalize().ok();
    for path in [Some(path), link.as_deref(), real.as_deref()]
        .into_iter()
        .flatten()
    {
        let mut below = path;
        // Where the directory is gone, the nearest one that is there will see it come back.
        for (depth, place) in path.ancestors().skip(1).enumerate() {
            let name = below.file_name().unwrap_or_default();
            places.push((place.to_owned(), name.to_owned()));
            if depth > 0 && place.exists() {
                break;
            }
            below = place;
        }
    }
    places
}
