//! The two sides that are compared: a ROUTER for each mechanism, that answers whatever comes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use curvelink::{
    Context, Credentials, Curve, KeyPair, Options, Plain, PublicKey, Rights, Router, Socket,
    ZapReply, ZapRequest,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::ANSWER;
use super::script::{Mechanism, PASSWORD, USER};
use crate::interop::Skipped;
use crate::peer::text;
use crate::python;
use crate::support::{Policy, bind_tcp};

/// Longer than any wait of a client's: it is the client who gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is let in, and the server that lets them in.
#[derive(Debug)]
pub(super) struct Agreement {
    pub(super) server: KeyPair,
    pub(super) client: PublicKey,
}

/// Where the listeners of one side are, in the order of [`Mechanism::ALL`].
pub(super) type Addresses = [String; 3];

/// curvelink's.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) addresses: Addresses,
    answering: Vec<JoinHandle<()>>,
    _context: Context,
}

impl Ours {
    pub(super) fn start(agreement: &Agreement) -> Self {
        let context = Context::new().expect("a context");
        context.set_zap_handler(policy(agreement.client));
        let mut answering = Vec::new();
        let addresses = Mechanism::ALL.map(|mechanism| {
            let options = match mechanism {
                Mechanism::Null => options(),
                Mechanism::Plain => options().security(Plain::server()),
                Mechanism::Curve => options().security(Curve::server(agreement.server.duplicate())),
            };
            let router = context.socket::<Router>(options);
            let endpoint = bind_tcp(&router);
            answering.push(tokio::spawn(answer(router)));
            endpoint.trim_start_matches("tcp://").to_owned()
        });
        Self {
            addresses,
            answering,
            _context: context,
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        for task in &self.answering {
            task.abort();
        }
    }
}

fn options() -> Options {
    Options::new()
        .greeting_timeout(PATIENCE)
        .handshake_timeout(PATIENCE)
        .max_handshakes(100_000)
        .backlog(4096)
}

async fn answer(router: Socket<Router>) {
    while let Ok(mut message) = router.recv().await {
        if let Some(id) = message.pop_front() {
            // Who has gone again needs no answer.
            let _gone = router.try_send([id.to_vec(), ANSWER.to_vec()]);
        }
    }
}

fn policy(known: PublicKey) -> impl curvelink::ZapHandler {
    Policy(move |request: &ZapRequest| match &request.credentials {
        Credentials::Curve(key) if *key == known => ZapReply::admit(USER, Rights::all()),
        Credentials::Plain { username, password }
            if *username == USER && password.matches(PASSWORD.as_bytes()) =>
        {
            ZapReply::admit(USER, Rights::all())
        }
        _ => ZapReply::deny(curvelink::Reason::UnknownKey),
    })
}

/// libzmq's: `python/handshakes.py`; killed when dropped.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) addresses: Addresses,
    process: Child,
}

impl Theirs {
    /// Starts them.
    ///
    /// # Errors
    /// [`Skipped`] without Python 3 or a package registry.
    pub(super) fn start(agreement: &Agreement) -> Result<Self, Skipped> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/handshakes.py");
        let mut process = Command::new(python::environment()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the environment's Python starts");
        let told = json!({
            "secret": &**agreement.server.secret().expose_z85(),
            "client": agreement.client.to_z85(),
            "user": USER,
            "password": PASSWORD,
            "answer": text(ANSWER),
        });
        let mut stdin = process.stdin.as_ref().expect("piped");
        writeln!(stdin, "{told}").expect("the script reads");
        let mut line = String::new();
        let stdout = process.stdout.as_mut().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the script says where it listens");
        let endpoints: Value = serde_json::from_str(&line).expect("JSON");
        let addresses = [0, 1, 2].map(|index| {
            let endpoint = endpoints[index].as_str().expect("an endpoint");
            endpoint.trim_start_matches("tcp://").to_owned()
        });
        Ok(Self { addresses, process })
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _died_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}
