//! `curvelink witness ...`

use std::path::Path;

use curvelink::Context;
use serde_json::json;

use super::audit::text_or_file;
use super::init;
use crate::args::witness::{WitnessCommand, WitnessInitArgs, WitnessUpArgs, WitnessWatchArgs};
use crate::audit::default_name;
use crate::exit::usage;
use crate::stop::stop_signal;
use crate::witness::{Folder, NewWitness, Seen, Service};
use crate::{key, log, output};

pub(crate) async fn run(command: WitnessCommand, dir: Option<&Path>) -> anyhow::Result<()> {
    match command {
        WitnessCommand::Init(args) => init(&args),
        WitnessCommand::Watch(args) => watch(&args, dir),
        WitnessCommand::Up(args) => up(&args, dir).await,
        WitnessCommand::Show { json } => show(json, dir),
    }
}

fn init(args: &WitnessInitArgs) -> anyhow::Result<()> {
    let dir = &args.dir;
    init::make_empty_folder(dir)?;
    let keys = dir.join("keys");
    init::make_private_folder(&keys)?;
    let server = init::curve(&keys, "witness")?;
    init::sign(&keys, "cosigner")?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => default_name(dir)?,
    };
    let new = NewWitness {
        endpoint: &args.endpoint,
        public_key: &server.to_z85(),
        name: &name,
    };
    let cosigner = new.write(dir)?;
    output::line(&format!(
        "[[audit.witness]]\nendpoint = {:?}\nserver_key = {:?}\nkey = \"{cosigner}\"",
        args.endpoint,
        server.to_z85(),
    ))?;
    output::note(&format!(
        "each hub has these lines in its curvelink.toml, with the address where it reaches this \
         witness\nnext: cd {} && curvelink witness watch ANCHOR --hub KEY && curvelink witness up",
        dir.display()
    ));
    Ok(())
}

fn watch(args: &WitnessWatchArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let folder = Folder::find(dir)?;
    let anchor = text_or_file(&args.anchor)?;
    let anchor = anchor.trim().parse().map_err(|_| {
        usage("the anchor is no key of a journal: give the line that `curvelink init` printed")
    })?;
    let hub = key::curve_public(&args.hub)?;
    folder.watch(&anchor, &hub)?;
    output::line(&format!(
        "watched: {}, as the hub {} tells of it",
        anchor.name(),
        hub.fingerprint()
    ))?;
    Ok(())
}

async fn up(args: &WitnessUpArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    log::start(args.log);
    let folder = Folder::find(dir)?;
    let context = Context::new()?;
    // Before the line that says so, a signal must already be a stop and not a kill.
    let stop = stop_signal()?;
    let service = Service::bind(&context, folder)?;
    output::line(&format!("ready  {}", service.endpoint()))?;
    let ended = service.run(stop).await;
    context.shutdown().await;
    ended
}

fn show(as_json: bool, dir: Option<&Path>) -> anyhow::Result<()> {
    for seen in Folder::find(dir)?.seen()? {
        let Seen {
            checkpoint,
            time,
            file,
        } = seen;
        let (origin, head) = (checkpoint.origin, checkpoint.head);
        let shown = json!({
            "origin": origin, "size": head.size, "root": head.root.to_string(), "time": time,
            "checkpoint": file,
        });
        output::either(as_json, &shown, || {
            format!("{origin}  {} entries  {}", head.size, file.display())
        })?;
    }
    Ok(())
}
