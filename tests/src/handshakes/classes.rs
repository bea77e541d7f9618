//! What can be wrong with a handshake: the classes of mutations, and which of them curvelink
//! judges otherwise than libzmq.

use super::curve::pair;
use super::script::Mechanism::{self, Curve, Null, Plain};
use super::script::{Frame, Kind, Property, Script};
use crate::fuzz::nacl::WEAK;
use crate::support::random::Random;

/// One way to change a script.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: &'static str,
    of: &'static [Mechanism],
    pub(super) judged: Judged,
    /// Whether that shows where nothing else is wrong, and often.
    pub(super) differs_alone: bool,
    /// Whether frames may follow READY without a pause, which [`EARLY`]'s row says of.
    pub(super) hurries: bool,
    pub(super) change: fn(&mut Script, &mut Random),
}

/// Who may judge otherwise than the other, with words of the one row of `docs/deviations.md` that
/// says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Alike,
    /// curvelink alone refuses.
    Strictly(&'static str),
    /// curvelink alone accepts.
    Freely(&'static str),
}

impl Judged {
    /// The words.
    pub(super) const fn row(self) -> Option<&'static str> {
        match self {
            Self::Alike => None,
            Self::Strictly(words) | Self::Freely(words) => Some(words),
        }
    }
}

/// The classes of a mechanism.
pub(super) fn of(mechanism: Mechanism) -> Vec<&'static Class> {
    let tables = [GREETING, FRAMES, METADATA, ORDER, CREDENTIALS, CURVE];
    let all = tables.into_iter().flatten();
    all.filter(|class| class.of.contains(&mechanism)).collect()
}

const ALL: &[Mechanism] = &Mechanism::ALL;
const CLEAR: &[Mechanism] = &[Null, Plain];

const LEGACY: &str = "falls back to ZMTP 1.0 and 2.0";
const FORMS: &str = "ignores reserved frame flags";
const CURVE_CHECKS: &str = "counters may skip";
const ROUTING_IDS: &str = "ROUTER takes ids that begin with 0";
const OTHERS_COMMANDS: &str = "hands SUBSCRIBE and CANCEL to a ROUTER";
const PROPERTIES: &str = "takes metadata without a socket type";
const EARLY: &str = "refuses what comes before its own READY has gone out";
const MESSAGE_COMMAND: &str = "drops a CURVE MESSAGE in a command frame";

const fn class(
    name: &'static str,
    of: &'static [Mechanism],
    change: fn(&mut Script, &mut Random),
) -> Class {
    Class {
        name,
        of,
        judged: Judged::Alike,
        differs_alone: false,
        hurries: false,
        change,
    }
}

impl Class {
    const fn strictly(mut self, row: &'static str) -> Self {
        self.judged = Judged::Strictly(row);
        self.differs_alone = true;
        self
    }

    /// As `strictly`, but seldom or together with something else.
    const fn seldom_strictly(mut self, row: &'static str) -> Self {
        self.judged = Judged::Strictly(row);
        self
    }

    /// Metadata that is cut between two of its properties is good, and the rest of it may be
    /// commands that nobody knows.
    const fn hurrying(mut self) -> Self {
        self.hurries = true;
        self
    }

    const fn freely(mut self, row: &'static str) -> Self {
        self.judged = Judged::Freely(row);
        self.differs_alone = true;
        self
    }
}

const GREETING: &[Class] = &[
    class("greeting: first octet", ALL, |s, r| {
        s.greeting[0] = below(r, 255)
    })
    .seldom_strictly(LEGACY),
    class("greeting: padding", ALL, |s, r| {
        s.greeting[1 + r.below(8)] = octet(r)
    }),
    class("greeting: end of the signature", ALL, |s, r| {
        s.greeting[9] = octet(r)
    })
    .strictly(LEGACY),
    class("greeting: major version below 3", ALL, |s, r| {
        s.greeting[10] = below(r, 3)
    })
    .strictly(LEGACY),
    class("greeting: major version above 3", ALL, |s, r| {
        s.greeting[10] = 4 + below(r, 252)
    }),
    class("greeting: minor version", ALL, |s, r| {
        s.greeting[11] = pick(r, &[0, 0, 1, 2, 255])
    }),
    class("greeting: another mechanism", ALL, |s, r| {
        let names: [&[u8]; 9] = [
            b"NULL", b"PLAIN", b"CURVE", b"GSSAPI", b"", b"null", b"CURV", b"CURVEX", b"\xff",
        ];
        s.greeting[12..32].fill(0);
        let name = pick(r, &names);
        s.greeting[12..12 + name.len()].copy_from_slice(name);
    }),
    class("greeting: an octet of the mechanism", ALL, |s, r| {
        s.greeting[12 + r.below(20)] = octet(r)
    }),
    class("greeting: as-server", ALL, |s, r| s.greeting[32] = octet(r)),
    class("greeting: filler", ALL, |s, r| {
        s.greeting[33 + r.below(31)] = octet(r)
    }),
];

const FRAMES: &[Class] = &[
    class("frame: reserved flags", ALL, |s, r| {
        frame(s, r).flags |= 8 << r.below(5);
    })
    .strictly(FORMS),
    class("command: MORE", ALL, |s, r| command(s, r).flags |= 1).strictly(FORMS),
    class("command: as a message", ALL, |s, r| {
        command(s, r).flags &= !4;
    })
    .strictly(FORMS),
    class("message: as a command", CLEAR, |s, _| last(s).flags |= 4),
    class("frame: long form", ALL, |s, r| frame(s, r).long = true),
    class("frame: length off by a few", ALL, |s, r| {
        let (by, short) = (1 + r.below(3) as u64, r.below(2) == 0);
        let length = 200 + by;
        let frame = frame(s, r);
        frame.declared = Some(if short { by } else { length });
    })
    // What is left over is read as a frame.
    .strictly(FORMS)
    .hurrying(),
    class("frame: length beyond memory", ALL, |s, r| {
        let lengths = [1 << 40, 1 << 62, u64::MAX >> 1, 1 << 63, u64::MAX];
        let length = pick(r, &lengths);
        frame(s, r).declared = Some(length);
    }),
    class("frame: an octet too many", ALL, |s, r| {
        command(s, r).resized = 1 + r.below(3) as isize;
    }),
    class("frame: an octet too few", ALL, |s, r| {
        command(s, r).resized = -1 - r.below(3) as isize;
    }),
    class("command: empty", ALL, |s, r| {
        command(s, r).resized = -100_000
    }),
    class("command: octet of the name", ALL, |s, r| {
        let (at, bits) = (r.below(8), 1 << r.below(8));
        let name = &mut command(s, r).name;
        let length = name.len();
        if let Some(octet) = name.get_mut(at % length.max(1)) {
            *octet ^= bits;
        }
    }),
    class("command: another name", ALL, |s, r| {
        let names: [&[u8]; 9] = [
            b"HELLO",
            b"WELCOME",
            b"INITIATE",
            b"READY",
            b"ERROR",
            b"PING",
            b"MESSAGE",
            b"",
            b"NOVEL",
        ];
        command(s, r).name = pick(r, &names).to_vec();
    }),
    class("command: length of the name", ALL, |s, r| {
        let length = pick(r, &[0, 1, 4, 6, 7, 9, 127, 255]);
        command(s, r).name_length = Some(length);
    }),
];

const METADATA: &[Class] = &[
    class("metadata: none", ALL, |s, _| s.metadata.clear()).strictly(PROPERTIES),
    class("metadata: no socket type", ALL, |s, _| {
        s.metadata
            .retain(|property| property.name != b"Socket-Type");
    })
    .strictly(PROPERTIES),
    class("metadata: no routing id", ALL, |s, _| {
        s.metadata.retain(|property| property.name != b"Identity");
    }),
    class("metadata: another socket type", ALL, |s, r| {
        let types: [&[u8]; 16] = [
            b"PAIR",
            b"PUB",
            b"SUB",
            b"REQ",
            b"REP",
            b"DEALER",
            b"ROUTER",
            b"PULL",
            b"PUSH",
            b"XPUB",
            b"XSUB",
            b"STREAM",
            b"",
            b"dealer",
            b"DEALE",
            b"DEALER\0",
        ];
        set(s, "Socket-Type", pick(r, &types));
    }),
    class("metadata: routing id that begins with 0", ALL, |s, r| {
        let own = s.metadata.last().map(|id| id.value.clone());
        let zero = [&[0][..], &own.unwrap_or_default()].concat();
        let _length = r.below(2);
        set(s, "Identity", &zero);
    })
    .strictly(ROUTING_IDS),
    class("metadata: length of the routing id", ALL, |s, r| {
        let length = pick(r, &[0, 64, 255]);
        pad_id(s, length);
    }),
    class("metadata: routing id too long", ALL, |s, r| {
        let length = pick(r, &[256, 257, 1000]);
        pad_id(s, length);
    })
    .strictly(ROUTING_IDS),
    class("metadata: a property twice", ALL, |s, r| {
        let at = r.below(s.metadata.len().max(1));
        let twice = s.metadata.get(at).cloned();
        s.metadata.extend(twice);
    })
    .strictly(PROPERTIES),
    class("metadata: a second socket type", ALL, |s, r| {
        let place = r.below(2).min(s.metadata.len());
        let name = pick(r, &["Socket-Type", "SOCKET-TYPE", "socket-type"]);
        s.metadata.insert(place, Property::new(name, b"PUSH"));
    })
    .strictly(PROPERTIES),
    class("metadata: case of a name", ALL, |s, r| {
        if let Some(property) = property(s, r) {
            property.name.make_ascii_uppercase();
        }
    })
    .seldom_strictly(PROPERTIES),
    class(
        "metadata: a name in another case and a wrong value",
        ALL,
        |s, _| {
            for property in &mut s.metadata {
                if property.name == b"Socket-Type" {
                    *property = Property::new("socket-type", b"PUSH");
                }
            }
        },
    )
    .strictly(PROPERTIES),
    class("metadata: an empty name", ALL, |s, r| {
        let at = r.below(3).min(s.metadata.len());
        s.metadata.insert(at, Property::new("", b"value"));
    })
    .strictly(PROPERTIES),
    class("metadata: a name of other characters", ALL, |s, r| {
        let name = pick(r, &["X Y", "X\u{e9}", "X\0", "_", "1"]);
        s.metadata.push(Property::new(name, b"value"));
    }),
    class("metadata: an unknown property", ALL, |s, r| {
        let length = pick(r, &[0, 1, 255, 256, 4000]);
        s.metadata
            .push(Property::new("X-Build", &vec![b'v'; length]));
    }),
    class("metadata: a name of 255", ALL, |s, _| {
        s.metadata.push(Property::new(&"n".repeat(255), b"value"));
    }),
    class(
        "metadata: a name that is not the peer's to give",
        ALL,
        |s, r| {
            let name = pick(r, &["User-Id", "user-id", "Peer-Address", "__fd"]);
            s.metadata.push(Property::new(name, b"admin"));
        },
    ),
    class("metadata: over 32 properties", ALL, |s, r| {
        for number in 0..33 + r.below(50) {
            s.metadata.push(Property::new(&format!("X-{number}"), b""));
        }
    })
    .strictly(PROPERTIES),
    class("metadata: over 8 KiB", ALL, |s, r| {
        let length = 8 * 1024 + r.below(60_000);
        s.metadata
            .push(Property::new("X-Large", &vec![b'v'; length]));
    })
    .strictly(PROPERTIES),
    class("metadata: trailing octets", ALL, |s, r| {
        s.metadata_tail = vec![octet(r); 1 + r.below(4)];
    })
    .seldom_strictly(PROPERTIES),
    class("metadata: length of a name", ALL, |s, r| {
        let length = octet(r);
        if let Some(property) = property(s, r) {
            property.name_length = Some(length);
        }
    })
    .seldom_strictly(PROPERTIES),
    class("metadata: length of a value", ALL, |s, r| {
        let length = pick(
            r,
            &[0, 1, 5, 7, 255, 1 << 16, i32::MAX as u32, 1 << 31, u32::MAX],
        );
        if let Some(property) = property(s, r) {
            property.value_length = Some(length);
        }
    })
    .seldom_strictly(PROPERTIES),
    class("metadata: octet of a name", ALL, |s, r| {
        let (at, bits) = (r.below(32), 1 << r.below(8));
        if let Some(property) = property(s, r) {
            let length = property.name.len();
            if let Some(octet) = property.name.get_mut(at % length.max(1)) {
                *octet ^= bits;
            }
        }
    })
    .strictly(PROPERTIES),
];

const ORDER: &[Class] = &[
    class("order: a command is missing", ALL, |s, r| {
        let at = place(s, r);
        // The message stays: without it nobody could be said to be let in.
        if s.frames.len() > 1 {
            s.frames.remove(at);
        }
    }),
    class("order: a command twice", ALL, |s, r| {
        let at = place(s, r);
        s.frames.insert(at + 1, Frame::again());
    }),
    class("order: two frames change places", ALL, |s, r| {
        let at = place(s, r);
        if s.frames.len() > 1 {
            s.frames.swap(at, at + 1);
        }
    }),
    class(
        "order: a command that does not belong there",
        ALL,
        |s, r| {
            let names = [
                ("ERROR", &b"\x03400"[..]),
                ("ERROR", b""),
                ("PING", b"\0\x0a"),
                ("PONG", b""),
                ("READY", b""),
                ("WELCOME", b""),
                ("HELLO", b""),
                ("SUBSCRIBE", b"x"),
                ("NOVEL", b"x"),
            ];
            let (name, body) = pick(r, &names);
            let at = place(s, r);
            s.frames
                .insert(at, Frame::command(name, Kind::Octets(body.to_vec())));
        },
    ),
    class("order: a message before its time", ALL, |s, r| {
        let at = place(s, r);
        s.frames
            .insert(at, Frame::message(r.below(2) as u8, b"early"));
    }),
    class("order: all at once", CLEAR, |s, _| {
        for frame in &mut s.frames {
            frame.answered = false;
        }
    })
    .freely(EARLY),
    class("traffic: a command before the message", CLEAR, |s, r| {
        let names = [
            ("PING", &b"\0\x0a"[..]),
            ("PING", b"\0\x0acontext"),
            ("PING", b"\xff\xff"),
            ("PONG", b"context"),
            ("JOIN", b"x"),
            ("LEAVE", b"x"),
            ("NOVEL", b"x"),
            ("READY", b""),
            ("ERROR", b"\x03400"),
        ];
        let (name, body) = pick(r, &names);
        before_message(s, Frame::command(name, Kind::Octets(body.to_vec())));
    })
    .seldom_strictly(FORMS),
    class("traffic: a subscription before the message", ALL, |s, r| {
        let names = [
            ("SUBSCRIBE", &b"\x09SUBSCRIBEx"[..]),
            ("CANCEL", b"\x06CANCELx"),
        ];
        let (name, boxed) = pick(r, &names);
        let frame = match s.mechanism {
            Curve => Frame::message(2, boxed),
            _ => Frame::command(name, Kind::Octets(b"x".to_vec())),
        };
        before_message(s, frame);
    })
    .seldom_strictly(OTHERS_COMMANDS),
    class(
        "traffic: a broken command before the message",
        CLEAR,
        |s, r| {
            let broken = match r.below(4) {
                0 => Frame::command("PING", Kind::Octets(Vec::new())),
                1 => Frame::command("PING", Kind::Octets(vec![0; 19])),
                2 => Frame::command("", Kind::Octets(Vec::new())),
                _ => Frame {
                    name_length: Some(200),
                    ..Frame::command("PING", Kind::Octets(vec![0; 2]))
                },
            };
            before_message(s, broken);
        },
    )
    .strictly(FORMS),
    class("traffic: a message of several frames", ALL, |s, r| {
        let body = vec![b'b'; pick(r, &[0, 1, 255, 256, 8192])];
        before_message(s, Frame::message(1, &body));
    }),
    class("traffic: a message that never ends", ALL, |s, _| {
        if let Kind::Message { inside, .. } = &mut last(s).kind {
            *inside = 1;
        }
    }),
    class("traffic: length of the message", ALL, |s, r| {
        let length = pick(r, &[0, 1, 254, 255, 256, 8191, 8192, 70_000]);
        if let Kind::Message { body, .. } = &mut last(s).kind {
            body.resize(length, b'm');
        }
    }),
    class("stream: truncated", ALL, |s, r| {
        let whole = 64 + 60 * s.frames.len();
        s.cut = Some(1 + r.below(whole));
    }),
    class("stream: in pieces", ALL, |s, r| s.pieces = 1 + r.below(40)),
];

const CREDENTIALS: &[Class] = &[
    class("PLAIN: wrong name", &[Plain], |s, r| {
        s.user.text = pick(r, &[&b""[..], b"Scanner", b"scanne", b"scanner\0"]).to_vec();
    }),
    class("PLAIN: wrong password", &[Plain], |s, r| {
        s.password.text = pick(r, &[&b""[..], b"open", b"open/door\0", b"\xff"]).to_vec();
    }),
    class("PLAIN: long credentials", &[Plain], |s, r| {
        s.password.text.resize(200 + r.below(56), b'x');
    }),
    class("PLAIN: length of the name", &[Plain], |s, r| {
        s.user.length = Some(octet(r))
    }),
    class("PLAIN: length of the password", &[Plain], |s, r| {
        s.password.length = Some(octet(r));
    }),
];

const CURVE: &[Class] = &[
    class("HELLO: version", &[Curve], |s, r| {
        s.curve.version = pick(r, &[[1, 1], [0, 0], [2, 0], [0, 1]]);
    }),
    class("HELLO: padding", &[Curve], |s, r| {
        s.curve.padding[r.below(72)] = 1 + below(r, 255);
    })
    .strictly(CURVE_CHECKS),
    class("HELLO: another transient key", &[Curve], |s, r| {
        s.curve.claimed_transient = if r.below(2) == 0 {
            pick(r, &WEAK)
        } else {
            s.curve.keys.0
        };
    }),
    class("HELLO: counter", &[Curve], |s, r| {
        s.curve.hello_counter = pick(r, &[0, 2, 9, 1 << 32, u64::MAX - 8]);
    }),
    class("HELLO: box of other octets", &[Curve], |s, r| {
        s.curve.signature[r.below(64)] = 1 + below(r, 255);
    })
    .strictly(CURVE_CHECKS),
    class("HELLO: for another server", &[Curve], |s, r| {
        s.curve.server = pair([octet(r); 32]).0;
    }),
    class("command: an octet of it", &[Curve], |s, r| {
        let (at, bits) = (r.below(400), 1 << r.below(8));
        let frame = command(s, r);
        // HELLO's padding is a class of its own.
        let skipped = if frame.kind == Kind::CurveHello {
            80
        } else {
            9
        };
        frame.flips.push((skipped + at % 120, bits));
    }),
    class("INITIATE: cookie", &[Curve], |s, r| {
        s.curve.cookie_flip = (r.below(96), 1 + below(r, 255));
    }),
    class("INITIATE: counter", &[Curve], |s, r| {
        s.curve.initiate_step = pick(r, &[0, -1, 2, 3, 1 << 40]);
    })
    .strictly(CURVE_CHECKS),
    class("INITIATE: an unknown client", &[Curve], |s, r| {
        let (public, secret) = pair([octet(r); 32]);
        (s.curve.claimed, s.curve.vouch_secret) = (public, secret);
    }),
    class("INITIATE: a client that it is not", &[Curve], |s, r| {
        s.curve.vouch_secret = pair([octet(r); 32]).1;
    }),
    class("INITIATE: a client of low order", &[Curve], |s, r| {
        s.curve.claimed = pick(r, &WEAK);
    }),
    class(
        "INITIATE: vouch for another connection",
        &[Curve],
        |s, r| {
            s.curve.vouched_transient = pair([octet(r); 32]).0;
        },
    ),
    class("INITIATE: vouch for another server", &[Curve], |s, r| {
        s.curve.vouched_server = pair([octet(r); 32]).0;
    })
    .strictly(CURVE_CHECKS),
    class("INITIATE: an octet of the vouch", &[Curve], |s, r| {
        s.curve.vouch_flip = (r.below(96), 1 + below(r, 255));
    }),
    class("MESSAGE: counter goes on", &[Curve], |s, r| {
        s.curve.message_step = pick(r, &[2, 3, 1 << 40]);
    })
    .strictly(CURVE_CHECKS),
    class("MESSAGE: counter goes back", &[Curve], |s, r| {
        s.curve.message_step = pick(r, &[0, -1]);
    }),
    class("MESSAGE: as a command", &[Curve], |s, _| last(s).flags |= 4).freely(MESSAGE_COMMAND),
    class("MESSAGE: MORE outside of the box", &[Curve], |s, _| {
        last(s).flags |= 1
    })
    // libzmq takes it for the mark in the box.
    .seldom_strictly(FORMS),
    class("MESSAGE: flags in the box", &[Curve], |s, r| {
        let bits = 4 << r.below(6);
        if let Kind::Message { inside, .. } = &mut last(s).kind {
            *inside |= bits;
        }
    })
    .strictly(FORMS),
    class("MESSAGE: a command in the box", &[Curve], |s, r| {
        let bodies: [&[u8]; 3] = [b"\x04PING\0\x0a", b"\x05NOVELx", b"\x04PONG"];
        before_message(s, Frame::message(2, pick(r, &bodies)));
    }),
    class("MESSAGE: an octet of it", &[Curve], |s, r| {
        let flip = (r.below(38), 1 << r.below(8));
        last(s).flips.push(flip);
    }),
];

fn below(random: &mut Random, end: usize) -> u8 {
    random.below(end) as u8
}

fn octet(random: &mut Random) -> u8 {
    below(random, 256)
}

fn pick<T: Copy>(random: &mut Random, among: &[T]) -> T {
    among[random.below(among.len())]
}

fn frame<'a>(script: &'a mut Script, random: &mut Random) -> &'a mut Frame {
    let at = random.below(script.frames.len());
    &mut script.frames[at]
}

/// Where a frame of the handshake is.
fn place(script: &Script, random: &mut Random) -> usize {
    random.below((script.frames.len() - 1).max(1))
}

/// A frame of the handshake.
fn command<'a>(script: &'a mut Script, random: &mut Random) -> &'a mut Frame {
    let at = place(script, random);
    &mut script.frames[at]
}

fn last(script: &mut Script) -> &mut Frame {
    let at = script.frames.len() - 1;
    &mut script.frames[at]
}

fn before_message(script: &mut Script, frame: Frame) {
    script.frames.insert(script.frames.len() - 1, frame);
}

fn property<'a>(script: &'a mut Script, random: &mut Random) -> Option<&'a mut Property> {
    let at = random.below(script.metadata.len().max(1));
    script.metadata.get_mut(at)
}

fn set(script: &mut Script, name: &str, value: &[u8]) {
    for property in &mut script.metadata {
        if property.name == name.as_bytes() {
            property.value = value.to_vec();
        }
    }
}

fn pad_id(script: &mut Script, length: usize) {
    for property in &mut script.metadata {
        if property.name == b"Identity" {
            let mut id = property.value.clone();
            id.resize(length, b'i');
            property.value = id;
        }
    }
}
