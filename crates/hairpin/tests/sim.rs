//! `hairpin sim` as a person runs it.

use std::process::{Command, Output};

fn sim(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_hairpin");
    Command::new(program).arg("sim").args(args).output().expect("the program runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_scenario_is_drawn_and_its_promise_is_the_exit_code() {
    let kept = sim(&["open-rfc793", "--rows", "12"]);
    assert!(kept.status.success(), "{}", out(&kept));
    assert!(out(&kept).contains("<SEQ=100><ACK=301><CTL=SYN,ACK>") && out(&kept).contains("WAR"));
    let broken =
        sim(&["open-seqval", "--set", "a.seq_validation=rfc793", "--set", "b.seq_validation=rfc793"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(out(&broken).contains("BROKEN"));
}

#[test]
fn every_scenario_is_listed_by_a_name_that_can_be_played() {
    let list = out(&sim(&["list"]));
    let names: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"land") && names.len() >= 18, "{list}");
    for name in names.iter().filter(|name| !name.starts_with("every")) {
        assert!(sim(&[name]).status.success(), "{name}");
    }
}

#[test]
fn the_picture_is_written_where_it_was_asked_for() {
    let file = std::env::temp_dir().join(format!("hairpin-sim-{}.svg", std::process::id()));
    let output = sim(&["close-seqval", "--svg", &file.to_string_lossy()]);
    let svg = std::fs::read_to_string(&file).unwrap_or_default();
    let _ = std::fs::remove_file(&file);
    assert!(output.status.success() && svg.starts_with("<svg ") && svg.contains("TIME-WAIT"), "{svg}");
}

#[test]
fn what_cannot_be_done_is_said_with_what_would_be_right() {
    let wrong: [(&[&str], &str); 4] = [
        (&["opne-seqval"], "open-seqval"),
        (&["land", "--set", "x=1"], "a.seq_validation"),
        (&["land", "--set", "a.window_probe=two"], "next-octet"),
        (&["every-probe", "--svg", "/dev/null"], "leave --svg away"),
    ];
    for (args, right) in wrong {
        let output = sim(args);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(right), "{said}");
    }
}
