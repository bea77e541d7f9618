//! The witness: answers hubs, one after the other.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use curvelink::{Context, Curve, Frame, Message, Options, Peer, Rep, Socket};
use curvelink_audit::{Witness, WitnessError, WitnessRequest};
use curvelink_tlog::{Checkpoint, Note, NoteSignature, VerifyingNoteKey};
use curvelink_zap::{FileWatch, Policy, PolicyHandler, RECHECK, Reload, watch};
use tokio::task::spawn_blocking;

use super::answer::{Answer, BEHIND, Known};
use super::folder::{DOMAIN, Folder};
use super::told;
use crate::exit::usage;
use crate::hub::not_reloaded;

/// The longest request: 256 certificates, each of them below 8 KiB.
const MAX_REQUEST: usize = 2 << 20;

/// A witness that is bound and not yet running.
pub(crate) struct Service {
    context: Context,
    socket: Socket<Rep>,
    endpoint: String,
    memory: Memory,
    _watch: FileWatch,
}

impl Service {
    /// Takes hold of the folder's memory and binds its socket, with its policy in force.
    pub(crate) fn bind(context: &Context, folder: Folder) -> anyhow::Result<Self> {
        let witness = folder.memory()?;
        let keys = folder.server_key()?;
        if folder.logs()?.is_empty() {
            return Err(usage(
                "no journal is watched: `curvelink witness watch ANCHOR --hub KEY` adds one",
            ));
        }
        let path = folder.policy_path();
        let handler = Arc::new(PolicyHandler::new(Policy::from_file(&path)?));
        context.set_zap_handler(Arc::clone(&handler));
        let options = Options::new()
            .security(Curve::server(keys))
            .zap_domain(DOMAIN)
            .max_message_size(MAX_REQUEST);
        let socket = context.socket::<Rep>(options);
        let endpoint = socket.bind(folder.endpoint());
        let endpoint = endpoint.with_context(|| folder.endpoint().to_owned())?;
        let teller = context.clone();
        let watch = watch(path, handler, RECHECK, move |reload| {
            if let Reload::Refused(error) = reload {
                teller.record(not_reloaded(&error.to_string()));
            }
        })?;
        Ok(Self {
            context: context.clone(),
            socket,
            endpoint: endpoint.to_string(),
            memory: Memory { folder, witness },
            _watch: watch,
        })
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Works until `stop` resolves.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let request = tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                request = self.socket.recv() => request?,
            };
            let peer = request.peer().cloned();
            let frames = request.into_frames();
            let mut memory = self.memory;
            // The disk is waited for elsewhere.
            let (memory, answer, refused) = spawn_blocking(move || {
                let (answer, refused) = memory.answer(&frames);
                (memory, answer, refused)
            })
            .await?;
            self.memory = memory;
            if let Some(reason) = refused {
                let hub = peer.as_deref().and_then(|peer: &Peer| peer.name.as_deref());
                self.context.record(told::not_signed(hub, reason));
            }
            // The hub may have gone: then nobody waits for the answer.
            let _ = self.socket.send(Message::from(answer.to_string())).await;
        }
    }
}

/// What it knows.
struct Memory {
    folder: Folder,
    witness: Witness,
}

impl Memory {
    /// The answer to a request, and why it is a refusal that its operator should know of.
    fn answer(&mut self, frames: &[Frame]) -> (Answer, Option<&'static str>) {
        let frames: Vec<&[u8]> = frames.iter().map(|frame| &**frame).collect();
        let request = WitnessRequest::from_frames(&frames);
        let head = request.as_ref().ok().and_then(read);
        let answer = request.and_then(|request| self.cosign(request));
        let answer = answer.unwrap_or_else(Answer::from);
        let refused = match (&answer, head) {
            (Answer::Refused(code), _) => Some(*code),
            (Answer::Elsewhere(known), Some(it)) if known.size > it.head.size => Some(BEHIND),
            _ => None,
        };
        (answer, refused)
    }

    fn cosign(&mut self, request: WitnessRequest) -> Result<Answer, WitnessError> {
        let origin = read(&request).ok_or(WitnessError::Malformed)?.origin;
        let anchor = self.anchor(&origin).ok_or(WitnessError::Unknown)?;
        if self.witness.known(&origin).is_none() {
            self.witness.watch(&anchor)?;
        }
        let line = self.witness.cosign(&request, SystemTime::now())?;
        let (size, epoch) = self.witness.known(&origin).unwrap_or_default();
        let signature: NoteSignature = line.parse().map_err(|_| WitnessError::Malformed)?;
        let mut note: Note = request.checkpoint;
        if note.push(signature.clone()).is_ok() {
            // A convenience for auditors: what the witness knows is saved already.
            let _ = self.folder.keep(&anchor, &note);
        }
        Ok(Answer::Cosigned(Known { size, epoch }, signature))
    }

    /// The anchor of a journal that is watched, as the file has it now.
    fn anchor(&self, origin: &str) -> Option<VerifyingNoteKey> {
        let logs = self.folder.logs().ok()?;
        logs.into_iter().find(|log| log.name() == origin)
    }
}

fn read(request: &WitnessRequest) -> Option<Checkpoint> {
    request.checkpoint.text().parse().ok()
}
