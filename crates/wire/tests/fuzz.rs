//! The fuzz target under plain `cargo test`: the same body as in fuzz/, driven by a fixed seed.

extern crate hairpin_wire as wire;

mod common;
mod fuzz_body;

use common::{echo, fill_ipv4, fill_transport, fragment, icmp_error, tcp, udp};

const INPUTS: u32 = 1_500_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }
}

/// Packets of every shape, whose mutations reach every branch.
fn corpus() -> Vec<Vec<u8>> {
    let timestamps = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let syn = [2, 4, 5, 0xB4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let sack = [1, 1, 5, 18, 0, 0, 0, 9, 0, 0, 0, 12, 0, 0, 0, 20, 0, 0, 0, 30];
    let mut optioned = common::header();
    optioned.options = &[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0];
    let mut corpus = vec![
        tcp(&[], b""),
        tcp(&timestamps, b"twelve octets"),
        tcp(&syn, b""),
        tcp(&sack, b"x"),
        udp(b"a question"),
        udp(b""),
        echo(b"ping"),
        fragment(17, 0, true, &udp(&[1; 24])[20..44]),
        fragment(6, 0, true, &tcp(&[], &[2; 12])[20..]),
        fragment(17, 24, false, b"the end"),
        fragment(47, 1_480, true, &[3; 16]),
        common::made(|buffer| hairpin_wire::craft::udp(buffer, &optioned, 5, 6, b"options")),
    ];
    for index in 0..corpus.len() {
        corpus.push(icmp_error(3, 4, &corpus[index]));
        corpus.push(icmp_error(11, 0, &corpus[index][..corpus[index].len().min(28)]));
    }
    corpus.push(icmp_error(12, 0, &icmp_error(5, 1, &udp(b"q"))));
    let framed: Vec<_> = corpus.iter().map(|packet| [&ETHERNET[..], packet].concat()).collect();
    corpus.extend(framed);
    corpus
}

/// An Ethernet header with two VLAN tags.
const ETHERNET: [u8; 22] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xA8, 0, 5, 0x81, 0, 0, 6, 8, 0];

fn mutate(random: &mut Random, octets: &mut Vec<u8>) {
    const TELLING: [u8; 10] = [0, 1, 2, 4, 0x45, 0x46, 0x4F, 0x7F, 0x80, 0xFF];
    for _ in 0..=random.below(4) {
        let at = random.below(octets.len());
        match random.below(6) {
            0 if !octets.is_empty() => octets[at] = random.next() as u8,
            1 if !octets.is_empty() => octets[at] ^= 1 << random.below(8),
            2 if !octets.is_empty() => octets[at] = TELLING[random.below(TELLING.len())],
            3 => octets.truncate(at),
            4 => octets.extend_from_within(..at.min(40)),
            _ if octets.len() >= 4 => {
                let length = (octets.len() - random.below(3)) as u16;
                octets[2..4].copy_from_slice(&length.to_be_bytes());
            }
            _ => {}
        }
    }
}

/// Makes checksums right again, or hardly any mutation would get past them.
fn repair(random: &mut Random, octets: Vec<u8>) -> Vec<u8> {
    if octets.len() < 20 || random.below(8) == 0 {
        return octets;
    }
    let octets = fill_ipv4(octets);
    let transport = usize::from(octets[0] & 0x0F) * 4 + 20;
    let has_room = hairpin_wire::ipv4::Ipv4::new(octets.as_slice())
        .is_ok_and(|view| usize::from(view.total_len()) >= transport);
    if has_room { fill_transport(octets) } else { octets }
}

#[test]
fn no_octets_make_a_reader_panic_or_disagree_with_another() {
    let corpus = corpus();
    for seed in &corpus {
        fuzz_body::one(seed);
    }
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut accepted = 0;
    for _ in 0..INPUTS {
        let mut octets = corpus[random.below(corpus.len())].clone();
        mutate(&mut random, &mut octets);
        let octets = repair(&mut random, octets);
        fuzz_body::one(&octets);
        accepted += u32::from(wire::Packet::parse(&octets, wire::Trust::Verify).is_ok());
    }
    // Else the mutations have stopped reaching what lies behind the first check.
    assert!(accepted > INPUTS / 20, "only {accepted} of {INPUTS} were accepted");
    assert!(accepted < INPUTS / 2, "{accepted} of {INPUTS} were accepted");
}
