//! Handshakes that end at each octet: nothing of them stays.
//!
//! `CURVELINK_FULL=1` makes 100 000 of them.
#![cfg(target_os = "linux")]

use std::fs;
use std::time::Duration;

use curvelink::{Context, Curve, Options, Pull, Rights, Socket};
use curvelink_tests::support::{admit, keys, quick, raw};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// What a peer says before it is ready, as far as it can be said without keys.
fn octets(mechanism: &str) -> Vec<u8> {
    if mechanism == "NULL" {
        return raw::null_peer(&[("Socket-Type", b"PUSH")]);
    }
    let mut hello = vec![0; 194];
    hello[0] = 1;
    hello[74..106].fill(9);
    [raw::greeting("CURVE"), raw::command("HELLO", &hello)].concat()
}

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// A connection that ends after each octet, one after the other, the last octet not being said;
/// how many that were.
async fn abort_at_each(endpoint: &str, octets: &[u8]) -> u64 {
    for end in 0..octets.len() {
        let mut stream: TcpStream = raw::dial(endpoint, &octets[..end]).await;
        let _closed_before = stream.shutdown().await;
        raw::closed(&mut stream).await;
    }
    octets.len() as u64
}

/// Waits until only so many tasks are left.
async fn tasks(expected: usize) {
    while Handle::current().metrics().num_alive_tasks() > expected {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn t05_handshakes_that_end_at_any_octet_leave_no_task_and_no_memory() {
    let total = if std::env::var_os("CURVELINK_FULL").is_some() {
        100_000
    } else {
        2000
    };
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let pull = |options: Options| -> (Socket<Pull>, String) {
        let pull = context.socket::<Pull>(options);
        let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap().to_string();
        (pull, endpoint)
    };
    let ends = [
        ("NULL", pull(quick())),
        ("CURVE", pull(quick().security(Curve::server(keys())))),
    ];
    // One more sums up what was refused within a minute.
    let standing = Handle::current().metrics().num_alive_tasks() + 1;
    let mut warm = 0;
    let mut aborted = 0;
    while aborted < total {
        for (mechanism, (socket, endpoint)) in &ends {
            let refused = socket.statistics().refused;
            let count = abort_at_each(endpoint, &octets(mechanism)).await;
            tasks(standing).await;
            assert_eq!(socket.statistics().refused, refused + count, "{mechanism}");
            aborted += count;
        }
        if warm == 0 {
            warm = resident();
        }
    }
    let grown = resident().saturating_sub(warm);
    println!("{aborted} handshakes, {} KiB more", grown >> 10);
    assert!(grown <= 1 << 20, "{grown}");
}
