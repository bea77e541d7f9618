//! Who this side is and whom it talks to: settings made of what was typed and of the folder.

use curvelink::{Context, Curve, CurveBackend, KeyPair, Options, PublicKey};
use curvelink_zap::{Policy, PolicyHandler};

use crate::args::socket::SecurityArgs;
use crate::exit::usage;
use crate::home::Home;
use crate::key::{self, Bare, Key};
use crate::source::Source;

/// The security of one socket.
#[derive(Debug)]
pub(crate) enum Security {
    /// No encryption, nobody is known: for endpoints that others cannot reach, unless the user
    /// has said otherwise in so many words.
    Clear {
        /// The user has.
        beyond_this_host: bool,
    },
    /// CURVE, towards the owner of one key.
    Client {
        /// This side's key.
        keys: KeyPair,
        /// The keys of which the server must have one; at least one.
        servers: Vec<PublicKey>,
        /// What seals messages.
        backend: CurveBackend,
    },
    /// CURVE, for whom a policy admits.
    Server {
        /// This side's key.
        keys: KeyPair,
        /// Who may connect.
        policy: Box<Policy>,
        /// Where to.
        domain: String,
        /// What seals messages.
        backend: CurveBackend,
    },
}

impl Security {
    /// What the arguments mean for a socket that binds, or connects.
    pub(crate) fn new(
        args: &SecurityArgs,
        bind: bool,
        home: Option<&Home>,
    ) -> anyhow::Result<Self> {
        let keys = match (&args.identity, &args.key, home) {
            (Some(name), _, Some(home)) => home.curve_key(name)?,
            (Some(_), _, None) => {
                return Err(usage(
                    "--as needs the folder that `curvelink init` made: give --dir",
                ));
            }
            (None, Some(key), _) => Key::load(&Source::parse(key)?, Bare::Secret)?.into_curve()?,
            (None, None, _)
                if args.server_key.is_some()
                    || args.policy.is_some()
                    || args.curve_backend.is_some() =>
            {
                return Err(usage(
                    "CURVE needs a key of one's own: give --as NAME or --key FILE",
                ));
            }
            (None, None, _) => {
                let beyond_this_host = args.allow_clear_text_beyond_this_host;
                return Ok(Self::Clear { beyond_this_host });
            }
        };
        if bind {
            Self::server(keys, args, home)
        } else {
            Self::client(keys, args, home)
        }
    }

    fn client(keys: KeyPair, args: &SecurityArgs, home: Option<&Home>) -> anyhow::Result<Self> {
        let servers = match (&args.server_key, home) {
            (Some(key), _) => vec![key::curve_public(key)?],
            (None, Some(home)) => home.hub_keys()?,
            (None, None) => {
                return Err(usage(
                    "the server's public key is not known: give --server-key, or --dir",
                ));
            }
        };
        Ok(Self::Client {
            keys,
            servers,
            backend: backend(args, home),
        })
    }

    fn server(keys: KeyPair, args: &SecurityArgs, home: Option<&Home>) -> anyhow::Result<Self> {
        if args.server_key.is_some() {
            return Err(usage(
                "--server-key is for a client: with --bind this side is the server",
            ));
        }
        let policy = match (&args.policy, home) {
            (Some(file), _) => Policy::from_file(file)?,
            (None, Some(home)) => home.policy()?,
            (None, None) => return Err(usage("who may connect? give --policy FILE, or --dir")),
        };
        let domain = match (&args.domain, home) {
            (Some(domain), _) => domain.clone(),
            (None, Some(home)) => home.config.hub.domain.clone(),
            (None, None) => {
                return Err(usage(
                    "which domain do peers enter? give --domain, or --dir",
                ));
            }
        };
        Ok(Self::Server {
            keys,
            policy: Box::new(policy),
            domain,
            backend: backend(args, home),
        })
    }

    /// How many keys this side takes from a server: a link may be refused once for each but one
    /// before it comes up.
    pub(crate) fn server_keys(&self) -> usize {
        match self {
            Self::Client { servers, .. } => servers.len(),
            Self::Clear { .. } | Self::Server { .. } => 1,
        }
    }

    /// Puts it in force: the mechanism into the options, the policy into the context.
    pub(crate) fn apply(self, context: &Context, options: Options) -> anyhow::Result<Options> {
        Ok(match self {
            Self::Clear {
                beyond_this_host: true,
            } => options.allow_clear_text_beyond_this_host(),
            Self::Clear { .. } => options,
            Self::Client {
                keys,
                servers,
                backend,
            } => options.security(client(keys, &servers)?.backend(backend)),
            Self::Server {
                keys,
                policy,
                domain,
                backend,
            } => {
                context.set_zap_handler(PolicyHandler::new(*policy));
                options
                    .security(Curve::server(keys).backend(backend))
                    .zap_domain(&domain)
            }
        })
    }
}

/// A client of whoever has one of the keys.
fn client(keys: KeyPair, servers: &[PublicKey]) -> anyhow::Result<Curve> {
    let (first, others) = servers
        .split_first()
        .ok_or_else(|| usage("the server's public key is not known: give --server-key"))?;
    let mut curve = Curve::client(keys, *first);
    for other in others {
        curve = curve.or_server(*other)?;
    }
    Ok(curve)
}

/// What seals messages: as was typed, or as the folder has it.
fn backend(args: &SecurityArgs, home: Option<&Home>) -> CurveBackend {
    let of_folder = || home.map(|home| home.config.curve.backend);
    args.curve_backend.or_else(of_folder).unwrap_or_default()
}
