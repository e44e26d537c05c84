//! Our scripts by the original packetdrill, with our endpoint under it: both runners must say the same.
//!
//! The tool is no package: build it from github.com/google/packetdrill, and name it in `PACKETDRILL`, or put it
//! on the path. Where it is not at hand there is nothing to compare.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What a script says that the tool's one connection at a time cannot follow: it keeps the first numbers.
const OURS_ALONE: &str = "the original tool has no way to say that";

fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of scripts") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => scripts(&path, found),
            false => found.push(path),
        }
    }
}

/// The library. A test of a library for C does not build it.
fn library() -> PathBuf {
    let test = env::current_exe().expect("a program");
    let target = test.ancestors().nth(3).expect("target/PROFILE/deps/PROGRAM");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--package", env!("CARGO_PKG_NAME"), "--target-dir"])
        .arg(target)
        .status();
    assert!(built.expect("cargo is there").success());
    target.join("debug/libhairpin_drill_so.so")
}

// covers: T1, T11
#[test]
fn the_original_tool_agrees_on_every_script() {
    let named = env::var_os("PACKETDRILL");
    let tool = named.clone().unwrap_or_else(|| "packetdrill".into());
    if let Err(error) = Command::new(&tool).output() {
        assert!(named.is_none() && error.kind() == io::ErrorKind::NotFound, "{}: {error}", tool.display());
        eprintln!("not run: there is no packetdrill here; name one in PACKETDRILL");
        return;
    }
    let mut found = Vec::new();
    scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts"), &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "pkt"));
    found.sort();
    assert!(found.len() >= 150, "{} scripts", found.len());
    let so = format!("--so_filename={}", library().display());
    let mut disagreements = String::new();
    for path in &found {
        let output = Command::new(&tool).arg(&so).arg(path).output().expect("it started before");
        let said = String::from_utf8_lossy(&output.stderr);
        let ours_alone = fs::read_to_string(path).expect("a script").contains(OURS_ALONE);
        let agrees = if ours_alone { said.contains("tcp_seq") } else { output.status.success() };
        if !agrees {
            disagreements += &format!("{}: {}\n{said}\n", path.display(), output.status);
        }
    }
    assert!(disagreements.is_empty(), "{disagreements}");
}
