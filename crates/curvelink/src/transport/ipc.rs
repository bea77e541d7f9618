//! Unix sockets: files with a mode of their own, and Linux' abstract names.
#![cfg(unix)]

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use curvelink_proto::{Endpoint, PeerAddress};
use tokio::net::{UnixListener, UnixStream};

use super::BoxStream;
use crate::error::BindError;
use crate::options::Options;

/// A listener, and the file that goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Dropped first: once nobody listens, another may bind there, and its file could have the
    /// number that ours had.
    _file: Option<File>,
    listener: UnixListener,
}

/// A socket's file: removed with the listener, unless another has taken its place.
#[derive(Debug)]
struct File {
    path: PathBuf,
    inode: u64,
}

impl Drop for File {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(BoxStream, PeerAddress)> {
        let (stream, _) = self.listener.accept().await?;
        ready(stream)
    }
}

pub(super) fn listen(
    path: &str,
    options: &Options,
) -> Result<(super::Listener, Endpoint), BindError> {
    let (listener, file) = match path.strip_prefix('@') {
        Some(name) => (StdListener::bind_addr(&abstract_name(name)?)?, None),
        None => {
            let (listener, file) = listen_at(Path::new(path), options.transport.ipc_mode)?;
            (listener, Some(file))
        }
    };
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    Ok((
        super::Listener::Ipc(Listener {
            listener,
            _file: file,
        }),
        Endpoint::Ipc(path.to_owned()),
    ))
}

/// Binds beside the path, sets the mode, and moves the socket to its place: at no moment can
/// others connect to a socket that they may not.
fn listen_at(path: &Path, mode: u32) -> io::Result<(StdListener, File)> {
    clear_stale(path)?;
    // A short name: the path itself may be as long as the system allows.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let beside = path.with_file_name(format!(".{process:x}.{next:x}"));
    let bind = || -> io::Result<(StdListener, File)> {
        let listener = StdListener::bind(&beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(mode & 0o777))?;
        let inode = fs::symlink_metadata(&beside)?.ino();
        fs::rename(&beside, path)?;
        Ok((
            listener,
            File {
                path: path.to_owned(),
                inode,
            },
        ))
    };
    bind().inspect_err(|_| {
        let _never_made = fs::remove_file(&beside);
    })
}

/// Makes room where a socket was left behind; one that somebody listens on, and any other file,
/// is not touched.
fn clear_stale(path: &Path) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) => file,
    };
    if !file.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match StdStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

pub(super) async fn connect(path: &str) -> io::Result<(BoxStream, PeerAddress)> {
    let stream = match path.strip_prefix('@') {
        None => UnixStream::connect(path).await?,
        Some(name) => {
            let stream = StdStream::connect_addr(&abstract_name(name)?)?;
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)?
        }
    };
    ready(stream)
}

fn ready(stream: UnixStream) -> io::Result<(BoxStream, PeerAddress)> {
    let peer = stream.peer_cred()?;
    let address = PeerAddress::Ipc {
        uid: peer.uid(),
        gid: peer.gid(),
        pid: peer.pid(),
    };
    Ok((Box::new(stream), address))
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
