//! `curvelink up`: the hub, until it is told to stop.

use std::future::Future;
use std::io;
use std::path::Path;

use curvelink::Context;
use serde_json::json;

use crate::args::hub::UpArgs;
use crate::home::Home;
use crate::hub::Hub;
use crate::{log, output};

pub(crate) async fn run(args: &UpArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    log::start(args.log);
    let home = Home::find(dir)?;
    let context = Context::new()?;
    // Before the line that says so, a signal must already be a stop and not a kill.
    let stop = stop_signal()?;
    let hub = Hub::bind(&context, &home)?;
    let endpoints = hub.endpoints();
    home.tell_endpoints(endpoints)?;
    let ready = json!({
        "ready": true, "ingest": endpoints.ingest, "feed": endpoints.feed, "key": hub.key(),
    });
    output::either(args.json, &ready, || {
        format!(
            "ready  ingest {}  feed {}  key {}",
            endpoints.ingest,
            endpoints.feed,
            hub.key()
        )
    })?;
    let ended = hub.run(stop).await;
    home.forget_endpoints();
    context.shutdown().await;
    ended
}

/// Resolves at the first SIGINT or SIGTERM from now on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
