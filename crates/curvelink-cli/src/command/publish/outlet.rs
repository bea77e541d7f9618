//! Where messages go: to the hub, or to subscribers themselves.

use std::time::Duration;

use curvelink::{Context, Message, Pub};
use tokio::time::timeout;

use crate::exit::{Exit, OrExit, failure, usage};
use crate::home::Home;
use crate::hub::{self, Client};
use crate::link::{Link, Linked, Security};

/// The way there, as it was asked for.
pub(super) struct Route {
    pub(super) endpoint: Option<String>,
    pub(super) home: Option<Home>,
    pub(super) security: Security,
    pub(super) bind: bool,
    /// To subscribers, with no hub between.
    pub(super) direct: bool,
    /// How many subscribers must be there first.
    pub(super) wait: usize,
    pub(super) patience: Duration,
}

/// An open way.
pub(super) enum Outlet {
    Hub(Client),
    Subscribers(Linked<Pub>),
}

/// Whom a message went to.
#[derive(Default)]
pub(super) struct Delivered {
    /// How many, also those that nobody has a name for.
    pub(super) to: usize,
    pub(super) subscribers: Vec<String>,
    /// Who should have confirmed it and did not.
    pub(super) unconfirmed: Vec<String>,
}

impl Outlet {
    /// Connects or binds, and waits until as many subscribers of `topic` are there as must be.
    pub(super) async fn open(context: &Context, route: Route, topic: &str) -> anyhow::Result<Self> {
        match route.direct {
            true => to_subscribers(context, route, topic).await,
            false => to_hub(context, route, topic).await,
        }
    }

    /// Sends a message; the hub's answer is waited for.
    pub(super) async fn send(&mut self, message: Message) -> anyhow::Result<Delivered> {
        match self {
            Self::Hub(client) => {
                let ack = client.ask(message).await?;
                Ok(Delivered {
                    to: ack.subscribers.len(),
                    subscribers: ack.subscribers,
                    unconfirmed: ack.unconfirmed,
                })
            }
            Self::Subscribers(linked) => {
                let topic = message.first().cloned().unwrap_or_default();
                let peers = linked.socket.subscribers(&topic);
                linked.socket.send(message).await.or_exit(Exit::Refused)?;
                let names = peers
                    .iter()
                    .filter_map(|peer| peer.name.as_deref().map(str::to_owned));
                Ok(Delivered {
                    to: peers.len(),
                    subscribers: names.collect(),
                    unconfirmed: Vec::new(),
                })
            }
        }
    }
}

async fn to_hub(context: &Context, route: Route, topic: &str) -> anyhow::Result<Outlet> {
    let patience = route.patience;
    let endpoint = match (route.endpoint, &route.home) {
        (Some(endpoint), _) => endpoint,
        (None, Some(home)) => hub::endpoints(home, patience).await?.ingest,
        (None, None) => return Err(usage("where to? give an ENDPOINT")),
    };
    let link = Link {
        endpoint,
        bind: false,
        security: route.security,
    };
    let mut client = Client::connect(context, link, patience).await?;
    client.wait_for_subscribers(topic, route.wait).await?;
    Ok(Outlet::Hub(client))
}

async fn to_subscribers(context: &Context, route: Route, topic: &str) -> anyhow::Result<Outlet> {
    let (wait, patience) = (route.wait, route.patience);
    let endpoint = route
        .endpoint
        .ok_or_else(|| usage("where to? give an ENDPOINT"))?;
    let link = Link {
        endpoint,
        bind: route.bind,
        security: route.security,
    };
    let mut linked = link.open::<Pub>(context)?;
    if !route.bind {
        linked.established(1, patience).await?;
    }
    let subscribed = linked.socket.wait_for_subscribers(topic, wait);
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
    Ok(Outlet::Subscribers(linked))
}
