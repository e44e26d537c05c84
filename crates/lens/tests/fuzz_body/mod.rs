//! What must hold for any traffic at all: packets of every shape in flows of every kind, damaged where damage gets past
//! the parser, through lenses with little room and with much. Shared by `cargo test` (tests/fuzz.rs) and cargo-fuzz
//! (fuzz/).

use hairpin_lens::{FlowReport, Lens, Limits, Seen};
use rules::Instant;
use wire::SeqNumber;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

/// What is chosen: by octets as long as there are some, two a choice, and then by a generator.
struct Random {
    octets: Vec<u8>,
    state: u64,
}

impl Random {
    fn new(seed: u64, octets: &[u8]) -> Self {
        Self { octets: octets.iter().rev().copied().collect(), state: seed * 2 + 1 }
    }

    fn next(&mut self) -> u64 {
        if let (Some(a), Some(b)) = (self.octets.pop(), self.octets.pop()) {
            return u64::from(u16::from_le_bytes([a, b])) << 16 | u64::from(a);
        }
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What an end of a flow sends next: near the truth, so that segments are taken in.
#[derive(Clone, Copy)]
struct End {
    next: u32,
    acked: u32,
}

struct Traffic {
    random: Random,
    /// Of few flows, so that they meet again and again.
    ends: Vec<[End; 2]>,
    clock: u64,
}

impl Traffic {
    fn new(mut random: Random) -> Self {
        let ends = (0..8)
            .map(|_| [0; 2].map(|_| End { next: random.next() as u32, acked: random.next() as u32 }))
            .collect();
        Self { random, ends, clock: 0 }
    }

    /// A packet that a flow could have, or nearly.
    fn packet(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        self.clock += random.of(&[0, 1_000, 1_000_000, 1_000_000_000, 100_000_000_000]);
        let (number, side) = (random.below(self.ends.len()), random.below(2));
        let sizes = [0, 0, 1, 1, 2, 7, 100, 1_448];
        let len = random.of(&sizes);
        let ends = &mut self.ends[number];
        let seq = match random.below(12) {
            0 => ends[side].next.wrapping_sub(random.of(&[1, 2, 100, 3_000])),
            1 => ends[side].next.wrapping_add(random.of(&[1, 5, 1_448, 60_000])),
            2 if random.one_in(10) => random.next() as u32,
            _ => ends[side].next,
        };
        let flags = match random.below(40) {
            0..4 => Flags::SYN,
            4..6 => Flags::SYN | Flags::ACK,
            6 | 7 => Flags::FIN | Flags::ACK,
            8 if random.one_in(4) => Flags::RST,
            9 => Flags(random.next() as u8),
            10..22 => Flags::ACK | Flags::URG,
            _ => Flags::ACK,
        };
        let urgent = random.of(&[0, 1, len as u16, len as u16 + 1, 3, 0xffff, len as u16 / 2]);
        let own = ends[side];
        ends[side].next = seq.wrapping_add(len as u32);
        if random.one_in(3) {
            ends[side].acked = ends[1 - side].next;
        }
        if flags.contains(Flags::SYN) && random.one_in(8) {
            ends[side].next = random.next() as u32;
        }
        let timestamps = [1, 1, 8, 10, 0, 0, (self.clock >> 28) as u8, random.next() as u8, 0, 0, 0, 0];
        let options =
            random.of(&[&[][..], &timestamps[..], &[3, 3, 7, 0][..], &[2, 4, 5, 180, 1, 3, 3, 14][..]]);
        let text: Vec<u8> =
            (0..len).map(|n| (seq as usize + n) as u8 ^ u8::from(random.one_in(500))).collect();
        let address = |side: usize| match number {
            // To itself, address and port.
            0 => [192, 0, 2, 9].into(),
            number => [10, 0, number as u8, side as u8].into(),
        };
        let port = |side: usize| if number == 0 { 7 } else { 1_000 + side as u16 };
        let mut header = Header::new(address(side), address(1 - side));
        header.identification = random.below(4) as u16;
        let segment = Segment {
            seq: SeqNumber(seq),
            ack: SeqNumber(own.acked),
            window: random.of(&[0, 1, 1_000, 65_535]),
            urgent,
            options,
            ..Segment::new(port(side), port(1 - side), flags)
        };
        let mut packet = vec![0; 120 + len];
        let len = craft::tcp(&mut packet, &header, &segment, &text).expect("it fits");
        packet.truncate(len);
        packet
    }

    /// The same damaged, split, cut off or glued to others.
    fn mutated(&mut self) -> Vec<Vec<u8>> {
        let mut packet = self.packet();
        let random = &mut self.random;
        match random.below(10) {
            0 => {
                for _ in 0..=random.below(3) {
                    let at = random.below(packet.len());
                    packet[at] = random.of(&[0, 0xff, 0x80, 1, random.state as u8]);
                }
                if random.one_in(2) && packet.len() >= 20 {
                    fix_header(&mut packet);
                }
            }
            1 => packet.truncate(random.below(packet.len() + 1)),
            2 => packet.extend((0..random.below(60)).map(|n| n as u8)),
            3 => return split(random, &packet),
            4 if random.one_in(4) => packet = (0..random.below(100)).map(|_| random.next() as u8).collect(),
            _ => {}
        }
        vec![packet]
    }
}

fn fix_header(packet: &mut [u8]) {
    let len = packet.len();
    if let Ok(mut header) = wire::ipv4::Ipv4::new(&mut packet[..len]) {
        header.fill_checksum();
    }
}

/// As fragments: in any order, some twice, some overlapping, some lost.
fn split(random: &mut Random, packet: &[u8]) -> Vec<Vec<u8>> {
    let payload = &packet[20..];
    let step = random.of(&[8, 16, 24, 512]);
    let mut parts = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let end = (at + step + 8 * usize::from(random.one_in(30))).min(payload.len());
        let mut part = [&packet[..20], &payload[at..end]].concat();
        let field = (at / 8) as u16 | if end < payload.len() { 0x2000 } else { 0 };
        let total_len = part.len() as u16;
        part[2..4].copy_from_slice(&total_len.to_be_bytes());
        part[6..8].copy_from_slice(&field.to_be_bytes());
        fix_header(&mut part);
        if !random.one_in(40) {
            parts.push(part.clone());
        }
        if random.one_in(20) {
            parts.push(part);
        }
        at += step;
    }
    if random.one_in(2) {
        parts.reverse();
    }
    parts
}

fn limits(random: &mut Random) -> Limits {
    match random.below(3) {
        0 => Limits::default(),
        1 => Limits {
            flows: 3,
            octets: 60_000,
            head_octets: 10,
            context_octets: 4,
            text_octets: 100,
            ahead_octets: 3_000,
            ahead_pieces: 3,
            out_of_band: 5,
            pieces: 16,
            look_back: 4,
            recent_octets: 4_000,
            fragment_octets: 2_000,
            ..Limits::default()
        },
        _ => Limits {
            octets: 0,
            pieces: 0,
            recent_octets: 0,
            fragment_octets: 0,
            out_of_band: 0,
            ..Limits::default()
        },
    }
}

/// A report never contradicts itself.
fn check(report: &FlowReport, limits: &Limits) {
    assert!(report.frames.0 <= report.frames.1);
    for stream in &report.streams {
        assert!(!stream.groups.is_empty() && !stream.verdict.is_empty());
        let views: usize = stream.groups.iter().map(|group| group.views.len()).sum();
        assert!(views >= hairpin_lens::views().len(), "every view is in a group");
        assert_eq!(stream.first_difference.is_some(), stream.groups.len() > 1, "{stream:?}");
        assert!(stream.urgent_segments <= stream.segments && stream.contradictions <= stream.segments);
        for group in &stream.groups {
            assert!(
                group.octets <= stream.octets + 1 || stream.groups.len() > 1,
                "{group:?} of {}",
                stream.octets
            );
            let most = limits.text_octets.max(limits.head_octets) + limits.context_octets;
            assert!(group.reading.len() <= most as usize);
            assert!(
                group.removed_at.is_sorted()
                    && group.depends_on_timing.iter().all(|timing| timing.places.is_sorted())
            );
        }
    }
}

/// A lens under traffic that `octets` choose and then a generator; how many packets it saw, and how many flows.
pub(crate) fn run(seed: u64, octets: &[u8], packets: u64) -> (u64, u64) {
    let mut traffic = Traffic::new(Random::new(seed, octets));
    let limits = limits(&mut traffic.random);
    let (mut lens, mut reports, mut seen) = (Lens::new(limits, [7, 9]), 0, 0);
    // What can be read again, in every other lens; the beginning of it may be lost.
    let mut archive: Vec<u8> = Vec::new();
    let again = seed.is_multiple_of(2);
    while seen < packets {
        let parts = traffic.mutated();
        let at = Instant::from_nanos(traffic.clock);
        if again {
            let mut batch = Vec::new();
            for part in &parts {
                seen += 1;
                batch.push(Seen { frame: seen, at, packet: part, position: archive.len() as u64 });
                archive.extend(part);
            }
            lens.see_batch(&batch, &mut archive.as_slice());
        } else {
            for part in &parts {
                seen += 1;
                lens.see(seen, at, part);
            }
        }
        assert!(lens.held() <= limits.octets.max(64 << 10), "{}", lens.held());
        while let Some(report) = lens.poll_report() {
            check(&report, &limits);
            reports += 1;
        }
    }
    lens.finish();
    while let Some(report) = lens.poll_report() {
        check(&report, &limits);
        assert!(serde_json::to_string(&report).is_ok());
        reports += 1;
    }
    let totals = lens.totals();
    assert_eq!((totals.packets, totals.flows), (seen, reports));
    assert_eq!(lens.held(), 0);
    (seen, reports)
}
