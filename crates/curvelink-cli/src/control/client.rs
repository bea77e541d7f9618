//! The operator's side of the control socket.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use nix::unistd::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Answer, DEADLINE, MAX_ANSWER, Request, SOCKET};
use crate::exit::{Exit, failure, usage};

/// Asks the hub whose folder for running things this is; `None` where no hub runs.
///
/// # Errors
/// Where the hub does not answer in time, or not as one of this version.
pub(crate) async fn ask(run: &Path, request: Request) -> anyhow::Result<Option<Answer>> {
    let path = run.join(SOCKET);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error)
            if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let late = || {
        failure(
            Exit::TimedOut,
            "the hub does not answer: is it stopped or overloaded?",
        )
    };
    let answer = timeout(DEADLINE, exchange(stream, request));
    answer.await.map_err(|_| late())?.map(Some)
}

async fn exchange(mut stream: UnixStream, request: Request) -> anyhow::Result<Answer> {
    // Somebody else's answer would be believed: a rotation acts on it.
    let hub = stream.peer_cred()?.uid();
    if hub != 0 && hub != geteuid().as_raw() && !geteuid().is_root() {
        return Err(usage(
            "the control socket is another user's: who put it there?",
        ));
    }
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    let mut limited = BufReader::new(stream.take(MAX_ANSWER));
    limited.read_until(b'\n', &mut answer).await?;
    serde_json::from_slice(&answer)
        .map_err(|_| usage("the hub's answer is none: is it a curvelink of another version?"))
}
