//! What the lab ends with: a table for people, an object for machines.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::throughput::{Comparison, spread};

/// How a check went.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// [`super::checks::Check::name`].
    pub name: &'static str,
    /// [`super::checks::Check::about`].
    pub about: &'static str,
    /// Whether what was seen is what should have been.
    pub passed: bool,
    /// What was seen.
    pub seen: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Outcome {
    /// "pass" or "FAIL", to be found at a glance.
    pub fn verdict(&self) -> &'static str {
        if self.passed { "pass" } else { "FAIL" }
    }
}

/// Everything a run found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// "namespaces", "user namespaces" or "offline", with the reason for the last.
    pub setting: String,
    /// What was between the hosts: "hairpin" unless somebody asked for something else.
    pub middle: &'static str,
    /// The checks, in the order in which they ran.
    pub checks: Vec<Outcome>,
    /// The measurements.
    pub throughput: Vec<Comparison>,
    /// Why there is no comparison, or none at all.
    pub throughput_note: Option<String>,
    /// The daemon's counters at the end.
    pub counters: serde_json::Value,
    /// What went wrong beside the checks.
    pub problems: Vec<String>,
    /// Of the whole run, in seconds.
    pub seconds: f64,
}

impl Report {
    /// Checks that failed, and other problems.
    pub fn failures(&self) -> usize {
        self.checks.iter().filter(|check| !check.passed).count() + self.problems.len()
    }

    /// One object: the fields above, and `failures`.
    pub fn json(&self) -> serde_json::Value {
        let mut report = serde_json::to_value(self).unwrap_or_default();
        report["failures"] = self.failures().into();
        for (comparison, value) in self.throughput.iter().zip(0..) {
            report["throughput"][value]["ratio_min_median_max"] = serde_json::json!(comparison.ratios());
        }
        report
    }

    /// The table.
    pub fn text(&self) -> String {
        let mut text = format!("\nThe lab, {} in the middle ({})\n\n", self.middle, self.setting);
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.checks {
            line(&mut text, &format!("{}  {:width$}  {}", check.verdict(), check.name, check.seen));
        }
        self.throughput_text(&mut text);
        self.counters_text(&mut text);
        for problem in &self.problems {
            line(&mut text, &format!("\nFAIL  {problem}"));
        }
        let (passed, all) = (self.checks.iter().filter(|check| check.passed).count(), self.checks.len());
        let took = Duration::from_secs_f64(self.seconds);
        line(&mut text, &format!("\n{passed} of {all} checks passed, in {:.1} s.", took.as_secs_f64()));
        text
    }

    fn throughput_text(&self, text: &mut String) {
        if !self.throughput.is_empty() {
            line(
                text,
                "\nThroughput (median of the rounds)                hairpin   nftables   ratio (least, median, greatest)",
            );
        }
        for comparison in &self.throughput {
            let median = |figures: &[f64]| spread(figures.to_vec()).map(|[_, median, _]| median);
            let figure = |figures| median(figures).map_or("-".to_owned(), |figure| format!("{figure:.2}"));
            let ratios = comparison.ratios().map_or("-".to_owned(), |[least, median, most]| {
                format!("{least:.2}, {median:.2}, {most:.2}")
            });
            let name = format!("{}, {}", comparison.name, comparison.unit);
            let (ours, kernel) = (figure(&comparison.hairpin), figure(&comparison.nftables));
            line(text, &format!("  {name:44} {ours:>9} {kernel:>10}   {ratios}"));
        }
        if let Some(note) = &self.throughput_note {
            line(text, &format!("  {note}"));
        }
    }

    /// Counters that moved, by their path in the object.
    fn counters_text(&self, text: &mut String) {
        let mut counters = Vec::new();
        flatten("", &self.counters, &mut counters);
        counters.retain(|(_, value)| value != "0");
        if !counters.is_empty() {
            line(text, "\nThe daemon's counters that are not 0");
        }
        let width = counters.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in counters {
            line(text, &format!("  {name:width$}  {value}"));
        }
    }
}

fn flatten(path: &str, value: &serde_json::Value, into: &mut Vec<(String, String)>) {
    let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                flatten(&child(name), value, into);
            }
        }
        serde_json::Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&child(&index.to_string()), value, into);
            }
        }
        serde_json::Value::Null => {}
        value => into.push((path.to_owned(), value.to_string())),
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(passed: bool) -> Report {
        let seen = "what there was".to_owned();
        Report {
            setting: "namespaces".to_owned(),
            middle: "hairpin",
            checks: vec![Outcome { name: "ping", about: "echo", passed, seen, seconds: 0.1 }],
            throughput: vec![Comparison {
                name: "TCP upload",
                unit: "Gbit/s",
                offloads: true,
                hairpin: vec![8.0, 6.0, 9.0],
                nftables: vec![10.0, 10.0, 10.0],
            }],
            throughput_note: None,
            counters: serde_json::json!({"packets": {"forwarded": 7, "held": 0}, "shards": [{"mappings": 3}]}),
            problems: Vec::new(),
            seconds: 1.5,
        }
    }

    // covers: O1
    #[test]
    fn a_failure_shows_in_the_table_the_object_and_the_count() {
        assert!(report(true).text().contains("pass  ping  what there was"));
        assert!(report(true).text().contains("1 of 1 checks passed"));
        assert_eq!(report(true).json()["failures"], 0);
        assert!(report(false).text().contains("FAIL  ping  what there was"));
        assert_eq!(report(false).json()["failures"], 1);
        assert_eq!(report(false).json()["checks"][0]["passed"], false);
        let mut broken = report(true);
        broken.problems.push("the daemon ended with signal 11".to_owned());
        assert_eq!(broken.failures(), 1);
        assert!(broken.text().contains("FAIL  the daemon ended"));
    }

    // covers: O1
    #[test]
    fn ratios_are_of_rounds_and_counters_of_0_are_left_out() {
        let report = report(true);
        assert_eq!(report.throughput[0].ratios(), Some([0.6, 0.8, 0.9]));
        assert!(report.text().contains("0.60, 0.80, 0.90"), "{}", report.text());
        assert!(report.text().contains("packets.forwarded  7"), "{}", report.text());
        assert!(report.text().contains("shards.0.mappings"), "{}", report.text());
        assert!(!report.text().contains("held"), "{}", report.text());
    }
}
