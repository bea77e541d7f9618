//! Unix sockets: files with a mode of their own, and Linux' abstract names.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use curvelink_proto::{Endpoint, PeerAddress};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::BoxStream;
use crate::error::BindError;
use crate::options::Transport;

/// A listener, and what it leaves in the file system.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Dropped first: once nobody listens, another may bind there, and its file could have the
    /// number that ours had.
    _file: Option<File>,
    _folder: Option<Folder>,
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

/// A folder that was made for one socket.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_already_or_used_by_others = fs::remove_dir(&self.0);
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(BoxStream, PeerAddress)> {
        let (stream, _) = self.listener.accept().await?;
        ready(stream)
    }
}

/// Listens at a path, at an abstract name (`@name`), or (`*`) at a path that nobody else has.
pub(super) fn listen(path: &str, options: &Transport) -> Result<(Listener, Endpoint), BindError> {
    let folder = match path {
        "*" => Some(own_folder()?),
        _ => None,
    };
    let path = match &folder {
        Some(folder) => {
            let path = folder.0.join("socket").into_os_string();
            path.into_string()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?
        }
        None => path.to_owned(),
    };
    let (socket, file) = bind_at(&path, options.ipc_mode)?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    let listener = Listener {
        listener: UnixListener::from_std(socket.into())?,
        _file: file,
        _folder: folder,
    };
    Ok((listener, Endpoint::Ipc(path)))
}

/// A new folder of our user's only, where the system keeps what is temporary.
fn own_folder() -> io::Result<Folder> {
    let random = RandomState::new().hash_one(0);
    let path = std::env::temp_dir().join(format!("curvelink-{random:016x}"));
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok(Folder(path))
}

/// Binds, and sets the mode: nobody can connect to a socket that does not listen yet, so at no
/// moment can others connect to one that they may not.
fn bind_at(path: &str, mode: u32) -> io::Result<(Socket, Option<File>)> {
    let address = address(path)?;
    if path.starts_with('@') {
        let socket = socket()?;
        socket.bind(&address)?;
        return Ok((socket, None));
    }
    let path = Path::new(path);
    clear_stale(path, &address)?;
    let socket = socket()?;
    socket.bind(&address)?;
    let file = File {
        inode: fs::symlink_metadata(path)?.ino(),
        path: path.to_owned(),
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))?;
    Ok((socket, Some(file)))
}

/// Makes room where a socket was left behind; one that somebody listens on, and any other file,
/// is not touched.
fn clear_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) => file,
    };
    if !file.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    match socket()?.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Who listens and has no room now (`WouldBlock`) is there all the same.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// A connection is made at once or not at all: the kernel asks nobody.
pub(super) fn connect(path: &str) -> io::Result<(BoxStream, PeerAddress)> {
    let socket = socket()?;
    socket.connect(&address(path)?)?;
    ready(UnixStream::from_std(socket.into())?)
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn address(path: &str) -> io::Result<SockAddr> {
    match path.strip_prefix('@') {
        None => SockAddr::unix(path),
        Some(_) if cfg!(not(target_os = "linux")) => Err(io::ErrorKind::Unsupported.into()),
        Some(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name.as_bytes()].concat())),
    }
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
