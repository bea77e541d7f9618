//! The policy of a context, and telling its links that it may have changed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use curvelink_proto::{ZapHandler, ZapReply, ZapRequest};
use tokio::task::AbortHandle;

use crate::context::Shared;
use crate::sync::lock;

/// The least time between two reviews of all links that a handler asks for.
const BETWEEN_REVIEWS: Duration = Duration::from_millis(20);

/// Who decides, and how often that may have changed.
#[derive(Debug, Default)]
pub(crate) struct Policy(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    handler: Option<Arc<dyn ZapHandler>>,
    changes: u64,
    watch: Option<Watch>,
}

/// The task that hears of a handler's changes; it ends with this.
#[derive(Debug)]
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Policy {
    /// The handler of the context's own, if one is set.
    pub(crate) fn handler(&self) -> Option<Arc<dyn ZapHandler>> {
        lock(&self.0).handler.clone()
    }

    /// The number of the last change: an answer that was asked for before it may be another now.
    pub(crate) fn changes(&self) -> u64 {
        lock(&self.0).changes
    }

    /// What an earlier answer would be now; `None` where it stands. A handler that panics admits
    /// nobody.
    pub(crate) fn review(&self, request: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        let handler = self.handler()?;
        let review = AssertUnwindSafe(|| handler.review(request, user_id));
        catch_unwind(review).unwrap_or_else(|_| Some(ZapReply::failed()))
    }
}

/// Puts a handler in the place of the one before.
pub(crate) fn set(shared: &Arc<Shared>, handler: Arc<dyn ZapHandler>) {
    let watching = watch(Arc::downgrade(shared), handler.clone());
    let watch = Watch(shared.runtime.spawn(watching).abort_handle());
    let _before = {
        let mut state = lock(&shared.policy.0);
        (state.handler.replace(handler), state.watch.replace(watch))
    };
    review_all(shared);
}

/// Has every link reviewed each time the handler says that its answers may differ.
async fn watch(shared: Weak<Shared>, handler: Arc<dyn ZapHandler>) {
    let mut seen = 0;
    loop {
        seen = handler.changed(seen).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        review_all(&shared);
        drop(shared);
        tokio::time::sleep(BETWEEN_REVIEWS).await;
    }
}

/// First the number, then the links: one that comes up meanwhile finds one of the two. Who was
/// refused before may be admitted now, and need not wait.
fn review_all(shared: &Shared) {
    lock(&shared.policy.0).changes += 1;
    lock(&shared.sources).forgive();
    for core in shared.sockets() {
        core.review_links();
    }
}
