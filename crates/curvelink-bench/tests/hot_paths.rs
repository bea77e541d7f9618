//! No hot path takes more instructions than it did.
//!
//! Times say little on a shared machine; instructions are the same in every run. They are counted by
//! valgrind in a release build, and `hot-paths.txt` holds what they were.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::fmt::Write as _;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

use curvelink_tests::interop;

const BEFORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/hot-paths.txt");

const HEAD: &str = "\
# Instructions that each hot path takes for one message. If they have moved for a good reason:
#     CURVELINK_BLESS=1 cargo test -p curvelink-bench --test hot_paths
";

/// How far a count may move, in parts of itself: with the same tools, and with others.
const BAND: f64 = 0.05;
const LOOSE_BAND: f64 = 0.3;

/// Rounds of the two runs whose difference counts, and messages of a round.
const ROUNDS: [u64; 2] = [10, 20];
const MESSAGES: u64 = 1000;

#[test]
fn no_hot_path_takes_more_instructions_than_it_did() {
    let Ok(valgrind) = interop::program("valgrind", "--version") else {
        return;
    };
    let now = Counts::of_program(&valgrind, &build());
    if std::env::var_os("CURVELINK_BLESS").is_some() {
        fs::write(BEFORE, now.to_string()).expect("the file is ours");
        return;
    }
    let before = fs::read_to_string(BEFORE).expect("hot-paths.txt");
    let before = Counts::parse(&before);
    if before.machine != now.machine {
        let reason = format!("counted on {}, this is {}", before.machine, now.machine);
        let _ = writeln!(stderr(), "SKIPPED: hot paths: {reason}");
        return;
    }
    let (table, outside) = compare(&before, &now);
    // Not `println!`: the harness would show it only when the test fails.
    let _ = write!(stderr(), "{table}");
    assert!(
        outside.is_empty(),
        "{outside:?} moved out of the band; if that is meant: CURVELINK_BLESS=1 cargo test -p \
         curvelink-bench --test hot_paths\n{table}"
    );
}

#[test]
fn what_moved_out_of_the_band_is_found() {
    let counts = |tools: &str, paths: &[(&str, f64)]| Counts {
        machine: "m".to_owned(),
        tools: tools.to_owned(),
        paths: paths
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect(),
    };
    let before = counts(
        "a",
        &[
            ("gone", 1.0),
            ("kept", 100.0),
            ("less", 100.0),
            ("more", 100.0),
        ],
    );
    let paths = [
        ("kept", 104.9),
        ("less", 94.9),
        ("more", 105.1),
        ("new", 1.0),
    ];
    let outside = |tools| compare(&before, &counts(tools, &paths)).1;
    assert_eq!(outside("a"), ["gone", "less", "more", "new"]);
    assert_eq!(outside("b"), ["gone", "new"]);
    assert_eq!(
        compare(&before, &counts("b", &[("kept", 131.0)])).1[1],
        "kept"
    );
    assert_eq!(Counts::parse(&before.to_string()), before);
}

/// Builds the program as it is used.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is below");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "-p", "curvelink-bench"])
        .args(["--bin", "hot-paths", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "hot-paths is not built");
    target.join("release/hot-paths")
}

/// Instructions per message, and what they hold for.
#[derive(Debug, PartialEq)]
struct Counts {
    machine: String,
    tools: String,
    paths: BTreeMap<String, f64>,
}

impl Counts {
    fn of_program(valgrind: &Path, program: &Path) -> Self {
        let names = output(&mut Command::new(program)).0;
        let paths = names.lines().map(|path| {
            let [few, many] = ROUNDS.map(|rounds| instructions(valgrind, program, path, rounds));
            let messages = (ROUNDS[1] - ROUNDS[0]) * MESSAGES;
            let each = (many - few) as f64 / messages as f64;
            (path.to_owned(), (each * 10.0).round() / 10.0)
        });
        Self {
            machine: format!("{ARCH} {OS}"),
            tools: tools(),
            paths: paths.collect(),
        }
    }

    fn parse(text: &str) -> Self {
        let mut lines: BTreeMap<_, _> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut take = |name| lines.remove(name).unwrap_or_default();
        let [machine, tools] = ["machine", "tools"].map(&mut take);
        let paths = lines.into_iter().map(|(name, count)| {
            let count = count.parse().expect("a count");
            (name, count)
        });
        Self {
            machine,
            tools,
            paths: paths.collect(),
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEAD}machine {}", self.machine)?;
        writeln!(f, "tools {}", self.tools)?;
        let mut paths = self.paths.iter();
        paths.try_for_each(|(name, count)| writeln!(f, "{name} {count:.1}"))
    }
}

/// A table for people, and the paths that are outside the band.
fn compare(before: &Counts, now: &Counts) -> (String, Vec<String>) {
    let same = before.tools == now.tools;
    let band = if same { BAND } else { LOOSE_BAND };
    let mut table = format!("instructions per message, band {:.0} %", band * 100.0);
    if !same {
        let _ = write!(table, ": {} now, {} before", now.tools, before.tools);
    }
    table.push('\n');
    let mut outside = Vec::new();
    let names = before.paths.keys().chain(now.paths.keys());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let count = |counts: &Counts| counts.paths.get(name).copied();
        let (Some(was), Some(is)) = (count(before), count(now)) else {
            let _ = writeln!(table, "{name:>10}  only on one side");
            outside.push(name.clone());
            continue;
        };
        let moved = is / was - 1.0;
        let _ = writeln!(
            table,
            "{name:>10} {was:>9.1} {is:>9.1} {:>+7.1} %",
            moved * 100.0
        );
        if moved.abs() > band {
            outside.push(name.clone());
        }
    }
    (table, outside)
}

fn instructions(valgrind: &Path, program: &Path, path: &str, rounds: u64) -> u64 {
    let mut command = Command::new(valgrind);
    command
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program)
        .args([path, &rounds.to_string()])
        // The C library copies by what the processor can do: here by what they all can.
        .env(
            "GLIBC_TUNABLES",
            "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM",
        );
    let (_, error) = output(&mut command);
    let count = error.lines().find_map(|line| line.split_once(" refs:"));
    let (_, count) = count.unwrap_or_else(|| panic!("no count: {error}"));
    count.trim().replace(',', "").parse().expect("a count")
}

/// What decides, beside our code, what is counted: who compiled it, and whose `malloc` it calls.
fn tools() -> String {
    let compiler = output(Command::new("rustc").arg("-V")).0;
    let library = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let library = library.map_or(Vec::new(), |output| output.stdout);
    let library = String::from_utf8_lossy(&library);
    format!("{}, {}", compiler.trim(), library.trim())
}

/// What a program says, on either pipe.
fn output(command: &mut Command) -> (String, String) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let text = |octets| String::from_utf8(octets).expect("text");
    (text(output.stdout), text(output.stderr))
}
