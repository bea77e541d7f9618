use super::*;

fn request(credentials: Credentials, mechanism: MechanismName) -> ZapRequest {
    let address = PeerAddress::Tcp("192.0.2.7:999".parse().unwrap());
    ZapRequest::new("build", address, mechanism, credentials)
}

#[test]
fn a_request_of_each_mechanism_is_read_as_it_was_written() {
    let key = PublicKey::from_octets([9; 32]).unwrap();
    let plain = Credentials::Plain {
        username: Bytes::from_static(b"u"),
        password: Password::new(*b"p"),
    };
    for (credentials, mechanism, frames) in [
        (Credentials::Null, MechanismName::NULL, 6),
        (plain, MechanismName::PLAIN, 8),
        (Credentials::Curve(key), MechanismName::CURVE, 7),
        (
            Credentials::Foreign(vec![Bytes::from_static(b"x")]),
            MechanismName::new(b"X").unwrap(),
            7,
        ),
    ] {
        let message = encode_request(&request(credentials, mechanism), b"42");
        assert_eq!(message.len(), frames);
        assert_eq!(message.frame(3).unwrap()[..], *b"192.0.2.7");
        let (id, decoded) = decode_request(&message).unwrap();
        assert_eq!(id, "42");
        assert_eq!(decoded.mechanism, mechanism);
        assert_eq!(encode_request(&decoded, b"42"), message);
    }
}

#[test]
fn what_is_kept_of_a_request_is_all_but_the_password() {
    let plain = |password: &[u8]| {
        let (username, password) = (Bytes::from_static(b"u"), Password::new(password));
        request(
            Credentials::Plain { username, password },
            MechanismName::PLAIN,
        )
    };
    let kept = plain(b"secret").without_password();
    let frames = |request: &ZapRequest| encode_request(request, b"1");
    assert_eq!(frames(&kept), frames(&plain(b"")));
    let other = request(Credentials::Null, MechanismName::NULL);
    assert_eq!(frames(&other.without_password()), frames(&other));
}

#[test]
fn t13_only_a_well_formed_200_admits() {
    let good = ["1.0", "7", "200", "OK", "scanner", ""];
    let reply = decode_reply(&good.into(), b"7").unwrap();
    assert_eq!(
        (reply.status, &*reply.user_id),
        (ZapStatus::Admitted, "scanner")
    );

    for (index, value, error) in [
        (0, "1.1", ZapError::Version),
        (0, "", ZapError::Version),
        (1, "8", ZapError::RequestId),
        (2, "2000", ZapError::Status),
        (2, "", ZapError::Status),
        (2, "20", ZapError::Status),
        (2, " 200", ZapError::Status),
    ] {
        let mut bad = good;
        bad[index] = value;
        assert_eq!(
            decode_reply(&bad.into(), b"7").unwrap_err(),
            error,
            "{index} {value}"
        );
    }
    for status in ["300", "400", "500"] {
        let mut refused = good;
        refused[2] = status;
        let reply = decode_reply(&refused.into(), b"7").unwrap();
        assert_ne!(reply.status, ZapStatus::Admitted);
        assert_eq!(
            (&*reply.user_id, reply.rights),
            ("", Rights::none()),
            "{status}"
        );
    }
    for frames in [0, 1, 5, 7] {
        let message: Message = (0..frames).map(|_| Frame::from("1.0")).collect();
        assert_eq!(
            decode_reply(&message, b"7").unwrap_err(),
            ZapError::FrameCount
        );
    }
}

#[test]
fn the_frames_of_a_request_and_its_reply_are_those_of_the_rfc() {
    let plain = Credentials::Plain {
        username: Bytes::from_static(b"user"),
        password: Password::new(*b"secret"),
    };
    let mut question = request(plain, MechanismName::PLAIN);
    question.routing_id = Bytes::from_static(b"me");
    let frames = [
        "1.0",
        "42",
        "build",
        "192.0.2.7",
        "me",
        "PLAIN",
        "user",
        "secret",
    ];
    assert_eq!(encode_request(&question, b"42"), Message::from(frames));

    let id = b"\0\xffid";
    for (reply, status, text, user_id) in [
        (ZapReply::admit("joe", Rights::all()), "200", "OK", "joe"),
        (ZapReply::temporary(), "300", "temporary", ""),
        (ZapReply::deny(Reason::UnknownKey), "400", "unknown-key", ""),
        (ZapReply::failed(), "500", "handler-error", ""),
    ] {
        let mut expected = Message::from([&b"1.0"[..], id]);
        [status, text, user_id, ""]
            .into_iter()
            .for_each(|frame| expected.push_back(frame));
        assert_eq!(encode_reply(&reply, id), expected, "{status}");
    }
}

#[test]
fn addresses_are_written_in_their_canonical_form() {
    for (address, expected) in [
        ("192.0.2.7:9", "192.0.2.7"),
        ("[2001:0db8:0:0:0:0:0:0001]:9", "2001:db8::1"),
        ("[::1]:9", "::1"),
    ] {
        let mut question = request(Credentials::Null, MechanismName::NULL);
        question.address = PeerAddress::Tcp(address.parse().unwrap());
        let message = encode_request(&question, b"1");
        assert_eq!(message.frame(3).unwrap()[..], *expected.as_bytes());
        let (_, read) = decode_request(&message).unwrap();
        assert_eq!(read.address.ip(), question.address.ip());
    }
    for (pid, expected) in [(Some(7), "localhost:1:2:7"), (None, "localhost:1:2:0")] {
        let mut question = request(Credentials::Null, MechanismName::NULL);
        question.address = PeerAddress::Ipc {
            uid: 1,
            gid: 2,
            pid,
        };
        let message = encode_request(&question, b"1");
        assert_eq!(message.frame(3).unwrap()[..], *expected.as_bytes());
    }
}

#[test]
fn malformed_requests_are_not_read() {
    let good = ["1.0", "42", "build", "192.0.2.7", "", "PLAIN", "u", "p"];
    assert!(decode_request(&good.into()).is_ok());
    let long = "x".repeat(256);
    for (index, value, error) in [
        (0, "1.1", ZapError::Version),
        (0, "", ZapError::Version),
        (2, &*long, ZapError::Field("domain")),
        (3, "host.example", ZapError::Field("address")),
        (3, "", ZapError::Field("address")),
        (4, &*long, ZapError::Field("routing id")),
        (5, "", ZapError::Field("mechanism")),
        (5, "plain", ZapError::Field("mechanism")),
        (5, "NULL", ZapError::FrameCount),
        (5, "CURVE", ZapError::FrameCount),
    ] {
        let mut bad = good;
        bad[index] = value;
        let read = decode_request(&bad.into());
        assert_eq!(read.unwrap_err(), error, "{index} {value}");
    }
    let mut full = good;
    (full[2], full[4]) = (&long[1..], &long[1..]);
    assert!(decode_request(&full.into()).is_ok());
    for count in 0..good.len() {
        let frames: Message = good[..count]
            .iter()
            .map(|text| Frame::from(*text))
            .collect();
        assert_eq!(decode_request(&frames).unwrap_err(), ZapError::FrameCount);
    }
}

#[test]
fn a_request_with_a_weak_key_or_missing_credentials_is_refused() {
    let head = |mechanism: &str| Message::from(["1.0", "1", "d", "127.0.0.1", "", mechanism]);
    let mut weak = head("CURVE");
    weak.push_back(vec![0; 32]);
    assert_eq!(decode_request(&weak).unwrap_err(), ZapError::Field("key"));
    for mechanism in ["CURVE", "PLAIN"] {
        assert_eq!(
            decode_request(&head(mechanism)).unwrap_err(),
            ZapError::FrameCount
        );
    }
    assert!(decode_request(&head("NULL")).is_ok());
}
