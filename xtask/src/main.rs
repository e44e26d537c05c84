//! The project's own chores: `cargo xtask conformance`, `cargo xtask tracking`, `cargo xtask bench`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod bench;
mod conformance;
mod tracking;

const USAGE: &str = "\
usage: cargo xtask <task>

tasks:
  conformance          check conformance/requirements.toml against the `// covers:` marks of the tests,
                       and write docs/conformance.md
  conformance --check  the same, but only compare: fails where docs/conformance.md is out of date
  tracking             draw docs/tracking.md, the TCP tracking machine, from its table in `rules`
  tracking --check     the same, but only compare
  bench                run every bench of the workspace and the lab, and write docs/benchmarks.md
  bench --no-lab       the benches alone (the lab needs network namespaces)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["conformance"] => conformance::run(&root(), conformance::Mode::Write),
        ["conformance", "--check"] => conformance::run(&root(), conformance::Mode::Check),
        ["tracking"] => tracking::run(&root(), conformance::Mode::Write),
        ["tracking", "--check"] => tracking::run(&root(), conformance::Mode::Check),
        ["bench"] => bench::run(&root(), true),
        ["bench", "--no-lab"] => bench::run(&root(), false),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's directory, wherever the task was started from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
