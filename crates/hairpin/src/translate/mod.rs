//! To be built.

use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs it.
///
/// # Errors
/// What went wrong.
pub fn run(_args: &Args) -> miette::Result<ExitCode> {
    Err(miette::miette!("not built yet"))
}
