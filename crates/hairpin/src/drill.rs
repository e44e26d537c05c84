//! `hairpin drill`: scripts in the packetdrill language against the endpoint, in virtual time.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args as ClapArgs;
use drill::{Fault, Kind, Options, Outcome};
use miette::{IntoDiagnostic, NamedSource, Report, WrapErr};

/// Arguments of `hairpin drill`.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// Scripts to run, one after the other; of a directory all scripts under it.
    #[arg(required = true, value_name = "FILE.pkt|DIRECTORY")]
    files: Vec<PathBuf>,
    /// Step over blocks of code, `%{ ... }%`, instead of refusing the script.
    #[arg(long)]
    ignore_code: bool,
    /// Read the scripts and say what is wrong with them, but do not run them.
    #[arg(long)]
    dry_run: bool,
    /// Print the packets of every script, and what was stepped over.
    #[arg(short, long)]
    verbose: bool,
    /// Print one line a script: passed, failed, not supported, or not of the language, and why.
    #[arg(long)]
    summary: bool,
    /// How far from its time something may happen, in microseconds.
    #[arg(long, value_name = "MICROSECONDS")]
    tolerance_usecs: Option<u64>,
    /// A symbol that scripts use, and what it stands for.
    #[arg(short = 'D', long, value_name = "NAME=VALUE", value_parser = definition)]
    define: Vec<String>,
    /// Settings of the endpoint, `name=value,name=value`, as `--so_flags` in a script.
    #[arg(long, value_name = "SETTINGS")]
    set: Option<String>,
}

/// NAME=VALUE, both of them there.
fn definition(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(text.to_owned()),
        _ => Err("write NAME=VALUE, such as MSS=1460".to_owned()),
    }
}

/// Runs the scripts.
///
/// # Errors
/// Names the file that cannot be read.
pub(crate) fn run(args: &Args) -> miette::Result<ExitCode> {
    let mut lines = Vec::new();
    lines.extend(args.tolerance_usecs.map(|usecs| ("tolerance_usecs".to_owned(), usecs.to_string())));
    lines.extend(args.set.clone().map(|set| ("so_flags".to_owned(), set)));
    lines.extend(args.define.iter().map(|define| ("define".to_owned(), define.clone())));
    let options = Options { lines, ignore_code: args.ignore_code };
    let started = Instant::now();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let files = scripts(&args.files)?;
    for file in &files {
        // Comments may be of any encoding; what is no text is not of the language.
        let text = std::fs::read(file)
            .into_diagnostic()
            .wrap_err_with(|| format!("{}: cannot be read", file.display()))?;
        let text = String::from_utf8_lossy(&text);
        let outcome = carry_out(&text, &options, args.dry_run);
        *counts.entry(verdict(&outcome)).or_default() += 1;
        show(args, &file.display().to_string(), &text, &outcome)?;
    }
    let counted: Vec<String> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    let took = started.elapsed().as_secs_f64();
    crate::cli::print(&format!("{} scripts in {took:.3} s: {}\n", files.len(), counted.join(", ")))?;
    let passed = counts.keys().all(|verdict| *verdict == "passed");
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The files themselves, and the scripts under the directories, in the order of their names.
fn scripts(given: &[PathBuf]) -> miette::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path)
            .and_then(|entries| {
                entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()
            })
            .into_diagnostic()
            .wrap_err_with(|| format!("{}: cannot be read", path.display()))?;
        let mut wanted: Vec<PathBuf> = entries
            .into_iter()
            // A link to a directory may lead back to where it is.
            .filter(|path| {
                (path.is_dir() && !path.is_symlink())
                    || path.extension().is_some_and(|extension| extension == "pkt")
            })
            .collect();
        wanted.sort();
        files.extend(scripts(&wanted)?);
    }
    Ok(files)
}

fn carry_out(text: &str, options: &Options, dry_run: bool) -> Outcome {
    if !dry_run {
        return drill::run(text, options);
    }
    let verdict = drill::parse(text, &[]).map(drop);
    Outcome { verdict, records: Vec::new(), notes: Vec::new(), local: None }
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome.verdict.as_ref().err().map(|fault| fault.kind) {
        None => "passed",
        Some(Kind::Failed) => "failed",
        Some(Kind::Unsupported) => "not supported",
        Some(Kind::Syntax) => "not of the language",
    }
}

fn show(args: &Args, name: &str, text: &str, outcome: &Outcome) -> miette::Result<()> {
    let mut out = String::new();
    if args.summary {
        let why = outcome.verdict.as_ref().err().map_or_else(String::new, |fault| {
            format!(": line {}: {}: {}", fault.line(text), fault.message, fault.label)
        });
        let _ = writeln!(out, "{}\t{name}{why}", verdict(outcome));
        return crate::cli::print(&out);
    }
    if args.verbose {
        let _ = writeln!(out, "{name}: {}", verdict(outcome));
        outcome.notes.iter().for_each(|note| out += &format!("  note: {note}\n"));
        outcome.records.iter().for_each(|record| out += &format!("  {}\n", drill::packet_line(record)));
    }
    crate::cli::print(&out)?;
    if let Err(fault) = &outcome.verdict {
        eprint!("{}", failure(name, text, fault, outcome, args.verbose));
    }
    Ok(())
}

/// A failure with its line, what was expected and what came, and the packets up to it.
fn failure(name: &str, text: &str, fault: &Fault, outcome: &Outcome, verbose: bool) -> String {
    let source = NamedSource::new(name, text.to_owned());
    let report = Report::new(fault.clone()).with_source_code(source);
    let mut out = format!("{report:?}");
    if !verbose && fault.kind == Kind::Failed {
        out += "  The packets up to here:\n";
        outcome.records.iter().for_each(|record| out += &format!("  {}\n", drill::packet_line(record)));
        out += &format!("\n{}", ladder(outcome));
    }
    out.push('\n');
    out
}

/// The last packets of the script as a ladder, with the numbers that were really used.
fn ladder(outcome: &Outcome) -> String {
    const ROWS: usize = 30;
    let from = outcome.records.len().saturating_sub(ROWS);
    let packets = outcome.records.iter().skip(from).map(|record| {
        let note = match record.mark {
            drill::Mark::Given | drill::Mark::Expected => None,
            drill::Mark::Wrong => Some("another one was expected"),
            drill::Mark::Unasked => Some("nobody asked for this one"),
        };
        (rules::Instant::ZERO + record.at, !record.outbound, record.octets.as_slice(), note)
    });
    let log = sim::Log::of_exchange(["script", "endpoint"], packets);
    sim::ladder::text(
        &log,
        &sim::ladder::Style { numbers: sim::ladder::Numbers::Figures, ..Default::default() },
    )
}
