//! `hairpin who` as a person runs it.

use std::path::Path;
use std::process::{Command, Output};

fn who(asked: &str) -> Output {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/carrier.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hairpin"));
    command.args(["who", "-c"]).arg(file).arg(asked).env("NO_COLOR", "1");
    command.output().expect("the program runs")
}

// covers: B9
#[test]
fn a_file_without_computed_ports_leaves_the_answer_to_the_log() {
    for asked in ["192.0.2.16:5000", "198.51.100.5", "100.64.0.9"] {
        let output = who(asked);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{asked}");
        assert!(said.contains("a log knows") && said.contains("`deterministic = true`"), "{asked}: {said}");
        assert!(output.stdout.is_empty(), "{asked}");
    }
}

// covers: B9
#[test]
fn an_address_of_nobody_and_no_address_are_told_apart() {
    let stranger = who("203.0.113.1:80");
    let said = String::from_utf8_lossy(&stranger.stderr).into_owned();
    assert!(stranger.status.code() == Some(1) && said.contains("neither an external address"), "{said}");
    let wrong = who("192.0.2.16:65536");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("192.0.2.16:65536"), "{said}");
}
