//! `cargo xtask conformance`: is every requirement that is called done held by a test?
//!
//! Reads conformance/requirements.toml ([`registry`]), collects the `// covers:` marks of the sources
//! ([`marks`]), judges one by the other here, and writes docs/conformance.md ([`report`]).

use std::fmt;
use std::fs;
use std::path::Path;

mod marks;
mod registry;
mod report;

use marks::Mark;
use registry::{Level, Registry, State};

/// The registry's place in the workspace.
const REGISTRY: &str = "conformance/requirements.toml";
/// The report's place in the workspace.
const REPORT: &str = "docs/conformance.md";
/// Where tests live.
const SEARCHED: &[&str] = &["crates", "tests", "xtask"];

/// What to do with the report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write it.
    Write,
    /// Fail where it is not what would be written.
    Check,
}

/// Something that is wrong, where, and what mends it.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    file: String,
    line: usize,
    what: String,
    remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, remedy } = self;
        write!(f, "error: {file}:{line}: {what}\n  help: {remedy}")
    }
}

/// Checks the workspace at `root`.
///
/// # Errors
/// Every problem found, a paragraph each, or why a file could not be read or written.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<(), String> {
    let text = read(&root.join(REGISTRY))?;
    let registry = registry::parse(&text).map_err(|problem| problem.to_string())?;
    let (found, mut problems) = marks::collect(root, SEARCHED)?;
    problems.extend(registry.problems());
    problems.extend(judge(&registry, &found));
    if !problems.is_empty() {
        problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        return Err(format!("{}\n{} problem(s) in the conformance registry", list.join("\n"), list.len()));
    }
    let wanted = report::render(&registry, &found);
    let path = root.join(REPORT);
    match mode {
        Mode::Write => {
            fs::create_dir_all(root.join("docs")).map_err(|e| format!("docs: cannot be created: {e}"))?;
            fs::write(&path, wanted).map_err(|e| format!("{REPORT}: cannot be written: {e}"))?;
        }
        Mode::Check if fs::read_to_string(&path).ok().as_deref() != Some(wanted.as_str()) => {
            return Err(format!(
                "error: {REPORT} is not what the registry and the tests say today\n  help: run `cargo xtask conformance` and commit the file"
            ));
        }
        Mode::Check => {}
    }
    println!("{}", report::one_line(&registry, &found));
    Ok(())
}

/// Marks against rows: unknown ids, and done rows that no test holds.
fn judge(registry: &Registry, found: &[Mark]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for mark in found {
        for id in &mark.ids {
            if registry.find(id).is_none() {
                problems.push(Problem {
                    file: mark.file.clone(),
                    line: mark.line,
                    what: format!("`{id}` is not an id of {REGISTRY}"),
                    remedy: registry.nearest(id).map_or_else(
                        || "write one of the ids that docs/conformance.md lists".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    ),
                });
            }
        }
    }
    for row in &registry.rows {
        let tested = found.iter().any(|mark| mark.ids.contains(&row.id));
        if row.state == State::Done && row.level != Level::May && !tested {
            problems.push(Problem {
                file: REGISTRY.to_owned(),
                line: row.line,
                what: format!("`{}` ({}) is done, but no test covers it", row.id, row.level),
                remedy: format!(
                    "put `// covers: {}` above the test that would fail without it, or say state = \"open\"",
                    row.id
                ),
            });
        }
    }
    problems
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("error: {}: cannot be read: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = concat!(
        "[[group]]\nprefix = \"N\"\ntitle = \"NAT\"\n",
        "[[requirement]]\nid = \"N1\"\nlevel = \"must\"\nsource = \"s\"\ntext = \"t\"\nstate = \"done\"\n",
        "[[requirement]]\nid = \"N2\"\nlevel = \"may\"\nsource = \"s\"\ntext = \"t\"\nstate = \"done\"\n",
        "[[requirement]]\nid = \"N3\"\nlevel = \"must\"\nsource = \"s\"\ntext = \"t\"\nstate = \"open\"\nissue = \"4\"\n",
    );

    fn mark(ids: &[&str]) -> Mark {
        Mark {
            file: "crates/nat/tests/a.rs".into(),
            line: 7,
            ids: ids.iter().map(ToString::to_string).collect(),
            test: "a_test".into(),
        }
    }

    #[test]
    fn a_done_must_without_a_test_is_a_problem_and_a_done_may_is_not() {
        let registry = registry::parse(ROWS).unwrap();
        let problems = judge(&registry, &[]);
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].to_string().contains("requirements.toml:5: `N1` (must) is done"),
            "{}",
            problems[0]
        );
        assert!(judge(&registry, &[mark(&["N1"])]).is_empty());
    }

    #[test]
    fn an_unknown_id_names_the_mark_and_the_nearest_id() {
        let registry = registry::parse(ROWS).unwrap();
        let problems = judge(&registry, &[mark(&["N1", "n3"])]);
        assert_eq!(problems.len(), 1);
        let text = problems[0].to_string();
        assert!(text.contains("crates/nat/tests/a.rs:7") && text.contains("did you mean `N3`?"), "{text}");
    }

    #[test]
    fn the_shipped_registry_is_sound_and_has_every_id() {
        let text = read(&crate::root().join(REGISTRY)).unwrap();
        let registry = registry::parse(&text).unwrap();
        assert_eq!(registry.problems(), []);
        let lists =
            [("U", 11), ("S", 9), ("T", 12), ("N", 19), ("B", 10), ("C", 5), ("L", 6), ("V", 3), ("O", 7)];
        for (letter, last) in lists {
            for number in 1..=last {
                let id = format!("{letter}{number}");
                assert!(registry.find(&id).is_some(), "{id} is missing");
            }
        }
        for (rfc, last) in [(4787, 14), (5382, 10), (5508, 11), (6888, 15)] {
            for number in 1..=last {
                let stem = format!("B1.{rfc}-{number}");
                let is_it = |id: &str| {
                    id.strip_prefix(&stem).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
                };
                assert!(registry.rows.iter().any(|row| is_it(&row.id)), "{stem} is missing");
            }
        }
    }
}
