//! What a peer was admitted on, and for how long that holds.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use curvelink_proto::{Reason, Rights, ZapReply, ZapRequest, ZapStatus};

/// The wall clock is looked at this often at least: it may be set while a link sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The question that a policy was asked about a peer, and its answer.
#[derive(Debug)]
pub(super) struct Warrant {
    /// Without the password.
    pub(super) request: ZapRequest,
    pub(super) user_id: Arc<str>,
    /// The number of the policy's last change when it was asked.
    pub(super) asked: u64,
    admitted: Instant,
    expires: Option<SystemTime>,
    max_age: Option<Duration>,
    /// When to look at the clocks again, where there is anything to look for.
    pub(super) look: Option<Instant>,
}

impl Warrant {
    pub(super) fn new(request: &ZapRequest, asked: u64, now: Instant) -> Box<Self> {
        Box::new(Self {
            request: request.without_password(),
            user_id: Arc::from(""),
            asked,
            admitted: now,
            expires: None,
            max_age: None,
            look: None,
        })
    }

    /// Takes note of the policy's answer. One whose time is over already is a refusal.
    pub(super) fn answered(&mut self, reply: ZapReply, now: Instant, wall: SystemTime) -> ZapReply {
        if reply.status != ZapStatus::Admitted {
            return reply;
        }
        self.admitted = now;
        self.user_id = reply.user_id.clone();
        self.request.mark = reply.mark;
        match self.set_term(&reply, now, wall) {
            Ok(()) => reply,
            Err(reason) => ZapReply::deny(reason),
        }
    }

    /// Takes note of what the policy says now of a peer with these rights. Gives other rights, or
    /// why the link must end.
    pub(super) fn reviewed(
        &mut self,
        reply: ZapReply,
        rights: &Rights,
        now: Instant,
        wall: SystemTime,
    ) -> Result<Option<Rights>, Reason> {
        match (reply.status, reply.reason) {
            (ZapStatus::Admitted, _) => {}
            (ZapStatus::Denied, Reason::KeyExpired) => return Err(Reason::KeyExpired),
            (ZapStatus::Denied, _) => return Err(Reason::Revoked),
            (ZapStatus::Temporary | ZapStatus::Failed, reason) => return Err(reason),
        }
        if reply.user_id != self.user_id || !reply.rights.cover(rights) {
            return Err(Reason::RightsNarrowed);
        }
        self.set_term(&reply, now, wall)?;
        Ok(Some(reply.rights).filter(|new| new != rights))
    }

    fn set_term(&mut self, reply: &ZapReply, now: Instant, wall: SystemTime) -> Result<(), Reason> {
        self.expires = reply.expires;
        self.max_age = reply.max_age;
        self.look(now, wall)
    }

    /// Whether the time is not over; sets when to look again. The age is counted by a clock that
    /// nobody sets, the end of a key's time stands in the calendar.
    pub(super) fn look(&mut self, now: Instant, wall: SystemTime) -> Result<(), Reason> {
        let age = now.saturating_duration_since(self.admitted);
        let young = self.max_age.map(|max| max.saturating_sub(age));
        if young.is_some_and(|left| left.is_zero()) {
            return Err(Reason::SessionAge);
        }
        let valid = self
            .expires
            .map(|end| end.duration_since(wall).unwrap_or_default());
        if valid.is_some_and(|left| left.is_zero()) {
            return Err(Reason::KeyExpired);
        }
        let left = [young, valid].into_iter().flatten().min();
        self.look = left.map(|left| now + left.min(LOOK_AGAIN));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use curvelink_proto::{Credentials, MechanismName, PeerAddress, Topics};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn admitted(expires: Option<Duration>, max_age: Option<Duration>) -> (Warrant, Clocks) {
        let clocks = Clocks(Instant::now(), SystemTime::now());
        let address = PeerAddress::Inproc;
        let request = ZapRequest::new("", address, MechanismName::NULL, Credentials::Null);
        let mut warrant = *Warrant::new(&request, 0, clocks.0);
        let mut reply = ZapReply::admit("x", Rights::all());
        reply.expires = expires.map(|time| clocks.1 + time);
        reply.max_age = max_age;
        let reply = warrant.answered(reply, clocks.0, clocks.1);
        assert_eq!(reply.status, ZapStatus::Admitted);
        (warrant, clocks)
    }

    #[derive(Clone, Copy)]
    struct Clocks(Instant, SystemTime);

    impl Clocks {
        fn after(self, time: Duration) -> (Instant, SystemTime) {
            (self.0 + time, self.1 + time)
        }
    }

    #[test]
    fn a_link_without_a_term_needs_no_clock() {
        let (mut warrant, clocks) = admitted(None, None);
        assert_eq!(warrant.look, None);
        let (now, wall) = clocks.after(1_000_000 * SECOND);
        assert_eq!((warrant.look(now, wall), warrant.look), (Ok(()), None));
    }

    #[test]
    fn the_earlier_of_two_terms_ends_the_link() {
        let minute = Some(60 * SECOND);
        for (expires, max_age, reason) in [
            (Some(5 * SECOND), minute, Reason::KeyExpired),
            (minute, Some(5 * SECOND), Reason::SessionAge),
            (None, Some(5 * SECOND), Reason::SessionAge),
            (Some(5 * SECOND), None, Reason::KeyExpired),
        ] {
            let (mut warrant, clocks) = admitted(expires, max_age);
            assert_eq!(warrant.look, Some(clocks.0 + 5 * SECOND));
            let (now, wall) = clocks.after(4 * SECOND);
            assert_eq!(warrant.look(now, wall), Ok(()));
            let (now, wall) = clocks.after(5 * SECOND);
            assert_eq!(warrant.look(now, wall), Err(reason));
        }
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_within_30_seconds_and_the_age_does_not_follow_it() {
        let hour = 3600 * SECOND;
        let (mut warrant, clocks) = admitted(Some(hour), Some(2 * hour));
        assert_eq!(warrant.look, Some(clocks.0 + 30 * SECOND));
        let now = clocks.0 + 30 * SECOND;
        // Back by a day: the key is good for longer, the session no younger.
        assert_eq!(warrant.look(now, clocks.1 - 24 * hour), Ok(()));
        assert_eq!(warrant.look, Some(now + 30 * SECOND));
        assert_eq!(
            warrant.look(clocks.0 + 2 * hour, clocks.1 - 24 * hour),
            Err(Reason::SessionAge)
        );
        assert_eq!(warrant.look(now, clocks.1 + hour), Err(Reason::KeyExpired));
    }

    #[test]
    fn an_answer_that_is_over_already_admits_nobody() {
        for (expires, max_age) in [(Some(-1), None), (Some(0), None), (None, Some(0))] {
            let (mut warrant, clocks) = admitted(None, None);
            let mut reply = ZapReply::admit("x", Rights::all());
            reply.expires = expires.map(|time: i64| match time {
                0 => clocks.1,
                _ => clocks.1 - SECOND,
            });
            reply.max_age = max_age.map(Duration::from_secs);
            let reply = warrant.answered(reply, clocks.0, clocks.1);
            assert_eq!(reply.status, ZapStatus::Denied);
        }
    }

    #[test]
    fn a_review_cuts_whoever_has_less_or_is_another() {
        let rights = || Rights::new(Topics::under([b"a/".to_vec()]), Topics::none());
        let admit = |name| ZapReply::admit(name, rights());
        let cases = [
            (admit("x"), Ok(None)),
            (admit("y"), Err(Reason::RightsNarrowed)),
            (
                ZapReply::admit("x", Rights::none()),
                Err(Reason::RightsNarrowed),
            ),
            (ZapReply::admit("x", Rights::all()), Ok(Some(Rights::all()))),
            (ZapReply::deny(Reason::UnknownKey), Err(Reason::Revoked)),
            (ZapReply::deny(Reason::KeyExpired), Err(Reason::KeyExpired)),
            (ZapReply::temporary(), Err(Reason::Temporary)),
            (ZapReply::failed(), Err(Reason::HandlerError)),
        ];
        for (reply, expected) in cases {
            let (mut warrant, clocks) = admitted(None, None);
            let what = format!("{reply:?}");
            let outcome = warrant.reviewed(reply, &rights(), clocks.0, clocks.1);
            assert_eq!(outcome, expected, "{what}");
        }
        let (mut warrant, clocks) = admitted(None, None);
        let mut reply = admit("x");
        reply.expires = Some(clocks.1);
        let outcome = warrant.reviewed(reply, &rights(), clocks.0, clocks.1);
        assert_eq!(outcome, Err(Reason::KeyExpired));
    }
}
