//! What the lens holds is bounded by its limits, whatever it sees: a global allocator counts.
//!
//! `unsafe` is here for the allocator alone: it hands every call on to the system's, unchanged, so
//! whatever that one promises holds.
#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{client, handshake, server};
use hairpin_lens::{Lens, Limits, Seen};
use rules::Instant;
use wire::tcp::Flags;

struct Counting;

thread_local! {
    /// Octets that this thread has allocated and not given back, and the most there were.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn count(octets: i64) {
    let _ = HELD.try_with(|held| {
        let now = held.get().0 + octets;
        held.set((now, held.get().1.max(now)));
    });
}

// SAFETY: every method is `System`'s with the caller's own arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most octets that `work` held at one time, beyond what was there.
fn peak(work: impl FnOnce()) -> u64 {
    let before = HELD.get().0;
    HELD.set((before, before));
    work();
    (HELD.get().1 - before) as u64
}

/// A packet of flow `number`: a SYN, or text with a mark.
fn packet(number: u32, seq: u32, flags: Flags, text: &[u8]) -> Vec<u8> {
    let header = wire::craft::Header::new((0x0a00_0000 + (number >> 8)).into(), [192, 0, 2, 1].into());
    let segment = wire::craft::Segment {
        seq: wire::SeqNumber(seq),
        urgent: text.len() as u16,
        ..wire::craft::Segment::new(1_024 + (number & 0xff) as u16, 80, flags)
    };
    let mut packet = vec![0; 40 + text.len()];
    wire::craft::tcp(&mut packet, &header, &segment, text).expect("it fits");
    packet
}

fn see_flows(lens: &mut Lens, flows: u32) {
    for number in 0..flows {
        let at = Instant::from_micros(number.into());
        lens.see(1 + u64::from(number), at, &packet(number, 9, Flags::SYN, b""));
        // Every tenth has a mark, and every hundredth a hole.
        if number.is_multiple_of(10) {
            lens.see(2, at, &packet(number, 10, Flags::ACK | Flags::URG, b"abc!"));
        }
        if number.is_multiple_of(100) {
            lens.see(2, at, &packet(number, 30, Flags::ACK, b"behind a hole"));
        }
    }
}

// covers: L4
#[test]
fn a_million_flows_take_no_more_than_the_limits_say() {
    let limits = Limits { octets: 32 << 20, pieces: 1 << 16, recent_octets: 1 << 20, ..Limits::default() };
    let mut told = 0;
    let most = peak(|| {
        let mut lens = Lens::new(limits, [7, 9]);
        see_flows(&mut lens, 1_000_000);
        assert!(lens.held() <= limits.octets, "{}", lens.held());
        lens.finish();
        told = std::iter::from_fn(|| lens.poll_report()).count();
        let totals = lens.totals();
        assert_eq!((totals.flows, totals.evicted), (1_000_000, 0));
        assert!(totals.text_given_up > 0, "a tenth of them would need more, and that is told");
    });
    assert_eq!(told, 1_000_000);
    assert!(most <= limits.most_memory(), "{most} of {}", limits.most_memory());
}

// covers: L4
#[test]
fn flows_beyond_the_limit_take_no_memory() {
    let limits =
        Limits { flows: 10_000, octets: 1 << 20, pieces: 4_096, recent_octets: 4_096, ..Limits::default() };
    let most = peak(|| {
        let mut lens = Lens::new(limits, [7, 9]);
        for round in 0..10 {
            see_flows(&mut lens, 30_000);
            let told = std::iter::from_fn(|| lens.poll_report()).count() as u64;
            assert!(told >= 20_000, "round {round}: {told}");
        }
        assert_eq!(lens.totals().evicted, lens.totals().flows);
    });
    // Reports of a round wait until they are fetched.
    assert!(most <= limits.most_memory() + 30_000 * 8_192, "{most} of {}", limits.most_memory());
}

// covers: L2, L4
#[test]
fn out_of_band_octets_of_one_flow_are_bounded_and_beyond_the_bound_it_is_told() {
    for (count, given_up) in [(64_000_u32, 0), (66_000, 66_000 - 65_536), (1_000_000, 1_000_000 - 65_536)] {
        let limits = Limits { recent_octets: 1 << 16, pieces: 1 << 10, ..Limits::default() };
        let mut reports = Vec::new();
        let most = peak(|| {
            let mut lens = Lens::new(limits, [7, 9]);
            for segment in handshake(100) {
                lens.see(1, Instant::ZERO, &segment.packet());
            }
            for n in 0..count {
                lens.see(2, Instant::ZERO, &client(100 + n, b"!").urg(1).packet());
                if n.is_multiple_of(1_000) {
                    lens.see(3, Instant::ZERO, &server(1, 101 + n).packet());
                }
            }
            assert!(lens.held() <= limits.octets);
            lens.finish();
            reports.extend(std::iter::from_fn(|| lens.poll_report()));
            assert_eq!(lens.totals().places_given_up, given_up, "{count}");
        });
        let stream = &reports[0].streams[0];
        assert_eq!((stream.octets, stream.urgent_segments), (count.into(), count.into()));
        let prompt = common::group(stream, "linux-2.6.15", hairpin_lens::Reader::Prompt);
        assert_eq!((prompt.octets, prompt.removed), (0, count.into()), "it is known that none is read");
        let told = stream.given_up.join("; ");
        assert_eq!(told.contains("urgent octets beyond the bound"), given_up > 0, "{told}");
        assert!(most < 64 << 20, "{count}: {most}");
    }
}

// covers: L2, L4
#[test]
fn a_stream_of_five_gigabytes_keeps_its_marks_in_their_places() {
    const PIECE: u32 = 60_000;
    // The capture that is read again: one segment's text, over and over.
    let text = vec![b'x'; PIECE as usize];
    let mut data = client(0, &text).packet();
    let mut archive: &[u8] = &data.clone();
    let mut lens = Lens::new(Limits::default(), [7, 9]);
    for segment in handshake(100) {
        lens.see(1, Instant::ZERO, &segment.packet());
    }
    let (mut offset, mut frame) = (0_u64, 10);
    while offset < 5 << 30 {
        data[24..28].copy_from_slice(&((offset as u32).wrapping_add(100)).to_be_bytes());
        let seen = Seen { frame, at: Instant::from_micros(frame), packet: &data, position: 0 };
        lens.see_batch(&[seen], &mut archive);
        (offset, frame) = (offset + u64::from(PIECE), frame + 1);
        lens.see(frame, Instant::from_micros(frame), &server(1, (offset as u32).wrapping_add(100)).packet());
    }
    let end = (offset as u32).wrapping_add(100);
    let marked = client(end, b"ab!").urg(3).packet();
    let whole = [data.as_slice(), &marked].concat();
    let position = data.len() as u64;
    let seen = Seen { frame, at: Instant::from_micros(frame), packet: &marked, position };
    lens.see_batch(&[seen], &mut whole.as_slice());
    lens.see(frame + 1, Instant::from_micros(frame), &client(end.wrapping_add(3), b"cd").packet());
    lens.finish();
    let report = lens.poll_report().expect("one flow");
    let stream = &report.streams[0];
    assert_eq!(stream.octets, offset + 5);
    assert_eq!(stream.first_difference, Some(offset + 2));
    let group = common::group(stream, "freebsd-8.0", hairpin_lens::Reader::Lazy);
    assert_eq!(group.removed_at, [offset + 2]);
    assert_eq!(stream.reading_from, offset - 1_024, "and the context before the mark was read again");
    assert!(group.reading.ends_with(b"xxabcd") && group.reading.len() == 1_024 + 4);
}
