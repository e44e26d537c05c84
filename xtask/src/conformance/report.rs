//! docs/conformance.md: the registry with the tests that hold it, for readers.
//!
//! No line numbers and no dates, so that the file changes only when a requirement or a test does.

use std::fmt::Write as _;

use super::marks::Mark;
use super::registry::{Level, Registry, Row, State};

/// The report as Markdown.
pub(super) fn render(registry: &Registry, marks: &[Mark]) -> String {
    let mut out = String::from(
        "<!-- Written by `cargo xtask conformance`. Edit conformance/requirements.toml and the tests instead. -->\n\
         # Conformance\n\n\
         Every requirement that hairpin answers to, its source, its state, and the tests that hold it. \
         `done`: built, and where it is a must or a should, a test fails without it. \
         `open`: not built, or not whole; the number is the issue that builds it. \
         `deviation`: deliberately otherwise, with the reason. \
         CI fails when a done must or should has no test.\n\n",
    );
    summary(&mut out, registry);
    for group in &registry.groups {
        let _ = write!(
            out,
            "\n## {}\n\n| id | level | what | source | state | tests |\n|---|---|---|---|---|---|\n",
            heading(&group.prefix, &group.title)
        );
        for row in registry.of(group) {
            let Row { id, level, text, source, .. } = row;
            let (state, tests) = (state(row), tests(id, marks));
            let _ = writeln!(out, "| {id} | {level} | {text} | {source} | {state} | {tests} |");
        }
    }
    out
}

/// One line for the terminal.
pub(super) fn one_line(registry: &Registry, marks: &[Mark]) -> String {
    let count = |state| registry.rows.iter().filter(|row| row.state == state).count();
    let [done, open, deviations] = State::ALL.map(count);
    let rows = registry.rows.len();
    format!(
        "{rows} requirements: {done} done, {open} open, {deviations} deviation(s); {} marks in tests",
        marks.len()
    )
}

fn summary(out: &mut String, registry: &Registry) {
    out.push_str("Done / open / deviation:\n\n| group | must | should | may |\n|---|---|---|---|\n");
    for group in &registry.groups {
        let rows: Vec<&Row> = registry.of(group).collect();
        let _ = writeln!(out, "| {} |{}", heading(&group.prefix, &group.title), cells(&rows));
    }
    let all: Vec<&Row> = registry.rows.iter().collect();
    let _ = writeln!(out, "| **all** |{}", cells(&all));
}

fn cells(rows: &[&Row]) -> String {
    let mut out = String::new();
    for level in Level::ALL {
        let count = |state| rows.iter().filter(|row| row.level == level && row.state == state).count();
        match State::ALL.map(count) {
            [0, 0, 0] => out.push_str(" |"),
            [done, open, deviation] => {
                let _ = write!(out, " {done} / {open} / {deviation} |");
            }
        }
    }
    out
}

fn heading(prefix: &str, title: &str) -> String {
    format!("{prefix} - {title}")
}

fn state(row: &Row) -> String {
    match row.state {
        State::Done => "done".to_owned(),
        State::Open => match row.issue.as_deref() {
            Some("later") | None => "open".to_owned(),
            Some(issue) => format!("open ({issue})"),
        },
        State::Deviation => format!("deviation: {}", row.reason.as_deref().unwrap_or_default()),
    }
}

/// Links to the tests of `id`, each once.
fn tests(id: &str, marks: &[Mark]) -> String {
    let mut links: Vec<String> = Vec::new();
    for mark in marks.iter().filter(|mark| mark.ids.iter().any(|covered| covered == id)) {
        let link = format!("[{}](../{})", mark.test, mark.file);
        if !links.contains(&link) {
            links.push(link);
        }
    }
    links.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::registry;
    use super::*;

    const TEXT: &str = concat!(
        "[[group]]\nprefix = \"N\"\ntitle = \"NAT\"\n",
        "[[requirement]]\nid = \"N1\"\nlevel = \"must\"\nsource = \"RFC 1 2\"\ntext = \"what\"\nstate = \"done\"\n",
        "[[requirement]]\nid = \"N2\"\nlevel = \"may\"\nsource = \"s\"\ntext = \"t\"\nstate = \"open\"\nissue = \"4\"\n",
        "[[requirement]]\nid = \"N3\"\nlevel = \"must\"\nsource = \"s\"\ntext = \"t\"\nstate = \"deviation\"\nreason = \"why\"\n",
    );

    #[test]
    fn the_report_counts_states_and_links_tests_once() {
        let registry = registry::parse(TEXT).unwrap();
        let mark =
            |line| Mark { file: "crates/a.rs".into(), line, ids: vec!["N1".into()], test: "holds".into() };
        let report = render(&registry, &[mark(3), mark(9)]);
        for expected in [
            "| N - NAT | 1 / 0 / 1 | | 0 / 1 / 0 |\n",
            "| **all** | 1 / 0 / 1 | | 0 / 1 / 0 |\n",
            "| N1 | must | what | RFC 1 2 | done | [holds](../crates/a.rs) |\n",
            "| N2 | may | t | s | open (4) |  |\n",
            "| N3 | must | t | s | deviation: why |  |\n",
        ] {
            assert!(report.contains(expected), "{expected} is not in\n{report}");
        }
    }
}
