//! Publishing and subscribing: what is matched, and what an XPUB is shown.

use curvelink_proto::{Frame, SocketType};

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Topics {
    pub(crate) shown: Shown,
    pub(crate) manual: bool,
    pub(crate) last_value: bool,
    pub(crate) nodrop: bool,
    pub(crate) welcome: Frame,
    pub(crate) invert: bool,
    pub(crate) first_frame: bool,
    pub(crate) verbose_unsubscribe: bool,
}

/// Which subscriptions an XPUB is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shown {
    /// The first subscription of a prefix and the last cancel.
    Changes,
    /// Every subscription, and the last cancel.
    Subscribes,
    /// Every subscription and every cancel.
    All,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            shown: Shown::Changes,
            manual: false,
            last_value: false,
            nodrop: false,
            welcome: Frame::empty(),
            invert: false,
            first_frame: false,
            verbose_unsubscribe: false,
        }
    }
}

impl Topics {
    /// The name of an option that is set and that this type of socket does not have.
    pub(crate) fn misplaced(&self, kind: SocketType) -> Option<&'static str> {
        let xpub = kind == SocketType::Xpub;
        let xsub = kind == SocketType::Xsub;
        let publishes = kind.is_publisher();
        let topical = publishes || kind.is_subscriber();
        let misplaced = [
            (self.shown != Shown::Changes, publishes, "xpub_verbose"),
            (self.manual, xpub, "xpub_manual"),
            (self.nodrop, publishes, "xpub_nodrop"),
            (!self.welcome.is_empty(), publishes, "xpub_welcome"),
            (self.invert, topical, "invert_matching"),
            (self.first_frame, xpub || xsub, "only_first_subscribe"),
            (self.verbose_unsubscribe, xsub, "xsub_verbose_unsubscribe"),
        ];
        let mut misplaced = misplaced.into_iter();
        misplaced.find_map(|(set, has, name)| (set && !has).then_some(name))
    }
}

impl Options {
    /// XPUB: the application receives every subscription, also of a prefix that somebody has
    /// already, and the last cancel of a prefix. Turns [`xpub_verboser`](Self::xpub_verboser) off.
    /// Default off: the first subscription of a prefix and the last cancel. Nothing on PUB.
    #[doc(alias = "ZMQ_XPUB_VERBOSE")]
    pub const fn xpub_verbose(mut self, verbose: bool) -> Self {
        self.topics.shown = if verbose {
            Shown::Subscribes
        } else {
            Shown::Changes
        };
        self
    }

    /// XPUB: the application receives every subscription and every cancel. Default off. Nothing on
    /// PUB.
    ///
    /// A cancel of a prefix that the peer does not have is shown in no mode (libzmq shows it): in
    /// a proxy it would end the subscriptions of others.
    #[doc(alias = "ZMQ_XPUB_VERBOSER")]
    pub const fn xpub_verboser(mut self, verbose: bool) -> Self {
        self.topics.shown = if verbose { Shown::All } else { Shown::Changes };
        self
    }

    /// XPUB: the application receives every subscription and cancel, none of which has an effect
    /// of itself: it says what each peer is subscribed to with
    /// [`subscribe_peer`](crate::Socket::subscribe_peer). Default off.
    ///
    /// What a peer's rights do not cover is neither shown nor can it be given.
    #[doc(alias = "ZMQ_XPUB_MANUAL")]
    pub const fn xpub_manual(mut self, manual: bool) -> Self {
        self.topics.manual = manual;
        self
    }

    /// XPUB: as [`xpub_manual`](Self::xpub_manual), and the first message that is sent after a
    /// subscription was received goes to that peer only, if it matches: the last value for somebody
    /// who comes late. Receive and send from one task. Default off.
    #[doc(alias = "ZMQ_XPUB_MANUAL_LAST_VALUE")]
    pub const fn xpub_manual_last_value(mut self, last_value: bool) -> Self {
        self.topics.manual = last_value;
        self.topics.last_value = last_value;
        self
    }

    /// PUB, XPUB: `send` waits while a subscriber of the topic has no room, instead of dropping the
    /// message for that one. Nobody gets it twice, and the slowest holds all up. Default off.
    #[doc(alias = "ZMQ_XPUB_NODROP")]
    pub const fn xpub_nodrop(mut self, nodrop: bool) -> Self {
        self.topics.nodrop = nodrop;
        self
    }

    /// PUB, XPUB: a message of one frame that each peer is sent first, on every connection, whether
    /// it has subscribed or not; a SUB receives it if it subscribed to a prefix of it. A peer whose
    /// rights do not cover it as a topic is not sent it. Default: empty, none.
    ///
    /// libzmq sends it once to an endpoint that it connects to, not on each connection.
    #[doc(alias = "ZMQ_XPUB_WELCOME_MSG")]
    pub fn xpub_welcome(mut self, message: impl Into<Frame>) -> Self {
        self.topics.welcome = message.into();
        self
    }

    /// PUB, XPUB: messages go to every peer that did not subscribe to them. SUB: receives what it
    /// did not subscribe to. Both ends must be told; nothing on XSUB, which does not filter.
    /// Default off.
    ///
    /// A peer gets no topic that its rights do not cover, and nothing before its handshake is done.
    #[doc(alias = "ZMQ_INVERT_MATCHING")]
    pub const fn invert_matching(mut self, invert: bool) -> Self {
        self.topics.invert = invert;
        self
    }

    /// XPUB, XSUB: the first frame of a message of several frames is a subscription, or its end, if
    /// it begins with 1 or 0, and the frames after it are a message of their own. Default off: only
    /// a message of that one frame is.
    ///
    /// libzmq looks at every frame when this is off, and on as well after such a first frame, so
    /// that octets of an application's own can subscribe.
    #[doc(alias = "ZMQ_ONLY_FIRST_SUBSCRIBE")]
    pub const fn only_first_subscribe(mut self, only_first: bool) -> Self {
        self.topics.first_frame = only_first;
        self
    }

    /// XSUB: every cancel is sent upstream, also of a prefix that is still wanted, or never was.
    /// Default off: the last of its kind. Subscriptions are all sent.
    #[doc(alias = "ZMQ_XSUB_VERBOSE_UNSUBSCRIBE")]
    pub const fn xsub_verbose_unsubscribe(mut self, verbose: bool) -> Self {
        self.topics.verbose_unsubscribe = verbose;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (fn(Options) -> Options, &'static [SocketType]);

    #[test]
    fn an_option_is_refused_where_it_would_do_nothing() {
        let cases: [Case; 8] = [
            (
                |o| o.xpub_verbose(true),
                &[SocketType::Pub, SocketType::Xpub],
            ),
            (|o| o.xpub_manual(true), &[SocketType::Xpub]),
            (|o| o.xpub_manual_last_value(true), &[SocketType::Xpub]),
            (
                |o| o.xpub_nodrop(true),
                &[SocketType::Pub, SocketType::Xpub],
            ),
            (
                |o| o.xpub_welcome("x"),
                &[SocketType::Pub, SocketType::Xpub],
            ),
            (
                |o| o.invert_matching(true),
                &[
                    SocketType::Pub,
                    SocketType::Sub,
                    SocketType::Xpub,
                    SocketType::Xsub,
                ],
            ),
            (
                |o| o.only_first_subscribe(true),
                &[SocketType::Xpub, SocketType::Xsub],
            ),
            (|o| o.xsub_verbose_unsubscribe(true), &[SocketType::Xsub]),
        ];
        for (index, (set, takes)) in cases.into_iter().enumerate() {
            let topics = set(Options::new()).topics;
            for kind in SocketType::ALL {
                let misplaced = topics.misplaced(*kind).is_some();
                assert_eq!(misplaced, !takes.contains(kind), "case {index}: {kind}");
            }
        }
    }

    #[test]
    fn the_last_word_on_verbosity_counts() {
        let shown = |options: Options| options.topics.shown;
        let new = Options::new;
        assert_eq!(shown(new().xpub_verbose(true)), Shown::Subscribes);
        assert_eq!(shown(new().xpub_verboser(true)), Shown::All);
        assert_eq!(
            shown(new().xpub_verboser(true).xpub_verbose(true)),
            Shown::Subscribes
        );
        assert_eq!(
            shown(new().xpub_verbose(true).xpub_verboser(false)),
            Shown::Changes
        );
    }
}
