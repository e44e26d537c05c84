//! `hairpin check` and `hairpin explain`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::table::{Setting, Slot, all_settings};
use super::{Loaded, Mode, Profile, defaults, load_with_places, value};

/// Arguments of `check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Arguments of `explain`.
#[derive(clap::Args, Debug)]
pub struct ExplainArgs {
    /// The configuration file; without one, the defaults are explained.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON: a list with one object for each setting.
    #[arg(long)]
    pub json: bool,
}

/// `hairpin check`.
///
/// # Errors
/// The report of [`super::load`].
pub fn check(args: &CheckArgs) -> miette::Result<ExitCode> {
    let loaded = load_with_places(&args.config)?;
    crate::cli::print(&format!("{}: ok\n{}", args.config.display(), summary(&loaded)))?;
    Ok(ExitCode::SUCCESS)
}

/// `hairpin explain`.
///
/// # Errors
/// The report of [`super::load`].
pub fn explain(args: &ExplainArgs) -> miette::Result<ExitCode> {
    let loaded = match &args.config {
        Some(path) => load_with_places(path)?,
        None => {
            let profile = Profile::default();
            Loaded { settings: defaults(profile), profile, lines: Default::default() }
        }
    };
    let file = args.config.as_ref().map(|path| path.display().to_string());
    let rows = rows(&loaded, file.as_deref());
    if args.json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| miette::miette!("{error}"))?;
        crate::cli::print(&format!("{text}\n"))?;
    } else {
        crate::cli::print(&table(&rows).to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(loaded: &Loaded) -> String {
    let engine = &loaded.settings.engine;
    let prefixes: Vec<String> = engine.inside.iter().map(ToString::to_string).collect();
    let ports: u64 = engine.pools.iter().map(|pool| pool.size() * pool.ports.len() as u64).sum();
    if loaded.settings.mode == Mode::Scrub {
        return scrubber_summary(engine, loaded.settings.live.workers, &prefixes.join(", "));
    }
    let mut lines = vec![
        ("profile", loaded.profile.name().to_owned()),
        ("inside prefixes", prefixes.join(", ")),
        ("external addresses", format!("{} in {} pool(s)", engine.external_addresses(), engine.pools.len())),
        ("external ports", format!("{ports} for each protocol")),
        (
            "limits",
            format!(
                "{} sessions, {} mappings, {} subscribers, shared by {} worker(s)",
                engine.limits.sessions,
                engine.limits.mappings,
                engine.limits.subscribers,
                loaded.settings.live.workers
            ),
        ),
    ];
    let memory = engine.memory_bound().div_ceil(1 << 20);
    lines.push(("memory", format!("at most {memory} MiB, taken as it is needed")));
    lines.iter().map(|(what, value)| format!("  {what:<19}{value}\n")).collect()
}

fn scrubber_summary(config: &nat::Config, workers: u16, prefixes: &str) -> String {
    let followed = match config.scrub.flows {
        Some(flows) => format!("{flows} connections"),
        None => "nothing is remembered".to_owned(),
    };
    let memory = (nat::Scrubber::memory_bound(config) * u64::from(workers)).div_ceil(1 << 20);
    let lines = [
        ("mode", "scrub: nothing is translated".to_owned()),
        ("inside prefixes", prefixes.to_owned()),
        ("followed", format!("{followed}, {workers} worker(s)")),
        ("memory", format!("at most {memory} MiB, taken as it is needed")),
    ];
    lines.iter().map(|(what, value)| format!("  {what:<19}{value}\n")).collect()
}

#[derive(Serialize)]
struct Row {
    setting: String,
    /// As a JSON value of its own type; times, addresses and ranges are texts.
    value: Option<serde_json::Value>,
    #[serde(skip)]
    shown: String,
    source: String,
    requirements: &'static [&'static str],
    unit: &'static str,
    meaning: &'static str,
}

fn rows(loaded: &Loaded, file: Option<&str>) -> Vec<Row> {
    let usual = defaults(Profile::default());
    let mut rows = Vec::new();
    for setting in all_settings() {
        let differs =
            value::show(setting.slot, &usual) != value::show(setting.slot, &defaults(loaded.profile));
        let source = |path: &str| match (file, loaded.lines.get(path)) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ if differs => format!("profile {}", loaded.profile.name()),
            _ => "default".to_owned(),
        };
        let mut add =
            |path: String, shown: Option<String>| rows.push(row(setting, source(&path), path, shown));
        match setting.slot {
            Slot::Profile => add(setting.key.into(), Some(format!("\"{}\"", loaded.profile.name()))),
            Slot::Pool(slot) => {
                let pools = &loaded.settings.engine.pools;
                if pools.is_empty() {
                    add(setting.key.into(), None);
                }
                for (index, pool) in pools.iter().enumerate() {
                    let name = setting.key.trim_start_matches("pool.");
                    add(format!("pool[{index}].{name}"), Some(value::show_pool(slot, pool)));
                }
            }
            Slot::Static(slot) => {
                let statics = &loaded.settings.engine.statics;
                if statics.is_empty() {
                    add(setting.key.into(), None);
                }
                for (index, mapping) in statics.iter().enumerate() {
                    let name = setting.key.trim_start_matches("static.");
                    add(format!("static[{index}].{name}"), value::show_static(slot, mapping));
                }
            }
            slot => add(setting.key.into(), value::show(slot, &loaded.settings)),
        }
    }
    rows
}

fn row(setting: &'static Setting, source: String, path: String, shown: Option<String>) -> Row {
    let json = shown.as_ref().and_then(|shown| {
        let table: toml::Table = toml::from_str(&format!("value = {shown}")).ok()?;
        serde_json::to_value(table.get("value")?).ok()
    });
    Row {
        setting: path,
        value: json,
        shown: shown.unwrap_or_else(|| "(none)".into()),
        source,
        requirements: setting.requirements,
        unit: setting.unit,
        meaning: setting.meaning,
    }
}

fn table(rows: &[Row]) -> String {
    let mut lines = vec![["SETTING", "VALUE", "SOURCE", "REQUIREMENT", "MEANING"].map(str::to_owned)];
    for row in rows {
        // "off" counts nothing.
        let unit = if row.shown.starts_with('"') { "" } else { row.unit };
        let value = [row.shown.as_str(), unit].join(" ");
        let cells = [row.setting.clone(), value.trim_end().to_owned(), row.source.clone()];
        let [setting, value, source] = cells;
        lines.push([setting, value, source, row.requirements.join(", "), row.meaning.to_owned()]);
    }
    // Every column as wide as its widest cell, but a long list must not push the others away.
    let width =
        |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0).min(44);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for cells in &lines {
        for (cell, width) in cells.iter().zip(widths) {
            text += &format!("{cell:<width$}  ");
        }
        text += &cells[4];
        text.push('\n');
    }
    text
}
