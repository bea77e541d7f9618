//! `hot-paths PATH ROUNDS`: one hot path, over and over, for something that counts instructions.
//! Without words it lists the paths.
//!
//! A round is 1000 messages. Counting two runs of different length and taking the difference
//! leaves out how the process starts and what it sets up; everything else is the same in every
//! run. `crates/curvelink-bench/tests/hot_paths.rs` does so and compares with what it found before.

mod paths;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = match &words[..] {
        [] => {
            println!("{}", paths::NAMES.join("\n"));
            return ExitCode::SUCCESS;
        }
        [path, rounds] => paths::find(path).zip(rounds.parse().ok()),
        _ => None,
    };
    let Some((run, rounds)) = run else {
        eprintln!("hot-paths: a path and a number of rounds are needed");
        return ExitCode::FAILURE;
    };
    run(rounds);
    ExitCode::SUCCESS
}
