//! `curvelink doctor [ENDPOINT]`

use std::path::Path;
use std::time::SystemTime;

use curvelink::{Endpoint, KeyPair, PublicKey, SocketType};

use crate::args::operate::DoctorArgs;
use crate::doctor::{Identity, Patient, Report, examine};
use crate::exit::{failure, usage};
use crate::home::Home;
use crate::key::{self, Bare, Key};
use crate::output;
use crate::source::Source;

pub(crate) async fn run(args: &DoctorArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find_any(dir)?;
    let endpoint = match (&args.endpoint, &home) {
        (Some(endpoint), _) => endpoint.clone(),
        (None, Some(home)) => {
            let told = home.endpoints();
            told.ok_or_else(|| usage("no hub runs in this folder: give an ENDPOINT"))?
                .ingest
        }
        (None, None) => return Err(usage("look at what? give an ENDPOINT")),
    };
    let hub = home.as_ref().and_then(|home| kind_of_hub(home, &endpoint));
    let keys = own_keys(args, home.as_ref())?;
    let public = keys.as_ref().map(KeyPair::public);
    let servers = match (&args.server_key, &home) {
        (Some(key), _) => vec![key::curve_public(key)?],
        // A key of one's own, or an endpoint of the folder's hub: then the folder knows the rest.
        (None, Some(home)) if keys.is_some() || hub.is_some() => home.hub_keys()?,
        (None, _) => Vec::new(),
    };
    let identity = match (keys, servers) {
        (None, none) if none.is_empty() => Identity::Clear,
        (Some(_), none) if none.is_empty() => {
            return Err(usage(
                "the server's public key is not known: give --server-key, or --dir",
            ));
        }
        (keys, servers) => Identity::Curve { keys, servers },
    };
    let patient = Patient {
        endpoint: endpoint.parse::<Endpoint>()?,
        kind: args.kind.or(hub).unwrap_or(SocketType::Dealer),
        identity,
        patience: args.timeout,
    };
    let mut report = examine(&patient).await?;
    if let (Some(home), Some(public), Some(_)) = (&home, public, hub) {
        look_up(&mut report, home, args.identity.as_deref(), &public);
    }
    output::either(args.json, &report, || report.text())?;
    match report.exit() {
        None => Ok(()),
        Some(exit) => Err(failure(exit, format!("{endpoint}: {}", report.outcome))),
    }
}

fn own_keys(args: &DoctorArgs, home: Option<&Home>) -> anyhow::Result<Option<KeyPair>> {
    match (&args.identity, &args.key, home) {
        (Some(name), _, Some(home)) => home.curve_key(name).map(Some),
        (Some(_), _, None) => Err(usage(
            "--as needs the folder that `curvelink init` made: give --dir",
        )),
        (None, Some(key), _) => Key::load(&Source::parse(key)?, Bare::Secret)?
            .into_curve()
            .map(Some),
        (None, None, _) => Ok(None),
    }
}

/// What talks to the folder's hub at this endpoint, if that is where it is.
fn kind_of_hub(home: &Home, endpoint: &str) -> Option<SocketType> {
    let hub = home.endpoints()?;
    match endpoint {
        _ if endpoint == hub.ingest => Some(SocketType::Req),
        _ if endpoint == hub.feed => Some(SocketType::Sub),
        _ => None,
    }
}

/// A server tells a stranger nothing of why; the folder of its policy does.
fn look_up(report: &mut Report, home: &Home, name: Option<&str>, key: &PublicKey) {
    if report.outcome != "unknown-key" {
        return;
    }
    let Ok(policy) = home.policy() else { return };
    let file = policy.file();
    let fingerprint = key.fingerprint();
    let listed = policy.identity_of_key(key).and_then(|identity| {
        let dated = identity.curve.iter().find(|listed| listed.key == *key)?;
        Some((identity, dated.is_valid_at(SystemTime::now())))
    });
    if let Some((identity, false)) = listed {
        let said = format!(
            "{file} lists {fingerprint} as {}, for a time that is over or has not begun: see its \
             not_before and not_after",
            identity.name
        );
        report.explain_refusal("expired-key", said);
    } else if let Some((identity, true)) = listed {
        let said = format!(
            "the peer does not admit this side, though {file} lists {fingerprint} as {}: has the hub \
             read it? run `curvelink reload`, and see its log",
            identity.name
        );
        report.explain_refusal("refused", said);
    } else if let Some(name) = name.filter(|name| policy.identity(name).is_some()) {
        let said = format!(
            "{file} lists {name} with another key than {fingerprint}: this one was revoked or replaced"
        );
        report.explain_refusal("revoked-key", said);
    } else {
        let said =
            format!("{file} does not list {fingerprint}: add it, and run `curvelink reload`");
        report.explain_refusal("unknown-key", said);
    }
}
