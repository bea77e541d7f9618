//! What was checked, and what came of it.

use std::fmt;
use std::time::SystemTime;

use curvelink_tlog::Hash;

use crate::journal::{Damage, JournalError};

/// The rules of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a report lists each of them")]
pub enum Rule {
    /// R1: each checkpoint is signed by the key of the epoch that its size lies in.
    Epochs,
    /// R2: each key is vouched for by the one before, from the anchor on, and each epoch ends with
    /// a checkpoint exactly at the entry that names the next key.
    Chain,
    /// R3: the entries that are shown are those whose hashes lead to each signed root.
    Roots,
    /// R4: checkpoints only grow, and nothing follows the newest.
    Growth,
    /// R5: the journal showed life all the time.
    Heartbeat,
    /// R6: it goes on from what was kept elsewhere.
    Witness,
}

impl Rule {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Epochs,
        Self::Chain,
        Self::Roots,
        Self::Growth,
        Self::Heartbeat,
        Self::Witness,
    ];

    /// `R1` to `R6`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Epochs => "R1",
            Self::Chain => "R2",
            Self::Roots => "R3",
            Self::Growth => "R4",
            Self::Heartbeat => "R5",
            Self::Witness => "R6",
        }
    }

    /// What it demands, in a line.
    #[must_use]
    pub const fn demand(self) -> &'static str {
        match self {
            Self::Epochs => "each checkpoint is signed by the key of its epoch",
            Self::Chain => "each key is vouched for by the one before, from the anchor on",
            Self::Roots => "the entries lead to every root that was signed",
            Self::Growth => "checkpoints only grow, and nothing follows the newest",
            Self::Heartbeat => "no longer without a checkpoint than two heartbeats",
            Self::Witness => "the journal goes on from what was kept elsewhere",
        }
    }
}

/// What came of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It holds with what is said here; warnings only.
    Warning(String),
    /// It does not hold.
    Broken(Damage),
    /// It was not looked at: what was found before ended the verification, or nothing was given
    /// to compare with.
    NotChecked,
}

/// One line of the list of what was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Which rule.
    pub rule: Rule,
    /// What came of it.
    pub outcome: Outcome,
}

/// The verdict on a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// All is as it was signed.
    #[default]
    Sound,
    /// It is not what was signed: altered, forged, cut or reordered.
    Bad,
    /// Parts of it are missing or cannot be read: a disk that failed, or somebody who removed them.
    Damaged,
}

impl Verdict {
    /// The exit code of a program that says so: 0, 2 or 3.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Bad => 2,
            Self::Damaged => 3,
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Each rule and what came of it, in order.
    pub checks: Vec<Check>,
    /// The name of the log.
    pub origin: String,
    /// The first entry that there is: those before were let go, or are not in the archive.
    pub first: u64,
    /// How many entries the newest checkpoint covers.
    pub size: u64,
    /// The root of the newest checkpoint, where it was reached.
    pub root: Option<Hash>,
    /// How many checkpoints were verified.
    pub checkpoints: u64,
    /// How many of them are older than the first entry that there is: of these, signatures alone.
    pub old_checkpoints: u64,
    /// How many keys signed.
    pub epochs: u64,
    /// How many entries only their recipients read.
    pub encrypted: u64,
    /// How many entries the journal says that it could not write.
    pub lost: u64,
    /// When the oldest and the newest checkpoint were signed, by the journal's clock.
    pub times: Option<(SystemTime, SystemTime)>,
    /// How many entries follow the newest checkpoint.
    pub tail: u64,
    /// Whether it is an archive.
    pub is_archive: bool,
    /// The newest size that something outside vouches for.
    pub witnessed: Option<u64>,
}

impl Report {
    /// What is wrong, if anything is.
    #[must_use]
    pub fn problem(&self) -> Option<(Rule, &Damage)> {
        self.checks.iter().find_map(|check| match &check.outcome {
            Outcome::Broken(damage) => Some((check.rule, damage)),
            _ => None,
        })
    }

    pub(crate) fn warn(&mut self, rule: Rule, text: String) {
        if !self.checks.iter().any(|check| check.rule == rule) {
            let outcome = Outcome::Warning(text);
            self.checks.push(Check { rule, outcome });
        }
    }

    pub(crate) fn pass_rest(&mut self) {
        self.fill(Outcome::Holds);
    }

    pub(crate) fn fail(&mut self, finding: Finding) {
        let (rule, damage, verdict) = match finding {
            Finding::Bad(rule, damage) => (rule, damage, Verdict::Bad),
            Finding::Damaged(rule, damage) => (rule, damage, Verdict::Damaged),
            Finding::Stopped(_) => return,
        };
        self.verdict = verdict;
        self.checks.retain(|check| check.rule != rule);
        let outcome = Outcome::Broken(damage);
        self.checks.push(Check { rule, outcome });
        self.fill(Outcome::NotChecked);
    }

    fn fill(&mut self, outcome: Outcome) {
        for rule in Rule::ALL {
            if self.checks.iter().any(|check| check.rule == rule) {
                continue;
            }
            let is_known = rule != Rule::Witness || self.witnessed.is_some();
            let outcome = match &outcome {
                Outcome::Holds if !is_known => Outcome::NotChecked,
                other => other.clone(),
            };
            self.checks.push(Check { rule, outcome });
        }
        self.checks.sort_by_key(|check| check.rule);
    }
}

/// One line for each rule.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, demand) = (self.rule.code(), self.rule.demand());
        match &self.outcome {
            Outcome::Holds => write!(f, "{code} ok: {demand}"),
            Outcome::Warning(text) => write!(f, "{code} warning: {text}"),
            Outcome::Broken(damage) => write!(f, "{code} FAILED: {demand}: {damage}"),
            Outcome::NotChecked => write!(f, "{code} not checked: {demand}"),
        }
    }
}

/// Why a verification ends before its end.
#[derive(Debug)]
pub(crate) enum Finding {
    Bad(Rule, Damage),
    Damaged(Rule, Damage),
    Stopped(JournalError),
}

/// What cannot be read is damage; what the system forbids is for its user to mend.
impl From<JournalError> for Finding {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Damaged(damage) => Self::Damaged(Rule::Roots, damage),
            other => Self::Stopped(other),
        }
    }
}
