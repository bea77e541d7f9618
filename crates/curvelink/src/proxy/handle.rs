//! What steers a proxy, and what it tells.

use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use super::statistics::ProxyStatistics;
use crate::sync::lock;

/// Steers a [`Proxy`](crate::Proxy). Cheap to clone. A word is obeyed before the next burst of at
/// most 64 messages in a direction; one that is under way is finished.
#[derive(Clone, Debug)]
pub struct ProxyHandle(Arc<Shared>);

impl ProxyHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Stops both directions: messages wait in the sockets, and reach their high-water marks.
    pub fn pause(&self) {
        self.0.steer(Course::Paused);
    }

    /// Lets messages pass again.
    pub fn resume(&self) {
        self.0.steer(Course::Running);
    }

    /// Ends [`run`](crate::Proxy::run), for ever. Messages that were not passed on stay in their
    /// sockets.
    pub fn terminate(&self) {
        self.0.steer(Course::Terminated);
    }

    /// What was moved so far.
    #[must_use]
    pub fn statistics(&self) -> ProxyStatistics {
        self.0.statistics()
    }
}

/// What a proxy is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Course {
    #[default]
    Running,
    Paused,
    Terminated,
}

/// What a proxy and its handles share.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    course: Course,
    statistics: ProxyStatistics,
    proxy: Option<Waker>,
}

impl Shared {
    /// What is to be done; the proxy is woken when that changes.
    pub(super) fn course(&self, cx: &Context<'_>) -> Course {
        let mut state = lock(&self.0);
        state.proxy = Some(cx.waker().clone());
        state.course
    }

    pub(super) fn steer(&self, course: Course) {
        let mut state = lock(&self.0);
        if state.course != Course::Terminated {
            state.course = course;
        }
        let proxy = state.proxy.take();
        drop(state);
        proxy.into_iter().for_each(Waker::wake);
    }

    pub(super) fn statistics(&self) -> ProxyStatistics {
        lock(&self.0).statistics
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut ProxyStatistics)) {
        add(&mut lock(&self.0).statistics);
    }
}
