//! `cargo xtask bench`: runs every bench of the workspace and the lab, and writes docs/benchmarks.md.
//!
//! A bench is a `harness = false` binary that measures for itself (pairs are run A B A B within one
//! process or one run, so that a ratio holds where a wall-clock figure does not) and prints one line
//! for each figure: `bench: ` and a JSON object, see [`Figure`].

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

/// The report's place in the workspace.
const REPORT: &str = "docs/benchmarks.md";
/// What a line with a figure begins with.
const LINE: &str = "bench: ";

/// A measured figure.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    /// The table that it stands in.
    group: String,
    name: String,
    /// Of `ours` and `peer`.
    unit: String,
    ours: f64,
    /// The spread of `ours` over the rounds, where there is no peer to compare with.
    ours_min: Option<f64>,
    ours_max: Option<f64>,
    /// What the other implementation reached in the same run.
    peer: Option<f64>,
    /// `ours / peer` of each pair of runs.
    ratio_min: Option<f64>,
    ratio_median: Option<f64>,
    ratio_max: Option<f64>,
    /// What is to be reached: by `ratio_median` where there is one, by `ours` otherwise.
    target: Option<f64>,
    /// The target is a ceiling (memory, delay), not a floor.
    #[serde(default)]
    at_most: bool,
    note: Option<String>,
}

impl Figure {
    /// Whether the target was reached; `None` without one.
    fn reached(&self) -> Option<bool> {
        let target = self.target?;
        let measured = self.ratio_median.unwrap_or(self.ours);
        Some(if self.at_most { measured <= target } else { measured >= target })
    }
}

/// Runs the benches, and the lab where `with_lab`, and writes the report.
///
/// # Errors
/// A process that fails, that prints no figure, or whose figures cannot be read.
pub(crate) fn run(root: &Path, with_lab: bool) -> Result<(), String> {
    let mut figures = Vec::new();
    for bench in benches(root)? {
        let what: Vec<&str> = bench.iter().map(String::as_str).collect();
        figures.extend(figures_of(root, &what)?);
    }
    if with_lab {
        figures.extend(lab(root)?);
    }
    if figures.is_empty() {
        return Err(
            "error: the workspace has no bench\n  help: add a [[bench]] with harness = false".to_owned()
        );
    }
    fs::create_dir_all(root.join("docs")).map_err(|e| format!("error: docs: cannot be created: {e}"))?;
    fs::write(root.join(REPORT), render(&machine(root), &figures))
        .map_err(|e| format!("error: {REPORT}: cannot be written: {e}"))?;
    let missed = figures.iter().filter(|figure| figure.reached() == Some(false)).count();
    println!("{} figures written to {REPORT}; {missed} below target", figures.len());
    Ok(())
}

/// What the lab measures, live, beside the kernel with rules for the same work.
fn lab(root: &Path) -> Result<Vec<Figure>, String> {
    const ARGS: [&str; 6] = ["run", "--release", "--package=hairpin", "--", "lab", "--json"];
    eprintln!("== cargo {}", ARGS.join(" "));
    let printed = output(root, "cargo", &ARGS)?;
    let report: Value = serde_json::from_str(&printed)
        .map_err(|e| format!("error: cargo {}: it printed no JSON: {e}", ARGS.join(" ")))?;
    let mut figures = Vec::new();
    live_figures(&report, &mut figures);
    if figures.is_empty() {
        return Err(
            "error: the lab measured no throughput\n  help: run `cargo run --release -- lab` and see why, \
                    or leave it out: `cargo xtask bench --no-lab`"
                .to_owned(),
        );
    }
    Ok(figures)
}

/// Collects the lab's comparisons wherever they stand in its report: name, unit, and the figures of both
/// round by round.
fn live_figures(report: &Value, figures: &mut Vec<Figure>) {
    match report {
        Value::Array(values) => values.iter().for_each(|value| live_figures(value, figures)),
        Value::Object(fields) => match serde_json::from_value::<Comparison>(report.clone()) {
            Ok(comparison) => figures.extend(comparison.figure()),
            Err(_) => fields.values().for_each(|value| live_figures(value, figures)),
        },
        _ => {}
    }
}

/// One load through the daemon and through the kernel, as `hairpin lab --json` writes it.
#[derive(Deserialize)]
struct Comparison {
    name: String,
    unit: String,
    hairpin: Vec<f64>,
    nftables: Vec<f64>,
}

impl Comparison {
    fn figure(self) -> Option<Figure> {
        let pairs = self.hairpin.iter().zip(&self.nftables).filter(|(_, kernel)| **kernel > 0.0);
        let ratios = spread(pairs.map(|(ours, kernel)| ours / kernel).collect());
        let [_, ours, _] = spread(self.hairpin)?;
        // The targets are those of translation with offloads; the other figures are for information.
        let target = match self.name.split_whitespace().next() {
            _ if ratios.is_none() || self.name.contains("without") || self.name.contains("scrubbed") => None,
            Some("TCP") => Some(0.75),
            Some("UDP,") | Some("UDP") => Some(0.85),
            _ => None,
        };
        Some(Figure {
            group: "Live through TUN, beside the kernel's nftables".to_owned(),
            name: self.name,
            unit: self.unit,
            ours,
            ours_min: None,
            ours_max: None,
            peer: spread(self.nftables).map(|[_, median, _]| median),
            ratio_min: ratios.map(|[least, ..]| least),
            ratio_median: ratios.map(|[_, median, _]| median),
            ratio_max: ratios.map(|[.., greatest]| greatest),
            target,
            at_most: false,
            note: ratios.is_none().then(|| "no `nft` on this machine: nothing to compare with".to_owned()),
        })
    }
}

/// Least, median and greatest.
fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    Some([*values.first()?, values[values.len() / 2], *values.last()?])
}

/// What `cargo` is told for every bench target of the workspace.
fn benches(root: &Path) -> Result<Vec<Vec<String>>, String> {
    let metadata = output(root, "cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value =
        serde_json::from_str(&metadata).map_err(|e| format!("error: cargo metadata printed no JSON: {e}"))?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut benches = Vec::new();
    for package in list(&metadata["packages"]) {
        for target in list(&package["targets"]) {
            if list(&target["kind"]).iter().any(|kind| kind == "bench")
                && let (Some(package), Some(name)) = (package["name"].as_str(), target["name"].as_str())
            {
                let mut what = ["bench", "-p", package, "--bench", name].map(str::to_owned).to_vec();
                for feature in list(&target["required-features"]).iter().filter_map(Value::as_str) {
                    what.extend(["--features".to_owned(), feature.to_owned()]);
                }
                benches.push(what);
            }
        }
    }
    Ok(benches)
}

/// Runs `cargo` with these arguments and reads the figures that it prints.
fn figures_of(root: &Path, args: &[&str]) -> Result<Vec<Figure>, String> {
    eprintln!("== cargo {}", args.join(" "));
    let printed = output(root, "cargo", args)?;
    let figures = parse(&printed).map_err(|e| format!("error: cargo {}: {e}", args.join(" ")))?;
    if figures.is_empty() {
        return Err(format!(
            "error: cargo {}: no figure\n  help: a bench prints `{LINE}{{...}}` for each figure",
            args.join(" ")
        ));
    }
    Ok(figures)
}

fn parse(printed: &str) -> Result<Vec<Figure>, String> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix(LINE))
        .map(|json| serde_json::from_str(json).map_err(|e| format!("not a figure ({e}): {json}")))
        .collect()
}

/// What a command prints; its errors go to the terminal.
fn output(root: &Path, program: &str, args: &[&str]) -> Result<String, String> {
    let what = || format!("{program} {}", args.join(" "));
    let output = Command::new(program)
        .args(args)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("error: {} cannot be started: {e}", what()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("error: {} failed: {}", what(), output.status))
    }
}

/// Where the figures were measured, a line for each fact.
fn machine(root: &Path) -> Vec<(&'static str, String)> {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |path: &str, name: &str| {
        file(path)
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim().to_owned())
            })
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let printed = |program: &str, args: &[&str]| {
        output(root, program, args).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |n| n.to_string());
    vec![
        ("processor", field("/proc/cpuinfo", "model name")),
        ("cores", cores),
        ("memory", field("/proc/meminfo", "MemTotal")),
        ("kernel", file("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("compiler", printed("rustc", &["--version"])),
        ("commit", printed("git", &["describe", "--always", "--dirty"])),
        ("date", printed("date", &["-u", "+%Y-%m-%d"])),
    ]
}

fn render(machine: &[(&str, String)], figures: &[Figure]) -> String {
    let mut out = String::from(
        "<!-- Written by `cargo xtask bench`. -->\n\
         # Benchmarks\n\n\
         Figures of one run on one machine. A ratio is ours / peer, both measured in turn within the run; \
         it says more than the figures themselves, which move with the machine and its neighbours.\n\n\
         | | |\n|---|---|\n",
    );
    for (name, value) in machine {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    let mut groups: Vec<&str> = Vec::new();
    for figure in figures {
        if !groups.contains(&figure.group.as_str()) {
            groups.push(&figure.group);
        }
    }
    for group in groups {
        let _ = write!(
            out,
            "\n## {group}\n\n\
             | figure | unit | ours | peer | ratio min | median | max | target | reached | note |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---|---|\n"
        );
        for figure in figures.iter().filter(|figure| figure.group == group) {
            out.push_str(&row(figure));
        }
    }
    out
}

fn row(figure: &Figure) -> String {
    let Figure { name, unit, ours, peer, ratio_min, ratio_median, ratio_max, note, .. } = figure;
    let ratio = |value: &Option<f64>| value.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    let target = figure.target.map_or_else(String::new, |target| {
        let bound = if figure.at_most { "<=" } else { ">=" };
        let kind = if figure.ratio_median.is_some() { "ratio " } else { "" };
        format!("{kind}{bound} {}", number(target))
    });
    let reached = match figure.reached() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    };
    // Where there is no peer, the spread of the rounds stands beside the median.
    let ours = match (figure.ours_min, figure.ours_max) {
        (Some(min), Some(max)) => format!("{} ({} to {})", number(*ours), number(min), number(max)),
        _ => number(*ours),
    };
    format!(
        "| {name} | {unit} | {ours} | {} | {} | {} | {} | {target} | {reached} | {} |\n",
        peer.map_or_else(String::new, number),
        ratio(ratio_min),
        ratio(ratio_median),
        ratio(ratio_max),
        note.as_deref().unwrap_or_default(),
    )
}

/// Three significant figures below a thousand, whole numbers with separators above.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude < 10.0 {
        format!("{value:.2}")
    } else if magnitude < 100.0 {
        format!("{value:.1}")
    } else {
        let digits = format!("{magnitude:.0}");
        let mut out = if value < 0.0 { String::from("-") } else { String::new() };
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"bench: {"group":"engine","name":"64 k","unit":"Mpps","ours":14.2,"target":15}"#;
    const PAIR: &str = r#"bench: {"group":"live","name":"bulk","unit":"Gbit/s","ours":7.5,"peer":10,"ratio_min":0.7,"ratio_median":0.76,"ratio_max":0.8,"target":0.75,"note":"offloads on"}"#;
    const CEILING: &str =
        r#"bench: {"group":"engine","name":"memory","unit":"octets","ours":180,"target":200,"at_most":true}"#;

    #[test]
    fn figures_are_found_among_other_output() {
        let figures = parse(&format!("warming up\n{PLAIN}\nnoise\n{PAIR}\n")).unwrap();
        assert_eq!(figures.len(), 2);
        assert_eq!(figures[1].peer, Some(10.0));
    }

    #[test]
    fn a_line_that_is_no_figure_is_an_error() {
        assert!(parse("bench: {\"group\":\"engine\"}").unwrap_err().contains("not a figure"));
        assert!(parse("bench: nonsense").is_err());
    }

    #[test]
    fn a_missed_target_is_said_plainly() {
        let figures = parse(&[PLAIN, PAIR, CEILING].join("\n")).unwrap();
        let reached: Vec<_> = figures.iter().map(Figure::reached).collect();
        assert_eq!(reached, [Some(false), Some(true), Some(true)]);
        let report = render(&[("cores", "2".to_owned())], &figures);
        for expected in [
            "| cores | 2 |\n",
            "| 64 k | Mpps | 14.2 |  |  |  |  | >= 15.0 | **no** |  |\n",
            "| bulk | Gbit/s | 7.50 | 10.0 | 0.70 | 0.76 | 0.80 | ratio >= 0.75 | yes | offloads on |\n",
            "| memory | octets | 180 |  |  |  |  | <= 200 | yes |  |\n",
        ] {
            assert!(report.contains(expected), "{expected} is not in\n{report}");
        }
        assert_eq!(report.matches("## engine").count(), 1);
    }

    #[test]
    fn the_labs_rounds_become_ratios() {
        let report = serde_json::json!({
            "checks": [{"name": "ping", "passed": true}],
            "throughput": [
                {"name": "TCP download", "unit": "Gbit/s", "hairpin": [8.0, 6.0, 9.0], "nftables": [10.0, 10.0, 10.0]},
                {"name": "UDP, 64-octet frames", "unit": "kpps", "hairpin": [500.0], "nftables": []},
            ],
        });
        let mut figures = Vec::new();
        live_figures(&report, &mut figures);
        assert_eq!(figures.len(), 2);
        let tcp = &figures[0];
        assert_eq!((tcp.ours, tcp.peer), (8.0, Some(10.0)));
        assert_eq!((tcp.ratio_min, tcp.ratio_median, tcp.ratio_max), (Some(0.6), Some(0.8), Some(0.9)));
        assert_eq!(tcp.reached(), Some(true));
        assert_eq!(figures[1].reached(), None);
        assert!(figures[1].note.as_ref().is_some_and(|note| note.contains("nft")));
    }

    #[test]
    fn numbers_keep_three_figures_or_get_separators() {
        let written = [0.754, 12.34, 999.6, 1_234_567.0, -1_500.0].map(number);
        assert_eq!(written, ["0.75", "12.3", "1,000", "1,234,567", "-1,500"]);
    }
}
