use proptest::prelude::*;

use super::*;

pub(crate) fn statement() -> Statement {
    Statement {
        signer: "ci-scanner".into(),
        audience: "hub.example".into(),
        epoch: 1_795_305_600_123,
        seq: 42,
        tseq: 0,
        prev: Some(Position::new(1_795_305_600_122, 7)),
        time: "2026-11-22T00:00:00.123Z".parse().expect("a time"),
        topic: "findings/sast/bandit".into(),
        content_type: "application/sarif+json".into(),
        in_reply_to: None,
        traceparent: None,
        heartbeat: false,
        frames: digests(&[b"findings/sast/bandit".as_slice(), b"{}"]),
    }
}

fn text() -> String {
    String::from_utf8(statement().to_octets().expect("writes")).expect("UTF-8")
}

/// The statement's text with the one `from` in it made `to`.
fn edited(from: &str, to: &str) -> Result<Statement, Malformed> {
    let text = text();
    assert_eq!(
        text.matches(from).count(),
        1,
        "{from} stands once in {text}"
    );
    Statement::parse(text.replace(from, to).as_bytes())
}

#[test]
fn the_text_is_the_one_that_the_format_shows() {
    assert_eq!(
        text(),
        concat!(
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":["#,
            r#"{"name":"frame/0","digest":{"sha256":"#,
            r#""93e51f8865e733f8d59ceb8f995e492d47ed16a506a4a268ef3bd7ef9e0a490f"}},"#,
            r#"{"name":"frame/1","digest":{"sha256":"#,
            r#""44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}],"#,
            r#""predicateType":"https://curvelink.dev/message/v1","predicate":{"#,
            r#""signer":"ci-scanner","aud":"hub.example","epoch":1795305600123,"seq":42,"#,
            r#""tseq":0,"prev":{"epoch":1795305600122,"tseq":7},"#,
            r#""time":"2026-11-22T00:00:00.123Z","topic":"findings/sast/bandit","#,
            r#""contentType":"application/sarif+json"}}"#,
        )
    );
    assert_eq!(Statement::parse(text().as_bytes()), Ok(statement()));
}

#[test]
fn unknown_predicate_members_are_ignored_and_others_refused() {
    assert_eq!(
        edited(r#""seq":"#, r#""new":[{"a":1}],"seq":"#),
        Ok(statement())
    );
    assert_eq!(
        edited(r#"{"_type""#, r#"{"new":1,"_type""#),
        Err(Malformed::Json)
    );
    assert_eq!(
        edited(r#"{"name":"frame/0""#, r#"{"uri":"x","name":"frame/0""#),
        Err(Malformed::Json)
    );
    assert_eq!(
        edited(r#"{"epoch":"#, r#"{"new":1,"epoch":"#),
        Err(Malformed::Json)
    );
}

#[test]
fn a_repeated_key_is_refused_wherever_it_stands() {
    for (from, to) in [
        (r#"{"_type":"#, r#"{"_type":"x","_type":"#),
        (r#""seq":42"#, r#""seq":41,"seq":42"#),
        (r#""seq":42"#, r#""new":1,"new":1,"seq":42"#),
        (r#""seq":42"#, r#""new":{"a":1,"a":1},"seq":42"#),
        (
            r#"{"name":"frame/0""#,
            r#"{"name":"frame/0","name":"frame/0""#,
        ),
        (r#""tseq":0"#, "\"tseq\":0,\"\\u0074seq\":0"),
    ] {
        assert_eq!(edited(from, to), Err(Malformed::Json), "{to}");
    }
}

#[test]
fn each_rule_has_its_field() {
    for (from, to, field) in [
        (
            "in-toto.io/Statement/v1",
            "in-toto.io/Statement/v0.1",
            "_type",
        ),
        ("message/v1", "message/v2", "predicateType"),
        ("frame/0", "frame/1000", "subject"),
        ("frame/1", "frame/01", "subject"),
        ("44136f", "44136F", "subject"),
        ("44136f", "44136", "subject"),
        ("ci-scanner", "", "signer"),
        ("ci-scanner", "ci\\nscanner", "signer"),
        ("hub.example", "", "aud"),
        (
            "\"epoch\":1795305600123",
            "\"epoch\":9007199254740992",
            "epoch",
        ),
        ("\"seq\":42", "\"seq\":9007199254740992", "seq"),
        ("\"tseq\":0", "\"tseq\":43", "tseq"),
        ("\"tseq\":0", "\"tseq\":1", "prev"),
        ("\"epoch\":1795305600122", "\"epoch\":1795305600123", "prev"),
        ("\"tseq\":7", "\"tseq\":9007199254740992", "prev"),
        ("00:00.123Z", "00:00.123+00:00", "time"),
        ("application/sarif+json", "", "contentType"),
        ("application/sarif+json", "\u{e9}", "contentType"),
    ] {
        assert_eq!(
            edited(from, to),
            Err(Malformed::Field { field }),
            "{from} -> {to}"
        );
    }
}

#[test]
fn an_answer_a_trace_and_a_heartbeat_come_back() {
    let sent = Statement {
        in_reply_to: Some([0xab; 32]),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..statement()
    };
    let octets = sent.to_octets().expect("writes");
    assert_eq!(Statement::parse(&octets), Ok(sent));
    let text = String::from_utf8(octets).expect("UTF-8");
    let end = concat!(
        r#","inReplyTo":"sha256:abababababababababababababababababababababababababababababababab","#,
        r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#,
    );
    assert!(text.ends_with(end), "{text}");
    let beat = Statement {
        heartbeat: true,
        prev: None,
        frames: digests(&["findings/sast/bandit", ""]),
        ..statement()
    };
    let octets = beat.to_octets().expect("writes");
    assert_eq!(Statement::parse(&octets), Ok(beat.clone()));
    for frames in [
        digests(&["findings/sast/bandit"]),
        digests(&["findings/sast/bandit", "x"]),
        digests(&["findings/sast/bandit", "", ""]),
    ] {
        let other = Statement {
            frames,
            ..beat.clone()
        };
        let octets = other.to_octets().expect("writes");
        let field = "heartbeat";
        assert_eq!(Statement::parse(&octets), Err(Malformed::Field { field }));
    }
}

#[test]
fn answers_traces_and_heartbeats_have_their_rules() {
    let refusal = |member: &str| edited(r#""tseq":0"#, &format!(r#""tseq":0,{member}"#));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(refusal(&format!(r#""traceparent":"{trace}""#)).is_ok());
    for other in [
        trace.replacen("00-", "01-", 1),
        trace.replacen("00-", "ff-", 1),
        trace.to_uppercase(),
        trace.replace("b7ad6b7169203331", "0000000000000000"),
        trace.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        format!("{trace}-x"),
        trace.replace("-01", ""),
        String::new(),
    ] {
        let refused = refusal(&format!(r#""traceparent":"{other}""#));
        assert_eq!(
            refused,
            Err(Malformed::Field {
                field: "traceparent"
            }),
            "{other}"
        );
    }
    let digest = "ab".repeat(32);
    assert!(refusal(&format!(r#""inReplyTo":"sha256:{digest}""#)).is_ok());
    for other in [
        digest.clone(),
        format!("sha512:{digest}"),
        format!("sha256:{}", &digest[2..]),
        "sha256:".into(),
    ] {
        let refused = refusal(&format!(r#""inReplyTo":"{other}""#));
        assert_eq!(
            refused,
            Err(Malformed::Field { field: "inReplyTo" }),
            "{other}"
        );
    }
    let field = Err(Malformed::Field { field: "heartbeat" });
    assert_eq!(refusal(r#""heartbeat":true"#), field, "with a body");
    assert_eq!(refusal(r#""heartbeat":false"#), field, "left out instead");
    assert_eq!(refusal(r#""heartbeat":1"#), Err(Malformed::Json));
}

#[test]
fn numbers_and_members_of_another_type_are_refused() {
    for (from, to) in [
        ("\"seq\":42", "\"seq\":-1"),
        ("\"seq\":42", "\"seq\":42.0"),
        ("\"seq\":42", "\"seq\":4.2e1"),
        ("\"seq\":42", "\"seq\":\"42\""),
        ("\"seq\":42", "\"seq\":18446744073709551616"),
        ("\"seq\":42,", ""),
        (r#""aud":"hub.example","#, ""),
        ("\"topic\":\"findings", "\"topic\":\"\\ud800findings"),
    ] {
        assert_eq!(edited(from, to), Err(Malformed::Json), "{to}");
    }
    let no_frames = Statement {
        frames: Vec::new(),
        ..statement()
    };
    let octets = no_frames.to_octets().expect("writes");
    assert_eq!(
        Statement::parse(&octets),
        Err(Malformed::Field { field: "subject" })
    );
}

#[test]
fn every_truncation_and_anything_behind_the_end_is_refused() {
    let text = text();
    for length in 1..text.len() {
        let cut = &text.as_bytes()[..length];
        assert_eq!(
            Statement::parse(cut),
            Err(Malformed::Json),
            "{length} octets"
        );
    }
    assert_eq!(
        Statement::parse(format!("{text}{{}}").as_bytes()),
        Err(Malformed::Json)
    );
    assert_eq!(Statement::parse(b""), Err(Malformed::StatementLength));
    let long = format!("{text}{}", " ".repeat(MAX_STATEMENT));
    assert_eq!(
        Statement::parse(long.as_bytes()),
        Err(Malformed::StatementLength)
    );
}

proptest! {
    #[test]
    fn any_topic_comes_back(topic in "\\PC*|.*") {
        let sent = Statement { topic, ..statement() };
        let octets = sent.to_octets().expect("writes");
        prop_assert_eq!(Statement::parse(&octets), Ok(sent));
    }

    #[test]
    fn no_edit_makes_the_parser_panic(at in 0_usize..500, octet in any::<u8>()) {
        let mut octets = text().into_bytes();
        let at = at % octets.len();
        octets[at] = octet;
        let _ = Statement::parse(&octets);
    }
}
