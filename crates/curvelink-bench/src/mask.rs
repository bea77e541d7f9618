//! A mechanism that costs nothing itself.

use std::ops::Range;

use bytes::{BufMut as _, BytesMut};
use curvelink_proto::{
    Admitted, Command, FrameFlags, Handshake, HandshakeCx, Mechanism, MechanismError,
    MechanismName, Metadata, Opener, Properties, Protection, Ready, Sealer, Step,
};

/// INSECURE: "sealed" is a copy of the frame behind an octet of flags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask;

const MORE: u8 = 1;
const COMMAND: u8 = 2;

impl Mechanism for Mask {
    fn name(&self) -> MechanismName {
        MechanismName::new(b"MASK").unwrap_or(MechanismName::NULL)
    }

    fn as_server(&self) -> bool {
        false
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: false,
            asks_policy: false,
        }
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        Box::new(Self)
    }
}

/// Both sides tell their metadata, and are there.
impl Handshake for Mask {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        cx.send("READY", cx.metadata())?;
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Ok(Step::Ready(Ready {
            admitted: Admitted::anyone(),
            metadata: Metadata::parse(command.body)?,
            key: None,
            our_key: None,
            protection: Some(Protection {
                sealer: Box::new(Self),
                opener: Box::new(Self),
            }),
        }))
    }

    fn on_admitted(
        &mut self,
        _admitted: Admitted,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Err(MechanismError::UnexpectedCommand)
    }
}

impl Sealer for Mask {
    fn sealed_len(&self, clear: usize) -> usize {
        clear + 1
    }

    fn seal(
        &mut self,
        flags: FrameFlags,
        clear: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), MechanismError> {
        let more = if flags.more { MORE } else { 0 };
        let command = if flags.command { COMMAND } else { 0 };
        out.put_u8(more | command);
        out.extend_from_slice(clear);
        Ok(())
    }
}

impl Opener for Mask {
    fn open_in_place(
        &mut self,
        body: &mut [u8],
    ) -> Result<(FrameFlags, Range<usize>), MechanismError> {
        let flags = *body.first().ok_or(MechanismError::Malformed("frame"))?;
        let flags = FrameFlags {
            more: flags & MORE != 0,
            command: flags & COMMAND != 0,
        };
        Ok((flags, 1..body.len()))
    }
}
