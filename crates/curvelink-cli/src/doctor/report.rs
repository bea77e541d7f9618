//! What the doctor found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::exit::{Exit, one_line};

/// What was found, step by step.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// `ok`, or the code of the step that failed.
    pub(crate) outcome: &'static str,
    pub(crate) steps: Vec<Step>,
    /// From the greeting to the peer's yes, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handshake_ms: Option<f64>,
    #[serde(skip)]
    exit: Option<Exit>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) step: &'static str,
    pub(crate) state: State,
    /// What was found, and where it failed what to do.
    pub(crate) said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    Failed,
    Skipped,
}

/// What one step found.
#[derive(Debug)]
pub(super) enum Found {
    Ok(String),
    Skipped(&'static str),
    Failed {
        outcome: &'static str,
        exit: Exit,
        said: String,
    },
}

/// The steps in their order: each needs those before it.
const STEPS: &[&str] = &[
    "address",
    "port",
    "protocol",
    "mechanism",
    "server key",
    "admission",
    "handshake",
];

const NOT_LOOKED_AT: &str = "not looked at";

impl Found {
    pub(super) fn failed(outcome: &'static str, exit: Exit, said: impl Into<String>) -> Self {
        let said = said.into();
        Self::Failed {
            outcome,
            exit,
            said,
        }
    }
}

impl Report {
    pub(super) const fn new() -> Self {
        Self {
            outcome: "ok",
            steps: Vec::new(),
            handshake_ms: None,
            exit: None,
        }
    }

    /// Adds what the next step found; after a failure the others are not looked at.
    pub(super) fn add(&mut self, found: Found) {
        match found {
            Found::Ok(said) => self.push(State::Ok, &said),
            Found::Skipped(said) => self.push(State::Skipped, said),
            Found::Failed {
                outcome,
                exit,
                said,
            } => {
                self.push(State::Failed, &said);
                (self.outcome, self.exit) = (outcome, Some(exit));
                while self.steps.len() < STEPS.len() {
                    self.push(State::Skipped, NOT_LOOKED_AT);
                }
            }
        }
    }

    fn push(&mut self, state: State, said: &str) {
        if let Some(step) = STEPS.get(self.steps.len()) {
            let said = one_line(said);
            self.steps.push(Step { step, state, said });
        }
    }

    /// Says more of why the peer's policy refused this side, where that is known here.
    pub(crate) fn explain_refusal(&mut self, outcome: &'static str, said: String) {
        let mut steps = self.steps.iter_mut();
        if let Some(step) = steps.find(|step| step.state == State::Failed) {
            (self.outcome, step.said) = (outcome, said);
        }
    }

    /// The exit code that the failure stands for; `None` if nothing failed.
    pub(crate) const fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// One line for each step.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Step { step, state, said } in &self.steps {
            let state = match state {
                State::Ok => "ok",
                State::Failed => "failed",
                State::Skipped => "skipped",
            };
            let _ = writeln!(text, "{state:<8} {step:<11} {said}");
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_the_rest_is_told_as_not_looked_at() {
        let mut report = Report::new();
        report.add(Found::Ok("127.0.0.1:1".to_owned()));
        report.add(Found::failed(
            "not-reached",
            Exit::TimedOut,
            "nobody\nthere",
        ));
        assert_eq!(report.steps.len(), STEPS.len());
        let lines: Vec<_> = report.text().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "ok       address     127.0.0.1:1");
        assert_eq!(lines[1], "failed   port        nobody\\nthere");
        assert_eq!(lines[6], "skipped  handshake   not looked at");
        assert_eq!(report.exit(), Some(Exit::TimedOut));
    }
}
