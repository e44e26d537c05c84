//! The fast reader beside the careful one.

use super::scan::Scan;
use crate::translate::capture::{Capture, Item};

type Packets = Vec<(u64, u32, Vec<u8>)>;

/// Reads a few octets at a time, as a pipe may.
struct Dribble<'a>(&'a [u8], usize);

impl std::io::Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(into.len()).min(self.0.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn fast(octets: &[u8], step: usize) -> (Packets, Option<(u64, u64, String)>) {
    let mut scan = Scan::new(Dribble(octets, step), "a");
    let (mut batch, mut packets) = (Vec::new(), Vec::new());
    loop {
        let outcome = scan.next(&mut batch, 3);
        for found in &batch {
            packets.push((found.nanos, found.link.number(), scan.octets()[found.frame.clone()].to_vec()));
            let at = scan.offset() as usize + found.frame.start;
            assert_eq!(&octets[at..at + found.frame.len()], packets.last().expect("one").2);
        }
        match outcome {
            Err(error) => return (packets, Some((error.packet, error.offset, error.problem))),
            Ok(()) if batch.is_empty() => return (packets, None),
            Ok(()) => {}
        }
    }
}

fn careful(octets: &[u8]) -> (Packets, Option<(u64, u64, String)>) {
    let mut packets = Vec::new();
    let wrong = |error: crate::translate::CaptureError| Some((error.packet, error.offset, error.problem));
    let mut capture = match Capture::open(octets, "a") {
        Ok(capture) => capture,
        Err(error) => return (packets, wrong(error)),
    };
    loop {
        match capture.next() {
            Ok(None) => return (packets, None),
            Ok(Some(Item::Packet(record))) => {
                packets.push((record.nanos.unwrap_or(0), record.place.link.number(), record.data));
            }
            Ok(Some(Item::Verbatim(_))) => {}
            Err(error) => return (packets, wrong(error)),
        }
    }
}

/// A pcap file of packets of these lengths.
fn pcap(lengths: &[usize]) -> Vec<u8> {
    let mut file: Vec<u8> =
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    for (n, &len) in lengths.iter().enumerate() {
        file.extend([n as u32, 7, len as u32, len as u32].iter().flat_map(|word| word.to_le_bytes()));
        file.extend((0..len).map(|octet| (octet + n) as u8));
    }
    file
}

/// A pcapng file, big-endian, with two interfaces, every kind of packet block, and a second section.
fn pcapng(lengths: &[usize]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_be_bytes();
        [&kind.to_be_bytes()[..], &length, body, &length].concat()
    };
    let section = block(0x0A0D_0D0A, &[&[0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 0][..], &[0xff; 8]].concat());
    let plain = block(1, &[0, 1, 0, 0, 0, 0, 0x40, 0]);
    let nanos = block(1, &[0, 101, 0, 0, 0, 0, 0, 40, 0, 9, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0]);
    let mut file = [section.clone(), plain.clone(), nanos, block(5, &[1, 2, 3, 4])].concat();
    for (n, &len) in lengths.iter().enumerate() {
        let padded = len.next_multiple_of(4);
        let mut frame = vec![n as u8; len];
        frame.resize(padded, 0);
        let length = (len as u32).to_be_bytes();
        match n % 3 {
            0 => file.extend(block(
                6,
                &[&[0, 0, 0, 1, 0, 5, 0, 0, 0, 0, 0, n as u8], &length[..], &length, &frame].concat(),
            )),
            1 => file.extend(block(
                2,
                &[&[0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, n as u8], &length[..], &length, &frame].concat(),
            )),
            _ => file.extend(block(3, &[&length[..], &frame].concat())),
        }
    }
    file.extend(section);
    file.extend(plain);
    file.extend(block(3, &[0, 0, 0, 2, 8, 9, 0, 0]));
    file
}

// covers: L1
#[test]
fn the_fast_reader_finds_what_the_careful_one_finds() {
    let lengths = [60, 0, 1, 1_514, 9_000, 33, 65_535, 14];
    for file in [pcap(&lengths), pcapng(&lengths[..6]), pcap(&[3 << 20, 5]), pcap(&[])] {
        for step in [7, 1 << 20] {
            let (packets, trouble) = fast(&file, step);
            assert_eq!((&packets, &trouble), (&careful(&file).0, &None));
        }
    }
    assert_eq!(fast(&pcapng(&lengths[..6]), 5).0.len(), 7);
}

// covers: L1, L4
#[test]
fn of_damage_both_readers_say_the_same() {
    let files = [pcap(&[60, 61, 62]), pcapng(&[60, 61, 62, 63])];
    let mut damaged = 0;
    for file in &files {
        for at in 0..file.len() {
            for flipped in [0x01, 0x80, 0xff] {
                let mut octets = file.clone();
                octets[at] ^= flipped;
                let (ours, theirs) = (fast(&octets, 1 << 20), careful(&octets));
                assert_eq!(ours.0, theirs.0, "octet {at}");
                assert_eq!(ours.1.is_some(), theirs.1.is_some(), "octet {at}: {:?} {:?}", ours.1, theirs.1);
                damaged += usize::from(ours.1.is_some());
            }
            let (ours, theirs) = (fast(&file[..at], 13), careful(&file[..at]));
            assert_eq!(ours, theirs, "cut at {at}");
        }
    }
    assert!(damaged > 100, "{damaged}");
}

/// A small pseudo-random number.
fn draw(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize % below.max(1)
}

/// Damage where it hurts: lengths and kinds, whole stretches twice, missing, or of the other format.
fn mutate(state: &mut u64, file: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=draw(state, 4) {
        let at = draw(state, file.len()) & !3;
        let len = draw(state, 80).min(file.len() - at);
        match draw(state, 6) {
            0 => {
                let value = [0, 4, 11, 12, 0x7fff_ffff, u32::MAX, 16 << 20, 60][draw(state, 8)];
                let octets = if draw(state, 2) == 0 { value.to_le_bytes() } else { value.to_be_bytes() };
                file.splice(at..(at + 4).min(file.len()), octets);
            }
            1 => drop(file.drain(at..at + len)),
            2 => {
                let copy = file[at..at + len].to_vec();
                file.splice(at..at, copy);
            }
            3 => {
                let from = draw(state, other.len());
                file.splice(at..at, other[from..(from + len).min(other.len())].iter().copied());
            }
            4 => file.truncate(at.max(1)),
            _ => file[at] ^= 1 << draw(state, 8),
        }
        if file.is_empty() {
            file.push(0);
        }
    }
}

// covers: L4
#[test]
fn no_file_makes_the_readers_panic_or_disagree() {
    let count = std::env::var("HAIRPIN_LENS_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let (mut state, mut damaged, mut packets) = (0x6093, 0, 0);
    let files = [pcap(&[60, 100, 1_514, 20, 0, 33]), pcapng(&[60, 100, 1_514, 20, 0, 33])];
    for n in 0..count {
        let mut file = files[n % 2].clone();
        mutate(&mut state, &mut file, &files[1 - n % 2]);
        let (ours, theirs) = (fast(&file, 1 << 20), careful(&file));
        assert_eq!(ours.0, theirs.0, "file {n}");
        assert_eq!(ours.1.is_some(), theirs.1.is_some(), "file {n}: {:?} {:?}", ours.1, theirs.1);
        damaged += usize::from(ours.1.is_some());
        packets += ours.0.len();
        let mut lens = lens::Lens::new(lens::Limits::default(), [7, 9]);
        let told = super::stream(file.as_slice(), "a", &mut lens, |_, _| Ok(()));
        assert_eq!(told.is_err(), ours.1.is_some(), "file {n}");
        assert!(lens.totals().packets <= ours.0.len() as u64);
    }
    assert!(damaged > count / 3 && packets > count, "{damaged} {packets} of {count}");
}
