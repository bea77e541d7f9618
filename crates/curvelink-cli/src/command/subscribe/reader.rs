//! What is done with each message that comes.

use curvelink::{Message, Socket, Sub};
use curvelink_envelope::{Flag, Verified, Via};
use serde_json::{Value, json};

use crate::exit::{Exit, failure, one_line};
use crate::hub::{Receipts, is_system};
use crate::inbox::Inbox;
use crate::message::{self, Form};
use crate::output;
use crate::trust::Trust;

/// Verifies, saves and shows.
pub(super) struct Reader {
    trust: Option<Trust>,
    inbox: Option<Inbox>,
    form: Form,
    failed: u64,
    /// Where the peer is the folder's own hub, what is the hub's own comes without an envelope:
    /// whether that was asked for by name. Whoever wants all topics means messages.
    system: Option<bool>,
    /// Towards a hub: how it learns what was delivered here.
    receipts: Option<(Receipts, Socket<Sub>)>,
}

impl Reader {
    pub(super) const fn new(trust: Option<Trust>, inbox: Option<Inbox>, form: Form) -> Self {
        Self {
            trust,
            inbox,
            form,
            failed: 0,
            system: None,
            receipts: None,
        }
    }

    /// Takes from the folder's own hub what is the hub's own, and shows it where that is wanted.
    pub(super) fn of_hub(self, system: Option<bool>) -> Self {
        Self { system, ..self }
    }

    /// Tells the hub from now on what was delivered.
    pub(super) fn confirm_by(&mut self, receipts: Receipts, socket: Socket<Sub>) {
        self.receipts = Some((receipts, socket));
    }

    /// Deals with one message; whether it was delivered.
    pub(super) fn read(&mut self, message: &Message) -> anyhow::Result<bool> {
        let topic = message.first().map_or(&[][..], |topic| topic);
        if let Some(is_wanted) = self.system.filter(|_| is_system(topic)) {
            if is_wanted {
                self.show(message.clone(), None)?;
            }
            return Ok(is_wanted);
        }
        let is_signed = |trust: &&mut Trust| trust.modes.requires_signature(topic);
        let Some(trust) = self.trust.as_mut().filter(is_signed) else {
            if self.inbox.is_some() {
                let topic = one_line(&String::from_utf8_lossy(topic));
                output::note(&format!(
                    "note  {topic}: not saved: the topic is not signed"
                ));
            }
            self.show(message.clone(), None)?;
            return Ok(true);
        };
        let frames: Vec<&[u8]> = message.iter().map(|frame| &**frame).collect();
        // The peer is the hub whose key was demanded, or a publisher that was named: it may pass
        // on what others signed.
        match trust.verifier.verify(&frames, Via::Relay) {
            Ok(verified) if verified.statement.heartbeat => {
                self.heed(&verified)?;
                Ok(false)
            }
            Ok(verified) => {
                self.deliver(message, &verified)?;
                if let Some((receipts, socket)) = &self.receipts {
                    receipts.confirm(socket, &verified.statement.topic, &verified.digest());
                }
                Ok(true)
            }
            Err(error) => {
                self.failed += 1;
                let topic = one_line(&String::from_utf8_lossy(topic));
                output::note(&format!("FAIL  {topic}: {error}"));
                Ok(false)
            }
        }
    }

    /// Fails where anything did not verify.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        match self.failed {
            0 => Ok(()),
            failed => Err(failure(
                Exit::VerificationFailed,
                format!("{failed} messages failed verification and were not delivered: see above"),
            )),
        }
    }

    /// A heartbeat is evidence of what is missing, and nothing else.
    fn heed(&self, verified: &Verified) -> anyhow::Result<()> {
        note_flags(verified);
        if self.form == Form::Json {
            for flag in &verified.flags {
                output::json(&told(verified, *flag))?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, message: &Message, verified: &Verified) -> anyhow::Result<()> {
        note_flags(verified);
        let statement = &verified.statement;
        let Some(inbox) = &mut self.inbox else {
            let mut shown = message.clone();
            shown.pop_back();
            return self.show(shown, Some(verified));
        };
        let path = inbox.save(message)?;
        let octets = message.octets() - message.last().map_or(0, |envelope| envelope.len());
        let told = json!({
            "file": path, "topic": statement.topic, "octets": octets, "seq": statement.seq,
            "signer": statement.signer, "key": verified.key.fingerprint(),
        });
        output::either(self.form == Form::Json, &told, || {
            format!(
                "{}  {}  {octets} octets  seq {}  signed by {} {}",
                path.display(),
                one_line(&statement.topic),
                statement.seq,
                statement.signer,
                verified.key.fingerprint()
            )
        })?;
        Ok(())
    }

    /// Shows a message on standard output; raw, its body without the topic.
    fn show(&self, mut message: Message, verified: Option<&Verified>) -> anyhow::Result<()> {
        if self.form == Form::Raw {
            message.pop_front();
        }
        Ok(message::print_verified(&message, verified, self.form)?)
    }
}

/// What the numbers tell, on standard error.
fn note_flags(verified: &Verified) {
    let topic = one_line(&verified.statement.topic);
    for flag in &verified.flags {
        let code = flag.code();
        output::note(&match flag.missing() {
            0 => format!("note  {topic}: {code}"),
            missing => format!("note  {topic}: {code}, {missing} missing"),
        });
    }
}

/// What a heartbeat tells, for programs: there is no message that it could be told with.
fn told(verified: &Verified, flag: Flag) -> Value {
    json!({"heartbeat": {
        "topic": verified.statement.topic, "signer": verified.statement.signer,
        "key": verified.key.fingerprint(), "flag": flag.code(), "missing": flag.missing(),
    }})
}
