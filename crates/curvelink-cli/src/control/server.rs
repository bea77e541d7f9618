//! The hub's side of the control socket.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use curvelink_zap::OwnedFile;
use nix::unistd::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::{Answer, DEADLINE, LOCK, MAX_REQUEST, Order, SOCKET};
use crate::exit::usage;

/// Connections at one time; others wait to be accepted.
const CONNECTIONS: usize = 8;

/// The socket, open: whoever has the folder's `run/` has the hub. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
    _lock: File,
}

impl Control {
    /// Opens it in a folder that nobody else can enter.
    ///
    /// # Errors
    /// Where a hub runs already, or the folder is not ours alone.
    pub(crate) fn open(run: &Path) -> anyhow::Result<Self> {
        make_private(run).with_context(|| run.display().to_string())?;
        let lock = lock(&run.join(LOCK))?;
        let path = run.join(SOCKET);
        // The lock is ours: who listened there is gone.
        remove_socket(&path).with_context(|| path.display().to_string())?;
        let listener = UnixListener::bind(&path).map_err(|error| {
            let path = path.display();
            usage(format!(
                "the control socket {path} cannot be opened: {error}"
            ))
        })?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path,
            _lock: lock,
        })
    }

    /// Hears requests until dropped.
    pub(crate) async fn serve(&self, orders: mpsc::Sender<Order>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = self.listener.accept().await else {
                // No descriptor is left: others will close theirs.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let orders = orders.clone();
            tokio::spawn(async move {
                let _whoever_asked_has_gone = timeout(DEADLINE, exchange(stream, orders)).await;
                drop(place);
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.path);
    }
}

async fn exchange(mut stream: UnixStream, orders: mpsc::Sender<Order>) -> io::Result<()> {
    // The folder lets nobody else in; this holds where somebody opened it.
    let asker = stream.peer_cred()?.uid();
    if asker != 0 && asker != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    let mut limited = BufReader::new(read.take(MAX_REQUEST));
    limited.read_until(b'\n', &mut line).await?;
    let answer = match (line.ends_with(b"\n"), serde_json::from_slice(&line)) {
        (true, Ok(request)) => {
            let (answer, answered) = oneshot::channel();
            let order = Order { request, answer };
            orders.send(order).await.map_err(io::Error::other)?;
            answered.await.map_err(io::Error::other)?
        }
        _ => Answer::Refused {
            error: "this is no request: is it a curvelink of another version?".to_owned(),
        },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Makes the folder, or sees that it is ours and lets nobody else in.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return Ok(made?),
    }
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Err(usage("is no folder: move it away"));
    }
    // Fails where it is another user's.
    fs::set_permissions(folder, Permissions::from_mode(0o700)).context("cannot be made private")
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options
        .open(path)
        .with_context(|| path.display().to_string())?;
    // What is locked is the file that the next one finds, and nobody else's.
    let owned = OwnedFile::open(path).and_then(|file| file.check_writers());
    owned.map_err(|problem| usage(format!("{}: {problem}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(usage(
            "a hub runs in this folder already: look at it with `curvelink show`",
        )),
        Err(TryLockError::Error(error)) => Err(error).context(path.display().to_string()),
    }
}

fn remove_socket(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.file_type().is_socket() => Ok(fs::remove_file(path)?),
        Ok(_) => Err(usage("is no socket: move it away")),
        Err(error) => Err(error.into()),
    }
}
