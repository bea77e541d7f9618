//! The Node.js packages that the tests run against, at the versions of `node/package-lock.json`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::interop::{self, Skipped};

const PACKAGE: &str = include_str!("../node/package.json");
const LOCK: &str = include_str!("../node/package-lock.json");

/// A folder with `node_modules` that holds `@sigstore/verify` and what it needs: run `node` in it.
///
/// Made once, below `target/interop/`, under a lock.
///
/// # Errors
///
/// [`Skipped`] without Node.js, npm or a package registry.
///
/// # Panics
///
/// Instead of returning [`Skipped`], when `CURVELINK_REQUIRE_INTEROP=1` is set.
pub fn environment() -> Result<PathBuf, Skipped> {
    static ANSWER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    // An unreachable registry takes its time to say so: ask it once, not once per test.
    let answer = ANSWER.get_or_init(install).clone();
    answer.map_err(|reason| Skipped::because("Node.js environment", &reason))
}

fn install() -> Result<PathBuf, String> {
    interop::run(Command::new("node").arg("--version"))?;
    interop::folder_built_once("node", &format!("{PACKAGE}{LOCK}"), |folder| {
        for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
            std::fs::write(folder.join(name), text)
                .map_err(|error| format!("cannot write {name}: {error}"))?;
        }
        // `ci` and `--ignore-scripts`: exactly the locked files, and nothing in them runs now.
        interop::run(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder),
        )?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_holds_the_locked_version_of_sigstore_verify() {
        let Ok(folder) = environment() else { return };
        let script = "console.log(require('@sigstore/verify/package.json').version)";
        let output = interop::run(
            Command::new("node")
                .args(["-e", script])
                .current_dir(folder),
        )
        .expect("node resolves the package");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "3.1.1");
    }
}
