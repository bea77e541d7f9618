//! Answers to the question who may come in, from a handler that may be anybody's.

use curvelink_proto::zap::{decode_reply, decode_request, encode_reply, encode_request};
use curvelink_proto::{Frame, Message, Reason, Rights, ZapReply, ZapStatus};

use super::input::Input;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let id = input.chunk();
    let mut frames: Vec<Frame> = match input.below(5) {
        0 => encode_reply(&ZapReply::admit("name", Rights::all()), id).into_frames(),
        1 => encode_reply(&ZapReply::deny(Reason::Denied), id).into_frames(),
        2 => encode_reply(&ZapReply::temporary(), id).into_frames(),
        3 => encode_reply(&ZapReply::failed(), id).into_frames(),
        _ => Vec::new(),
    };
    while !input.is_empty() {
        match input.below(9) {
            at if at < frames.len() => frames[at] = Frame::copy_from(input.chunk()),
            8 => drop(frames.pop()),
            _ => frames.push(Frame::copy_from(input.chunk())),
        }
    }
    let message = Message::from(frames);
    check_reply(&message, id);
    check_request(&message);
    let good = encode_reply(&ZapReply::admit("good", Rights::all()), id);
    assert_eq!(
        decode_reply(&good, id).expect("a good reply").status,
        ZapStatus::Admitted
    );
}

fn check_reply(message: &Message, id: &[u8]) {
    let frames: Vec<&[u8]> = message.iter().map(|frame| &frame[..]).collect();
    let expected = match &frames[..] {
        [b"1.0", answered, status, _, user, _] if *answered == id => {
            let named = user.len() <= 255 && std::str::from_utf8(user).is_ok();
            match *status {
                b"200" => named.then_some(ZapStatus::Admitted),
                b"300" => Some(ZapStatus::Temporary),
                b"400" => Some(ZapStatus::Denied),
                b"500" => Some(ZapStatus::Failed),
                _ => None,
            }
        }
        _ => None,
    };
    let reply = decode_reply(message, id);
    assert_eq!(reply.as_ref().ok().map(|reply| reply.status), expected);
    if let Ok(reply) = reply {
        if reply.status != ZapStatus::Admitted {
            assert_eq!(
                (&*reply.user_id, reply.rights.clone()),
                ("", Rights::none())
            );
        }
        let again = decode_reply(&encode_reply(&reply, id), id).expect("our own reply");
        assert_eq!((again.status, again.user_id), (reply.status, reply.user_id));
    }
}

fn check_request(message: &Message) {
    if let Ok((id, request)) = decode_request(message) {
        let written = encode_request(&request, &id);
        let (again, _) = decode_request(&written).expect("our own request");
        assert_eq!((again, written.len()), (id, message.len()));
    }
}
