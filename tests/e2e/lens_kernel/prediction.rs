//! What `hairpin inspect` says of a capture, flow by flow.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{Run, shapes};

/// What was said of what a client sent.
#[derive(Clone, Debug)]
pub(super) struct Prediction {
    /// So many octets, and all read them: no text is held, and there is one group.
    pub(super) agreed: Option<usize>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    /// Host and reader.
    views: Vec<(String, String)>,
    /// Of hosts that saw every segment of the capture.
    saw_all: bool,
    /// Of hosts that saw only the later copy of what there are two of.
    saw_later: bool,
    reading: String,
    removed_at: Vec<usize>,
    /// Hosts and places.
    depends_on_timing: Vec<(Vec<String>, Vec<usize>)>,
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
        let acknowledged = stream["acknowledged"].as_u64().expect("the kernel has answered") as usize;
        let groups: Vec<_> =
            list(&stream["groups"]).iter().map(|group| Group::of(group, acknowledged)).collect();
        let from = stream["reading_from"].as_u64().expect("a place") as usize;
        let all_agree = from > 0 && groups.len() == 1 && stream["octets"] == from;
        assert!(from == 0 || all_agree, "all of the text is held: {stream}");
        assert_eq!(stream["mid_stream"], false);
        Self { agreed: all_agree.then(|| from.min(acknowledged)), groups }
    }

    /// One, or one for each thing that a host may do with copies that differ.
    fn groups<'a>(
        &'a self,
        shape: &'a str,
        host: &'a str,
        reader: &'a str,
    ) -> impl Iterator<Item = &'a Group> {
        let is_it = move |view: &(String, String)| view.0 == host && view.1 == reader;
        let may_be = |group: &&Group| group.saw_all || shapes::contradicts(shape);
        self.groups.iter().filter(may_be).filter(move |group| group.views.iter().any(is_it))
    }

    /// What a view reads of a flow of this shape.
    pub(super) fn readings<'a>(&'a self, shape: &'a str, host: &'a str, reader: &'a str) -> Vec<&'a str> {
        self.groups(shape, host, reader).map(|group| group.reading.as_str()).collect()
    }

    /// What a view reads on a host that saw only the later copy of what there are two of.
    pub(super) fn readings_of_later(&self, host: &str, reader: &str) -> Vec<&str> {
        let is_it = |group: &&Group| group.views.iter().any(|view| view.0 == host && view.1 == reader);
        let groups = self.groups.iter().filter(|group| group.saw_later).filter(is_it);
        groups.map(|group| group.reading.as_str()).collect()
    }

    /// Whether there is a reading of a host that saw only later copies.
    pub(super) fn is_parted(&self) -> bool {
        self.groups.iter().any(|group| !group.saw_all)
    }

    pub(super) fn check(&self, host: &str, reader: &str, run: &Run, wrong: &mut Vec<String>) {
        let said = self.readings(run.shape, host, reader);
        let right = said.contains(&run.read.as_str()) && (said.len() == 1 || shapes::contradicts(run.shape));
        if !right {
            wrong.push(format!(
                "{}: read {}, said {}",
                run.describe(),
                brief(&run.read),
                said.iter().map(|said| brief(said)).collect::<Vec<_>>().join(" or ")
            ));
        }
    }

    /// All that somebody might read who reads out of band, as the JSON's documentation says.
    pub(super) fn possible(&self, shape: &str, host: &str) -> BTreeSet<String> {
        self.groups(shape, host, "lazy").flat_map(|group| group.possible(host)).collect()
    }
}

impl Group {
    fn possible(&self, host: &str) -> BTreeSet<String> {
        let timings = self.depends_on_timing.iter().filter(|(hosts, _)| hosts.iter().any(|it| it == host));
        timings.map(|(_, maybe)| self.without(maybe)).fold(self.without(&[]), |all, some| &all | &some)
    }

    /// The reading without any choice of `maybe`, but the impossible ones.
    fn without(&self, maybe: &[usize]) -> BTreeSet<String> {
        // Places in the stream, in place of places in the reading.
        let length = self.reading.len() + self.removed_at.len();
        let kept: Vec<usize> = (0..length).filter(|at| !self.removed_at.contains(at)).collect();
        let choices = (0u32..1 << maybe.len()).filter(|&choice| {
            let is_gone = |n: usize| choice >> n & 1 == 1;
            (1..maybe.len()).all(|n| maybe[n] != maybe[n - 1] + 1 || !is_gone(n - 1) || is_gone(n))
        });
        let reading = |choice: u32| {
            let is_gone =
                |at: &usize| maybe.iter().position(|it| it == at).is_some_and(|n| choice >> n & 1 == 1);
            let octets = kept.iter().zip(self.reading.chars()).filter(|(at, _)| !is_gone(at));
            octets.map(|(_, octet)| octet).collect()
        };
        choices.map(reading).collect()
    }

    /// Of a reading, what was acknowledged: what the kernel had no room for was read by nobody.
    fn of(group: &Value, acknowledged: usize) -> Self {
        let name = |view: &Value, part: &str| view[part].as_str().expect("a name").to_owned();
        let is_of = |policy: &str| {
            let policies = group["policies"].as_array();
            policies.is_none_or(|policies| policies.iter().any(|it| it == policy))
        };
        let removed_at = places(&group["removed_at"]);
        let gone = removed_at.iter().filter(|&&at| at < acknowledged).count();
        let mut reading = group["reading"].as_str().expect("text").to_owned();
        reading.truncate(acknowledged.saturating_sub(gone));
        Self {
            views: list(&group["views"])
                .iter()
                .map(|view| (name(view, "host"), name(view, "reader")))
                .collect(),
            saw_all: is_of("first copy wins, PAWS"),
            saw_later: is_of("last copy wins, PAWS"),
            reading,
            removed_at,
            depends_on_timing: list(&group["depends_on_timing"]).iter().map(timing).collect(),
        }
    }
}

fn timing(object: &Value) -> (Vec<String>, Vec<usize>) {
    let hosts = list(&object["hosts"]).iter().map(|host| host.as_str().expect("a name").to_owned()).collect();
    (hosts, places(&object["places"]))
}

fn places(value: &Value) -> Vec<usize> {
    list(value).iter().map(|at| at.as_u64().expect("a place") as usize).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("a list")
}

/// A reading for a message.
pub(super) fn brief(reading: &str) -> String {
    if reading.len() > 40 { format!("{} octets", reading.len()) } else { format!("{reading:?}") }
}
