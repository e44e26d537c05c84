//! `translate` with the real engine, through the binary: captures written and read by the pcap-file
//! crate, packets checked by etherparse.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use etherparse::{Ipv4HeaderSlice, SlicedPacket, TransportSlice};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
use pcap_file::pcapng::{Block, PcapNgReader, PcapNgWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use wire::craft::{self, Header};

const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 5);
const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hairpin-translate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn translate(input: &Path, output: &Path, more: &[&str]) -> Output {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/lab.toml");
    Command::new(env!("CARGO_BIN_EXE_hairpin"))
        .arg("translate")
        .args([input, output])
        .arg("-c")
        .arg(config)
        .args(more)
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts")
}

/// The summary of a translation that succeeds.
fn summary(input: &Path, output: &Path, more: &[&str]) -> serde_json::Value {
    let ran = translate(input, output, &[more, &["--json"]].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

fn told(ran: &Output) -> String {
    // Long lines are wrapped where the path is long: the words matter, not the lines.
    let text = String::from_utf8_lossy(&ran.stderr).replace(['│', '×'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn udp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), ttl: u8) -> Vec<u8> {
    let mut buffer = [0; 200];
    let header = Header { ttl, ..Header::new(source.0, destination.0) };
    let length = craft::udp(&mut buffer, &header, source.1, destination.1, b"payload").expect("it fits");
    buffer[..length].to_vec()
}

fn ethernet(from: [u8; 6], to: [u8; 6], packet: &[u8]) -> Vec<u8> {
    [&to[..], &from, &[0x08, 0x00], packet].concat()
}

fn write_pcap(
    path: &Path,
    link: DataLink,
    order: Endianness,
    resolution: TsResolution,
    frames: &[(Duration, Vec<u8>)],
) {
    let header =
        PcapHeader { datalink: link, endianness: order, ts_resolution: resolution, ..PcapHeader::default() };
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = PcapWriter::with_header(file, header).expect("a writer");
    for (time, frame) in frames {
        writer.write_packet(&PcapPacket::new(*time, frame.len() as u32, frame)).expect("written");
    }
}

fn read_pcap(path: &Path) -> (PcapHeader, Vec<(Duration, Vec<u8>)>) {
    let mut reader = PcapReader::new(std::fs::File::open(path).expect("the output")).expect("a pcap file");
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("a whole packet");
        frames.push((packet.timestamp, packet.data.into_owned()));
    }
    (reader.header(), frames)
}

/// Endpoints of a UDP packet whose checksums are right.
fn endpoints(packet: &[u8]) -> ((Ipv4Addr, u16), (Ipv4Addr, u16)) {
    let header = Ipv4HeaderSlice::from_slice(packet).expect("an IPv4 header").to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    let parsed = SlicedPacket::from_ip(packet).expect("a packet");
    let Some(TransportSlice::Udp(udp)) = parsed.transport else { unreachable!("it is UDP") };
    let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).expect("a checksum");
    assert_eq!(udp.checksum(), sum);
    ((header.source.into(), udp.source_port()), (header.destination.into(), udp.destination_port()))
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(1_700_000_000_000 + millis)
}

// covers: O1, B1.4787-1, B6
#[test]
fn a_request_goes_out_and_its_answer_comes_in() {
    let folder = Folder::new("round-trip");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    for order in [Endianness::Little, Endianness::Big] {
        for resolution in [TsResolution::MicroSecond, TsResolution::NanoSecond] {
            let nanos = if resolution == TsResolution::NanoSecond { 1 } else { 1_000 };
            let out = (at(0) + Duration::from_nanos(nanos), udp((INSIDE, 4_000), (REMOTE, 53), 64));
            write_pcap(&input, DataLink::RAW, order, resolution, std::slice::from_ref(&out));
            summary(&input, &output, &[]);
            let (_, frames) = read_pcap(&output);
            let (external, remote) = endpoints(&frames[0].1);
            assert_eq!((external.0, remote), (EXTERNAL, (REMOTE, 53)));

            let back = (at(20), udp((REMOTE, 53), external, 64));
            write_pcap(&input, DataLink::RAW, order, resolution, &[out.clone(), back.clone()]);
            let told = summary(&input, &output, &[]);
            let (header, frames) = read_pcap(&output);
            assert_eq!(
                (header.endianness, header.ts_resolution, header.datalink),
                (order, resolution, DataLink::RAW)
            );
            assert_eq!([frames[0].0, frames[1].0], [out.0, back.0], "times are kept");
            assert_eq!(endpoints(&frames[1].1), ((REMOTE, 53), (INSIDE, 4_000)));
            assert_eq!((&told["outbound"], &told["inbound"]), (&1.into(), &1.into()));
            assert_eq!((&told["mappings_live"], &told["sessions_live"]), (&1.into(), &1.into()));
        }
    }
}

// covers: O1, N16
#[test]
fn the_same_seed_gives_the_same_file() {
    let folder = Folder::new("seed");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    // Two hosts with the same ports: one of each pair cannot keep its own.
    let frames: Vec<_> = (0..200_u16)
        .map(|n| {
            let host = Ipv4Addr::new(10, 0, 1, 5 + (n % 2) as u8);
            (at(n.into()), udp((host, 5_000 + n / 2), (REMOTE, 53), 64))
        })
        .collect();
    write_pcap(&input, DataLink::RAW, Endianness::Little, TsResolution::MicroSecond, &frames);
    let run = |seed: &str| {
        assert_eq!(summary(&input, &output, &["--seed", seed])["outbound"], 200);
        std::fs::read(&output).expect("the output")
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
}

// covers: O1, N2, B1.4787-5
#[test]
fn a_session_ends_in_the_captures_time() {
    let folder = Folder::new("time");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let out = (at(0), udp((INSIDE, 4_000), (REMOTE, 53), 64));
    let late = |seconds: u64| (at(seconds * 1_000), udp((REMOTE, 53), (EXTERNAL, 4_000), 64));
    for (seconds, inbound, live) in [(290, 1, 1), (310, 0, 0)] {
        write_pcap(
            &input,
            DataLink::RAW,
            Endianness::Little,
            TsResolution::MicroSecond,
            &[out.clone(), late(seconds)],
        );
        let told = summary(&input, &output, &[]);
        assert_eq!(
            (&told["inbound"], &told["mappings_live"]),
            (&inbound.into(), &live.into()),
            "after {seconds} s"
        );
    }
    assert_eq!(summary(&input, &output, &[])["dropped"]["no-mapping"], 1);
}

// covers: O1, O7
#[test]
fn a_damaged_timestamp_is_no_end_of_the_world() {
    let folder = Folder::new("leap");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let out = |port| udp((INSIDE, port), (REMOTE, 53), 64);
    let late = Duration::from_secs(u32::MAX.into());
    let frames = [(Duration::ZERO, out(4_000)), (late, out(4_001)), (at(0), out(4_002)), (late, out(4_003))];
    write_pcap(&input, DataLink::RAW, Endianness::Little, TsResolution::MicroSecond, &frames);
    let told = summary(&input, &output, &[]);
    assert_eq!(
        (&told["outbound"], &told["mappings_live"]),
        (&4.into(), &3.into()),
        "only the first has ended"
    );
}

// covers: O1, B7
#[test]
fn what_expires_is_answered_on_the_link_that_it_came_from() {
    let folder = Folder::new("ttl");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let frame = ethernet(HOST_MAC, ROUTER_MAC, &udp((INSIDE, 4_000), (REMOTE, 53), 1));
    write_pcap(&input, DataLink::ETHERNET, Endianness::Little, TsResolution::MicroSecond, &[(at(3), frame)]);
    let told = summary(&input, &output, &[]);
    assert_eq!((&told["made"], &told["dropped"]["ttl-expired"]), (&1.into(), &1.into()));
    let (_, frames) = read_pcap(&output);
    let (time, frame) = &frames[0];
    assert_eq!((frames.len(), *time), (1, at(3)));
    assert_eq!((&frame[..6], &frame[6..12]), (&HOST_MAC[..], &ROUTER_MAC[..]));
    assert_eq!(&frame[14 + 16..14 + 20], INSIDE.octets());
    assert_eq!((frame[14 + 20], frame[14 + 21]), (11, 0), "ICMP time exceeded");
}

// covers: O1
#[test]
fn ethernet_vlan_and_cooked_frames_keep_their_headers() {
    let folder = Folder::new("links");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let packet = udp((INSIDE, 4_000), (REMOTE, 53), 64);
    let tagged = [&ROUTER_MAC[..], &HOST_MAC, &[0x81, 0, 0, 42, 0x08, 0]].concat();
    let cooked = [&[0, 0, 0, 1, 0, 6][..], &HOST_MAC, &[0, 0, 0x08, 0]].concat();
    let cooked2 = [&[0x08, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6][..], &HOST_MAC, &[0, 0]].concat();
    let cases = [
        (DataLink::ETHERNET, [&ROUTER_MAC[..], &HOST_MAC, &[0x08, 0]].concat()),
        (DataLink::ETHERNET, tagged),
        (DataLink::LINUX_SLL, cooked),
        (DataLink::LINUX_SLL2, cooked2),
    ];
    for (link, header) in cases {
        let frame = [&header[..], &packet].concat();
        write_pcap(&input, link, Endianness::Little, TsResolution::MicroSecond, &[(at(0), frame)]);
        summary(&input, &output, &[]);
        let (file, frames) = read_pcap(&output);
        assert_eq!(file.datalink, link);
        let (kept, packet) = frames[0].1.split_at(header.len());
        assert_eq!(kept, header);
        assert_eq!(endpoints(packet).0.0, EXTERNAL);
    }
}

// covers: O1, N10
#[test]
fn interface_and_mac_decide_where_a_packet_comes_from() {
    let folder = Folder::new("pcapng");
    let (input, output) = (folder.path("in.pcapng"), folder.path("out.pcapng"));
    let mut writer = PcapNgWriter::new(std::fs::File::create(&input).expect("a file")).expect("a writer");
    for _ in 0..2 {
        let interface =
            InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 65_535, options: vec![] };
        writer.write_block(&Block::InterfaceDescription(interface)).expect("written");
    }
    let frame = ethernet(HOST_MAC, ROUTER_MAC, &udp((INSIDE, 4_000), (REMOTE, 53), 64));
    for (interface_id, micros) in [(1, 1_000), (0, 2_000)] {
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(micros),
            original_len: frame.len() as u32,
            data: Cow::Borrowed(&frame),
            options: vec![],
        };
        writer.write_block(&Block::EnhancedPacket(block)).expect("written");
    }
    drop(writer);

    // A subscriber's address on the outer interface is spoofed.
    let told = summary(&input, &output, &["--inside-interface", "1"]);
    assert_eq!((&told["outbound"], &told["dropped"]["spoofed-inside"]), (&1.into(), &1.into()));
    let mut reader = PcapNgReader::new(std::fs::File::open(&output).expect("the output")).expect("pcapng");
    let mut seen = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.expect("a whole block") {
            seen.push((packet.interface_id, packet.timestamp, endpoints(&packet.data[14..]).0.0));
        }
    }
    assert_eq!(seen, [(1, Duration::from_nanos(1_000), EXTERNAL)]);

    let told = summary(&input, &output, &["--inside-mac", "02:00:00:00:00:05"]);
    assert_eq!(told["outbound"], 2);
    let told = summary(&input, &output, &["--inside-mac", "02:00:00:00:00:99"]);
    assert_eq!(told["dropped"]["spoofed-inside"], 2);
}

// covers: O1
#[test]
fn a_damaged_file_is_translated_up_to_the_damage() {
    let folder = Folder::new("damaged");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let frames: Vec<_> = (0..3).map(|n| (at(n), udp((INSIDE, 4_000 + n as u16), (REMOTE, 53), 64))).collect();
    write_pcap(&input, DataLink::RAW, Endianness::Little, TsResolution::MicroSecond, &frames);
    let whole = std::fs::read(&input).expect("the input");
    std::fs::write(&input, &whole[..whole.len() - 1]).expect("written");
    let ran = translate(&input, &output, &[]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(told(&ran).contains("the file is cut short (packet 3, octet 126)"), "{}", told(&ran));
    assert!(told(&ran).contains("help:"), "{}", told(&ran));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("2 packets"), "the summary is there");
    assert_eq!(read_pcap(&output).1.len(), 2);
}

// covers: O1
#[test]
fn what_cannot_be_translated_at_all_leaves_no_output() {
    let folder = Folder::new("refused");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let usb = DataLink::USB_LINUX;
    write_pcap(&input, usb, Endianness::Big, TsResolution::NanoSecond, &[(at(0), vec![0; 64])]);
    let ran = translate(&input, &output, &[]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(told(&ran).contains("link type 189 is not known here"), "{}", told(&ran));
    std::fs::write(&input, b"PK\x03\x04 garbage").expect("written");
    assert!(told(&translate(&input, &output, &[])).contains("no capture file"));
    assert!(told(&translate(&folder.path("nowhere"), &output, &[])).contains("No such file"));
    assert!(!output.exists());
    write_pcap(&input, DataLink::RAW, Endianness::Big, TsResolution::NanoSecond, &[]);
    assert!(told(&translate(&input, &output, &["--inside-interface", "0"])).contains("--inside-mac"));
}

// covers: O1
#[test]
fn the_input_is_never_overwritten() {
    let folder = Folder::new("overwrite");
    let (input, link) = (folder.path("in.pcap"), folder.path("link.pcap"));
    let frames = [(at(0), udp((INSIDE, 4_000), (REMOTE, 53), 64))];
    write_pcap(&input, DataLink::RAW, Endianness::Little, TsResolution::MicroSecond, &frames);
    let before = std::fs::read(&input).expect("the input");
    std::fs::hard_link(&input, &link).expect("a hard link");
    for output in [&input, &link] {
        let ran = translate(&input, output, &[]);
        assert_eq!(ran.status.code(), Some(1));
        assert!(told(&ran).contains("is the input itself"), "{}", told(&ran));
        assert_eq!(std::fs::read(&input).expect("the input"), before);
    }
}

/// As a host with checksum offload captures what it sends.
fn unfinished(mut packet: Vec<u8>) -> Vec<u8> {
    let header = Ipv4HeaderSlice::from_slice(&packet).expect("an IPv4 header").to_header();
    let length = packet.len() as u16 - 20;
    let sum = wire::checksum::Sum::pseudo_header(
        header.source.into(),
        header.destination.into(),
        header.protocol.0,
        length,
    );
    packet[26..28].copy_from_slice(&sum.folded().to_be_bytes());
    packet
}

// covers: B1.4787-1
#[test]
fn unfinished_checksums_are_dropped_with_a_hint_or_finished_when_trusted() {
    let folder = Folder::new("unfinished");
    let (input, output) = (folder.path("in.pcap"), folder.path("out.pcap"));
    let mut wrong = udp((INSIDE, 5001), (REMOTE, 53), 64);
    wrong[30] ^= 0x40;
    let whole = udp((INSIDE, 5002), (REMOTE, 53), 64);
    let frames =
        [unfinished(udp((INSIDE, 5000), (REMOTE, 53), 64)), wrong, whole].map(|packet| (at(0), packet));
    write_pcap(&input, DataLink::RAW, Endianness::Little, TsResolution::MicroSecond, &frames);

    let ran = translate(&input, &output, &[]);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("try --trust-checksums"), "{said}");
    assert_eq!(read_pcap(&output).1.len(), 1);

    let seen = summary(&input, &output, &["--trust-checksums"]);
    assert_eq!((&seen["outbound"], &seen["dropped"]), (&3.into(), &serde_json::json!({})));
    let (_, written) = read_pcap(&output);
    assert_eq!(endpoints(&written[0].1).0.0, EXTERNAL);
    assert_eq!(endpoints(&written[2].1).0.0, EXTERNAL);
    // What the sender got wrong, the gateway does not make right.
    let parsed = SlicedPacket::from_ip(&written[1].1).expect("a packet");
    let Some(TransportSlice::Udp(packet)) = parsed.transport else { unreachable!("it is UDP") };
    let header = Ipv4HeaderSlice::from_slice(&written[1].1).expect("an IPv4 header").to_header();
    assert_ne!(packet.to_header().calc_checksum_ipv4(&header, packet.payload()), Ok(packet.checksum()));
}
