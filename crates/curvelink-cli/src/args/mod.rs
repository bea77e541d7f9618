//! The command line: what was typed. What it means is each command's to say.

pub(crate) mod audit;
pub(crate) mod evidence;
pub(crate) mod hub;
pub(crate) mod key;
pub(crate) mod operate;
pub(crate) mod sign;
pub(crate) mod socket;
pub(crate) mod witness;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueHint};

use crate::exit::{self, Exit};
use crate::source::looks_like_a_key;

/// Messages that nobody else can read, forge or inject: keys, publish and subscribe over ZeroMQ
/// with CURVE, a hub with a policy, signed envelopes.
#[derive(Parser)]
#[command(name = "curvelink", version, after_help = exit::HELP, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The folder that `curvelink init` made [default: the nearest at or above the current one]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the whole job once in a temporary folder, and print what was checked
    Demo(hub::DemoArgs),
    /// Make a folder with a hub and two identities: keys, settings and policy
    Init(hub::InitArgs),
    /// Run the hub of a folder
    Up(hub::UpArgs),
    /// Publish a message: to the hub, or with --direct or --bind to subscribers themselves
    #[command(after_help = PUB_EXAMPLES)]
    Pub(socket::PubArgs),
    /// Receive what is published under topics
    Sub(socket::SubArgs),
    /// Send messages, each to one of the peers in turn
    Push(socket::PushArgs),
    /// Receive what peers push
    Pull(socket::PullArgs),
    /// Send requests and show the replies
    Req(socket::ReqArgs),
    /// Show requests and answer them
    Rep(socket::RepArgs),
    /// Sign a message and save it, for others to sign before it is sent
    #[command(after_help = sign::SIGN_HELP)]
    Sign(sign::SignFileArgs),
    /// Add a signature to a saved message, once what it says has been checked
    Cosign(sign::CosignArgs),
    /// Check saved messages: signature, digests, identity, rights, gaps and repetitions
    Verify(evidence::VerifyArgs),
    /// Write a saved message's signature in a form that other programs check
    Export(evidence::ExportArgs),
    /// The hub's journal of what happened: verify, show, prove, export
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// A witness: it remembers how far the journals of hubs had come, and signs what goes on
    #[command(subcommand)]
    Witness(witness::WitnessCommand),
    /// Have the running hub read its policy and keys again
    #[command(after_help = operate::RELOAD_HELP)]
    Reload(operate::ReloadArgs),
    /// Show the running hub: its keys and policy, who is connected, what was refused
    Show(operate::ShowArgs),
    /// Look at an endpoint step by step: reached, ZMTP, mechanism, server key, let in or why not
    #[command(after_help = operate::DOCTOR_HELP)]
    Doctor(operate::DoctorArgs),
    /// Look at a policy file: who may connect, publish and subscribe
    #[command(subcommand)]
    Policy(evidence::PolicyCommand),
    /// Make, look at and convert keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages to a folder, or this program's to standard output
    Man {
        /// The folder; made when it does not exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// Whether it may hold a secret key or a password in memory.
    pub(crate) const fn handles_secrets(&self) -> bool {
        !matches!(
            self,
            Self::Verify(_)
                | Self::Export(_)
                | Self::Reload(_)
                | Self::Show(_)
                | Self::Completions { .. }
                | Self::Man { .. }
        )
    }
}

const PUB_EXAMPLES: &str = "\
Examples:
  curvelink pub --as ci-scanner findings/sast scan.sarif
  curvelink pub --key my.key_secret --server-key hub.key tcp://hub:5570 findings/sast scan.sarif
  echo hello | curvelink pub --bind tcp://127.0.0.1:5555 greetings";

/// Reads the command line; what cannot be read has been reported, and the code is to be returned.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage.into()
        }
        // What clap does not understand it repeats, and that may be a secret key.
        _ if std::env::args().any(|argument| looks_like_a_key(&argument)) => {
            exit::report(&exit::usage(
                "the command line is wrong, and a key stands on it, where every user can see it: \
                 see `curvelink --help`, and replace the key if it is secret",
            ))
        }
        _ => exit::report(&exit::usage(one_line(&error))),
    })
}

/// What clap says in paragraphs, as `what happened: what to do`.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text.trim_start_matches("error: ").split("\n\n");
    let said: Vec<&str> = paragraphs
        .take_while(|paragraph| {
            let last = ["Usage:", "For more information"];
            !last.iter().any(|word| paragraph.starts_with(word))
        })
        .flat_map(str::split_whitespace)
        .collect();
    let usage = error.get(clap::error::ContextKind::Usage);
    let usage = usage.map(ToString::to_string).unwrap_or_default();
    let usage: Vec<&str> = usage
        .trim_start_matches("Usage:")
        .split_whitespace()
        .collect();
    let program = usage
        .iter()
        .take_while(|word| word.starts_with(char::is_lowercase));
    let program: Vec<&str> = program.copied().collect();
    match program.is_empty() {
        true => format!("{}: see `curvelink --help`", said.join(" ")),
        false => format!("{}: see `{} --help`", said.join(" "), program.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_value_that_is_refused_is_said_in_one_line_with_one_hint() {
        let words = [
            "curvelink",
            "pull",
            "--curve-backend",
            "nonsense",
            "tcp://127.0.0.1:1",
        ];
        let Err(error) = Cli::try_parse_from(words) else {
            panic!("it was taken");
        };
        let said = one_line(&error);
        assert!(said.contains("dryoc or rustcrypto"), "{said}");
        assert_eq!(said.matches("--help").count(), 1, "{said}");
        assert!(!said.contains('\n'), "{said}");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_and_command_is_explained() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn a_usage_error_is_one_line_that_names_the_help() {
        let error = Cli::try_parse_from(["curvelink", "key", "convert"])
            .err()
            .unwrap();
        let line = one_line(&error);
        assert!(!line.contains('\n') && line.contains("--to"), "{line}");
        assert!(
            line.ends_with(": see `curvelink key convert --help`"),
            "{line}"
        );
    }
}
