//! The configuration file: what wrong files are told, that examples load, that no text makes it panic.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hairpin::config;
use miette::{Diagnostic as _, GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn hairpin(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hairpin"))
        .args(args)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts")
}

/// Compares with a file of the repository; with BLESS set, writes it instead.
fn compare(path: &Path, seen: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, seen).expect("the expectation can be written");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, seen, "{} differs; if the new text is right, run with BLESS=1", path.display());
}

fn rendered(faults: &config::Faults) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let mut text = String::new();
    handler.render_report(&mut text, faults).expect("a report renders");
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

// covers: O1
#[test]
fn wrong_files_are_told_what_to_write() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/wrong");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 30, "the wrong files are there");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a wrong file");
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let faults = config::parse(name, &text).expect_err(name);
        for fault in faults.faults() {
            assert!(!fault.help.is_empty(), "{name}: {} has no remedy", fault.message);
        }
        compare(&file.with_extension("txt"), &rendered(&faults));
    }
}

// covers: O1, N2, B1.5382-5, B1.4787-5, B1.5508-2
#[test]
fn a_time_below_the_minimum_names_its_rfc() {
    let faults = config::parse("x", include_str!("config/wrong/time-below-rfc.toml")).expect_err("too short");
    let told: Vec<&str> = faults.faults().iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(told.len(), 4);
    for (message, rfc) in
        told.iter().zip(["RFC 5382 REQ-5", "RFC 5382 REQ-5", "RFC 4787 REQ-5", "RFC 5508 REQ-2"])
    {
        assert!(message.contains(rfc), "{message} names {rfc}");
    }
}

// covers: O1
#[test]
fn every_example_loads() {
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("examples")).expect("examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let settings =
                config::load(&path).unwrap_or_else(|report| panic!("{}: {report:?}", path.display()));
            if settings.mode == config::Mode::Nat {
                assert_eq!(settings.engine.validate(), Ok(()));
            }
            count += 1;
        }
    }
    assert_eq!(count, 4);
}

// covers: C1, C2, C4
#[test]
fn the_shipped_scrubber_is_what_the_code_does_without_a_file() {
    let path = repository().join("examples/scrubber.toml");
    let settings = config::load(&path).expect("loads");
    assert_eq!(settings.mode, config::Mode::Scrub);
    assert_eq!(settings.engine.scrub, nat::config::Scrub::default());
    let checked = hairpin(&["check", "-c", path.to_str().expect("UTF-8")]);
    let checked = String::from_utf8(checked.stdout).expect("UTF-8");
    assert!(checked.contains("nothing is translated") && checked.contains("at most 1 MiB"), "{checked}");
    // Each setting of the table is there: one that is added has to be added to the file.
    let text = std::fs::read_to_string(&path).expect("a file");
    let document: toml::Table = text.parse().expect("TOML");
    let said = document["scrub"].as_table().expect("a table").len();
    let explained = hairpin(&["explain", "-c", path.to_str().expect("UTF-8")]);
    let explained = String::from_utf8(explained.stdout).expect("UTF-8");
    let known = explained.lines().filter(|line| line.starts_with("scrub.")).count();
    assert_eq!(said, known);
    let sourced = |line: &&str| line.starts_with("scrub.") && line.contains("scrubber.toml:");
    assert_eq!(explained.lines().filter(sourced).count(), known, "{explained}");
}

// covers: C1, C3
#[test]
fn a_scrubber_that_could_not_work_is_told_why() {
    let told = |text: &str| {
        let faults = config::parse("x", text).expect_err(text);
        faults.faults().iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let head = "mode = \"scrub\"\n[inside]\nprefixes = [\"10.0.0.0/8\"]\n";
    assert!(config::parse("x", head).is_ok(), "no pool is needed");
    assert!(told(&format!("{head}[scrub]\nwar_limit = 8\n")).contains("remembers no connection"));
    assert!(told(&format!("{head}[scrub]\nno_flags = \"clear\"\n")).contains("none to clear"));
    let two = format!("{head}[scrub]\nflows = 100\n[live]\nworkers = 2\n");
    assert!(told(&two).contains("two workers"), "{}", told(&two));
    let nat = "[inside]\nprefixes = [\"10.0.0.0/8\"]\n[outside]\ninterfaces = [\"eth0\"]\n[[pool]]\naddresses = [\"192.0.2.1\"]\n";
    assert!(told(nat).contains("outside.interfaces"));
}

// covers: O1, B5
#[test]
fn what_the_file_says_arrives() {
    let settings = config::load(&repository().join("examples/carrier.toml")).expect("loads");
    assert_eq!(settings.engine.external_addresses(), 16 + 1 + 128);
    assert_eq!(settings.engine.inside, ["100.64.0.0/10".parse().expect("a prefix")]);
    assert_eq!(settings.engine.limits.session_rate_per_subscriber, 500);
    assert_eq!(settings.engine.fragments.datagrams, 16_384);
    assert_eq!(settings.live.workers, 4);
    assert_eq!(settings.live.proxy_arp, ["core0"]);
    assert_eq!(settings.engine.tcp, nat::config::TcpTimeouts::default());
    let office = config::load(&repository().join("examples/small-office.toml")).expect("loads");
    assert_eq!(office.engine.mss_clamp, Some(1_452));
    assert_eq!((office.engine.mtu.inside, office.engine.mtu.outside), (1_500, 1_492));
    assert_eq!(office.engine.pools[0].ports, 16_384..=65_535);
}

// covers: O1, B6
#[test]
fn protocols_without_ports_have_a_time_of_their_own() {
    let text = "[inside]\nprefixes = [\"10.0.0.0/8\"]\n[[pool]]\naddresses = [\"192.0.2.1\"]\n";
    let timeout = |more: &str| {
        let loaded = config::parse("x", &format!("{text}{more}")).expect("it loads");
        loaded.settings.engine.other_timeout.as_secs()
    };
    assert_eq!(timeout(""), 300);
    assert_eq!(timeout("[other]\ntimeout = \"90s\"\n"), 90);
    let faults = config::parse("x", &format!("{text}[other]\ntimeout = \"500ms\"\n")).expect_err("too short");
    assert!(faults.faults()[0].message.contains("500ms"), "{faults:?}");
}

// covers: O1
#[test]
fn the_page_is_current() {
    compare(&repository().join("docs/configuration.md"), &config::page());
}

// covers: O1, O7, B10
#[test]
fn the_sizes_in_the_guide_are_those_of_the_engine() {
    let path = repository().join("docs/settings-guide.md");
    let guide = std::fs::read_to_string(&path).expect("the guide");
    let (head, rest) = guide.split_once("<!-- sizing").expect("where the table begins");
    let (mark, rest) = rest.split_once("-->\n").expect("the end of the mark");
    let (_, tail) = rest.split_once("<!-- /sizing -->").expect("where the table ends");
    compare(&path, &format!("{head}<!-- sizing{mark}-->\n\n{}\n<!-- /sizing -->{tail}", config::sizing()));
}

// covers: O1
#[test]
fn check_says_ok_or_what_is_wrong() {
    let example = repository().join("examples/lab.toml");
    let good = hairpin(&["check", "-c", example.to_str().expect("a path")]);
    let told = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{told}");
    assert!(told.contains(": ok") && told.contains("1 in 1 pool") && told.contains("10.0.1.0/24"), "{told}");

    let wrong = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/wrong/unknown-key.toml");
    let bad = hairpin(&["check", "-c", wrong.to_str().expect("a path")]);
    let told = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(1));
    assert!(told.contains("unknown-key.toml:8:1") && told.contains("did you mean established?"), "{told}");

    let missing = hairpin(&["check", "-c", "/nowhere/at-all.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/at-all.toml"));
}

// covers: O1
#[test]
fn explain_names_value_source_and_requirement() {
    let example = repository().join("examples/small-office.toml");
    let example = example.to_str().expect("a path");
    let text = hairpin(&["explain", "-c", example]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("tcp.mss_clamp")).expect("the setting is there");
    assert!(
        line.contains("1452 octets") && line.contains("small-office.toml:17") && line.contains("B7"),
        "{line}"
    );

    let json = hairpin(&["explain", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let rows = rows.as_array().expect("a list");
    let row = |key: &str| rows.iter().find(|row| row["setting"] == key).expect("the setting is there");
    assert_eq!(row("tcp.established")["value"], "2h4m");
    assert_eq!(row("tcp.established")["source"], "default");
    assert_eq!(row("tcp.established")["requirements"], serde_json::json!(["N2", "B1.5382-5"]));
    assert_eq!(row("limits.sessions")["value"], 1_048_576);
    assert_eq!(row("pool.addresses")["value"], serde_json::Value::Null);
}

// covers: O1
#[test]
fn a_file_that_is_no_text_is_refused() {
    let path = std::env::temp_dir().join(format!("hairpin-not-text-{}.toml", std::process::id()));
    std::fs::write(&path, b"[inside]\nprefixes = \xff\n").expect("a file");
    let report = config::load(&path).expect_err("no text");
    std::fs::remove_file(&path).expect("it was there");
    assert!(report.to_string().contains("octet 20"), "{report}");
}

/// A valid file, mutated: pieces cut, doubled and replaced.
fn mutated() -> impl Strategy<Value = String> {
    let base = prop::sample::select(vec![
        include_str!("../../../examples/lab.toml"),
        include_str!("../../../examples/carrier.toml"),
        include_str!("../../../examples/small-office.toml"),
    ]);
    let piece = prop::sample::select(vec![
        "",
        "\"",
        "[",
        "]",
        "[[pool]]\n",
        "=",
        "\n",
        "0",
        "-",
        "é",
        "\u{0}",
        ".",
        ",",
        "'''",
        "99999999999999999999",
        "0.0.0.0/0",
        "255.255.255.255",
        "true",
        "{",
        "}",
        "#",
        "_",
        "h",
        "\r",
        "inf",
        "1979-05-27",
        "0x",
        "/",
    ]);
    let edit = (any::<prop::sample::Index>(), 0_usize..12, piece);
    (base, prop::collection::vec(edit, 0..6)).prop_map(|(base, edits)| {
        let mut text: Vec<char> = base.chars().collect();
        for (place, length, piece) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    // covers: O1, O7
    #[test]
    fn a_mutated_file_loads_or_is_told_where(text in mutated()) {
        match config::parse("mutated.toml", &text) {
            Ok(loaded) => prop_assert_eq!(loaded.settings.engine.validate(), Ok(())),
            Err(faults) => {
                prop_assert!(!faults.faults().is_empty());
                for fault in faults.faults() {
                    let spans = core::iter::once(&fault.span).chain(fault.other.as_ref().map(|(span, _)| span));
                    for span in spans {
                        prop_assert!(span.start <= span.end && span.end <= text.len(), "{fault:?}");
                        prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{fault:?}");
                    }
                }
                prop_assert!(faults.source_code().is_some());
                prop_assert!(!rendered(&faults).is_empty());
            }
        }
    }
}
