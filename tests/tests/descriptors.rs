//! File descriptors, counted in a process that runs no other test.
#![cfg(target_os = "linux")]

use curvelink::{Context, Options, Pull, Push};
use curvelink_tests::support::{bind_tcp, deadline, quick};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[test]
fn sockets_that_are_closed_leave_no_descriptor_behind() {
    let _deadline = deadline();
    // What tokio opens once for the whole process is not what we look for.
    drop(tokio::runtime::Runtime::new().unwrap());
    let before = descriptors();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let context = Context::new().unwrap();
        let mut after_first = 0;
        for round in 0..20 {
            for _ in 0..50 {
                let pull = context.socket::<Pull>(Options::new());
                let endpoint = bind_tcp(&pull);
                let pushes = [(); 3].map(|()| context.socket::<Push>(quick()));
                for push in &pushes {
                    push.connect(&endpoint).unwrap();
                    push.send("x").await.unwrap();
                }
                for _ in &pushes {
                    pull.recv().await.unwrap();
                }
            }
            context.shutdown().await;
            match round {
                0 => after_first = descriptors(),
                _ => assert_eq!(descriptors(), after_first, "round {round}"),
            }
        }
    });
    drop(runtime);
    assert_eq!(descriptors(), before);
}
