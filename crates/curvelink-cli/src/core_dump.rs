//! No memory of this program on disk: a core dump holds keys.

use std::io;

use crate::exit::usage;
use crate::output;

/// Forbids core dumps of this process from now on, both those to a file and those that the kernel
/// hands to a program. Other processes of the same user can neither attach to this one nor read
/// its memory and environment.
pub(crate) fn forbid() -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    nix::sys::prctl::set_dumpable(false)?;
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, setrlimit};

        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    }
    Ok(())
}

/// What a failure to do so means for a command: the end, unless it handles no secret.
pub(crate) fn judge(forbidden: io::Result<()>, handles_secrets: bool) -> anyhow::Result<()> {
    match forbidden {
        Err(error) if handles_secrets => Err(usage(format!(
            "core dumps of this program cannot be forbidden ({error}), and one would hold secret \
             keys: allow it prctl and setrlimit"
        ))),
        Err(error) => {
            output::note(&format!("note: core dumps cannot be forbidden: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_core_dumps_cannot_be_forbidden_nothing_secret_is_touched() {
        let failed = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(judge(failed(), true).is_err());
        assert!(judge(failed(), false).is_ok());
        assert!(judge(Ok(()), true).is_ok());
    }
}
