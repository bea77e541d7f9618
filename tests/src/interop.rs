//! Where foreign programs are kept, and what a test does when one cannot be had.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A foreign program could not be had; the reason has already been printed.
///
/// A test that receives it returns at once:
///
/// ```no_run
/// let Ok(python) = curvelink_tests::python::environment() else {
///     return;
/// };
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Why, in one line.
    pub reason: String,
}

impl Skipped {
    /// Says loudly that `what` is skipped because of `reason`.
    ///
    /// # Panics
    ///
    /// When `CURVELINK_REQUIRE_INTEROP=1` is set: there a skipped test is a failed test.
    pub fn because(what: &str, reason: &str) -> Self {
        let reason = format!("{what}: {reason}");
        assert!(
            std::env::var_os("CURVELINK_REQUIRE_INTEROP").is_none_or(|value| value != "1"),
            "CURVELINK_REQUIRE_INTEROP=1, but {reason}"
        );
        // Not `eprintln!`: the test harness would swallow it, and a silent skip looks like a pass.
        let _ = writeln!(io::stderr(), "SKIPPED: {reason}");
        Self { reason }
    }
}

/// A program on the `PATH`, or a skip when `PROGRAM version_argument` does not run.
///
/// # Errors
///
/// [`Skipped`] when the program is missing or fails.
pub fn program(name: &str, version_argument: &str) -> Result<PathBuf, Skipped> {
    run(Command::new(name).arg(version_argument))
        .map(|_| PathBuf::from(name))
        .map_err(|reason| Skipped::because(name, &reason))
}

/// Runs `command` to its end; the error is one line made of what it said last.
pub(crate) fn run(command: &mut Command) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name} does not start: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no message");
    Err(format!(
        "{name} failed ({}): {}",
        output.status,
        last.trim()
    ))
}

/// A folder below `target/interop/` that `build` fills once, however many tests ask at the same time.
///
/// `recipe` is everything that the contents depend on: another recipe is another folder, and a
/// folder whose making was cut short is made anew.
pub(crate) fn folder_built_once(
    name: &str,
    recipe: &str,
    build: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let root = target_folder().join("interop");
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let folder = root.join(format!("{name}-{:016x}", hasher.finish()));
    let say = |error: io::Error| format!("cannot prepare {}: {error}", folder.display());

    fs::create_dir_all(&root).map_err(say)?;
    let lock = File::create(root.join(format!("{name}.lock"))).map_err(say)?;
    // Other processes wait here for the first one; the lock goes when the file is closed.
    lock.lock().map_err(say)?;

    let finished = folder.join(".finished");
    if finished.exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(say)?;
    }
    fs::create_dir(&folder).map_err(say)?;
    build(&folder)?;
    fs::write(&finished, "").map_err(say)?;
    Ok(folder)
}

/// Cargo's target folder: the one above this executable that cargo has marked as a cache.
fn target_folder() -> PathBuf {
    let marked = std::env::current_exe().ok().and_then(|executable| {
        let mut above = executable.ancestors();
        above
            .find(|folder| folder.join("CACHEDIR.TAG").exists())
            .map(Path::to_path_buf)
    });
    marked.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
}
