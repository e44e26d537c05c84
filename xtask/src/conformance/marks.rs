//! The `// covers:` marks: which test says that it holds which requirement.
//!
//! In Rust the mark stands directly above a test; in a protocol script (`*.pkt`) it speaks for the
//! whole file. A mark that would not run (no test below it, or an ignored one) is a problem, never
//! silence: it would claim what nothing checks.

use std::fs;
use std::path::{Path, PathBuf};

use super::Problem;

/// What a line with a mark begins with.
const MARK: &str = "// covers:";
/// Lines that comments and attributes between a mark and its function may take.
const REACH: usize = 12;

/// A mark and the test under it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Path from the workspace's root, with `/`.
    pub(super) file: String,
    /// Line of the mark, from 1.
    pub(super) line: usize,
    pub(super) ids: Vec<String>,
    /// Name of the test function; of the file for a script.
    pub(super) test: String,
}

/// Reads every source under `folders` of `root`; what is wrong with the marks comes second.
///
/// # Errors
/// A directory or file that cannot be read.
pub(super) fn collect(root: &Path, folders: &[&str]) -> Result<(Vec<Mark>, Vec<Problem>), String> {
    let mut files = Vec::new();
    for folder in folders {
        let folder = root.join(folder);
        if folder.is_dir() {
            list(&folder, &mut files)?;
        }
    }
    files.sort();
    let (mut marks, mut problems) = (Vec::new(), Vec::new());
    for path in files {
        let text = super::read(&path)?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        scan(&name, &text, &mut marks, &mut problems);
    }
    Ok((marks, problems))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |e| format!("error: {}: cannot be read: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                list(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "pkt") {
            files.push(path);
        }
    }
    Ok(())
}

/// The marks of one file.
fn scan(file: &str, text: &str, marks: &mut Vec<Mark>, problems: &mut Vec<Problem>) {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(list) = line.strip_prefix(MARK) else { continue };
        let ids: Vec<String> = list.split(',').map(|id| id.trim().to_owned()).collect();
        let mut say = |what: &str, remedy: &str| {
            problems.push(Problem {
                file: file.to_owned(),
                line: index + 1,
                what: what.to_owned(),
                remedy: remedy.to_owned(),
            });
        };
        if ids.iter().any(|id| id.is_empty() || id.contains(char::is_whitespace)) {
            say("the mark is not a list of ids", "write ids with commas between them: `N1, B1.4787-5`");
            continue;
        }
        let test = if file.ends_with(".pkt") {
            Ok(file.rsplit('/').next().unwrap_or(file).to_owned())
        } else {
            test_below(&lines[index + 1..])
        };
        match test {
            Ok(test) => marks.push(Mark { file: file.to_owned(), line: index + 1, ids, test }),
            Err(what) => say(what, "put the mark directly above the `#[test]` that it speaks for"),
        }
    }
}

/// The name of the test that begins in `lines` after nothing but comments and attributes.
fn test_below(lines: &[&str]) -> Result<String, &'static str> {
    let mut is_test = false;
    for (index, line) in lines.iter().enumerate().take(REACH) {
        if line.starts_with("#[ignore") {
            return Err("the mark stands above an ignored test, which checks nothing");
        }
        if line.starts_with("#[") {
            let name = line.trim_start_matches("#[").split(['(', ']']).next().unwrap_or_default();
            is_test |= name == "test" || name.ends_with("::test") || name == "rstest";
        } else if let Some(name) = function_name(line) {
            // Inside `proptest!` the parameters tell: `fn name(value in strategy)`.
            let head: String = lines[index..].iter().take(REACH).copied().collect::<Vec<_>>().join(" ");
            let head = head.split('{').next().unwrap_or_default();
            return if is_test || head.contains(" in ") {
                Ok(name.to_owned())
            } else {
                Err("the mark stands above a function that is not a test")
            };
        } else if !line.is_empty() && !line.starts_with("//") {
            break;
        }
    }
    Err("the mark is not followed by a test")
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_one(file: &str, text: &str) -> (Vec<Mark>, Vec<Problem>) {
        let (mut marks, mut problems) = (Vec::new(), Vec::new());
        scan(file, text, &mut marks, &mut problems);
        (marks, problems)
    }

    #[test]
    fn a_mark_takes_the_test_below_it() {
        for below in [
            "#[test]\nfn name() {}",
            "/// Says more.\n#[test]\n#[cfg(target_os = \"linux\")]\nfn name() {}",
            "// covers: N2\n#[test]\nfn name() {}",
            "fn name(value in any::<u8>()) {}",
            "fn name(\n    value in any::<u8>(),\n) {}",
            "#[tokio::test]\nasync fn name() {}",
        ] {
            let (marks, problems) = scan_one("crates/a.rs", &format!("// covers: N1, B1.4787-5a\n{below}\n"));
            assert_eq!(problems, [], "{below}");
            assert_eq!(marks[0].test, "name");
            assert_eq!(marks[0].ids, ["N1", "B1.4787-5a"]);
        }
    }

    #[test]
    fn a_mark_that_nothing_runs_is_a_problem() {
        for (below, expected) in [
            ("fn helper() {}", "not a test"),
            ("#[test]\n#[ignore]\nfn name() {}", "ignored"),
            ("const X: u8 = 1;\n#[test]\nfn name() {}", "not followed"),
            ("", "not followed"),
        ] {
            let (marks, problems) = scan_one("crates/a.rs", &format!("\n// covers: N1\n{below}\n"));
            assert_eq!(marks, [], "{below}");
            assert!(problems[0].to_string().starts_with("error: crates/a.rs:2: "), "{}", problems[0]);
            assert!(problems[0].what.contains(expected), "{}", problems[0]);
        }
    }

    #[test]
    fn a_list_with_a_hole_is_a_problem() {
        for list in ["", "N1,", "N1 N2"] {
            let (marks, problems) =
                scan_one("a.rs", &format!("// covers: {list}\n#[test]\nfn name() {{}}\n"));
            assert_eq!((marks.len(), problems.len()), (0, 1), "{list}");
        }
    }

    #[test]
    fn a_script_is_marked_as_a_whole() {
        let (marks, problems) = scan_one("tests/scripts/rst.pkt", "// covers: N7\n0 > S 0:0(0)\n");
        assert_eq!(problems, []);
        assert_eq!(marks[0].test, "rst.pkt");
    }
}
