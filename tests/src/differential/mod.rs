//! The same scenario on libzmq and on curvelink, and the two transcripts compared.
//!
//! The scenarios are the files of `tests/differential/`, in the language of [`script`]. Each says
//! what libzmq does, so that curvelink is held against it even where libzmq cannot be had; with
//! libzmq there, what is said of it is checked too.

pub mod action;
mod endpoints;
mod ours;
mod raw;
mod run;
pub mod script;
mod theirs;
mod words;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

pub use self::run::Side;
use self::script::{Scenario, Verdict};
use self::theirs::Libzmq;

/// Scenarios of one area that run at once: nearly all of their time is waiting.
const AT_ONCE: usize = 12;

/// The folder of the scenarios.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differential")
}

/// The scenarios of one file.
///
/// # Panics
/// When the file is not there or not of the language.
#[must_use]
pub fn scenarios(area: &str) -> Vec<Scenario> {
    let path = folder().join(format!("{area}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    script::parse(&text).unwrap_or_else(|error| panic!("{area}: {error}"))
}

/// Runs every scenario of a file on each side that it is for.
///
/// `CURVELINK_SCENARIO` runs those alone whose titles contain it, and prints what each step gave.
///
/// # Panics
/// When a step gives something else than is written.
pub fn check(area: &str) {
    let wanted = std::env::var("CURVELINK_SCENARIO").ok();
    let mut scenarios = scenarios(area);
    scenarios.retain(|scenario| wanted.as_ref().is_none_or(|w| scenario.title.contains(w)));
    let libzmq = Libzmq::start().ok();

    let jobs: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| {
            sides(scenario)
                .into_iter()
                .map(move |side| (scenario, side))
        })
        .filter(|(_, side)| libzmq.is_some() || *side == Side::Curvelink)
        .collect();
    let next = Mutex::new(jobs.iter());
    let complaints = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((scenario, side)) = { next.lock().expect("no panic").next() } {
                    // libzmq does much behind its caller's back: what differs with it must differ
                    // twice. Alone, curvelink has one chance.
                    let chances = if *side == Side::Curvelink { 1 } else { 2 };
                    let complaint = (0..chances).try_fold(None, |_, _| {
                        let given = run::run(scenario, *side, libzmq.as_ref());
                        compare(scenario, *side, &given, wanted.is_some()).map(Some)
                    });
                    let complaint = complaint.flatten();
                    complaints.lock().expect("no panic").extend(complaint);
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no panic");
    assert!(complaints.is_empty(), "{area}\n{}", complaints.join("\n"));
}

/// The sides that a scenario is for.
fn sides(scenario: &Scenario) -> Vec<Side> {
    match scenario.verdict {
        Verdict::LibzmqOnly(_) => vec![Side::Libzmq],
        _ if scenario.mixed => vec![
            Side::Libzmq,
            Side::Curvelink,
            Side::FirstIsOurs,
            Side::FirstIsTheirs,
        ],
        _ => vec![Side::Libzmq, Side::Curvelink],
    }
}

/// A complaint when what a side gave is not what is written; the whole transcript is in it.
fn compare(scenario: &Scenario, side: Side, given: &[String], show: bool) -> Option<String> {
    let mut differs = false;
    let mut text = format!("{side:?}: {} [{}]", scenario.title, scenario.verdict);
    for (step, given) in scenario.steps.iter().zip(given) {
        let written = match side {
            Side::Curvelink => &step.ours,
            _ => &step.theirs,
        };
        let mark = if given == written { ' ' } else { '!' };
        let _fits = write!(text, "\n {mark}  {:<40} => {given}", step.line);
        if given != written {
            differs = true;
            let _fits = write!(text, "   (written: {written})");
        }
    }
    if show {
        println!("{text}\n");
    }
    let open = matches!(scenario.verdict, Verdict::Open(_)) && side != Side::Libzmq;
    if open && !differs {
        println!("NOT OPEN ANY MORE on {side:?}: {}", scenario.title);
    }
    (differs && !open).then_some(text)
}
