//! One witness, as the hub asks it.

use std::sync::Arc;
use std::time::Duration;

use curvelink::{Context, CurveBackend, Frame, Message, Req, Socket};
use curvelink_audit::{JournalReader, WitnessRequest};
use curvelink_tlog::{Note, NoteSignature};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::answer::{Answer, BEHIND, Known, NO_ANSWER};
use super::told::Trouble;
use crate::exit::one_line;
use crate::home::{HUB, Home, WitnessConfig};
use crate::link::{Link, Security};

/// For a witness to be reached, and for each answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many questions for one signature: a witness that was away for long takes one for each 256
/// keys that it missed.
const QUESTIONS: usize = 256;
/// After a failure it is asked again after this time, and after each further one twice as long...
const SOON: Duration = Duration::from_secs(1);
/// ...up to this.
const LATE: Duration = Duration::from_secs(60);

/// A witness and what is known of it.
pub(super) struct Asked {
    pub(super) config: WitnessConfig,
    socket: Option<Socket<Req>>,
    known: Known,
    pub(super) trouble: Option<Trouble>,
    /// How many entries it has signed, and when.
    pub(super) signed: Option<(u64, Instant)>,
    /// It is not asked before.
    pub(super) due: Instant,
    pause: Duration,
}

impl Asked {
    pub(super) fn new(config: WitnessConfig) -> Self {
        Self {
            config,
            socket: None,
            known: Known::default(),
            trouble: None,
            signed: None,
            due: Instant::now(),
            pause: SOON,
        }
    }

    /// Has it sign the checkpoint that a journal is read by, which is `note`. One question is under
    /// way at a time.
    pub(super) async fn sign(
        &mut self,
        context: &Context,
        home: &Home,
        journal: &Arc<JournalReader>,
        note: &Note,
    ) -> Result<NoteSignature, Trouble> {
        let signed = self.ask(context, home, journal, note).await;
        if signed.is_ok() {
            self.signed = Some((journal.checkpoint().head.size, Instant::now()));
            self.pause = SOON;
        } else {
            self.due = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LATE);
        }
        signed
    }

    async fn ask(
        &mut self,
        context: &Context,
        home: &Home,
        journal: &Arc<JournalReader>,
        note: &Note,
    ) -> Result<NoteSignature, Trouble> {
        for _ in 0..QUESTIONS {
            let known = self.known;
            if known.size > journal.checkpoint().head.size {
                return Err(Trouble::Refused(BEHIND));
            }
            let request = request(journal, known).await?;
            match self.exchange(context, home, &request).await? {
                Answer::Cosigned(known, signature) => {
                    self.known = known;
                    let mut signed = request.checkpoint;
                    let pushed = signed.push(signature.clone());
                    if pushed.is_err() || self.config.key.verify(&signed).is_err() {
                        return Err(Trouble::Refused(NO_ANSWER));
                    }
                    if signed.text() == note.text() {
                        return Ok(signature);
                    }
                }
                Answer::Elsewhere(at) if at != known => self.known = at,
                Answer::Elsewhere(_) => return Err(Trouble::Refused(NO_ANSWER)),
                Answer::Refused(code) => return Err(Trouble::Refused(code)),
            }
        }
        Err(Trouble::Refused(NO_ANSWER))
    }

    async fn exchange(
        &mut self,
        context: &Context,
        home: &Home,
        request: &WitnessRequest,
    ) -> Result<Answer, Trouble> {
        // Taken: an answer that comes too late must not be one to the next question.
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self
                .connect(context, home)
                .await
                .map_err(|error| Trouble::Away(one_line(&format!("{error:#}"))))?,
        };
        let frames = request.to_frames().into_iter().map(Frame::from);
        let message: Message = frames.collect();
        let exchange = timeout(PATIENCE, async {
            socket.send(message).await.ok()?;
            socket.recv().await.ok()
        });
        let Ok(Some(reply)) = exchange.await else {
            let late = format!("no answer within {} s", PATIENCE.as_secs());
            return Err(Trouble::Away(late));
        };
        self.socket = Some(socket);
        let answer = reply.first().filter(|_| reply.len() == 1);
        let answer = answer.and_then(|frame| Answer::parse(frame));
        answer.ok_or(Trouble::Refused(NO_ANSWER))
    }

    /// Connects with the key that the hub has now: it may have been replaced.
    async fn connect(&self, context: &Context, home: &Home) -> anyhow::Result<Socket<Req>> {
        let home = home.clone();
        let keys = spawn_blocking(move || home.curve_key(HUB)).await??;
        let link = Link {
            endpoint: self.config.endpoint.clone(),
            bind: false,
            security: Security::Client {
                keys,
                servers: vec![self.config.server_key],
                backend: CurveBackend::default(),
            },
        };
        let mut linked = link.open::<Req>(context)?;
        linked.established(1, PATIENCE).await?;
        Ok(linked.socket)
    }
}

/// What to ask, with proofs from the disk.
async fn request(journal: &Arc<JournalReader>, known: Known) -> Result<WitnessRequest, Trouble> {
    let journal = Arc::clone(journal);
    let read = spawn_blocking(move || journal.witness_request(known.size, known.epoch));
    let request = read
        .await
        .map_err(|error| Trouble::Unread(error.to_string()))?;
    request.map_err(|error| Trouble::Unread(error.to_string()))
}
