//! conformance/requirements.toml as values, and what can be wrong with it on its own.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::{Problem, REGISTRY};

/// How binding a requirement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Must,
    Should,
    May,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Must, Self::Should, Self::May];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
        })
    }
}

/// How far a requirement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Done,
    Open,
    Deviation,
}

impl State {
    pub(super) const ALL: [Self; 3] = [Self::Done, Self::Open, Self::Deviation];
}

/// A set of requirements with one table in the report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// `N`, or `B1.4787`.
    pub(super) prefix: String,
    pub(super) title: String,
}

/// A requirement.
pub(super) struct Row {
    pub(super) id: String,
    /// In the registry's file, from 1.
    pub(super) line: usize,
    pub(super) level: Level,
    pub(super) source: String,
    pub(super) text: String,
    pub(super) state: State,
    /// Which issue builds an open one; "later" where none does yet.
    pub(super) issue: Option<String>,
    /// Why a deviation is one.
    pub(super) reason: Option<String>,
}

impl Row {
    /// The prefix of the group that it belongs to: `B1.4787-5a` to `B1.4787`, `N7` to `N`.
    pub(super) fn prefix(&self) -> &str {
        match self.id.split_once('-') {
            Some((document, _)) => document,
            None => self.id.trim_end_matches(|c: char| c.is_ascii_digit()),
        }
    }
}

/// The whole registry, in the file's order.
pub(super) struct Registry {
    pub(super) groups: Vec<Group>,
    pub(super) rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<Group>,
    requirement: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    level: Level,
    source: String,
    text: String,
    state: State,
    issue: Option<String>,
    reason: Option<String>,
}

/// Reads the registry.
///
/// # Errors
/// Where the text is no registry.
pub(super) fn parse(text: &str) -> Result<Registry, Problem> {
    let line_at =
        |offset: usize| text.as_bytes().iter().take(offset).filter(|&&octet| octet == b'\n').count() + 1;
    let File { group, requirement } = toml::from_str(text).map_err(|error| Problem {
        file: REGISTRY.to_owned(),
        line: error.span().map_or(1, |span| line_at(span.start)),
        what: error.message().to_owned(),
        remedy: "a row has id, level, source, text, state; an open one issue; a deviation reason".to_owned(),
    })?;
    let rows = requirement.into_iter().map(|entry| {
        let Entry { id, level, source, text, state, issue, reason } = entry;
        Row { line: line_at(id.span().start), id: id.into_inner(), level, source, text, state, issue, reason }
    });
    Ok(Registry { groups: group, rows: rows.collect() })
}

impl Registry {
    /// The row with this id.
    pub(super) fn find(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The id that differs from `id` only in case, in spelling of `.` and `-`, or by letters at its end.
    pub(super) fn nearest(&self, id: &str) -> Option<&str> {
        let plain = |s: &str| s.replace(['.', '-', ' ', '_'], "").to_ascii_lowercase();
        let wanted = plain(id);
        let stem = wanted.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let mut ids = self.rows.iter().map(|row| row.id.as_str());
        let known = |target: &str| ids.clone().find(|id| plain(id) == target);
        known(&wanted).or_else(|| known(stem)).or_else(|| ids.find(|known| plain(known).starts_with(&wanted)))
    }

    /// The rows of a group.
    pub(super) fn of<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(|row| row.prefix() == group.prefix)
    }

    /// What is wrong with the rows, whatever the tests say.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for row in &self.rows {
            let mut say = |what: String, remedy: &str| {
                problems.push(Problem {
                    file: REGISTRY.to_owned(),
                    line: row.line,
                    what,
                    remedy: remedy.to_owned(),
                });
            };
            let id = &row.id;
            if let Some(first) = seen.insert(id, row.line) {
                say(
                    format!("`{id}` is there already, in line {first}"),
                    "an id has one row; give a new demand a new id",
                );
            }
            if !self.groups.iter().any(|group| group.prefix == row.prefix()) {
                say(format!("`{id}` belongs to no group"), "add a [[group]] with its prefix, or mend the id");
            }
            let blank = |field: &Option<String>| field.as_deref().is_none_or(|text| text.trim().is_empty());
            if row.state == State::Deviation && blank(&row.reason) {
                say(format!("`{id}` is a deviation without a reason"), "add reason = \"...\"");
            }
            if row.state == State::Open && blank(&row.issue) {
                say(
                    format!("`{id}` is open, and no issue is named"),
                    "add issue = \"<number>\" or \"later\"",
                );
            }
            if row.state != State::Open && row.issue.is_some() {
                say(format!("`{id}` is not open, yet names an issue"), "remove `issue`");
            }
            if row.source.trim().is_empty() || row.text.trim().is_empty() {
                say(format!("`{id}` has no source or no text"), "say where it comes from and what it asks");
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, rest: &str) -> String {
        format!("[[requirement]]\nid = \"{id}\"\nlevel = \"must\"\nsource = \"s\"\ntext = \"t\"\n{rest}\n")
    }

    fn problems(rows: &[String]) -> Vec<String> {
        let groups =
            "[[group]]\nprefix = \"N\"\ntitle = \"t\"\n[[group]]\nprefix = \"B1.4787\"\ntitle = \"t\"\n";
        let text = format!("{groups}{}", rows.concat());
        parse(&text).unwrap().problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sound_rows_have_no_problems() {
        let rows = [
            row("N1", "state = \"done\""),
            row("B1.4787-5a", "state = \"open\"\nissue = \"4\""),
            row("N2", "state = \"deviation\"\nreason = \"because\""),
        ];
        assert_eq!(problems(&rows), Vec::<String>::new());
    }

    #[test]
    fn each_fault_of_a_row_is_named_with_its_line() {
        let twice = problems(&[row("N1", "state = \"done\""), row("N1", "state = \"done\"")]);
        assert_eq!(twice.len(), 1);
        assert!(twice[0].contains("requirements.toml:14: `N1` is there already, in line 8"), "{twice:?}");
        for (id, rest, expected) in [
            ("N1", "state = \"deviation\"", "without a reason"),
            ("N1", "state = \"deviation\"\nreason = \" \"", "without a reason"),
            ("N1", "state = \"open\"", "no issue is named"),
            ("N1", "state = \"done\"\nissue = \"4\"", "yet names an issue"),
            ("X1", "state = \"done\"", "belongs to no group"),
            ("B1.9999-1", "state = \"done\"", "belongs to no group"),
        ] {
            let found = problems(&[row(id, rest)]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        }
    }

    #[test]
    fn text_that_is_no_registry_is_reported_with_its_line() {
        let problem = parse("[[group]]\nprefix = \"N\"\ntitle = 1\n").err().unwrap();
        assert_eq!(problem.line, 3);
        let text = format!("[[group]]\nprefix = \"N\"\ntitle = \"t\"\n{}", row("N1", "state = \"finished\""));
        assert_eq!(parse(&text).err().unwrap().line, 9);
    }

    #[test]
    fn a_misspelt_id_finds_its_neighbour() {
        let text = format!(
            "[[group]]\nprefix = \"B1.4787\"\ntitle = \"t\"\n{}",
            row("B1.4787-5", "state = \"done\"")
        );
        let registry = parse(&text).unwrap();
        assert_eq!(registry.nearest("b1.4787.5"), Some("B1.4787-5"));
        assert_eq!(registry.nearest("B1.4787-5d"), Some("B1.4787-5"));
        assert_eq!(registry.nearest("B1.4787-"), Some("B1.4787-5"));
        assert_eq!(registry.nearest("Q9"), None);
    }
}
