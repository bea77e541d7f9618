//! Files and streams that secrets are written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use crate::exit::usage;

/// Makes a file for a secret: it must not exist yet, not even as a symbolic link, and only its
/// owner can read it whatever the umask is.
pub(crate) fn create(path: &Path, octets: impl AsRef<[u8]>) -> anyhow::Result<()> {
    create_with(path, octets.as_ref(), 0o600)
}

/// Makes a file that anybody may read and only its owner can write; it must not exist yet either.
pub(crate) fn create_public(path: &Path, text: &str) -> anyhow::Result<()> {
    create_with(path, text.as_bytes(), 0o644)
}

fn create_with(path: &Path, octets: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => usage(format!(
            "{} exists: choose another name, a key file is never overwritten",
            path.display()
        )),
        _ => usage(format!("cannot create {}: {error}", path.display())),
    })?;
    let written = file.write_all(octets).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worse than none: it would be taken for one.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Prints a secret on standard output. Where that is a file (`> FILE`), the file becomes its
/// owner's alone before the first octet is in it.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        use std::os::unix::fs::PermissionsExt;

        let file = File::from(out.as_fd().try_clone_to_owned()?);
        if file.metadata()?.is_file() {
            file.set_permissions(fs::Permissions::from_mode(0o600))
                .context("cannot make the output file private: use --out FILE")?;
        }
    }
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
