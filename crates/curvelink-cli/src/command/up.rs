//! `curvelink up`: the hub, until it is told to stop.

use std::io;
use std::path::Path;
use std::sync::Arc;

use curvelink::Context;
use curvelink_audit::Journal;
use curvelink_zap::{FileWatch, RECHECK};
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use crate::args::hub::UpArgs;
use crate::audit::{Keeper, Place};
use crate::control::{Control, Order, Request};
use crate::home::Home;
use crate::hub::Hub;
use crate::sink::Sinks;
use crate::stop::stop_signal;
use crate::witness::Witnesses;
use crate::{log, output};

pub(crate) async fn run(args: &UpArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    log::start(args.log);
    let home = Home::find(dir)?;
    let context = Context::new()?;
    // Before the line that says so, a signal must already be a stop and not a kill.
    let stop = stop_signal()?;
    let control = Control::open(&home.path("run"))?;
    let journal = open_journal(&home)?;
    let keeper = Keeper::start(&context, journal.as_ref(), Sinks::start(&context, &home)?);
    let mut hub = Hub::bind(&context, &home, journal.as_ref())?;
    let witnesses = journal
        .as_ref()
        .and_then(|journal| Witnesses::start(&context, &home, journal));
    if let Some(witnesses) = &witnesses {
        hub.show_witnesses(witnesses);
    }
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
    let orders = hub.control();
    let _watch = watch(&home, orders.clone())?;
    let ended = tokio::select! {
        ended = hub.run(stop) => ended,
        () = control.serve(orders) => Ok(()),
    };
    drop((control, witnesses));
    home.forget_endpoints();
    context.shutdown().await;
    let recorded = match keeper {
        Some(keeper) => keeper.close().await,
        None => Ok(()),
    };
    ended.and(recorded)
}

fn open_journal(home: &Home) -> anyhow::Result<Option<Arc<Journal>>> {
    let wanted = home.config.audit.journal;
    wanted.then(|| Place::of(home).open(home)).transpose()
}

/// Has the hub read its files again whenever the policy changes, however it is replaced.
fn watch(home: &Home, orders: Sender<Order>) -> io::Result<FileWatch> {
    FileWatch::start(home.policy_path(), RECHECK, move || {
        let (answer, _nobody_waits) = oneshot::channel();
        let request = Request::Reload {};
        // A hub that has stopped reads nothing any more.
        let _ = orders.blocking_send(Order { request, answer });
    })
}
