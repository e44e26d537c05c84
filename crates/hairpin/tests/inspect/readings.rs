//! The table, what is shown of it, and what is said of damage.

use wire::tcp::Flags;

use super::{Directory, capture, disputed, inspect, segment};

// covers: L1, L5
#[test]
fn the_readings_are_a_table_with_the_difference_marked() {
    let directory = Directory::new("table");
    let file = directory.file("disputed.pcap", &disputed());
    let output = inspect(&[], &[&file]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for wanted in [
        "192.0.2.1:4000 > 192.0.2.2:80",
        "3 readings from octet 6 on",
        "malici[X][o]us",
        "malici[ ][o]us",
        "malici[X][ ]us",
        "linux",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(text.contains("1 flows, 3 TCP segments"), "{text}");
}

// covers: L5
#[test]
fn json_is_one_object_a_line() {
    let directory = Directory::new("json");
    let file = directory.file("disputed.pcap", &disputed());
    let output = inspect(&["--json"], &[&file, &file]);
    let text = String::from_utf8_lossy(&output.stdout);
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(objects.len(), 4, "a flow and the totals, twice: {text}");
    assert_eq!(objects[0]["streams"][0]["groups"].as_array().map(Vec::len), Some(3));
    assert_eq!(objects[1]["totals"]["segments"], 3);
}

// covers: L1
#[test]
fn a_flow_on_which_all_agree_is_shown_only_if_asked_for() {
    let directory = Directory::new("agree");
    let plain = capture(&[segment(99, Flags::SYN, 0, b""), segment(100, Flags::ACK, 0, b"hello")]);
    let file = directory.file("plain.pcap", &plain);
    let quiet = inspect(&[], &[&file]);
    assert!(!String::from_utf8_lossy(&quiet.stdout).contains("reading"), "{quiet:?}");
    let all = inspect(&["--all"], &[&file]);
    assert!(String::from_utf8_lossy(&all.stdout).contains("1 reading of 5 octets"), "{all:?}");
}

// covers: L4, O1
#[test]
fn what_a_damaged_capture_still_has_is_told_and_so_is_the_damage() {
    let directory = Directory::new("damaged");
    let mut octets = disputed();
    octets.truncate(octets.len() - 2);
    let file = directory.file("cut.pcap", &octets);
    let whole = directory.file("whole.pcap", &disputed());
    let output = inspect(&[], &[&file, &whole]);
    assert!(!output.status.success());
    let (text, trouble) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(text.contains("1 flows, 2 TCP segments") && text.contains("1 flows, 3 TCP segments"), "{text}");
    // However it was broken into lines.
    let trouble = trouble.replace('\u{2502}', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in ["cut.pcap: the file is cut short (packet 3, octet 143)", "copy the file again"] {
        assert!(trouble.contains(wanted), "{wanted}: {trouble}");
    }
    assert!(text.contains("there was more"), "{text}");
    let none = inspect(&[], &[&directory.0.join("none.pcap")]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("none.pcap"));
}

// covers: L5
#[test]
fn what_is_no_capture_is_named_with_what_to_do() {
    let directory = Directory::new("wrong");
    let text = directory.file("notes.txt", b"nothing of the kind");
    let gzip = directory.file("trace.pcap.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    let empty = directory.file("empty.pcap", b"");
    for (file, wanted) in [
        (&text, "tcpdump -w"),
        (&gzip, "gunzip"),
        (&empty, "the file is empty"),
        (&directory.0, "is a directory"),
    ] {
        let output = inspect(&[], &[file]);
        let trouble = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && trouble.contains(wanted), "{wanted}: {trouble}");
        assert!(trouble.contains("help:"), "{trouble}");
    }
}
