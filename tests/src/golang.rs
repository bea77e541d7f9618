//! Go programs of the tests, built with the packages of Debian: no module is fetched.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::interop::{self, Skipped};

const TLOG: &str = include_str!("../go/tlog.go");
/// Where Debian's `golang-golang-x-mod-dev` puts `golang.org/x/mod`.
const PACKAGES: &str = "/usr/share/gocode";

/// The program that checks notes and proofs with `golang.org/x/mod/sumdb`: see `tests/go/tlog.go`.
///
/// Built once, below `target/interop/`, under a lock.
///
/// # Errors
///
/// [`Skipped`] without Go or without that package.
///
/// # Panics
///
/// Instead of returning [`Skipped`], when `CURVELINK_REQUIRE_INTEROP=1` is set.
pub fn tlog() -> Result<PathBuf, Skipped> {
    static ANSWER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let answer = ANSWER.get_or_init(build).clone();
    answer.map_err(|reason| Skipped::because("golang.org/x/mod/sumdb", &reason))
}

fn build() -> Result<PathBuf, String> {
    let version = interop::run(Command::new("go").arg("version"))?.stdout;
    let sumdb = Path::new(PACKAGES).join("src/golang.org/x/mod/sumdb/tlog");
    if !sumdb.is_dir() {
        return Err(format!(
            "{} is missing: install golang-golang-x-mod-dev",
            sumdb.display()
        ));
    }
    let recipe = format!("{}{TLOG}", String::from_utf8_lossy(&version));
    let folder = interop::folder_built_once("go", &recipe, |folder| {
        std::fs::write(folder.join("tlog.go"), TLOG)
            .map_err(|error| format!("cannot write tlog.go: {error}"))?;
        let mut command = Command::new("go");
        command
            .args(["build", "-o", "tlog", "tlog.go"])
            .env("GO111MODULE", "off")
            .env("GOPATH", PACKAGES)
            .env("GOCACHE", folder.join("cache"))
            .env("GOFLAGS", "")
            .current_dir(folder);
        interop::run(&mut command).map(drop)
    })?;
    Ok(folder.join("tlog"))
}
