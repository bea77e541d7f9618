//! What became of all handshakes, by class.

use std::collections::BTreeMap;
use std::fmt;

use super::classes::Judged;
use super::client::Outcome;
use super::{Case, Outcomes};

/// What both sides made of all the handshakes.
#[derive(Debug, Default)]
pub struct Report {
    /// How many differed, or one side of them was slow, and were played again.
    pub looked_again: usize,
    counts: BTreeMap<&'static str, Counts>,
    /// Handshakes that one side alone took, and no row says why.
    unexplained: Vec<String>,
}

/// Of one class: handshakes in all, and with nothing else wrong.
#[derive(Debug, Default)]
struct Counts {
    in_all: usize,
    alone: BTreeMap<(Outcome, Outcome), usize>,
    /// How many differed by a row of the list, with nothing else wrong.
    differed: usize,
    row: Option<&'static str>,
    differs_alone: bool,
}

/// Whether both sides took it or neither did, or a row says why one side alone did. What nothing
/// is wrong with must be taken.
pub(super) fn is_explained(case: &Case, outcomes: Outcomes) -> bool {
    let judged = |wanted: fn(Judged) -> bool| case.classes.iter().any(|it| wanted(it.judged));
    let taken = |outcome| outcome == Outcome::Accepted;
    match (taken(outcomes.ours), taken(outcomes.theirs)) {
        (true, true) => true,
        (false, false) => !case.classes.is_empty(),
        (false, true) => judged(|it| matches!(it, Judged::Strictly(_))),
        (true, false) => {
            judged(|it| matches!(it, Judged::Freely(_))) || case.classes.iter().any(|it| it.hurries)
        }
    }
}

impl Report {
    pub(super) fn count(&mut self, case: &Case, outcomes: Outcomes) {
        let Outcomes { ours, theirs } = outcomes;
        for class in &case.classes {
            let counts = self.counts.entry(class.name).or_default();
            counts.in_all += 1;
            counts.differs_alone = class.differs_alone;
            counts.row = class.judged.row();
        }
        match &case.classes[..] {
            [] => {
                let counts = self.counts.entry("nothing wrong").or_default();
                counts.in_all += 1;
                *counts.alone.entry((ours, theirs)).or_default() += 1;
            }
            [class] => {
                let counts = self.counts.entry(class.name).or_default();
                *counts.alone.entry((ours, theirs)).or_default() += 1;
                counts.differed +=
                    usize::from((ours == Outcome::Accepted) != (theirs == Outcome::Accepted));
            }
            _ => {}
        }
        if !is_explained(case, outcomes) {
            let names: Vec<_> = case.classes.iter().map(|class| class.name).collect();
            self.unexplained.push(format!(
                "{} {} {names:?}: curvelink {ours:?}, libzmq {theirs:?}",
                case.number,
                case.script.mechanism.name(),
            ));
        }
    }

    /// Handshakes that one side alone took, and no row says why.
    #[must_use]
    pub fn unexplained(&self) -> &[String] {
        &self.unexplained
    }

    /// Classes that are said to differ and did not, though they were played alone so often.
    #[must_use]
    pub fn never_differed(&self, often: usize) -> Vec<&'static str> {
        let idle = self.counts.iter().filter(|(_, counts)| {
            let alone: usize = counts.alone.values().sum();
            counts.differs_alone && counts.differed == 0 && alone >= often
        });
        idle.map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<52} {:>6} | {:>5} {:>5} {:>5} | {:>5} {:>5}",
            "class", "in all", "both", "none", "waits", "ours", "theirs"
        )?;
        for (name, counts) in &self.counts {
            let of = |wanted: fn(bool, bool) -> bool| -> usize {
                let taken = |outcome: &Outcome| *outcome == Outcome::Accepted;
                let found = counts.alone.iter();
                found
                    .filter(|((ours, theirs), _)| wanted(taken(ours), taken(theirs)))
                    .map(|(_, count)| count)
                    .sum()
            };
            let waits = counts.alone.iter();
            let waits: usize = waits
                .filter(|((ours, theirs), _)| {
                    ours != theirs && *ours != Outcome::Accepted && *theirs != Outcome::Accepted
                })
                .map(|(_, count)| count)
                .sum();
            writeln!(
                f,
                "{name:<52} {:>6} | {:>5} {:>5} {waits:>5} | {:>5} {:>5} {}",
                counts.in_all,
                of(|ours, theirs| ours && theirs),
                of(|ours, theirs| !ours && !theirs),
                of(|ours, theirs| ours && !theirs),
                of(|ours, theirs| !ours && theirs),
                counts.row.unwrap_or_default(),
            )?;
        }
        writeln!(f, "looked at again: {}", self.looked_again)?;
        for text in &self.unexplained {
            writeln!(f, "{text}")?;
        }
        Ok(())
    }
}
