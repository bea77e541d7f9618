//! `curvelink demo`: the whole job once, in one process and one temporary folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use curvelink::{Context, Frame, KeyPair, Message, OsEntropy, Sub};
use curvelink_audit::{JournalReader, Record, Verdict, VerifyOptions, verify};
use curvelink_envelope::{Verified, Verifier, VerifyError, Via, file};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::init::{self, PUBLISHER, SUBSCRIBER};
use crate::args::hub::{DemoArgs, InitArgs};
use crate::args::socket::{SignArgs, TrustArgs};
use crate::audit::{Keeper, Place};
use crate::exit::{Exit, exit_of, failure};
use crate::home::{Endpoints, Home};
use crate::hub::{Client, Hub};
use crate::inbox::Inbox;
use crate::link::{Link, Linked, Security};
use crate::message::content_type;
use crate::output;
use crate::sign::Pen;
use crate::trust::Trust;

/// What bandit 1.9.4 finds in requests 2.6.0; tests/data/README.md says how it was made.
const FINDINGS: &str = include_str!("../../../../tests/data/bandit.sarif");
const TOPIC: &str = "findings/sast/bandit";
const OUTSIDE: &str = "remediate/prod";
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let (findings, content_type) = match &args.file {
        Some(path) => {
            let octets = fs::read(path).with_context(|| format!("cannot read {}", path.display()));
            (octets?, content_type(path))
        }
        None => (FINDINGS.as_bytes().to_vec(), "application/sarif+json"),
    };
    ensure!(
        !findings.is_empty(),
        "the file of findings is empty: name one with findings"
    );
    // Gone at the end, the keys with it.
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut stage = Stage::set(folder.path()).await?;
    let checked = stage.play(&findings, content_type).await;
    let place = Place::of(&stage.home);
    let struck = stage.strike().await;
    checked.and(struck).and_then(|()| audit(&place))
}

/// The folder, the hub and the two who talk.
struct Stage {
    home: Home,
    context: Context,
    keeper: Option<Keeper>,
    endpoints: Endpoints,
    stop: oneshot::Sender<()>,
    hub: JoinHandle<anyhow::Result<()>>,
    siem: Linked<Sub>,
    scanner: Client,
}

impl Stage {
    /// Steps 1 to 3.
    async fn set(folder: &Path) -> anyhow::Result<Self> {
        let dir = folder.join("demo");
        init::make(&InitArgs {
            dir: dir.clone(),
            port: 0,
        })?;
        let home = Home::find(Some(&dir))?;
        ok(
            "keys and policy made: a hub, ci-scanner who may publish findings/, siem who may read it",
        )?;

        let context = Context::new()?;
        let journal = Place::of(&home).open(&home)?;
        let keeper = Keeper::start(&context, Some(&journal), None);
        let hub = Hub::bind(&context, &home, Some(&journal))?;
        let endpoints = hub.endpoints().clone();
        ok(&format!(
            "hub up behind CURVE and the policy: {}, key {}",
            endpoints.ingest,
            hub.key()
        ))?;
        let (stop, stopped) = oneshot::channel();
        let hub = tokio::spawn(hub.run(async {
            // An error is a sender that has gone: a stop as well.
            let _ = stopped.await;
        }));

        let as_siem = link(&home, &endpoints.feed, home.curve_key(SUBSCRIBER)?)?;
        let mut siem = as_siem.open::<Sub>(&context)?;
        siem.socket.subscribe("findings/");
        siem.established(1, PATIENCE).await?;
        let as_scanner = link(&home, &endpoints.ingest, home.curve_key(PUBLISHER)?)?;
        let mut scanner = Client::connect(&context, as_scanner, PATIENCE).await?;
        scanner.wait_for_subscribers(TOPIC, 1).await?;
        ok("siem subscribed to findings/, and the hub has let it in by its key")?;
        Ok(Self {
            home,
            context,
            keeper,
            endpoints,
            stop,
            hub,
            siem,
            scanner,
        })
    }

    /// Steps 4 to 8.
    async fn play(&mut self, findings: &[u8], content_type: &str) -> anyhow::Result<()> {
        let message = self.publish(findings, content_type).await?;
        let mut verifier = self.verifier()?;
        let received = self.receive(&mut verifier, findings).await?;
        ensure!(received == message, "the message changed on its way");
        self.refuse_stranger().await?;
        self.refuse_topic().await?;
        self.refuse_tampered(&received, &verifier)
    }

    async fn publish(&mut self, findings: &[u8], content_type: &str) -> anyhow::Result<Message> {
        let sign = SignArgs {
            sign_key: None,
            signer: None,
            audience: None,
            content_type: None,
            traceparent: None,
        };
        let pen = Pen::new(&sign, Some(PUBLISHER), Some(&self.home), TOPIC)?;
        let pen = pen.context("ci-scanner has a signing key")?;
        let mut signer = pen.signer(PATIENCE).await?;
        let mut frames = vec![Frame::from(TOPIC), Frame::from(findings)];
        frames.push(signer.sign(&frames, content_type)?.into());
        let message = Message::from(frames);
        let ack = self.scanner.ask(message.clone()).await?;
        ensure!(
            ack.subscribers == [SUBSCRIBER],
            "the hub passed it on to {:?}",
            ack.subscribers
        );
        ok(&format!(
            "{} octets of findings published as {TOPIC}, signed by {PUBLISHER} {}; received by {}",
            findings.len(),
            signer.verifying_key().fingerprint(),
            ack.subscribers.join(", ")
        ))?;
        Ok(message)
    }

    fn verifier(&self) -> anyhow::Result<Verifier> {
        let trust = Trust::new(&TrustArgs::default(), Some(&self.home))?;
        Ok(trust.context("the folder asks for signatures")?.verifier)
    }

    async fn receive(
        &mut self,
        verifier: &mut Verifier,
        findings: &[u8],
    ) -> anyhow::Result<Message> {
        let message = self.siem.recv(Some(PATIENCE)).await?;
        let frames: Vec<&[u8]> = message.iter().map(|frame| &**frame).collect();
        let verified: Verified = verifier.verify(&frames, Via::Relay).map_err(check_failed)?;
        ensure!(
            verified.statement.signer == PUBLISHER,
            "it is signed by somebody else"
        );
        ensure!(
            message.frame(1).is_some_and(|body| body == findings),
            "the findings changed"
        );
        ok(&format!(
            "siem verified it: signature, digests, signer, topic, audience, time; statement \
             sha256:{}",
            output::hex(&verified.digest())
        ))?;
        Ok(message)
    }

    async fn refuse_stranger(&self) -> anyhow::Result<()> {
        let keys = KeyPair::generate(&mut OsEntropy)?;
        let fingerprint = keys.public().fingerprint();
        let stranger = link(&self.home, &self.endpoints.ingest, keys)?;
        match Client::connect(&self.context, stranger, PATIENCE).await {
            Ok(_) => Err(failure(
                Exit::VerificationFailed,
                "the hub let a stranger in",
            )),
            Err(error) if exit_of(&error) == Exit::Refused => ok(&format!(
                "a stranger is refused: key {fingerprint} is not in the policy"
            )),
            Err(error) => Err(error.context("the stranger was not refused")),
        }
    }

    async fn refuse_topic(&mut self) -> anyhow::Result<()> {
        match self.scanner.ask(Message::from([OUTSIDE, "rm -rf /"])).await {
            Ok(_) => Err(failure(
                Exit::VerificationFailed,
                "the hub took a topic outside the rights",
            )),
            Err(error) if exit_of(&error) == Exit::Refused => {
                ok(&format!("a topic outside the rights is {error}"))
            }
            Err(error) => Err(error.context("the topic was not refused")),
        }
    }

    fn refuse_tampered(&self, message: &Message, verifier: &Verifier) -> anyhow::Result<()> {
        let mut inbox = Inbox::open(&self.home.path("inbox"))?;
        let saved = inbox.save(message)?;
        let kept = file::load(&saved)?;
        verifier.verify_at_rest(&kept).map_err(check_failed)?;
        tamper(&saved)?;
        let tampered = file::load(&saved)?;
        match verifier.verify_at_rest(&tampered) {
            Err(error @ VerifyError::DigestMismatch { frame: 1 }) => ok(&format!(
                "one bit of the saved copy changed, and it fails: {error}"
            )),
            Err(error) => Err(check_failed(error).context("it fails for another reason")),
            Ok(_) => Err(failure(
                Exit::VerificationFailed,
                "a tampered copy passed verification",
            )),
        }
    }

    /// Ends the hub and everything that talks to it.
    async fn strike(self) -> anyhow::Result<()> {
        drop((self.siem, self.scanner));
        // The hub may have failed already: then its own error says why.
        let _ = self.stop.send(());
        self.hub.await??;
        self.context.shutdown().await;
        match self.keeper {
            Some(keeper) => keeper.close().await,
            None => Ok(()),
        }
    }
}

/// Steps 9 and 10: what the hub's journal says of all that, and what becomes of it when it is
/// altered.
fn audit(place: &Place) -> anyhow::Result<()> {
    let anchor = fs::read_to_string(&place.anchor)?;
    let options = VerifyOptions::new(anchor.trim().parse()?);
    let report = verify(&place.journal, &options, &mut ())?;
    ensure!(
        report.verdict == Verdict::Sound,
        "the journal fails: {:?}",
        report.problem()
    );
    let reader = JournalReader::open(&place.journal)?;
    let refusals = [("CL1002", "unknown-key"), ("CL1020", "topic-denied")];
    let [stranger, outside] = refusals.map(|(id, reason)| find(&reader, id, reason));
    let (stranger, outside) = (stranger?, outside?);
    ok(&format!(
        "the audit journal verifies from its anchor: {} entries, {} checkpoints; both refusals \
         are in it, entry {stranger} (unknown-key) and entry {outside} (topic-denied)",
        report.size, report.checkpoints
    ))?;
    alter(&place.journal.join("tile/entries"), b"unknown-key")?;
    let report = verify(&place.journal, &options, &mut ())?;
    match report.problem() {
        Some((rule, damage)) if damage.index == Some(stranger) => ok(&format!(
            "one octet of the journal changed, and it fails: {} {damage}",
            rule.code()
        )),
        found => Err(failure(
            Exit::VerificationFailed,
            format!("an altered journal was not found to be so: {found:?}"),
        )),
    }
}

/// The entry that tells of a refusal.
fn find(reader: &JournalReader, id: &str, reason: &str) -> anyhow::Result<u64> {
    for entry in reader.entries(reader.range()) {
        let entry = entry?;
        let record = Record::from_json(&entry.octets)?;
        let why = record.field("reason").and_then(|value| value.as_text());
        if record.id() == id && why == Some(reason) {
            return Ok(entry.index);
        }
    }
    Err(failure(
        Exit::VerificationFailed,
        format!("the journal has no {id} because of {reason}"),
    ))
}

/// Changes one octet where `word` stands, in each file that has it.
fn alter(folder: &Path, word: &[u8]) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            alter(&path, word)?;
            continue;
        }
        let mut octets = fs::read(&path)?;
        let found = octets.windows(word.len()).position(|part| part == word);
        if let Some(octet) = found.and_then(|at| octets.get_mut(at)) {
            *octet ^= 1;
            fs::write(&path, &octets)?;
        }
    }
    Ok(())
}

fn link(home: &Home, endpoint: &str, keys: KeyPair) -> anyhow::Result<Link> {
    let security = Security::Client {
        keys,
        servers: home.hub_keys()?,
        backend: home.config.curve.backend,
    };
    Ok(Link {
        endpoint: endpoint.to_owned(),
        bind: false,
        security,
    })
}

/// Changes one bit of the body beside a saved envelope.
fn tamper(envelope: &Path) -> anyhow::Result<()> {
    let body = body_of(envelope)?;
    let mut octets = fs::read(&body)?;
    let middle = octets.len() / 2;
    octets.get_mut(middle).map_or_else(
        || Err(anyhow::anyhow!("there is no body")),
        |octet| {
            *octet ^= 1;
            Ok(())
        },
    )?;
    Ok(fs::write(&body, octets)?)
}

fn body_of(envelope: &Path) -> anyhow::Result<PathBuf> {
    let folder = envelope.parent().context("a folder")?;
    let mut entries = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    entries
        .find(|path| path != envelope)
        .context("the body beside the envelope")
}

fn check_failed(error: VerifyError) -> anyhow::Error {
    failure(Exit::VerificationFailed, error.to_string())
}

fn ok(what: &str) -> anyhow::Result<()> {
    Ok(output::line(&format!("ok  {what}"))?)
}
