//! The scenario language: a title, then one step a line, with what it must give.
//!
//! ```text
//! a second reply is refused  [mixed]
//!     rep = REP
//!     rep bind tcp
//!     req = REQ linger=0
//!     req connect tcp
//!     req send hello
//!     rep recv           => hello
//!     rep send world
//!     rep send again     => fsm
//! ```
//!
//! A step without `=>` gives `ok`. `=> A ~> B` says that libzmq gives A and curvelink gives B; a
//! scenario with such a step names the row of the list of deviations that allows it:
//! `[deviates: WORDS OF THE ROW]`. `[libzmq only: WHY]` runs on libzmq alone and is not counted.

use std::fmt;

/// A named run of steps.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the scenario shows.
    pub title: String,
    /// Whether it holds on both sides alike.
    pub verdict: Verdict,
    /// Also run it with sockets of both implementations.
    pub mixed: bool,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Whether both implementations do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// They do.
    Same,
    /// They do not, as a row of the deviations that has these words says.
    Deviates(String),
    /// They do not yet.
    Open(String),
    /// Only libzmq runs it.
    LibzmqOnly(String),
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The line as written, without what it gives.
    pub line: String,
    /// The socket, or empty.
    pub socket: String,
    /// What to do.
    pub verb: String,
    /// With what.
    pub args: Vec<String>,
    /// What libzmq gives.
    pub theirs: String,
    /// What curvelink gives.
    pub ours: String,
}

impl Step {
    fn parse(line: &str) -> Result<Self, String> {
        let (line, given) = line.split_once("=>").unwrap_or((line, "ok"));
        let (theirs, ours) = given.split_once("~>").unwrap_or((given, given));
        if given.contains("~>") && theirs.trim() == ours.trim() {
            return Err(format!("both sides of ~> are the same: {line}"));
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut word = || words.next();
        let (Some(socket), Some(verb)) = (word(), word()) else {
            return Err(format!(
                "a step is a socket, a verb and its arguments: {line}"
            ));
        };
        Ok(Self {
            line: line.trim().to_owned(),
            socket,
            verb,
            args: words.collect(),
            theirs: theirs.trim().to_owned(),
            ours: ours.trim().to_owned(),
        })
    }

    /// Whether the two implementations give different things here.
    #[must_use]
    pub fn deviates(&self) -> bool {
        self.theirs != self.ours
    }
}

impl Scenario {
    fn titled(line: &str) -> Result<Self, String> {
        let mut parts = line.split(" [");
        let mut scenario = Self {
            title: parts.next().unwrap_or_default().trim().to_owned(),
            verdict: Verdict::Same,
            mixed: false,
            steps: Vec::new(),
        };
        for mark in parts {
            let mark = mark.trim().trim_end_matches(']');
            scenario.verdict = match mark.split_once(": ") {
                Some(("deviates", row)) => Verdict::Deviates(row.to_owned()),
                Some(("open", why)) => Verdict::Open(why.to_owned()),
                Some(("libzmq only", why)) => Verdict::LibzmqOnly(why.to_owned()),
                None if mark == "mixed" => {
                    scenario.mixed = true;
                    continue;
                }
                _ => return Err(format!("not a mark: [{mark}]")),
            };
        }
        Ok(scenario)
    }

    /// That the marks of the title are those that the steps call for.
    fn check(&self) -> Result<(), String> {
        let deviates = self.steps.iter().any(Step::deviates);
        let marked = matches!(self.verdict, Verdict::Deviates(_));
        if deviates && !marked {
            return Err(format!("\"{}\" has ~> and names no row", self.title));
        }
        if marked && !deviates {
            return Err(format!("\"{}\" names a row and has no ~>", self.title));
        }
        Ok(())
    }
}

/// Reads the scenarios of a file.
///
/// # Errors
/// What is not of the language, in one line.
pub fn parse(text: &str) -> Result<Vec<Scenario>, String> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let lines = text.lines().map(str::trim_end);
    for line in lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with("# ")) {
        if !line.starts_with(' ') {
            scenarios.push(Scenario::titled(line)?);
        } else if let Some(scenario) = scenarios.last_mut() {
            scenario.steps.push(Step::parse(line)?);
        } else {
            return Err(format!("a step before the first title: {line}"));
        }
    }
    scenarios.iter().try_for_each(Scenario::check)?;
    Ok(scenarios)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Deviates(row) => write!(f, "deviates: {row}"),
            Self::Open(why) => write!(f, "open: {why}"),
            Self::LibzmqOnly(why) => write!(f, "libzmq only: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_a_title_and_steps() {
        let text = "# notes\n\none thing [mixed] [deviates: a row]\n    a = PULL hwm=1\n    \
                    # more\n    a recv 100   => x|y ~> nothing\n\nanother\n    b bind tcp\n";
        let scenarios = parse(text).unwrap();
        let [first, second] = &scenarios[..] else {
            panic!("two: {scenarios:?}");
        };
        assert_eq!(first.title, "one thing");
        assert!(first.mixed && !second.mixed);
        assert_eq!(first.verdict, Verdict::Deviates("a row".to_owned()));
        let step = &first.steps[1];
        assert_eq!((&*step.socket, &*step.verb), ("a", "recv"));
        assert_eq!((&*step.theirs, &*step.ours), ("x|y", "nothing"));
        assert_eq!(second.steps[0].theirs, "ok");
    }

    #[test]
    fn what_is_written_must_agree_with_itself() {
        for text in [
            "  a = PULL",
            "t\n  a",
            "t [nonsense]\n  a = PULL",
            "t\n  a recv => x ~> y",
            "t [deviates: row]\n  a recv => x",
            "t [deviates: row]\n  a recv => x ~> x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
