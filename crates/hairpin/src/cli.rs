//! The commands and their arguments.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use miette::miette;

/// A carrier-grade NAPT44 gateway, and the tools around it.
#[derive(Parser, Debug)]
#[command(name = "hairpin", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the gateway on this machine.
    Run(crate::live::Args),
    /// Read a configuration file and say what is wrong with it.
    Check(crate::config::CheckArgs),
    /// Print every effective setting, where it comes from, and the requirement behind it.
    Explain(crate::config::ExplainArgs),
    /// Translate a capture into a capture.
    Translate(crate::translate::Args),
    /// Scrub a capture: urgent indications, illegal flags, options, as [scrub] says, without translation.
    Scrub(crate::scrub::Args),
    /// Listen and connect with our own TCP, on a TUN device.
    Tcp(crate::host::Args),
    /// Say what each receiving host's application has read of the streams in a capture, and find wars.
    Inspect(crate::inspect::Args),
    /// Try the gateway on real traffic in network namespaces of its own.
    Lab(crate::lab::Args),
    /// Run scripts in the packetdrill language against the TCP endpoint, in virtual time.
    Drill(crate::drill::Args),
    /// Play a scenario in virtual time and draw what happened.
    Sim(crate::sim::Args),
    /// Say which subscriber has an external address and port, or what a subscriber has, from the file alone.
    Who(crate::who::Args),
}

/// Prints a result. That nobody reads it (`| head`) is no error.
///
/// # Errors
/// Names standard output: the disk behind it may be full.
pub(crate) fn print(text: &str) -> miette::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(miette!(help = "see whether the disk is full", "standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Parses the command line and runs what it says.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => crate::live::run(&args),
        Command::Check(args) => crate::config::check(&args),
        Command::Explain(args) => crate::config::explain(&args),
        Command::Translate(args) => crate::translate::run(&args),
        Command::Scrub(args) => crate::scrub::run(&args),
        Command::Tcp(args) => crate::host::run(&args),
        Command::Inspect(args) => crate::inspect::run(&args),
        Command::Lab(args) => crate::lab::run(&args),
        Command::Drill(args) => crate::drill::run(&args),
        Command::Sim(args) => crate::sim::run(&args),
        Command::Who(args) => crate::who::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}
