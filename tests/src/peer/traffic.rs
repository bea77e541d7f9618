//! What is sent in bulk, known to both sides, so that each compares every octet that it receives.

use std::fs;
use std::path::Path;

use curvelink::{Frame, Message};

use crate::support::random::Random;

/// The largest frame.
const LARGEST: usize = 8 << 20;

/// Messages of every shape: empty frames, many frames, bodies from 1 octet to 8 MiB.
///
/// No frame begins with octet 0 or 1: libzmq's XPUB would take it for a subscription.
///
/// # Panics
/// If `count` is too small to hold every shape.
#[must_use]
pub fn messages(count: usize, random: &mut Random) -> Vec<Message> {
    let messages: Vec<_> = (0..count).map(|index| message(index, random)).collect();
    for length in [0, 1, 255, 256, LARGEST] {
        let found = |message: &Message| message.iter().any(|frame| frame.len() == length);
        assert!(messages.iter().any(found), "no frame of {length} octets");
    }
    messages
}

fn message(index: usize, random: &mut Random) -> Message {
    // Most messages are small, as in life; the others come at fixed places, so that none lacks.
    let lengths = match index % 1000 {
        499 if index % 5000 == 499 => vec![LARGEST],
        500 => vec![0, 64 << 10, 0, 1 << 16 | 1],
        501 => vec![3; 64],
        i if i % 100 == 17 => vec![4096, 0],
        i if i % 10 == 1 => vec![1],
        i if i % 10 == 2 => vec![0],
        i if i % 10 == 3 => vec![1, 0, 60],
        i if i % 10 == 4 => vec![255, 256],
        i if i % 10 == 5 => vec![0, 0],
        _ => vec![1 + random.below(100)],
    };
    lengths
        .into_iter()
        .map(|length| frame(length, index, random))
        .collect()
}

/// The index, as far as it fits, then random octets, above 127 all.
fn frame(length: usize, index: usize, random: &mut Random) -> Frame {
    let mut octets = Vec::with_capacity(length + 8);
    octets.extend(
        index
            .to_be_bytes()
            .map(|octet| octet & 0x7f)
            .into_iter()
            .skip(5),
    );
    while octets.len() < length {
        octets.extend(random.below(usize::MAX).to_be_bytes());
    }
    octets.truncate(length);
    octets.iter_mut().for_each(|octet| *octet |= 0x80);
    octets.into()
}

/// Writes the messages as `peer.py` reads them: counts and lengths as 32 bits, big-endian.
///
/// # Panics
/// If the file cannot be written.
pub fn write(messages: &[Message], path: &Path) {
    let mut file = Vec::new();
    let number = |file: &mut Vec<u8>, number: usize| {
        let number = u32::try_from(number).expect("small");
        file.extend(number.to_be_bytes());
    };
    number(&mut file, messages.len());
    for message in messages {
        number(&mut file, message.len());
        for frame in message {
            number(&mut file, frame.len());
            file.extend_from_slice(frame);
        }
    }
    fs::write(path, file).expect("a folder of the test's own");
}
