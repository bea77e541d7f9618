//! `[[sink]]` of `curvelink.toml`: where to, and in which format.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use curvelink::{Endpoint, PublicKey, Severity};
use curvelink_audit::Format;
use curvelink_audit::format::JOURNAL_SOCKET;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::key;

/// The longest path of a socket that every system takes.
const MAX_PATH: usize = 107;

/// A sink as the settings have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Table")]
pub(crate) struct SinkConfig {
    /// Where to, as it was written: what the sink is called.
    pub(super) to: String,
    pub(super) target: Target,
    pub(super) format: Format,
    /// What matters less is not sent; checkpoints always are.
    pub(super) min_severity: Severity,
}

/// Where copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A datagram for each, to the Unix socket of a syslog or of systemd's journal.
    Datagram(PathBuf),
    /// Octet-counted, over a connection that does not leave this host.
    Stream(SocketAddr),
    /// A frame for each, over CURVE, to the owner of a key.
    Curve { endpoint: String, server: PublicKey },
}

/// All sinks, no two of which are one.
pub(crate) fn distinct<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SinkConfig>, D::Error> {
    let sinks = Vec::<SinkConfig>::deserialize(deserializer)?;
    let mut seen = BTreeSet::new();
    match sinks.iter().find(|sink| !seen.insert(&sink.to)) {
        Some(again) => Err(D::Error::custom(format!("two sinks to {}", again.to))),
        None => Ok(sinks),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    to: String,
    server_key: Option<String>,
    #[serde(rename = "as")]
    form: Option<String>,
    min_severity: Option<String>,
}

impl TryFrom<Table> for SinkConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let target = Target::parse(&table.to, table.server_key.as_deref())?;
        let is_journal = table.to.split(':').next() == Some(JOURNALD);
        let allowed: &[Format] = match &target {
            Target::Datagram(_) if is_journal => &[Format::Journald],
            Target::Datagram(_) | Target::Stream(_) => &[Format::Syslog],
            Target::Curve { .. } => &[
                Format::Syslog,
                Format::Ocsf,
                Format::Ecs,
                Format::Cef,
                Format::Json,
            ],
        };
        let usual = if is_journal {
            Format::Journald
        } else {
            Format::Syslog
        };
        let format = match table.form {
            Some(name) => name.parse().map_err(|error| format!("{error}"))?,
            None => usual,
        };
        if !allowed.contains(&format) {
            let to = &table.to;
            return Err(format!(
                "what listens at {to} does not read {format}: leave out `as`"
            ));
        }
        Ok(Self {
            to: table.to,
            target,
            format,
            min_severity: severity(table.min_severity.as_deref())?,
        })
    }
}

const JOURNALD: &str = "journald";

impl Target {
    fn parse(to: &str, server_key: Option<&str>) -> Result<Self, String> {
        let target = if let Some(rest) = to.strip_prefix("curve+") {
            return Self::curve(rest, server_key);
        } else if to == JOURNALD {
            Self::Datagram(JOURNAL_SOCKET.into())
        } else if let Some(path) = to
            .strip_prefix("journald:")
            .or_else(|| to.strip_prefix("unix:"))
        {
            Self::Datagram(socket_path(path)?)
        } else if let Some(address) = to.strip_prefix("tcp://") {
            Self::Stream(loopback(to, address)?)
        } else {
            return Err(
                "a sink goes to unix:/PATH, journald, tcp://127.0.0.1:PORT or \
                 curve+tcp://HOST:PORT"
                    .to_owned(),
            );
        };
        match server_key {
            Some(_) => Err(format!(
                "{to} has no server_key: write curve+tcp:// for CURVE"
            )),
            None => Ok(target),
        }
    }

    fn curve(endpoint: &str, server_key: Option<&str>) -> Result<Self, String> {
        let is_peer = matches!(
            endpoint.parse(),
            Ok(Endpoint::Tcp {
                source: None,
                port: 1..,
                ..
            })
        );
        if !is_peer || endpoint.contains('*') {
            return Err("write where the collector listens as curve+tcp://HOST:PORT".to_owned());
        }
        let server = server_key.ok_or("server_key is missing: the collector's public key")?;
        Ok(Self::Curve {
            endpoint: endpoint.to_owned(),
            server: key::curve_public(server).map_err(|error| format!("server_key: {error:#}"))?,
        })
    }
}

fn socket_path(path: &str) -> Result<PathBuf, String> {
    if path.starts_with('/') && path.len() <= MAX_PATH && !path.contains('\0') {
        Ok(path.into())
    } else {
        Err(format!(
            "the path of a socket begins with / and has at most {MAX_PATH} octets"
        ))
    }
}

/// What goes there is neither sealed nor signed.
fn loopback(to: &str, address: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("{to} is no loopback address and port: write tcp://127.0.0.1:PORT"))?;
    if address.ip().is_loopback() && address.port() > 0 {
        Ok(address)
    } else {
        Err(format!(
            "{to} is in clear text beyond this host: others could read and forge it: use \
             curve+tcp://, or a forwarder on this host"
        ))
    }
}

fn severity(name: Option<&str>) -> Result<Severity, String> {
    const ALL: [Severity; 4] = [
        Severity::Informational,
        Severity::Low,
        Severity::Medium,
        Severity::High,
    ];
    let Some(name) = name else {
        return Ok(Severity::Informational);
    };
    let known = ALL.into_iter().find(|severity| severity.name() == name);
    known.ok_or_else(|| "min_severity is informational, low, medium or high".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Settings {
        #[serde(deserialize_with = "distinct")]
        sink: Vec<SinkConfig>,
    }

    fn read(table: &str) -> Result<SinkConfig, String> {
        let settings = toml::from_str::<Settings>(&format!("[[sink]]\n{table}"));
        let mut settings = settings.map_err(|error| error.message().to_owned())?;
        Ok(settings.sink.remove(0))
    }

    const KEY: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    #[test]
    fn a_sink_is_read_as_it_is_written() {
        let sink = read("to = \"unix:/dev/log\"").unwrap();
        assert_eq!(sink.target, Target::Datagram("/dev/log".into()));
        assert_eq!(
            (sink.format, sink.min_severity),
            (Format::Syslog, Severity::Informational)
        );
        let sink = read("to = \"journald\"\nmin_severity = \"medium\"").unwrap();
        assert_eq!(sink.target, Target::Datagram(JOURNAL_SOCKET.into()));
        assert_eq!(
            (sink.format, sink.min_severity),
            (Format::Journald, Severity::Medium)
        );
        let sink = read("to = \"journald:/run/x\"").unwrap();
        assert_eq!(sink.target, Target::Datagram("/run/x".into()));
        assert_eq!(sink.format, Format::Journald);
        for to in ["tcp://127.0.0.1:601", "tcp://[::1]:601"] {
            let sink = read(&format!("to = {to:?}\nas = \"syslog\"")).unwrap();
            assert!(matches!(sink.target, Target::Stream(_)));
        }
        let curve = format!("to = \"curve+tcp://siem.example:2514\"\nserver_key = {KEY:?}\n");
        assert_eq!(read(&curve).unwrap().format, Format::Syslog);
        for format in ["syslog", "ocsf", "ecs", "cef", "json"] {
            let sink = read(&format!("{curve}as = {format:?}")).unwrap();
            assert_eq!(sink.format.name(), format);
            let Target::Curve { endpoint, server } = sink.target else {
                panic!("{:?}", sink.target)
            };
            assert_eq!(endpoint, "tcp://siem.example:2514");
            assert_eq!(server.to_z85(), KEY);
        }
    }

    #[test]
    fn what_would_go_in_clear_text_beyond_this_host_is_refused() {
        for to in [
            "tcp://192.0.2.1:601",
            "tcp://0.0.0.0:601",
            "tcp://[::]:601",
            "tcp://[::ffff:127.0.0.1]:601",
            "tcp://siem.example:601",
            "tcp://localhost:601",
            "tcp://127.0.0.1:0",
            "tcp://127.0.0.1",
            "tcp://",
        ] {
            let error = read(&format!("to = {to:?}")).unwrap_err();
            assert!(error.starts_with(to), "{error}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let key = format!("server_key = {KEY:?}");
        for (table, cause) in [
            ("", "missing field `to`"),
            ("to = \"unix:/x\"\nform = \"syslog\"", "unknown field"),
            ("to = \"unix:/x\"\nserver-key = \"\"", "unknown field"),
            ("to = \"syslog\"", "a sink goes to"),
            ("to = \"udp://127.0.0.1:514\"", "a sink goes to"),
            ("to = \"unix:log\"", "begins with /"),
            ("to = \"unix:\"", "begins with /"),
            ("to = \"journald:\"", "begins with /"),
            ("to = \"journald:run\"", "begins with /"),
            ("to = \"unix:/x\"\nas = \"ocsf\"", "does not read ocsf"),
            ("to = \"journald\"\nas = \"syslog\"", "does not read syslog"),
            ("to = \"unix:/x\"\nas = \"xml\"", "no such format"),
            (
                "to = \"unix:/x\"\nmin_severity = \"all\"",
                "min_severity is",
            ),
            ("to = \"curve+tcp://h:1\"", "server_key is missing"),
            (
                "to = \"curve+tcp://h:1\"\nserver_key = \"abc\"",
                "server_key: ",
            ),
        ] {
            let error = read(table).unwrap_err();
            assert!(error.contains(cause), "{table}: {error}");
        }
        for to in ["unix:/x", "journald", "tcp://127.0.0.1:1"] {
            let error = read(&format!("to = {to:?}\n{key}")).unwrap_err();
            assert!(error.contains("has no server_key"), "{error}");
        }
        for to in [
            "curve+tcp://*:1",
            "curve+tcp://h:0",
            "curve+tcp://h",
            "curve+ipc:///x",
        ] {
            let error = read(&format!("to = {to:?}\n{key}")).unwrap_err();
            assert!(error.contains("curve+tcp://HOST:PORT"), "{error}");
        }
        let curve = format!("to = \"curve+tcp://h:1\"\n{key}\nas = \"journald\"");
        assert!(read(&curve).unwrap_err().contains("does not read"));
        let long = format!("to = \"unix:/{}\"", "x".repeat(MAX_PATH));
        assert!(read(&long).unwrap_err().contains("at most"));
        let twice = "to = \"unix:/x\"\n[[sink]]\nto = \"unix:/x\"";
        assert!(read(twice).unwrap_err().contains("two sinks to unix:/x"));
    }
}
