//! Connections that are cut in the middle of a message: nothing comes twice, and what is lost is
//! what the kernel had.

use std::cell::Cell;
use std::collections::BTreeSet;

use curvelink::{Context, Curve, Message, Options, Pull, Push};
use curvelink_tests::support::proxy::{Cut, Proxy};
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{bind_tcp, deadline, keys, number, quick, texts};

/// The numbers of the messages that are whole within these octets of a NULL connection.
fn numbers(octets: &[u8]) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    let mut rest = octets.get(64..).unwrap_or_default();
    while let [flags, length, after @ ..] = rest
        && let Some((body, next)) = after.split_at_checked(usize::from(*length))
    {
        assert_eq!(flags & 2, 0, "the test sends short frames");
        if flags & 5 == 1 {
            let text = std::str::from_utf8(body).expect("text");
            // Of the two frames, the second makes the message whole.
            let whole = next.len() >= 2 && next.len() - 2 >= usize::from(next[1]);
            if whole {
                numbers.insert(text.parse().expect("a number"));
            }
        }
        rest = next;
    }
    numbers
}

/// What a cut destroyed: messages that the client's kernel had taken whole, and of which the
/// server got a part or nothing. Nobody could know of them but the proxy.
fn destroyed(cut: &Cut) -> BTreeSet<u64> {
    let given = numbers(&cut.octets[..cut.forwarded]);
    numbers(&cut.octets).difference(&given).copied().collect()
}

#[tokio::test]
async fn a_cut_doubles_nothing_and_loses_only_what_the_kernel_had() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let cuts: Vec<usize> = (0..30).map(|_| 1 + random.below(6000)).collect();
    let proxy = Proxy::start(&bind_tcp(&pull), cuts.clone()).await;
    let push = context.socket::<Push>(quick().send_hwm(100));
    push.connect(&proxy.endpoint()).unwrap();

    let total = Cell::new(usize::MAX);
    let sending = async {
        let mut i = 0;
        while i < total.get() {
            if total.get() == usize::MAX && proxy.cuts().len() == cuts.len() {
                total.set(i + 200);
            }
            let frames = [i.to_string(), "x".repeat(random.below(200))];
            push.send(frames).await.unwrap();
            // The cut should be noticed before the kernel has taken everything.
            tokio::task::yield_now().await;
            i += 1;
        }
    };
    let mut received = Vec::new();
    let receiving = async {
        let mut lost = None;
        while received.len() + lost.as_ref().map_or(0, BTreeSet::len) < total.get() {
            received.push(first_number(&pull.recv().await.unwrap()));
            if total.get() < usize::MAX && lost.is_none() {
                lost = Some(proxy.cuts().iter().flat_map(destroyed).collect());
            }
        }
        lost.unwrap_or_default()
    };
    let ((), lost) = tokio::join!(sending, receiving);
    let once: BTreeSet<u64> = received.iter().copied().collect();
    assert_eq!(once.len(), received.len(), "a message came twice");
    assert!(once.is_disjoint(&lost), "what was destroyed was sent again");
    assert_eq!(once.len() + lost.len(), total.get());
    println!(
        "{} received, {} destroyed on the way",
        once.len(),
        lost.len()
    );
    context.shutdown().await;
}

fn first_number(message: &Message) -> u64 {
    let first = message.first().expect("a frame").clone();
    number(&first.into())
}

/// How many messages are whole within these octets of a CURVE connection: each of one frame is one
/// of the cipher's; what is not a message is a command.
fn sealed_messages(octets: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = octets.get(64..).unwrap_or_default();
    while let [flags, after @ ..] = rest {
        let (length, body) = if flags & 2 == 0 {
            let Some((length, body)) = after.split_first() else {
                break;
            };
            (usize::from(*length), body)
        } else {
            let Some((length, body)) = after.split_first_chunk() else {
                break;
            };
            (u64::from_be_bytes(*length) as usize, body)
        };
        let Some((_, next)) = body.split_at_checked(length) else {
            break;
        };
        count += usize::from(flags & 4 == 0);
        rest = next;
    }
    count
}

#[tokio::test]
async fn a_cut_under_curve_doubles_nothing_and_loses_only_what_the_kernel_had() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::new().unwrap();
    let server = keys();
    let client = Curve::client(keys(), server.public());
    let server = Curve::server(server).accept_anyone();
    let pull = context.socket::<Pull>(Options::new().security(server));
    let cuts: Vec<usize> = (0..15).map(|_| 1 + random.below(8000)).collect();
    let proxy = Proxy::start(&bind_tcp(&pull), cuts.clone()).await;
    let push = context.socket::<Push>(quick().security(client));
    push.connect(&proxy.endpoint()).unwrap();
    let sending = async {
        let mut total = 0;
        while proxy.cuts().len() < cuts.len() || total % 1000 > 0 {
            let padding = " ".repeat(random.below(400));
            push.send(format!("{padding}{total}")).await.unwrap();
            tokio::task::yield_now().await;
            total += 1;
        }
        push.send("end").await.unwrap();
        total
    };
    let receiving = async {
        let mut seen = BTreeSet::new();
        loop {
            let text = texts(&pull.recv().await.unwrap()).concat();
            if text == "end" {
                return seen;
            }
            let message: usize = text.trim().parse().unwrap();
            assert!(seen.insert(message), "{message} came twice");
        }
    };
    let (total, mut seen) = tokio::join!(sending, receiving);
    let destroyed = |cut: &Cut| {
        let given = sealed_messages(&cut.octets[..cut.forwarded]);
        sealed_messages(&cut.octets) - given
    };
    let lost: usize = proxy.cuts().iter().map(destroyed).sum();
    println!("{total} sent, {lost} destroyed on the way");
    // The end may have overtaken what came by an earlier link.
    while seen.len() + lost < total {
        let message = texts(&pull.recv().await.unwrap()).concat();
        let message = message.trim().parse().unwrap();
        assert!(seen.insert(message), "{message} came twice");
    }
    assert_eq!(seen.len() + lost, total);
}
