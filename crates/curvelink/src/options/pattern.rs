//! What single socket types do differently.

use curvelink_proto::{Frame, SocketType};

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) routing_id: Frame,
    pub(crate) router_mandatory: bool,
    pub(crate) router_handover: bool,
    pub(crate) probe_router: bool,
    pub(crate) req_relaxed: bool,
    pub(crate) req_correlate: bool,
    pub(crate) stream_notify: bool,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            routing_id: Frame::empty(),
            router_mandatory: false,
            router_handover: false,
            probe_router: false,
            req_relaxed: false,
            req_correlate: false,
            stream_notify: true,
        }
    }
}

impl Pattern {
    /// The name of an option that is set and that this type of socket does not have.
    pub(crate) fn misplaced(&self, kind: SocketType) -> Option<&'static str> {
        let [req, router] = [SocketType::Req, SocketType::Router].map(|only| kind == only);
        let probes = req || router || kind == SocketType::Dealer;
        let misplaced = [
            (self.req_relaxed, req, "req_relaxed"),
            (self.req_correlate, req, "req_correlate"),
            (self.router_mandatory, router, "router_mandatory"),
            (self.router_handover, router, "router_handover"),
            (self.probe_router, probes, "probe_router"),
            (!self.stream_notify, kind.is_raw(), "stream_notify"),
        ];
        let mut misplaced = misplaced.into_iter();
        misplaced.find_map(|(set, has, name)| (set && !has).then_some(name))
    }
}

impl Options {
    /// The routing id that ROUTER peers know us by: up to 255 octets, not beginning with 0.
    /// Default: empty, the ROUTER makes one.
    #[doc(alias = "ZMQ_ROUTING_ID")]
    pub fn routing_id(mut self, id: impl Into<Frame>) -> Self {
        self.pattern.routing_id = id.into();
        self
    }

    /// ROUTER: `send` to a routing id that no peer has is an error, and to one without room waits,
    /// instead of dropping the message. Default off.
    #[doc(alias = "ZMQ_ROUTER_MANDATORY")]
    pub const fn router_mandatory(mut self, mandatory: bool) -> Self {
        self.pattern.router_mandatory = mandatory;
        self
    }

    /// ROUTER: a peer that connects again takes its routing id over from its own earlier link, which
    /// is ended once what was accepted for it is written (within `linger`); what it brought is
    /// still received. Default off: the id stays with the link that has it, and the new one is
    /// refused.
    ///
    /// libzmq lets anybody take any id over. Here the new link must prove the same identity as the
    /// old: the same key (CURVE), the same name by the policy (PLAIN, NULL with a domain), the same
    /// user of this machine (ipc). Over tcp without a key and a policy nothing is proven, so there
    /// every peer can take over from every other. An endpoint that this socket connected to keeps
    /// its id.
    #[doc(alias = "ZMQ_ROUTER_HANDOVER")]
    pub const fn router_handover(mut self, handover: bool) -> Self {
        self.pattern.router_handover = handover;
        self
    }

    /// REQ, DEALER, ROUTER: the first message of each connection, made or accepted, is one empty
    /// frame, so that a ROUTER at the other end learns of us. Its application gets the probe as
    /// well and must expect it. A [`hello_message`](Self::hello_message) goes in its place. Default
    /// off.
    ///
    /// libzmq sends none when a connection is made again.
    #[doc(alias = "ZMQ_PROBE_ROUTER")]
    pub const fn probe_router(mut self, probe: bool) -> Self {
        self.pattern.probe_router = probe;
        self
    }

    /// REQ: `send` may come before the reply to the last request, which is given up. Default off.
    ///
    /// Without [`req_correlate`](Self::req_correlate), nothing tells a late reply to the request
    /// that was given up from the reply to the one after it, as with libzmq: if the same peer has
    /// both, the first to come is received.
    #[doc(alias = "ZMQ_REQ_RELAXED")]
    pub const fn req_relaxed(mut self, relaxed: bool) -> Self {
        self.pattern.req_relaxed = relaxed;
        self
    }

    /// REQ: each request carries a number of 4 octets in a frame before the delimiter, and only a
    /// reply with the same number is received. REP sends it back by itself; an application on
    /// ROUTER must. Default off.
    #[doc(alias = "ZMQ_REQ_CORRELATE")]
    pub const fn req_correlate(mut self, correlate: bool) -> Self {
        self.pattern.req_correlate = correlate;
        self
    }

    /// STREAM: a message of the routing id and an empty frame is received when a connection is made
    /// and when it is lost. Default on.
    #[doc(alias = "ZMQ_STREAM_NOTIFY")]
    pub const fn stream_notify(mut self, notify: bool) -> Self {
        self.pattern.stream_notify = notify;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (fn(Options) -> Options, &'static [SocketType]);

    #[test]
    fn an_option_is_refused_where_it_would_do_nothing() {
        use SocketType::{Dealer, Req, Router, Stream};
        let cases: [Case; 6] = [
            (|o| o.req_relaxed(true), &[Req]),
            (|o| o.req_correlate(true), &[Req]),
            (|o| o.router_mandatory(true), &[Router]),
            (|o| o.router_handover(true), &[Router]),
            (|o| o.probe_router(true), &[Req, Dealer, Router]),
            (|o| o.stream_notify(false), &[Stream]),
        ];
        for (index, (set, takes)) in cases.into_iter().enumerate() {
            let options = set(Options::new());
            for kind in SocketType::ALL {
                let refused = options.check(*kind).is_err();
                assert_eq!(refused, !takes.contains(kind), "case {index}: {kind}");
            }
        }
    }
}
