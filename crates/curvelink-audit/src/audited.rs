//! `Audited`: admissions that take effect once they are recorded.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use curvelink_proto::{
    BoxFuture, Credentials, EventId, PeerAddress, SecurityEvent, ZapHandler, ZapReply, ZapRequest,
    ZapStatus,
};

use crate::{Journal, OnFailure, Record};

/// A handler whose admissions are in the journal before they take effect (CL1010).
///
/// With [`OnFailure::Refuse`], a peer that would be admitted and whose admission could not be
/// written as the journal's durability has it is told to come back later (ZAP 300). Nothing here
/// blocks: the future waits for the journal's thread.
///
/// A refusal leaves no entry here: whoever is not admitted decides how often it is refused, and
/// could fill a disk. Refusals are events of the context (CL1002), which adds them up by source and
/// reason; record those too.
#[derive(Debug)]
pub struct Audited<H> {
    handler: H,
    journal: Arc<Journal>,
}

impl<H: ZapHandler> Audited<H> {
    /// Records whom `handler` admits in `journal`.
    #[must_use]
    pub const fn new(handler: H, journal: Arc<Journal>) -> Self {
        Self { handler, journal }
    }

    /// The handler that decides.
    #[must_use]
    pub const fn handler(&self) -> &H {
        &self.handler
    }

    async fn answer(&self, request: &ZapRequest) -> ZapReply {
        let since = Instant::now();
        let reply = self.handler.authenticate(request).await;
        if reply.status != ZapStatus::Admitted {
            return reply;
        }
        let mut event = admission(request, &reply);
        event.duration = Some(since.elapsed());
        let recorded = self.journal.append(Record::from(&event)).await;
        if recorded.is_err() && self.journal.on_failure() == OnFailure::Refuse {
            return ZapReply::temporary();
        }
        reply
    }
}

fn admission(request: &ZapRequest, reply: &ZapReply) -> SecurityEvent {
    let some = |text: &Arc<str>| Some(Arc::clone(text)).filter(|text| !text.is_empty());
    let mut event = SecurityEvent::new(EventId::Decision, SystemTime::now());
    event.at(Some(request.address));
    event.endpoint = some(&request.endpoint);
    event.domain = some(&request.domain);
    event.mechanism = Some(request.mechanism);
    if let Credentials::Curve(key) = &request.credentials {
        event.fingerprint = Some(key.fingerprint());
    }
    event.identity = some(&reply.user_id);
    event.status = Some(reply.status.code());
    event
}

impl<H: ZapHandler> ZapHandler for Audited<H> {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(self.answer(request))
    }

    fn admits_address(&self, domain: &str, address: &PeerAddress) -> bool {
        self.handler.admits_address(domain, address)
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        self.handler.changed(seen)
    }

    fn review(&self, request: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        self.handler.review(request, user_id)
    }
}
