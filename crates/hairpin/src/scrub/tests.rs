//! Captures through `scrub`.

use std::fs::File;
use std::path::PathBuf;

use wire::craft::{self, Header, Segment};
use wire::tcp::{Flags, Tcp};

use super::*;

/// A classic pcap file of raw IP packets (LINKTYPE_RAW), a second between them.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65_535, 101] {
        file.extend(if word == 4 << 16 | 2 { [2, 0, 4, 0] } else { word.to_le_bytes() });
    }
    for (second, packet) in (0..).zip(packets) {
        let len = packet.len() as u32;
        [second, 0, len, len].iter().for_each(|word: &u32| file.extend(word.to_le_bytes()));
        file.extend(packet);
    }
    file
}

fn segment(ports: (u16, u16), flags: Flags, urgent: u16, payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 2_000];
    let header = Header::new([10, 0, 0, 1].into(), [203, 0, 113, 1].into());
    let segment = Segment { urgent, ..Segment::new(ports.0, ports.1, flags) };
    let len = craft::tcp(&mut buffer, &header, &segment, payload).expect("it fits");
    buffer.truncate(len);
    buffer
}

struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("hairpin-scrub-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    /// The packets that come out.
    fn scrub(&self, config: &nat::Config, packets: &[Vec<u8>]) -> (Summary, Vec<Vec<u8>>) {
        let (input, output) = (self.0.join("in.pcap"), self.0.join("out.pcap"));
        std::fs::write(&input, pcap(packets)).expect("written");
        let (summary, trouble) =
            scrub(&input, &output, config, &Sides::default(), Checksums::Verify).expect("it works");
        assert!(trouble.is_none(), "{trouble:?}");
        let file = File::open(&output).expect("written");
        let mut capture = Capture::open(file, "out").expect("a capture");
        let mut found = Vec::new();
        while let Some(item) = capture.next().expect("whole") {
            if let Item::Packet(record) = item {
                found.push(record.data);
            }
        }
        (summary, found)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// covers: C1, C2, C5
#[test]
fn a_capture_comes_out_with_what_is_to_go_gone_and_the_rest_as_it_was() {
    let (ack, urg) = (Flags::ACK, Flags::URG);
    let packets = [
        segment((5_000, 80), ack | urg, 3, b"urgent"),
        segment((5_000, 80), ack, 0, b"plain"),
        segment((5_000, 23), ack | urg, 1, b"synch"),
        segment((5_000, 80), ack, 9, b""),
        segment((5_000, 80), Flags::SYN | Flags::FIN, 0, b""),
    ];
    let mut config = nat::Config::new(Vec::new(), Vec::new());
    config.scrub.sample = Some(1);
    let (summary, out) = Files::new("defaults").scrub(&config, &packets);
    assert_eq!((summary.packets_in, summary.packets_out), (5, 4));
    assert_eq!(out[1], packets[1]);
    assert_eq!(out[2], packets[2], "Telnet keeps it");
    for packet in [&out[0], &out[3]] {
        let tcp = Tcp::new(&packet[20..]).expect("a segment");
        assert!(!tcp.flags().contains(urg) && tcp.urgent() == 0);
        assert!(tcp.checksum_is_valid([10, 0, 0, 1].into(), [203, 0, 113, 1].into()));
    }
    assert_eq!(out[0][40..], *b"urgent");
    assert_eq!(summary.findings, [("urgent", 1), ("urgent-pointer", 1)].into());
    assert_eq!(summary.dropped, [("tcp-flags", 1)].into());
    let told: Vec<_> =
        summary.samples.iter().map(|sample| (sample.what[0], sample.after.is_some())).collect();
    assert_eq!(told, [("urgent", true), ("urgent-pointer", true), ("tcp-flags", false)]);
    let text = summary.to_string();
    assert!(text.contains("5 packets in, 4 out") && text.contains("tcp-flags"), "{text}");
}

// covers: C5
#[test]
fn what_cannot_be_scrubbed_is_said_before_anything_is_written() {
    let files = Files::new("wrong");
    let mut config = nat::Config::new(Vec::new(), Vec::new());
    config.scrub.strip_options = vec![19];
    let (input, output) = (files.0.join("in.pcap"), files.0.join("out.pcap"));
    std::fs::write(&input, pcap(&[])).expect("written");
    let error = scrub(&input, &output, &config, &Sides::default(), Checksums::Verify).expect_err("wrong");
    assert!(error.to_string().contains("scrub.strip_options[0]"), "{error}");
    assert!(!output.exists());
    assert!(scrub(&input, &input, &config, &Sides::default(), Checksums::Verify).is_err(), "the same file");
}

// covers: C5
#[test]
fn checksums_that_a_network_card_finishes_are_dropped_with_a_hint() {
    let files = Files::new("unfinished");
    let mut unfinished = segment((40_000, 80), Flags::ACK, 0, b"text");
    unfinished[37] ^= 1;
    let (summary, out) = files.scrub(&nat::Config::new(Vec::new(), Vec::new()), &[unfinished]);
    assert!(out.is_empty());
    assert!(
        summary.to_string().contains("hint: ") && summary.to_string().contains("--trust-checksums"),
        "{summary}"
    );
}
