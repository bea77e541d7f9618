//! What a sender says of a message.

use crate::sign::SignError;
use crate::statement::{is_content_type, is_traceparent};

/// What a statement says about a message beside its frames and numbers.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub(crate) content_type: &'a str,
    pub(crate) in_reply_to: Option<[u8; 32]>,
    pub(crate) traceparent: Option<&'a str>,
}

impl<'a> About<'a> {
    /// A body of the media type `content_type`: 1 to 255 printable ASCII characters.
    pub fn new(content_type: &'a str) -> Self {
        Self {
            content_type,
            in_reply_to: None,
            traceparent: None,
        }
    }

    /// An answer to the request whose statement has the SHA-256 `digest`: the
    /// [`Verified::digest`](crate::Verified::digest) of it.
    #[must_use]
    pub fn in_reply_to(self, digest: [u8; 32]) -> Self {
        Self {
            in_reply_to: Some(digest),
            ..self
        }
    }

    /// A part of a trace: `00-TRACE-PARENT-FLAGS`, as the W3C writes it.
    #[must_use]
    pub fn traceparent(self, text: &'a str) -> Self {
        Self {
            traceparent: Some(text),
            ..self
        }
    }

    /// Whether a statement can say so: asked by [`Signer`](crate::Signer) of each message, and good
    /// to ask before there is one.
    ///
    /// # Errors
    ///
    /// [`SignError::ContentType`] or [`SignError::Traceparent`].
    pub fn check(&self) -> Result<(), SignError> {
        if !is_content_type(self.content_type) {
            return Err(SignError::ContentType);
        }
        if self.traceparent.is_some_and(|text| !is_traceparent(text)) {
            return Err(SignError::Traceparent);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_statement_can_say_is_refused_before_there_is_one() {
        const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let about = About::new("text/plain");
        assert!(about.check().is_ok());
        assert!(
            about
                .traceparent(TRACE)
                .in_reply_to([7; 32])
                .check()
                .is_ok()
        );
        for content_type in ["", "text/pl\u{e4}in", "a\tb", &"a".repeat(256)] {
            let refused = About::new(content_type).check();
            assert!(
                matches!(refused, Err(SignError::ContentType)),
                "{content_type}"
            );
        }
        for trace in [
            "",
            "01",
            &TRACE.to_uppercase(),
            &TRACE.replace("00-0", "01-0"),
        ] {
            let refused = about.traceparent(trace).check();
            assert!(matches!(refused, Err(SignError::Traceparent)), "{trace}");
        }
    }
}
