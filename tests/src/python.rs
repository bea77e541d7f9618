//! The Python programs that the tests run against, at the versions of `python/requirements.txt`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::interop::{self, Skipped};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// The Python interpreter of a virtual environment that holds pyzmq, securesystemslib,
/// cryptography and bandit.
///
/// The environment is made once, below `target/interop/`, under a lock; the first call takes as
/// long as `pip install` does, every later one some milliseconds.
///
/// # Errors
///
/// [`Skipped`] without Python 3 or without a package registry.
///
/// # Panics
///
/// Instead of returning [`Skipped`], when `CURVELINK_REQUIRE_INTEROP=1` is set.
pub fn environment() -> Result<PathBuf, Skipped> {
    static ANSWER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    // An unreachable registry takes its time to say so: ask it once, not once per test.
    let answer = ANSWER.get_or_init(install).clone();
    answer.map_err(|reason| Skipped::because("Python environment", &reason))
}

fn install() -> Result<PathBuf, String> {
    let version = interop::run(Command::new("python3").arg("--version"))?.stdout;
    let recipe = format!("{}{REQUIREMENTS}", String::from_utf8_lossy(&version));
    let folder = interop::folder_built_once("venv", &recipe, |folder| {
        interop::run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let requirements = folder.join("requirements.txt");
        std::fs::write(&requirements, REQUIREMENTS)
            .map_err(|error| format!("cannot write the requirements: {error}"))?;
        interop::run(
            Command::new(folder.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(requirements),
        )?;
        Ok(())
    })?;
    Ok(folder.join("bin/python"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_made_once_and_holds_what_the_requirements_name() {
        let asked_at_once: Vec<_> = (0..4).map(|_| std::thread::spawn(environment)).collect();
        let answers: Vec<_> = asked_at_once
            .into_iter()
            .map(|thread| thread.join().expect("no panic").ok())
            .collect();
        let Some(python) = answers[0].clone() else {
            return;
        };
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref() == Some(&python)),
            "{answers:?}"
        );

        let script = "import zmq, securesystemslib, cryptography, bandit; print(zmq.__version__)";
        let output = interop::run(Command::new(python).args(["-c", script])).expect("imports");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "27.3.0");
    }
}
