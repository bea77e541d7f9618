//! `doctor`: what stands between this side and an endpoint, step by step.

mod judge;
mod probe;
mod report;
mod stranger;

pub(crate) use report::Report;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use curvelink::{
    Curve, Endpoint, KeyPair, Mechanism, Null, OsEntropy, PublicKey, Reason, SocketType,
};

use crate::exit::Exit;
use judge::Look;
use probe::{End, Place, Seen};
use report::Found;

/// What is to be looked at, and as whom.
pub(crate) struct Patient {
    pub(crate) endpoint: Endpoint,
    pub(crate) kind: SocketType,
    pub(crate) identity: Identity,
    /// For each step.
    pub(crate) patience: Duration,
}

/// How this side means to talk.
pub(crate) enum Identity {
    /// Without a key.
    Clear,
    /// With one, to the owner of one of the keys.
    Curve {
        /// `None`: a key made for this one look.
        keys: Option<KeyPair>,
        /// At least one.
        servers: Vec<PublicKey>,
    },
}

/// Looks at everything, and stops at what is wrong.
///
/// # Errors
/// Where nothing can be looked at: an endpoint of another kind, no random octets.
pub(crate) async fn examine(patient: &Patient) -> anyhow::Result<Report> {
    let mut report = Report::new();
    let place = match Place::find(&patient.endpoint, patient.patience).await {
        Ok(place) => place,
        Err(error) if error.is::<io::Error>() => {
            let said = format!("the name leads nowhere ({error}): is it spelt right?");
            report.add(Found::failed("not-resolved", Exit::Usage, said));
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.add(Found::Ok(place.shown()));
    let (seen, server) = match talk(patient, &place).await? {
        Ok(talk) => talk,
        Err(error) => {
            report.add(judge::not_reached(&error));
            return Ok(report);
        }
    };
    report.add(Found::Ok("reached".to_owned()));
    let answer = match seen.first.is_empty() {
        true => probe::ask_for_http(&place, patient.patience / 2).await,
        false => Vec::new(),
    };
    Look {
        patient,
        seen: &seen,
        server,
        answer: &answer,
    }
    .report(&mut report);
    Ok(report)
}

type Talk = (Seen, Option<PublicKey>);

/// Goes through a handshake with the first of the keys that is the server's, or with the last.
async fn talk(patient: &Patient, place: &Place) -> anyhow::Result<io::Result<Talk>> {
    let servers = match &patient.identity {
        Identity::Clear => vec![None],
        Identity::Curve { servers, .. } => servers.iter().copied().map(Some).collect(),
    };
    let mut last = Err(io::ErrorKind::NotFound.into());
    for server in servers {
        let (stream, address) = match place.connect(patient.patience).await {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let mechanism = mechanism(&patient.identity, server)?;
        let handshake =
            probe::handshake(stream, address, mechanism, patient.kind, patient.patience);
        let seen = handshake.await;
        let is_other_key = seen.reason() == Some(Reason::WrongServerKey);
        last = Ok((seen, server));
        if !is_other_key {
            break;
        }
    }
    Ok(last)
}

fn mechanism(identity: &Identity, server: Option<PublicKey>) -> anyhow::Result<Arc<dyn Mechanism>> {
    Ok(match (identity, server) {
        (Identity::Curve { keys, .. }, Some(server)) => {
            let keys = match keys {
                Some(keys) => keys.duplicate(),
                None => KeyPair::generate(&mut OsEntropy)?,
            };
            Arc::new(Curve::client(keys, server))
        }
        _ => Arc::new(Null::new()),
    })
}

impl Seen {
    fn reason(&self) -> Option<Reason> {
        match &self.end {
            Err(End::Protocol(error)) => Some(error.reason()),
            _ => None,
        }
    }
}
