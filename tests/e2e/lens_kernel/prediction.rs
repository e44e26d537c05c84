//! What `hairpin inspect` says of a capture, flow by flow.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::Run;

/// What was said of what a client sent.
#[derive(Clone, Debug)]
pub(super) struct Prediction {
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    /// Host and reader.
    views: Vec<(String, String)>,
    reading: String,
    removed_at: Vec<usize>,
    depends_on_timing: Vec<usize>,
}

/// Writes the packets as a capture and asks the program; the flows by the client's port.
pub(super) fn predict(packets: &[Vec<u8>]) -> BTreeMap<u16, Prediction> {
    let name = format!("hairpin-lens-kernel-{}-{}.pcap", std::process::id(), packets.len());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, pcap(packets)).expect("a capture");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hairpin"));
    let output = command.args(["inspect", "--json", "--all", "--max-text", "131072"]).arg(&path).output();
    let output = output.expect("the program runs");
    std::fs::remove_file(&path).expect("it is still there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let objects = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object a line"));
    let flows = objects.filter(|object| object.get("streams").is_some());
    flows.map(|flow| (port(&flow), Prediction::of(&flow["streams"][0]))).collect()
}

fn port(flow: &Value) -> u16 {
    flow["client"]["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
}

/// A pcap file of raw IP packets, a millisecond apart.
pub(super) fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (n, packet) in (0u32..).zip(packets) {
        for word in [n / 1_000, n % 1_000 * 1_000, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

impl Prediction {
    fn of(stream: &Value) -> Self {
        assert_eq!(stream["reading_from"], 0, "all of the text is held");
        assert_eq!(stream["mid_stream"], false);
        Self { groups: list(&stream["groups"]).iter().map(Group::of).collect() }
    }

    fn group(&self, host: &str, reader: &str) -> &Group {
        let is_it = |view: &(String, String)| view.0 == host && view.1 == reader;
        let mut groups = self.groups.iter().filter(|group| group.views.iter().any(is_it));
        let group = groups.next().unwrap_or_else(|| panic!("no view {host} {reader}"));
        assert!(groups.next().is_none(), "two readings of {host} {reader}");
        group
    }

    /// What a view reads.
    pub(super) fn reading(&self, host: &str, reader: &str) -> &str {
        &self.group(host, reader).reading
    }

    pub(super) fn check(&self, host: &str, reader: &str, run: &Run, wrong: &mut Vec<String>) {
        let said = self.reading(host, reader);
        if said != run.read {
            wrong.push(format!("{}: read {:?}, said {said:?}", run.describe(), run.read));
        }
    }

    /// All that somebody might read who reads out of band, as the JSON's documentation says.
    pub(super) fn possible(&self, host: &str) -> BTreeSet<String> {
        let late = self.group(host, "lazy");
        // Places in the stream, in place of places in the reading.
        let length = late.reading.len() + late.removed_at.len();
        let kept: Vec<usize> = (0..length).filter(|at| !late.removed_at.contains(at)).collect();
        let maybe = &late.depends_on_timing;
        let choices = (0u32..1 << maybe.len()).filter(|&choice| {
            let is_gone = |n: usize| choice >> n & 1 == 1;
            (1..maybe.len()).all(|n| maybe[n] != maybe[n - 1] + 1 || !is_gone(n - 1) || is_gone(n))
        });
        let reading = |choice: u32| {
            let is_gone =
                |at: &usize| maybe.iter().position(|it| it == at).is_some_and(|n| choice >> n & 1 == 1);
            let octets = kept.iter().zip(late.reading.chars()).filter(|(at, _)| !is_gone(at));
            octets.map(|(_, octet)| octet).collect()
        };
        choices.map(reading).collect()
    }
}

impl Group {
    fn of(group: &Value) -> Self {
        let name = |view: &Value, part: &str| view[part].as_str().expect("a name").to_owned();
        let places = |list: &[Value]| list.iter().map(|at| at.as_u64().expect("a place") as usize).collect();
        Self {
            views: list(&group["views"])
                .iter()
                .map(|view| (name(view, "host"), name(view, "reader")))
                .collect(),
            reading: group["reading"].as_str().expect("text").to_owned(),
            removed_at: places(list(&group["removed_at"])),
            depends_on_timing: places(list(&group["depends_on_timing"])),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("a list")
}
