//! What single socket types do differently.

use curvelink_proto::Frame;

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) routing_id: Frame,
    pub(crate) mandatory: bool,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            routing_id: Frame::empty(),
            mandatory: false,
        }
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
        self.pattern.mandatory = mandatory;
        self
    }
}
