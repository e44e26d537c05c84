//! Checksums against an obvious model: one 16-bit word at a time, as RFC 1071 writes it.

use std::net::Ipv4Addr;

use hairpin_wire as wire;
use proptest::prelude::*;
use wire::checksum::{Delta, Sum, copy_and_sum};

/// RFC 1071 section 1, word by word.
fn model(octets: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

// Every length up to 2,000 at every alignment to 8, of noise and of the octets that carry most.
#[test]
fn sum_equals_the_model_at_every_length_and_alignment() {
    for octets in [noise(2_008), vec![0xFF; 2_008], vec![0; 2_008]] {
        for start in 0..8 {
            for len in 0..=2_000 {
                let slice = &octets[start..start + len];
                assert_eq!(Sum::of(slice).folded(), model(slice), "length {len}, alignment {start}");
            }
        }
    }
}

#[test]
fn sum_of_the_longest_packet_equals_the_model() {
    for octets in [noise(65_535), vec![0xFF; 65_535]] {
        assert_eq!(Sum::of(&octets).folded(), model(&octets));
    }
}

// RFC 1071 section 3: the worked example.
#[test]
fn sum_of_the_example_of_rfc_1071() {
    let octets = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
    assert_eq!(Sum::of(&octets).folded(), 0xDDF2);
    assert_eq!(Sum::of(&octets).checksum(), !0xDDF2);
}

// RFC 1624 section 4: the example on which eqn. 2 gives 0xFFFF.
#[test]
fn apply_gives_zero_where_rfc_1624_says_so() {
    assert_eq!(Delta::u16(0x5555, 0x3285).apply(0xDD2F), 0x0000);
}

// The identity in both of its forms leaves every field alone.
#[test]
fn no_change_changes_nothing() {
    for identity in [Delta::NONE, Delta::u16(7, 7), Delta::u32(1, 1), Delta::u16(3, 9).and(Delta::u16(9, 3))]
    {
        for field in 0..=0xFFFE {
            assert_eq!(identity.apply(field), field);
        }
        for field in 0..=0xFFFF {
            assert_eq!(identity.apply_udp(field), field);
        }
        for field in 1..=0xFFFF {
            assert_eq!(identity.apply_partial(field), field);
        }
    }
}

// covers: B6
#[test]
fn udp_checksum_none_stays_none_and_nothing_else_becomes_none() {
    for delta in (0..=0xFFFF).map(Delta::from_raw) {
        assert_eq!(delta.apply_udp(0), 0);
        for field in [1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, delta.raw(), !delta.raw()] {
            assert_eq!(delta.apply_udp(field) == 0, field == 0, "field {field:#06x}, {delta:?}");
        }
    }
}

/// A header that is not all zero, as all real ones are.
fn header() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 2..80).prop_map(|mut octets| {
        octets[0] |= 1;
        octets
    })
}

proptest! {
    // A 16-bit word changes somewhere: the field afterwards is what summing everything gives.
    #[test]
    fn incremental_equals_full(mut octets in header(), at in any::<prop::sample::Index>(), new: [u8; 2]) {
        let before = Sum::of(&octets).checksum();
        let at = at.index(octets.len() / 2) * 2;
        let old = u16::from_be_bytes([octets[at], octets[at + 1]]);
        octets[at..at + 2].copy_from_slice(&new);
        prop_assume!(octets.iter().any(|octet| *octet != 0));
        let delta = Delta::u16(old, u16::from_be_bytes(new));
        prop_assert_eq!(delta.apply(before), Sum::of(&octets).checksum());
        prop_assert_eq!(delta.reverse().apply(Sum::of(&octets).checksum()), before);
        prop_assert_eq!(Delta::from_raw(delta.raw()), delta);
    }

    // Addresses, a sequence number and ports together, of a UDP-like field that is never 0.
    #[test]
    fn incremental_equals_full_for_a_translation(
        payload in prop::collection::vec(any::<u8>(), 12..64),
        old: [u32; 2], new: [u32; 2], seq: u32, protocol in 1..=255u8,
    ) {
        let len = payload.len() as u16;
        let sum = |address: [u32; 2], octets: &[u8]| {
            Sum::pseudo_header(address[0].into(), address[1].into(), protocol, len).plus(Sum::of(octets))
        };
        let mut after = payload.clone();
        after[4..8].copy_from_slice(&seq.to_be_bytes());
        let old_seq = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
        let delta = Delta::address(old[0].into(), new[0].into())
            .and(Delta::address(old[1].into(), new[1].into()))
            .and(Delta::u32(old_seq, seq));
        prop_assert_eq!(delta.apply(sum(old, &payload).checksum()), sum(new, &after).checksum());
        prop_assert_eq!(
            delta.apply_udp(sum(old, &payload).checksum_udp()),
            sum(new, &after).checksum_udp()
        );
    }

    // What an offload holds, translated and then completed, is what translating the complete one gives.
    #[test]
    fn partial_completed_equals_full(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        old: u32, new: u32, other: u32, protocol in 1..=255u8,
    ) {
        let len = payload.len() as u16;
        let pseudo = |address: u32| Sum::pseudo_header(address.into(), other.into(), protocol, len);
        let delta = Delta::address(old.into(), new.into());
        let partial = delta.apply_partial(pseudo(old).folded());
        prop_assert_eq!(partial, pseudo(new).folded());
        let completed = Delta::from_raw(partial).apply(Sum::of(&payload).checksum());
        prop_assert_eq!(completed, pseudo(new).plus(Sum::of(&payload)).checksum());
    }

    // The same checksums as two other implementations: etherparse's sum, smoltcp's TCP checksum.
    #[test]
    fn sums_equal_those_of_smoltcp_and_etherparse(
        mut octets in prop::collection::vec(any::<u8>(), 20..1_600),
        source: [u8; 4], destination: [u8; 4],
    ) {
        let theirs = etherparse::checksum::Sum16BitWords::new().add_slice(&octets).ones_complement();
        prop_assert_eq!(Sum::of(&octets).checksum(), u16::from_be(theirs));

        let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
        octets[16..18].fill(0);
        let sum = Sum::pseudo_header(source, destination, 6, octets.len() as u16).plus(Sum::of(&octets));
        let mut segment = smoltcp::wire::TcpPacket::new_unchecked(octets);
        segment.fill_checksum(&source.into(), &destination.into());
        prop_assert_eq!(sum.checksum(), segment.checksum());
    }
}

// Every length up to 400 and some long ones, at every alignment of both sides.
#[test]
fn a_copy_has_the_octets_and_their_sum() {
    for octets in [noise(4_200), vec![0xFF; 4_200]] {
        for start in 0..8 {
            for len in (0..400).chain([1_447, 1_448, 4_095, 4_096]) {
                let from = &octets[start..start + len];
                let mut to = vec![0xA5; len + 10];
                assert_eq!(copy_and_sum(from, &mut to[8 - start..][..len]), Sum::of(from), "length {len}");
                assert!(to[8 - start..][..len] == *from, "length {len}, alignment {start}");
                assert!(to[..8 - start].iter().chain(&to[8 - start + len..]).all(|octet| *octet == 0xA5));
            }
        }
    }
}

#[test]
fn of_two_lengths_a_copy_takes_the_shorter() {
    let (octets, mut to) = (noise(300), vec![0; 200]);
    assert_eq!(copy_and_sum(&octets, &mut to), Sum::of(&octets[..200]));
    assert_eq!(to, octets[..200]);
    assert_eq!(copy_and_sum(&octets[..3], &mut to), Sum::of(&octets[..3]));
}

// RFC 1071 section 2B: a sum taken from an odd octet on has its halves exchanged.
#[test]
fn sums_of_parts_add_up_to_the_whole_wherever_it_is_cut() {
    let octets = noise(301);
    for first in 0..=301 {
        for second in [first, (first + 7).min(301), (first + 64).min(301), 301] {
            let sum = Sum::of(&octets[..first])
                .plus_at(Sum::of(&octets[first..second]), first)
                .plus_at(Sum::of(&octets[second..]), second);
            assert_eq!(sum.folded(), model(&octets), "cut at {first} and {second}");
        }
    }
}

proptest! {
    #[test]
    fn the_sum_of_words_is_the_sum_of_their_octets(words in proptest::collection::vec(any::<u32>(), 0..16)) {
        let octets: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        prop_assert_eq!(Sum::of_words(&words).folded(), model(&octets));
        prop_assert_eq!(Sum::of_words(&words), Sum::of(&octets));
    }
}
