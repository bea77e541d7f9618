//! Messages that a socket sends or receives by itself when links come and go.

use curvelink_proto::{Frame, SocketType};

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Notices {
    pub(crate) hello: Frame,
    pub(crate) disconnect: Frame,
    pub(crate) hiccup: Frame,
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            hello: Frame::empty(),
            disconnect: Frame::empty(),
            hiccup: Frame::empty(),
        }
    }
}

impl Notices {
    /// The name of an option that is set and that this type of socket does not have.
    pub(crate) fn misplaced(&self, kind: SocketType) -> Option<&'static str> {
        let dealer = kind == SocketType::Dealer;
        let router = kind == SocketType::Router;
        let misplaced = [
            (&self.hello, dealer || router, "hello_message"),
            (&self.disconnect, router, "disconnect_message"),
            (&self.hiccup, dealer, "hiccup_message"),
        ];
        let mut misplaced = misplaced.into_iter();
        misplaced.find_map(|(message, has, name)| (!message.is_empty() && !has).then_some(name))
    }
}

impl Options {
    /// DEALER, ROUTER: a message of one frame that each peer is sent first, on every connection,
    /// made or accepted. Default: empty, none.
    #[doc(alias = "ZMQ_HELLO_MSG")]
    pub fn hello_message(mut self, message: impl Into<Frame>) -> Self {
        self.notices.hello = message.into();
        self
    }

    /// ROUTER: a message of one frame that is received, as if the peer had sent it last, when the
    /// connection of a peer that came to us ends. Default: empty, none.
    #[doc(alias = "ZMQ_DISCONNECT_MSG")]
    pub fn disconnect_message(mut self, message: impl Into<Frame>) -> Self {
        self.notices.disconnect = message.into();
        self
    }

    /// DEALER: a message of one frame that is received, as if the peer had sent it last, when a
    /// connection that we made is lost and is going to be made again. Nothing over inproc. Default:
    /// empty, none.
    #[doc(alias = "ZMQ_HICCUP_MSG")]
    pub fn hiccup_message(mut self, message: impl Into<Frame>) -> Self {
        self.notices.hiccup = message.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (fn(Options) -> Options, &'static [SocketType]);

    #[test]
    fn an_option_is_refused_where_it_would_do_nothing() {
        let cases: [Case; 3] = [
            (
                |o| o.hello_message("x"),
                &[SocketType::Dealer, SocketType::Router],
            ),
            (|o| o.disconnect_message("x"), &[SocketType::Router]),
            (|o| o.hiccup_message("x"), &[SocketType::Dealer]),
        ];
        for (index, (set, takes)) in cases.into_iter().enumerate() {
            let notices = set(Options::new()).notices;
            for kind in SocketType::ALL {
                let misplaced = notices.misplaced(*kind).is_some();
                assert_eq!(misplaced, !takes.contains(kind), "case {index}: {kind}");
            }
        }
    }
}
