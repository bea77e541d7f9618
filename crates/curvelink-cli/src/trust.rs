//! Whose signatures are believed, for whom messages must be, and which topics are signed at all.

use anyhow::Context;
use curvelink_envelope::{Identity, Quorum, Registry, SignPolicy, Verifier};

use crate::args::socket::TrustArgs;
use crate::exit::usage;
use crate::home::Home;
use crate::key::{Bare, Key};
use crate::source::Source;

/// What a receiver holds messages to.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) verifier: Verifier,
    /// Which topics are signed: none is passed on unverified unless it says so.
    pub(crate) modes: SignPolicy,
}

impl Trust {
    /// In the signers that were named, or in those of the folder; `None` where there is neither,
    /// or the folder asks for no signatures.
    pub(crate) fn new(args: &TrustArgs, home: Option<&Home>) -> anyhow::Result<Option<Self>> {
        let envelope = home.map(|home| &home.config.envelope);
        let envelope = envelope.filter(|envelope| envelope.signs_some());
        if !args.signer.is_empty() {
            let audiences = match (&args.audience[..], envelope) {
                ([], Some(envelope)) => vec![envelope.audience.clone()],
                (given, _) => given.to_vec(),
            };
            let verifier = Verifier::new(signers(args)?, audiences);
            return Ok(Some(Self {
                verifier: match envelope {
                    Some(envelope) => verifier.with_max_skew(envelope.max_skew()),
                    None => verifier,
                },
                modes: SignPolicy::default(),
            }));
        }
        let Some((envelope, home)) = envelope.zip(home) else {
            return Ok(None);
        };
        Ok(Some(Self {
            verifier: envelope.verifier(&home.policy()?, &args.audience)?,
            modes: envelope.modes(),
        }))
    }
}

/// The signers that were named on the command line: they may publish every topic.
fn signers(args: &TrustArgs) -> anyhow::Result<Registry> {
    let identity = |text: &String| {
        let (name, path) = text
            .split_once('=')
            .ok_or_else(|| usage("--signer takes NAME=FILE: the name, then its public key"))?;
        let key = Key::load(&Source::parse(path)?, Bare::Unknown)?;
        let key = key.into_verify().with_context(|| path.to_owned())?;
        Ok(Identity::new(name).with_key(key).may_publish(""))
    };
    let identities: Vec<Identity> = args
        .signer
        .iter()
        .map(identity)
        .collect::<anyhow::Result<_>>()?;
    let names: Vec<String> = identities.iter().map(|it| it.name().to_owned()).collect();
    if !(1..=names.len()).contains(&args.threshold) {
        return Err(usage(
            "--threshold is from 1 to the number of those that --signer names",
        ));
    }
    let together = Quorum::new("", args.threshold, names);
    Ok(Registry::new(identities)?.with_quorums(vec![together])?)
}
