//! `hairpin sim`: a scenario of the simulator, played and drawn.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use miette::{IntoDiagnostic, WrapErr, miette};

use ::sim::ladder::{self, Style};
use ::sim::scenario::shipped::{KEYS, Promise, SHIPPED, Settings, Shipped, find};

/// Arguments of `hairpin sim`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which scenario; `list` prints them all.
    scenario: String,
    /// Everything random comes from it: the same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw it as SVG, too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Change a setting, such as `a.seq_validation=rfc793` or `b.window_probe=empty`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Lines to draw; a war has no end.
    #[arg(long, default_value_t = 40)]
    rows: usize,
}

/// Plays the scenario. The exit code tells whether it kept its promise.
///
/// # Errors
/// An unknown scenario or setting, or a file that cannot be written.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    if args.scenario == "list" {
        crate::cli::print(&list())?;
        return Ok(ExitCode::SUCCESS);
    }
    let scenario = find(&args.scenario).ok_or_else(|| unknown(&args.scenario))?;
    let outcome = scenario.play(&settings(scenario, args)?);
    let mut out = String::new();
    match &outcome.drawing {
        Some((log, numbers)) => {
            let style = Style { title: scenario.about.to_owned(), numbers: numbers.clone(), rows: args.rows };
            out.push_str(&ladder::text(log, &style));
            if let Some(file) = &args.svg {
                let written = std::fs::write(file, ladder::svg(log, &style)).into_diagnostic();
                written.wrap_err_with(|| format!("writing {}", file.display()))?;
            }
        }
        None if args.svg.is_some() => {
            return Err(miette!(
                help = "leave --svg away",
                "{} is many runs, or none: there is no drawing of it",
                scenario.name
            ));
        }
        None => {}
    }
    let promised = match scenario.promise {
        Promise::War => "a war",
        Promise::Peace => "no war",
    };
    let held = if outcome.held { "kept" } else { "BROKEN" };
    let _ = writeln!(out, "\n{}\npromised: {promised}: {held}", outcome.summary);
    crate::cli::print(&out)?;
    Ok(if outcome.held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings(scenario: &Shipped, args: &Args) -> miette::Result<Settings> {
    let mut settings = scenario.settings(args.seed);
    for pair in &args.set {
        let help = format!("settings are {}", KEYS.join(", "));
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| miette!(help = help.clone(), "--set {pair}: it has no `=`"))?;
        settings.set(key, value).map_err(|why| miette!(help = help.clone(), "--set {pair}: {why}"))?;
    }
    Ok(settings)
}

fn list() -> String {
    let mut out = String::new();
    for scenario in SHIPPED {
        let _ = writeln!(out, "{:<20} {}", scenario.name, scenario.about);
    }
    out
}

fn unknown(name: &str) -> miette::Report {
    let nearest = SHIPPED.iter().max_by(|a, b| {
        let near = |it: &Shipped| strsim::jaro_winkler(it.name, name);
        near(a).total_cmp(&near(b))
    });
    let nearest = nearest.map_or("list", |scenario| scenario.name);
    miette!(
        help = format!("did you mean `{nearest}`? `hairpin sim list` prints them all"),
        "no scenario `{name}`"
    )
}
