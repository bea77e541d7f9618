//! `curvelink pub [ENDPOINT] TOPIC [FILE]`

mod desk;
mod outlet;
mod publisher;
mod sent;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use curvelink::{Context, Frame, Message};
use curvelink_envelope::{Trailer, file};

use crate::args::socket::{PubArgs, TrustArgs};
use crate::exit::{Exit, OrExit, usage};
use crate::home::Home;
use crate::link::{PATIENCE, Security};
use crate::message::{Cut, Input, path_of};
use crate::sign::{Pen, Remarks};
use crate::source::share_no_stdin;
use crate::trust::Trust;
use desk::{Beats, Desk};
use outlet::{Outlet, Route};
use publisher::Publisher;

pub(crate) async fn run(args: &PubArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let (route, what) = read(args, dir)?;
    let context = Context::new()?;
    let patience = route.patience;
    // Connected first: that this side is refused matters more than what it had to say.
    let outlet = Outlet::open(&context, route, what.topic()).await?;
    match what {
        What::Envelope { message, .. } => {
            let mut publisher = Publisher::new(outlet, None, args.json);
            publisher.pass_on(message).await?;
        }
        What::Input(said) => {
            let input = Input::open(&said.file, said.cut)?;
            let desk = match said.pen {
                Some((pen, remarks)) => Some(Desk::open(pen, remarks, said.beats, patience).await?),
                None => None,
            };
            let publisher = Publisher::new(outlet, desk, args.json);
            let stays = matches!(said.beats, Beats::Every(_));
            publisher.run(input, &said.topic, stays).await?;
        }
    }
    context.shutdown().await;
    Ok(())
}

/// What is sent.
enum What {
    /// A message that has its signatures.
    Envelope { topic: String, message: Message },
    /// What is read, under one topic.
    Input(Box<Said>),
}

struct Said {
    topic: String,
    file: PathBuf,
    cut: Cut,
    pen: Option<(Pen, Remarks)>,
    beats: Beats,
}

impl What {
    fn topic(&self) -> &str {
        match self {
            Self::Envelope { topic, .. } => topic,
            Self::Input(said) => &said.topic,
        }
    }
}

/// What the arguments mean.
fn read(args: &PubArgs, dir: Option<&Path>) -> anyhow::Result<(Route, What)> {
    let (endpoint, words) = endpoint_and_rest(&args.words);
    let home = Home::find_any(dir)?;
    if endpoint.is_none() && (home.is_none() || args.direct || args.bind) {
        return Err(usage(
            "where to? give an ENDPOINT, or run this in the folder of a hub for its own",
        ));
    }
    let what = match &args.envelope {
        Some(path) if words.is_empty() => {
            // Of what another hub asks for this folder knows nothing.
            let home = home.as_ref().filter(|_| endpoint.is_none());
            load(path, home)?
        }
        Some(_) => return Err(usage("--envelope has its topic and body: name neither")),
        None => What::Input(said(args, words, home.as_ref())?.into()),
    };
    let route = Route {
        endpoint: endpoint.cloned(),
        security: Security::new(&args.security, args.bind, home.as_ref())?,
        home,
        bind: args.bind,
        direct: args.direct || args.bind,
        wait: args.wait,
        patience: args.patience.timeout.unwrap_or(PATIENCE),
    };
    Ok((route, what))
}

fn load(path: &Path, home: Option<&Home>) -> anyhow::Result<What> {
    let name = || path.display().to_string();
    let frames = file::load(path).with_context(name).or_exit(Exit::Damaged)?;
    if let Some(trust) = Trust::new(&TrustArgs::default(), home)? {
        // Better to hear it here than to be refused.
        let checked = trust.verifier.verify_at_rest(&frames);
        checked
            .with_context(name)
            .or_exit(Exit::VerificationFailed)?;
    }
    let trailer = frames.last().map_or(&[][..], Vec::as_slice);
    let statement = Trailer::parse(trailer)
        .and_then(|trailer| trailer.statement())
        .with_context(name)
        .or_exit(Exit::Damaged)?;
    let frames: Vec<Frame> = frames.into_iter().map(Frame::from).collect();
    Ok(What::Envelope {
        topic: statement.topic,
        message: Message::from(frames),
    })
}

fn said(args: &PubArgs, words: &[String], home: Option<&Home>) -> anyhow::Result<Said> {
    let [topic, file @ ..] = words else {
        return Err(usage("which topic? curvelink pub [ENDPOINT] TOPIC [FILE]"));
    };
    if file.len() > 1 {
        return Err(usage(
            "too many words: an ENDPOINT begins with tcp:// or ipc://, then TOPIC, then FILE",
        ));
    }
    let file = path_of(file.first());
    share_no_stdin([
        args.security.key.as_deref(),
        args.sign.sign_key.as_deref(),
        file.to_str(),
    ])?;
    let pen = Pen::new(&args.sign, args.security.identity.as_deref(), home, topic)?;
    let pen = match pen {
        Some(pen) => Some((pen, Remarks::new(&args.sign, &file)?)),
        None => None,
    };
    if pen.is_none() && args.sign.traceparent.is_some() {
        return Err(usage(
            "a trace is part of what is signed, and nothing is here: leave --traceparent out",
        ));
    }
    let beats = Beats::new(args.heartbeat)?;
    if pen.is_none() && matches!(beats, Beats::Every(_)) {
        return Err(usage(
            "heartbeats are signed, and this topic is not: leave --heartbeat out",
        ));
    }
    if let Some((threshold, _)) = home
        .and_then(|home| home.config.envelope.signers(topic))
        .filter(|(threshold, _)| *threshold > 1 && pen.is_some())
    {
        return Err(usage(format!(
            "{topic} needs {threshold} signers: see `curvelink sign --help`, then pub --envelope"
        )));
    }
    Ok(Said {
        topic: topic.clone(),
        cut: Cut::from(&args.cut),
        pen,
        beats,
        file,
    })
}

/// The endpoint, if the first word is one, and the other words.
pub(super) fn endpoint_and_rest(words: &[String]) -> (Option<&String>, &[String]) {
    match words {
        [first, rest @ ..] if is_endpoint(first) => (Some(first), rest),
        _ => (None, words),
    }
}

fn is_endpoint(word: &str) -> bool {
    ["tcp://", "ipc://", "inproc://"]
        .iter()
        .any(|transport| word.starts_with(transport))
}
