//! What captures really have: fragments, ports used again, packets that the capture lost or cut.

mod common;

use common::{CLIENT, SERVER, Seg, client, handshake, reading, see, server};
use hairpin_lens::{FlowReport, Lens, Limits, Reader};
use rules::Instant;
use wire::craft::{self, Header};
use wire::tcp::Flags;

fn run(packets: &[Vec<u8>]) -> (Vec<FlowReport>, Lens) {
    let mut lens = Lens::new(Limits::default(), [7, 9]);
    for (frame, packet) in (1..).zip(packets) {
        lens.see(frame, Instant::from_micros(frame), packet);
    }
    lens.finish();
    let reports = std::iter::from_fn(|| lens.poll_report()).collect();
    (reports, lens)
}

/// A packet as fragments of `step` octets.
fn fragments(packet: &[u8], step: usize) -> Vec<Vec<u8>> {
    let payload = &packet[20..];
    let header = Header { identification: 7, ..Header::new(CLIENT.0, SERVER.0) };
    (0..payload.len())
        .step_by(step)
        .map(|at| {
            let end = (at + step).min(payload.len());
            let mut part = vec![0; 20 + end - at];
            let more = end < payload.len();
            craft::fragment(&mut part, &header, 6, at as u16, more, &payload[at..end]).expect("it fits");
            part
        })
        .collect()
}

fn packets(segments: &[Seg]) -> Vec<Vec<u8>> {
    segments.iter().map(Seg::packet).collect()
}

// covers: L1, L4
#[test]
fn fragments_of_a_segment_are_put_together_in_any_order_however_small() {
    let marked = client(100, b"maliciX").urg(7).packet();
    for step in [8, 16, 24] {
        for backwards in [false, true] {
            let mut parts = fragments(&marked, step);
            if backwards {
                parts.reverse();
            }
            parts.insert(1, parts[0].clone());
            let all = [packets(&handshake(100)), parts, packets(&[client(107, b"ous")])].concat();
            let (reports, lens) = run(&all);
            let stream = &reports[0].streams[0];
            assert_eq!(reading(stream, "linux-2.6.15", Reader::Lazy), "malicious", "{step}");
            assert_eq!(lens.totals().malformed, 0);
        }
    }
}

// covers: L4
#[test]
fn fragments_that_overlap_end_their_datagram_and_what_never_comes_is_given_up() {
    let mut parts = fragments(&client(100, b"sixteen octets..").packet(), 24);
    let mut other = parts[1].clone();
    other[20] ^= 1;
    parts.insert(1, fragments(&client(100, b"sixteen octets..").packet(), 8)[2].clone());
    let (reports, lens) = run(&[packets(&handshake(100)), parts].concat());
    assert_eq!((reports[0].streams[0].octets, lens.totals().fragments_refused), (0, 1));
    let lone = fragments(&client(100, b"sixteen octets..").packet(), 24).remove(0);
    let mut lens = Lens::new(Limits::default(), [7, 9]);
    lens.see(1, Instant::ZERO, &lone);
    lens.see(2, Instant::from_secs(31), &other);
    assert_eq!(lens.totals().fragments_given_up, 1);
}

// covers: L2
#[test]
fn a_syn_on_ends_that_are_free_again_begins_a_flow() {
    // Closed by RST; never answered; and lost by the server, which answers with a SYN of its own.
    let syn = |seq| client(seq, b"").flags(Flags::SYN).ack(0);
    let answer = |seq, ack| server(seq, ack).flags(Flags::SYN | Flags::ACK);
    let mut closed = handshake(100);
    closed.extend([client(100, b"one"), client(103, b"").flags(Flags::RST), syn(4_999), answer(70, 5_000)]);
    closed.extend([client(5_000, b"two!").urg(4)]);
    let unanswered = vec![syn(99), syn(99), syn(4_999), answer(70, 5_000), client(5_000, b"two!").urg(4)];
    let mut lost = handshake(100);
    lost.extend([client(100, b"one"), syn(4_999), answer(70, 5_000), client(5_000, b"two!").urg(4)]);
    for (what, segments) in [("closed", closed), ("unanswered", unanswered), ("lost", lost)] {
        let reports = see(Limits::default(), &segments);
        assert_eq!(reports.len(), 2, "{what}");
        let (first, second) = (&reports[0].streams[0], &reports[1].streams[0]);
        assert!(!first.mid_stream && first.urgent_segments == 0 && !second.mid_stream, "{what}");
        assert_eq!((second.octets, second.urgent_segments), (4, 1), "{what}");
    }
}

// covers: L2
#[test]
fn a_syn_that_is_not_answered_by_one_begins_nothing() {
    let mut segments = handshake(100);
    segments.extend([client(4_999, b"").flags(Flags::SYN), server(1, 100), client(100, b"goes on")]);
    let reports = see(Limits::default(), &segments);
    assert_eq!((reports.len(), reports[0].streams[0].octets), (1, 7));
}

// covers: L2, L4
#[test]
fn what_the_capture_lost_is_told_and_the_stream_goes_on() {
    let mut segments = handshake(100);
    segments.push(client(100, b"abc"));
    // 103 to 109 were not captured; the server has them.
    segments.extend([client(110, b"def!").urg(4), server(1, 114), client(114, b"g")]);
    let reports = see(Limits::default(), &segments);
    let stream = &reports[0].streams[0];
    assert_eq!(stream.octets, 15);
    assert!(stream.given_up.iter().any(|told| told.starts_with("7 octets that were ack")), "{stream:?}");
    let prompt = common::group(stream, "linux-2.6.15", Reader::Prompt);
    assert_eq!(prompt.removed_at, [13], "the place of the mark is right beyond the hole");
}

// covers: L1, L4
#[test]
fn of_packets_that_the_capture_has_cut_the_places_are_known_and_not_the_text() {
    let mut all = packets(&handshake(100));
    for segment in [client(100, b"a long text").urg(11), client(111, b"and more")] {
        let mut packet = segment.packet();
        packet.truncate(44);
        all.push(packet);
    }
    let (reports, lens) = run(&all);
    let stream = &reports[0].streams[0];
    assert_eq!((stream.octets, lens.totals().cut, lens.totals().malformed), (19, 2, 0));
    assert_eq!(stream.first_difference, Some(10));
    assert!(stream.given_up.iter().any(|told| told.starts_with("text but for octets 0 to 0")), "{stream:?}");
}

// covers: L2
#[test]
fn every_odd_pointer_has_its_place() {
    let read = |segments: &[Seg], host, reader| {
        let mut all = handshake(100);
        all.extend_from_slice(segments);
        reading(&see(Limits::default(), &all)[0].streams[0], host, reader)
    };
    // Announced before it comes: by an empty segment, and by one with text before it.
    for first in [client(100, b"").urg(3), client(100, b"a").urg(3)] {
        let behind = 100 + first.text.len() as u32;
        let rest = &b"ab!c"[first.text.len()..];
        let segments = [first, client(behind, rest)];
        assert_eq!(read(&segments, "linux-2.6.15", Reader::Prompt), "abc");
        assert_eq!(read(&segments, "freebsd-8.0", Reader::Lazy), "ab!c", "it came without URG");
        assert_eq!(read(&segments, "scrubbed", Reader::InLine), "ab!c");
    }
    // Sent again with URG, and without.
    let again = [client(100, b"a!").urg(2), server(1, 102), client(100, b"a!"), client(102, b"b")];
    assert_eq!(read(&again, "linux-2.6.15", Reader::Prompt), "ab");
    let late = [client(100, b"a!"), server(1, 102), client(100, b"a!").urg(2), client(102, b"b")];
    assert_eq!(read(&late, "linux-2.6.15", Reader::Prompt), "a!b", "it had been received");
    // A pointer of 0 means the first octet to Linux and nothing to the BSDs.
    let zero = [client(100, b"!a").urg(0), client(102, b"b")];
    assert_eq!(read(&zero, "linux-2.6.15", Reader::Prompt), "ab");
    assert_eq!(read(&zero, "freebsd-8.0", Reader::Lazy), "!ab");
}
