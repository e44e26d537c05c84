//! `hairpin inspect` as a user runs it: readings as text and as JSON, several captures, damage.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wire::SeqNumber;
use wire::craft::{Header, Segment, tcp};
use wire::tcp::Flags;

/// A directory of its own, gone when the test is.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hairpin-inspect-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, octets).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn segment(seq: u32, flags: Flags, urgent: u16, text: &[u8]) -> Vec<u8> {
    let header = Header::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let segment = Segment { seq: SeqNumber(seq), urgent, ..Segment::new(4_000, 80, flags) };
    let mut packet = vec![0; 120 + text.len()];
    let len = tcp(&mut packet, &header, &segment, text).expect("it fits");
    packet.truncate(len);
    packet
}

/// A pcap file of raw IP packets, a millisecond apart.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (n, packet) in (0u32..).zip(packets) {
        for word in [1, n * 1_000, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn disputed() -> Vec<u8> {
    capture(&[
        segment(99, Flags::SYN, 0, b""),
        segment(100, Flags::ACK | Flags::URG, 7, b"maliciX"),
        segment(107, Flags::ACK, 0, b"ous"),
    ])
}

fn inspect(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hairpin"));
    command.arg("inspect").args(arguments).args(files).output().expect("the program runs")
}

// covers: L1, L5
#[test]
fn the_readings_are_a_table_with_the_difference_marked() {
    let directory = Directory::new("table");
    let file = directory.file("disputed.pcap", &disputed());
    let output = inspect(&[], &[&file]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for wanted in
        ["192.0.2.1:4000 > 192.0.2.2:80", "3 readings from octet 6 on", "malici|ous", "malici|Xous", "linux"]
    {
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
    assert!(trouble.contains("cut.pcap"), "{trouble}");
    let none = inspect(&[], &[&directory.0.join("none.pcap")]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("none.pcap"));
}
