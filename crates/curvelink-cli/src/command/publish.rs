//! `curvelink pub [ENDPOINT] TOPIC [FILE]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use curvelink::{Context, Frame, Message, Pub};
use curvelink_envelope::{Signer, Trailer};
use serde::Serialize;
use tokio::time::timeout;

use crate::args::socket::PubArgs;
use crate::exit::{Exit, OrExit, failure, one_line, usage};
use crate::home::Home;
use crate::hub::{self, Client};
use crate::link::{Link, PATIENCE, Security};
use crate::message::{Cut, Input, content_type, path_of};
use crate::output;
use crate::sign::Pen;
use crate::source::share_no_stdin;

pub(crate) async fn run(args: &PubArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let settings = Settings::new(args, dir)?;
    let context = Context::new()?;
    if settings.direct {
        to_subscribers(&context, settings).await?;
    } else {
        to_hub(&context, settings).await?;
    }
    context.shutdown().await;
    Ok(())
}

/// What the arguments mean.
struct Settings {
    endpoint: Option<String>,
    home: Option<Home>,
    topic: String,
    file: PathBuf,
    cut: Cut,
    content_type: String,
    security: Security,
    bind: bool,
    direct: bool,
    pen: Option<Pen>,
    wait: usize,
    patience: Duration,
    json: bool,
}

impl Settings {
    fn new(args: &PubArgs, dir: Option<&Path>) -> anyhow::Result<Self> {
        let (endpoint, words) = endpoint_and_rest(&args.words);
        let [topic, file @ ..] = words else {
            return Err(usage("which topic? curvelink pub [ENDPOINT] TOPIC [FILE]"));
        };
        if file.len() > 1 {
            return Err(usage(
                "too many words: an ENDPOINT begins with tcp:// or ipc://, then TOPIC, then FILE",
            ));
        }
        let home = Home::find_any(dir)?;
        if endpoint.is_none() && (home.is_none() || args.direct || args.bind) {
            return Err(usage(
                "where to? give an ENDPOINT, or run this in the folder of a hub for its own",
            ));
        }
        let file = path_of(file.first());
        share_no_stdin([
            args.security.key.as_deref(),
            args.sign.sign_key.as_deref(),
            file.to_str(),
        ])?;
        let by_name = || content_type(&file).to_owned();
        Ok(Self {
            endpoint: endpoint.cloned(),
            topic: topic.clone(),
            cut: Cut::from(&args.cut),
            content_type: args.sign.content_type.clone().unwrap_or_else(by_name),
            security: Security::new(&args.security, args.bind, home.as_ref())?,
            bind: args.bind,
            direct: args.direct || args.bind,
            pen: Pen::new(&args.sign, args.security.identity.as_deref(), home.as_ref())?,
            wait: args.wait,
            patience: args.patience.timeout.unwrap_or(PATIENCE),
            json: args.json,
            home,
            file,
        })
    }
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

async fn to_hub(context: &Context, settings: Settings) -> anyhow::Result<()> {
    let endpoint = match (&settings.endpoint, &settings.home) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(home)) => hub::endpoints(home, settings.patience).await?.ingest,
        (None, None) => return Err(usage("where to? give an ENDPOINT")),
    };
    let link = Link {
        endpoint,
        bind: false,
        security: settings.security,
    };
    // Connected first: that this side is refused matters more than what it had to say.
    let mut hub = Client::connect(context, link, settings.patience).await?;
    hub.wait_for_subscribers(&settings.topic, settings.wait)
        .await?;
    let mut input = Input::open(&settings.file, settings.cut)?;
    let mut signer = begin(settings.pen, settings.patience).await?;
    while let Some(body) = input.next().await? {
        let message = compose(
            &settings.topic,
            body,
            signer.as_mut(),
            &settings.content_type,
        )?;
        let sent = Sent::of(&message, signer.as_ref());
        let ack = hub.ask(message).await?;
        let sent = Sent {
            to: ack.subscribers.len(),
            subscribers: ack.subscribers,
            unconfirmed: ack.unconfirmed,
            ..sent
        };
        output::either(settings.json, &sent, || sent.text())?;
    }
    end(signer)
}

async fn to_subscribers(context: &Context, settings: Settings) -> anyhow::Result<()> {
    let (topic, wait, patience) = (settings.topic, settings.wait, settings.patience);
    let endpoint = settings
        .endpoint
        .ok_or_else(|| usage("where to? give an ENDPOINT"))?;
    let link = Link {
        endpoint,
        bind: settings.bind,
        security: settings.security,
    };
    let mut linked = link.open::<Pub>(context)?;
    if !settings.bind {
        linked.established(1, patience).await?;
    }
    let subscribed = linked.socket.wait_for_subscribers(topic.as_str(), wait);
    timeout(patience, subscribed).await.map_err(|_| {
        failure(
            Exit::TimedOut,
            format!(
                "{}: {} of {wait} subscribers came within {} s: start one, or send to whoever is \
                 there with --wait 0",
                linked.endpoint,
                linked.socket.subscribers(topic.as_bytes()).len(),
                patience.as_secs_f64()
            ),
        )
    })?;
    let mut input = Input::open(&settings.file, settings.cut)?;
    let mut signer = begin(settings.pen, patience).await?;
    while let Some(body) = input.next().await? {
        let message = compose(&topic, body, signer.as_mut(), &settings.content_type)?;
        let sent = Sent::of(&message, signer.as_ref());
        let peers = linked.socket.subscribers(topic.as_bytes());
        linked.socket.send(message).await.or_exit(Exit::Refused)?;
        let names = peers
            .iter()
            .filter_map(|peer| peer.name.as_deref().map(str::to_owned));
        let sent = Sent {
            to: peers.len(),
            subscribers: names.collect(),
            ..sent
        };
        output::either(settings.json, &sent, || sent.text())?;
    }
    end(signer)
}

async fn begin(pen: Option<Pen>, patience: Duration) -> anyhow::Result<Option<Signer>> {
    match pen {
        Some(pen) => pen.signer(patience).await.map(Some),
        None => Ok(None),
    }
}

/// Saves where the numbering stands, so that receivers see a gap across the next start.
fn end(signer: Option<Signer>) -> anyhow::Result<()> {
    match signer {
        Some(mut signer) => Ok(signer.save()?),
        None => Ok(()),
    }
}

/// Topic, body and, where somebody signs, the envelope.
fn compose(
    topic: &str,
    mut body: Message,
    signer: Option<&mut Signer>,
    content_type: &str,
) -> anyhow::Result<Message> {
    body.push_front(topic);
    if let Some(signer) = signer {
        let frames: Vec<&Frame> = body.iter().collect();
        let envelope = signer.sign(&frames, content_type)?;
        body.push_back(envelope);
    }
    Ok(body)
}

/// What is told of a message that was sent.
#[derive(Serialize)]
struct Sent {
    to: usize,
    subscribers: Vec<String>,
    /// Who should have confirmed the message and did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unconfirmed: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    signed: Option<Signed>,
}

#[derive(Serialize)]
struct Signed {
    seq: u64,
    /// SHA-256 of the first body frame: what `sha256sum FILE` says.
    sha256: String,
    signer: String,
    key: String,
}

impl Sent {
    fn of(message: &Message, signer: Option<&Signer>) -> Self {
        let signed = signer.and_then(|signer| {
            let statement = Trailer::parse(message.last()?).ok()?.statement().ok()?;
            Some(Signed {
                seq: statement.seq,
                sha256: output::hex(statement.frames.get(1)?),
                signer: statement.signer,
                key: signer.verifying_key().fingerprint(),
            })
        });
        Self {
            to: 0,
            subscribers: Vec::new(),
            unconfirmed: Vec::new(),
            signed,
        }
    }

    fn text(&self) -> String {
        let plural = if self.to == 1 { "" } else { "s" };
        let names = match self.subscribers.is_empty() {
            true => String::new(),
            false => format!(" ({})", one_line(&self.subscribers.join(", "))),
        };
        let signed = self.signed.as_ref().map(|signed| {
            format!(
                "  seq {}  sha256:{}  signed by {} {}",
                signed.seq, signed.sha256, signed.signer, signed.key
            )
        });
        let unconfirmed = match self.unconfirmed.is_empty() {
            true => String::new(),
            false => format!(", not confirmed by {}", self.unconfirmed.join(", ")),
        };
        format!(
            "sent to {} subscriber{plural}{names}{unconfirmed}{}",
            self.to,
            signed.unwrap_or_default()
        )
    }
}
