//! Whose signatures are believed, and for whom messages must be.

use anyhow::Context;
use curvelink_envelope::{Identity, Registry, Verifier};

use crate::args::socket::TrustArgs;
use crate::exit::usage;
use crate::home::{self, Home, Sign};
use crate::key::{Bare, Key};
use crate::source::Source;

/// A verifier for the signers that were named, or for those of the folder; `None` where there is
/// neither, or the folder asks for no signatures.
pub(crate) fn verifier(args: &TrustArgs, home: Option<&Home>) -> anyhow::Result<Option<Verifier>> {
    let home = home.filter(|home| home.config.envelope.sign == Sign::Each);
    let registry = match (args.signer.is_empty(), home) {
        (false, _) => signers(&args.signer)?,
        (true, Some(home)) => home::registry(&home.policy()?)?,
        (true, None) => return Ok(None),
    };
    let audiences = match home {
        Some(home) if args.audience.is_empty() => vec![home.config.envelope.audience.clone()],
        _ => args.audience.clone(),
    };
    let verifier = Verifier::new(registry, audiences);
    Ok(Some(match home {
        Some(home) => verifier.with_max_skew(home.config.envelope.max_skew()),
        None => verifier,
    }))
}

/// The signers that were named on the command line: they may publish every topic.
fn signers(named: &[String]) -> anyhow::Result<Registry> {
    let identity = |text: &String| {
        let (name, path) = text
            .split_once('=')
            .ok_or_else(|| usage("--signer takes NAME=FILE: the name, then its public key"))?;
        let key = Key::load(&Source::parse(path)?, Bare::Unknown)?;
        let key = key.into_verify().with_context(|| path.to_owned())?;
        Ok(Identity::new(name).with_key(key).may_publish(""))
    };
    let identities: anyhow::Result<Vec<Identity>> = named.iter().map(identity).collect();
    Ok(Registry::new(identities?)?)
}
