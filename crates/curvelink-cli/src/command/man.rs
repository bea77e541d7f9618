//! `curvelink man [DIR]`

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use crate::args::Cli;

pub(crate) fn run(dir: Option<&Path>) -> anyhow::Result<()> {
    let mut command = Cli::command();
    // Gives every subcommand its full name: curvelink-key-gen.
    command.build();
    match dir {
        None => clap_mangen::Man::new(command).render(&mut io::stdout())?,
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(command, dir)
                .with_context(|| format!("cannot write to {}", dir.display()))?;
        }
    }
    Ok(())
}
