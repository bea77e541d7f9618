//! `curvelink sub [ENDPOINT] PREFIX...`

use std::path::Path;
use std::time::Duration;

use curvelink::{Context, Message, Socket, Sub};
use curvelink_envelope::{Verified, Verifier, Via};
use serde_json::json;

use super::publish::endpoint_and_rest;
use crate::args::socket::SubArgs;
use crate::exit::{Exit, failure, one_line, usage};
use crate::home::Home;
use crate::hub::{self, Receipts, is_system};
use crate::inbox::Inbox;
use crate::link::{Link, PATIENCE, Security};
use crate::message::{self, Form};
use crate::{output, trust};

pub(crate) async fn run(args: &SubArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let settings = Settings::new(args, dir)?;
    let context = Context::new()?;
    receive(&context, settings).await
}

/// What the arguments mean.
struct Settings {
    endpoint: Option<String>,
    home: Option<Home>,
    prefixes: Vec<String>,
    security: Security,
    bind: bool,
    reader: Reader,
    count: Option<u64>,
    timeout: Option<Duration>,
}

impl Settings {
    fn new(args: &SubArgs, dir: Option<&Path>) -> anyhow::Result<Self> {
        let (endpoint, prefixes) = endpoint_and_rest(&args.words);
        if prefixes.is_empty() {
            return Err(usage(
                "which topics? curvelink sub [ENDPOINT] PREFIX..., \"\" for all",
            ));
        }
        let home = Home::find_any(dir)?;
        if endpoint.is_none() && (home.is_none() || args.bind) {
            return Err(usage(
                "from where? give an ENDPOINT, or run this in the folder of a hub for its own",
            ));
        }
        if let (Some(home), Some(name), None) = (&home, &args.security.identity, endpoint) {
            check_rights(home, name, prefixes)?;
        }
        // Of another endpoint's messages this folder knows nothing.
        let trusted = home.as_ref().filter(|_| endpoint.is_none());
        let verifier = trust::verifier(&args.trust, trusted)?;
        if args.save.is_some() && verifier.is_none() {
            return Err(usage(
                "--save keeps signed messages: say whose with --signer NAME=FILE",
            ));
        }
        let wants_system = prefixes.iter().any(|it| is_system(it.as_bytes()));
        if args.save.is_some() && wants_system {
            return Err(usage(
                "--save keeps messages with envelopes, and below $sys/ there are none: leave it \
                 out, or use --raw > FILE",
            ));
        }
        let inbox = args.save.as_deref().map(Inbox::open).transpose()?;
        Ok(Self {
            endpoint: endpoint.cloned(),
            prefixes: prefixes.to_vec(),
            security: Security::new(&args.security, args.bind, home.as_ref())?,
            bind: args.bind,
            reader: Reader {
                of_hub: endpoint.is_none(),
                wants_system,
                verifier,
                inbox,
                form: Form::from(&args.show),
                failed: 0,
                receipts: None,
            },
            count: args.show.count,
            timeout: args.patience.timeout,
            home,
        })
    }
}

/// A hub ignores a subscription outside the rights without a word: better to hear it here.
fn check_rights(home: &Home, name: &str, prefixes: &[String]) -> anyhow::Result<()> {
    let policy = home.policy()?;
    let Some(identity) = policy.identity(name) else {
        return Ok(());
    };
    let rights = identity.rights();
    match prefixes
        .iter()
        .find(|prefix| !rights.subscribe.contain(prefix.as_bytes()))
    {
        None => Ok(()),
        Some(prefix) => Err(failure(
            Exit::Refused,
            format!(
                "refused: {name} may not subscribe to {:?}: see `curvelink policy explain`",
                one_line(prefix)
            ),
        )),
    }
}

async fn receive(context: &Context, settings: Settings) -> anyhow::Result<()> {
    let patience = settings.timeout.unwrap_or(PATIENCE);
    let endpoint = match (settings.endpoint, &settings.home) {
        (Some(endpoint), _) => endpoint,
        (None, Some(home)) => hub::endpoints(home, patience).await?.feed,
        (None, None) => return Err(usage("from where? give an ENDPOINT")),
    };
    let link = Link {
        endpoint,
        bind: settings.bind,
        security: settings.security,
    };
    let mut linked = link.open::<Sub>(context)?;
    let mut reader = settings.reader;
    if reader.of_hub {
        // Before the subscriptions: whoever sees those knows that there will be receipts.
        let receipts = Receipts::announce(&linked.socket, &settings.prefixes)?;
        reader.receipts = Some((receipts, linked.socket.clone()));
    }
    if !settings.bind {
        linked.established(1, patience).await?;
    }
    for prefix in &settings.prefixes {
        linked.socket.subscribe(prefix.as_str());
    }
    let mut left = settings.count.unwrap_or(u64::MAX);
    while left > 0 {
        let message = linked.recv(settings.timeout).await?;
        if reader.read(&message)? {
            left -= 1;
        }
    }
    match reader.failed {
        0 => Ok(()),
        failed => Err(failure(
            Exit::VerificationFailed,
            format!("{failed} messages failed verification and were not delivered: see above"),
        )),
    }
}

/// What is done with each message.
struct Reader {
    /// The peer is the folder's own hub: what is the hub's own it may say without an envelope.
    of_hub: bool,
    /// That was asked for by name; whoever wants all topics means messages.
    wants_system: bool,
    verifier: Option<Verifier>,
    inbox: Option<Inbox>,
    form: Form,
    failed: u64,
    /// Towards a hub: how it learns what was delivered here.
    receipts: Option<(Receipts, Socket<Sub>)>,
}

impl Reader {
    /// Verifies, saves and shows a message; whether it was delivered.
    fn read(&mut self, message: &Message) -> anyhow::Result<bool> {
        let topic = message.first().map_or(&[][..], |topic| topic);
        if self.of_hub && is_system(topic) {
            if self.wants_system {
                self.show(message.clone(), None)?;
            }
            return Ok(self.wants_system);
        }
        let Some(verifier) = &mut self.verifier else {
            self.show(message.clone(), None)?;
            return Ok(true);
        };
        let frames: Vec<&[u8]> = message.iter().map(|frame| &**frame).collect();
        // The peer is the hub whose key was demanded, or a publisher that was named: it may pass
        // on what others signed.
        match verifier.verify(&frames, Via::Relay) {
            Ok(verified) => {
                self.deliver(message, &verified)?;
                if let Some((receipts, socket)) = &self.receipts {
                    receipts.confirm(socket, &verified.statement.topic, &verified.digest());
                }
                Ok(true)
            }
            Err(error) => {
                self.failed += 1;
                let topic = message.first().map(|topic| String::from_utf8_lossy(topic));
                let topic = one_line(&topic.unwrap_or_default());
                output::note(&format!("FAIL  {topic}: {error}"));
                Ok(false)
            }
        }
    }

    fn deliver(&mut self, message: &Message, verified: &Verified) -> anyhow::Result<()> {
        let statement = &verified.statement;
        for flag in &verified.flags {
            output::note(&format!(
                "note  {}: {}",
                one_line(&statement.topic),
                flag.code()
            ));
        }
        let Some(inbox) = &mut self.inbox else {
            let mut shown = message.clone();
            shown.pop_back();
            return self.show(shown, Some(verified));
        };
        let path = inbox.save(message)?;
        let octets = message.octets() - message.last().map_or(0, |envelope| envelope.len());
        let told = json!({
            "file": path, "topic": statement.topic, "octets": octets, "seq": statement.seq,
            "signer": statement.signer, "key": verified.key.fingerprint(),
        });
        output::either(self.form == Form::Json, &told, || {
            format!(
                "{}  {}  {octets} octets  seq {}  signed by {} {}",
                path.display(),
                one_line(&statement.topic),
                statement.seq,
                statement.signer,
                verified.key.fingerprint()
            )
        })?;
        Ok(())
    }

    /// Shows a message on standard output; raw, its body without the topic.
    fn show(&self, mut message: Message, verified: Option<&Verified>) -> anyhow::Result<()> {
        if self.form == Form::Raw {
            message.pop_front();
        }
        Ok(message::print_verified(&message, verified, self.form)?)
    }
}
