//! `curvelink sub [ENDPOINT] PREFIX...`

mod reader;

use std::path::Path;
use std::time::{Duration, Instant};

use curvelink::{Context, Sub};

use super::publish::endpoint_and_rest;
use crate::args::socket::SubArgs;
use crate::exit::{Exit, failure, one_line, usage};
use crate::home::Home;
use crate::hub::{self, Receipts, is_system};
use crate::inbox::Inbox;
use crate::link::{Link, PATIENCE, Security};
use crate::message::Form;
use crate::trust::Trust;
use reader::Reader;

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
    /// The endpoint is that of the folder's own hub.
    of_hub: bool,
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
        let trust = Trust::new(&args.trust, trusted)?;
        if args.save.is_some() && trust.is_none() {
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
        let system = endpoint.is_none().then_some(wants_system);
        let inbox = args.save.as_deref().map(Inbox::open).transpose()?;
        Ok(Self {
            endpoint: endpoint.cloned(),
            prefixes: prefixes.to_vec(),
            security: Security::new(&args.security, args.bind, home.as_ref())?,
            bind: args.bind,
            of_hub: endpoint.is_none(),
            reader: Reader::new(trust, inbox, Form::from(&args.show)).of_hub(system),
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
    if settings.of_hub {
        // Before the subscriptions: whoever sees those knows that there will be receipts.
        let receipts = Receipts::announce(&linked.socket, &settings.prefixes)?;
        reader.confirm_by(receipts, linked.socket.clone());
    }
    if !settings.bind {
        linked.established(1, patience).await?;
    }
    for prefix in &settings.prefixes {
        linked.socket.subscribe(prefix.as_str());
    }
    let mut left = settings.count.unwrap_or(u64::MAX);
    // A heartbeat is no message, and keeps nobody waiting for one.
    let mut since = Instant::now();
    while left > 0 {
        let idle = settings
            .timeout
            .map(|timeout| timeout.saturating_sub(since.elapsed()));
        let message = linked.recv(idle).await?;
        if reader.read(&message)? {
            left -= 1;
            since = Instant::now();
        }
    }
    reader.verdict()
}
