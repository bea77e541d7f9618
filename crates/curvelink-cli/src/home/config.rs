//! `curvelink.toml`: what hub, publishers and subscribers of one folder agree on.

use std::fmt;

use curvelink::{CurveBackend, PublicKey};
use curvelink_audit::{self as audit, JournalSettings, Recipient};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::envelope::{EnvelopeConfig, line};
use super::witnesses::{WITHIN, WitnessConfig};
use crate::exit::usage;
use crate::sink::{self, SinkConfig};

/// The settings. What the file does not know is an error: a misspelt setting would be no setting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    version: u32,
    pub(crate) hub: HubConfig,
    pub(crate) envelope: EnvelopeConfig,
    #[serde(default)]
    pub(crate) curve: CurveConfig,
    #[serde(default)]
    pub(crate) audit: AuditConfig,
    /// Where events are copied to.
    #[serde(default, deserialize_with = "sink::distinct")]
    pub(crate) sink: Vec<SinkConfig>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HubConfig {
    /// Where publishers send.
    pub(crate) ingest: String,
    /// Where subscribers listen.
    pub(crate) feed: String,
    /// The hub's public CURVE key, in Z85 or hex.
    pub(crate) public_key: String,
    /// Another key that the hub may have: the one that it will have soon.
    pub(crate) next_public_key: Option<String>,
    /// The ZAP domain of both sockets.
    pub(crate) domain: String,
    /// The policy file, relative to the folder.
    pub(crate) policy: String,
}

/// May be left out, and is by `init`: each end of a link can have its own.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CurveConfig {
    /// What seals messages.
    #[serde(deserialize_with = "by_name")]
    pub(crate) backend: CurveBackend,
}

fn by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CurveBackend, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(D::Error::custom)
}

/// May be left out: then the hub keeps a journal, as its defaults have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditConfig {
    /// Whether the hub keeps a journal.
    pub(crate) journal: bool,
    durability: Durability,
    on_failure: OnFailure,
    /// Who alone reads the entries, if they are encrypted: public CURVE keys, in Z85 or hex.
    #[serde(deserialize_with = "recipients")]
    recipients: Vec<Recipient>,
    /// Who watches the journal.
    pub(crate) witness: Vec<WitnessConfig>,
    /// How many of them must sign; all where it is left out.
    pub(super) min_witnesses: Option<usize>,
    /// Seconds.
    pub(super) witness_within: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            journal: true,
            durability: Durability::Interval,
            on_failure: OnFailure::Refuse,
            recipients: Vec::new(),
            witness: Vec::new(),
            min_witnesses: None,
            witness_within: WITHIN,
        }
    }
}

/// An empty list would read as if somebody were meant.
fn recipients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Recipient>, D::Error> {
    let mut recipients = Vec::new();
    for key in Vec::<String>::deserialize(deserializer)? {
        let key = PublicKey::from_z85(&key).or_else(|_| PublicKey::from_hex(&key));
        let recipient = Recipient::new(*key.map_err(D::Error::custom)?.as_octets());
        if recipients.contains(&recipient) {
            return Err(D::Error::custom("recipients names a key twice"));
        }
        recipients.push(recipient);
    }
    if recipients.is_empty() {
        return Err(D::Error::custom(
            "recipients = [] encrypts nothing: leave it out",
        ));
    }
    Ok(recipients)
}

/// When an event counts as recorded.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Durability {
    /// Once it is on the disk.
    Event,
    /// Once the system has it, which is told every 200 ms to write it.
    Interval,
    /// Once the system has it.
    Os,
}

/// What becomes of whoever would be admitted and cannot be recorded.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    Refuse,
    Continue,
}

impl AuditConfig {
    pub(crate) fn settings(&self) -> JournalSettings {
        let mut settings = JournalSettings::default();
        settings.durability = match self.durability {
            Durability::Event => audit::Durability::Event,
            Durability::Interval => audit::Durability::default(),
            Durability::Os => audit::Durability::Os,
        };
        settings.on_failure = match self.on_failure {
            OnFailure::Refuse => audit::OnFailure::Refuse,
            OnFailure::Continue => audit::OnFailure::Continue,
        };
        settings.recipients.clone_from(&self.recipients);
        settings.cosigners = self.witness.iter().map(|it| it.key.clone()).collect();
        settings.min_witnesses = self.min_witnesses();
        settings
    }
}

impl Config {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line(text, span.start));
            let place = line
                .map(|line| format!("line {line}: "))
                .unwrap_or_default();
            usage(format!(
                "{place}{}",
                error.message().trim().replace('\n', ", ")
            ))
        })?;
        config.envelope.check(text)?;
        let witnesses = config.audit.check_witnesses();
        witnesses.map_err(|problem| usage(format!("[audit]: {problem}")))?;
        if config.version == 1 {
            Ok(config)
        } else {
            Err(usage(
                "this version of the settings is not known: write version = 1",
            ))
        }
    }
}

/// What a new file is made of.
pub(crate) struct NewConfig<'a> {
    pub(crate) ingest: &'a str,
    pub(crate) feed: &'a str,
    pub(crate) public_key: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) audience: &'a str,
}

impl fmt::Display for NewConfig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "# What the hub, the publishers and the subscribers of this folder agree on.\n\
             version = 1\n\
             \n\
             [hub]\n\
             ingest = {:?}      # publishers send here\n\
             feed = {:?}        # subscribers listen here\n\
             public_key = {:?}  # clients talk to the owner of this key only\n\
             domain = {:?}      # the ZAP domain that a peer must be allowed to enter\n\
             policy = \"zap.toml\"\n\
             \n\
             [envelope]\n\
             sign = \"each\"      # each by itself; \"batch\": many at once; \"none\": no signatures\n\
             audience = {:?}    # whom messages are signed for: another hub refuses them\n\
             max_skew = 300     # seconds between a message's time and the clock; 0 = any\n",
            self.ingest, self.feed, self.public_key, self.domain, self.audience
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use curvelink_envelope::SignMode;

    use super::*;

    fn text() -> String {
        let new = NewConfig {
            ingest: "tcp://127.0.0.1:5570",
            feed: "tcp://127.0.0.1:5571",
            public_key: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
            domain: "findings",
            audience: "demo",
        };
        new.to_string()
    }

    #[test]
    fn what_init_writes_is_read() {
        let config = Config::parse(&text()).unwrap();
        assert_eq!(
            config.hub.public_key,
            "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
        );
        assert_eq!(config.envelope.modes().mode(b"any"), SignMode::Each);
        assert_eq!(config.envelope.max_skew(), Duration::from_secs(300));
    }

    #[test]
    fn the_backend_of_curve_is_dryoc_unless_the_file_says_otherwise() {
        let backend = |table: &str| Config::parse(&(text() + table)).map(|it| it.curve.backend);
        assert_eq!(backend("").unwrap(), CurveBackend::Dryoc);
        for known in CurveBackend::ALL {
            let table = format!("[curve]\nbackend = \"{known}\"\n");
            assert_eq!(backend(&table).unwrap(), *known);
        }
        for (table, cause) in [
            (
                "[curve]\nbackend = \"aes\"\n",
                "line 16: no backend of CURVE",
            ),
            ("[curve]\nbackend = \"\"\n", "write dryoc or rustcrypto"),
            ("[curve]\nbackend = 1\n", "line 16"),
            ("[curve]\nbakcend = \"dryoc\"\n", "line 16"),
            ("[curve]\n", "backend"),
            ("backend = \"dryoc\"\n", "line 15"),
        ] {
            let error = backend(table).unwrap_err().to_string();
            assert!(error.contains(cause) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_journal_is_kept_unless_the_file_says_otherwise() {
        let read = |table: &str| Config::parse(&(text() + table)).map(|it| it.audit);
        let usual = read("").unwrap();
        assert!(usual.journal);
        assert_eq!(usual.settings().on_failure, audit::OnFailure::Refuse);
        let strict = read("[audit]\ndurability = \"event\"\n").unwrap();
        assert!(strict.journal);
        assert_eq!(strict.settings().durability, audit::Durability::Event);
        assert!(!read("[audit]\njournal = false\n").unwrap().journal);
        for table in [
            "[audit]\njurnal = false\n",
            "[audit]\ndurability = \"never\"\n",
            "[audit]\non_failure = \"ignore\"\n",
            "[audit]\njournal = \"no\"\n",
        ] {
            assert!(read(table).is_err(), "{table}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (from, to, line) in [
            ("domain", "domian", "line 8"),
            ("\"each\"", "\"eahc\"", "line 12"),
            ("max_skew = 300", "max_skew = -1", "line 14"),
            ("version = 1", "version = 2", "version = 1"),
        ] {
            let error = Config::parse(&text().replace(from, to))
                .unwrap_err()
                .to_string();
            assert!(error.contains(line) && !error.contains('\n'), "{error}");
        }
    }
}
