//! Wars, and what is only like one.

mod common;

use common::{Seg, client, handshake, see, server};
use hairpin_lens::war::Scenario;
use hairpin_lens::{Limits, War};
use wire::tcp::Flags;

fn wars(segments: &[Seg]) -> Vec<War> {
    see(Limits::default(), segments).into_iter().flat_map(|report| report.wars).collect()
}

fn repeated(pair: [Seg; 2], times: usize) -> impl Iterator<Item = Seg> {
    std::iter::repeat_n(pair, times).flatten()
}

// covers: L3
#[test]
fn the_three_wars_of_two_ends_are_found_with_length_and_rate() {
    let (syn, fin) = (Flags::SYN | Flags::ACK, Flags::FIN | Flags::ACK);
    let cases = [(Scenario::SynAck, syn, 0u32), (Scenario::Fin, fin, 1), (Scenario::Ack, Flags::ACK, 1)];
    for (scenario, flags, probe) in cases {
        let text: &[u8] = if scenario == Scenario::Ack { b"x" } else { b"" };
        let mut segments = if scenario == Scenario::SynAck {
            vec![
                client(99, b"").flags(Flags::SYN).ack(0),
                server(299, 0).flags(Flags::SYN),
                client(99, b"").flags(flags).ack(300),
                server(299, 100).flags(flags),
            ]
        } else {
            let mut open = handshake(99);
            open[1].seq = 298;
            open[2].ack = 299;
            let with_text = |segment: Seg| Seg { text: text.to_vec(), ..segment };
            open.push(with_text(client(99, b"").ack(299)).flags(flags));
            open.push(with_text(server(299, 99)).flags(flags));
            open
        };
        let _ = probe;
        let answers = [client(99, b"").flags(flags).ack(300), server(299, 100).flags(flags)];
        segments.extend(repeated(answers, 20));
        let found = wars(&segments);
        assert_eq!(found.len(), 1, "{scenario:?}");
        assert_eq!(found[0].scenario, scenario);
        assert!(found[0].segments >= 36 && found[0].unfinished);
        assert!((found[0].rate() - 1_000.0).abs() < 1.0, "one a millisecond: {}", found[0].rate());
    }
}

// covers: L3
#[test]
fn keep_alives_probes_duplicate_acks_and_retransmissions_are_no_wars() {
    let like: [(&str, [Seg; 2]); 5] = [
        ("keep-alives", [client(99, b""), server(1, 100)]),
        ("keep-alives with an octet", [client(99, b"x"), server(1, 100)]),
        ("window probes", [client(100, b"x"), Seg { window: 0, ..server(1, 100) }]),
        ("duplicate ACKs", [client(2_000, b"text"), server(1, 100)]),
        ("FIN again", [client(99, b"").flags(Flags::FIN | Flags::ACK), server(1, 100)]),
    ];
    for (what, pair) in like {
        let mut segments = handshake(100);
        segments.extend(repeated(pair, 50));
        assert_eq!(wars(&segments), [], "{what}");
    }
    let mut segments = vec![client(99, b"").flags(Flags::SYN)];
    segments.extend(repeated(
        [client(99, b"").flags(Flags::SYN), server(0, 100).flags(Flags::SYN | Flags::ACK)],
        50,
    ));
    assert_eq!(wars(&segments), [], "SYN again");
}

// covers: L3
#[test]
fn keep_alives_of_both_sides_are_no_war() {
    let mut segments = handshake(100);
    for _ in 0..50 {
        segments.extend([client(99, b""), server(1, 100), server(0, 100), client(100, b"")]);
    }
    assert_eq!(wars(&segments), []);
}

// covers: L3
#[test]
fn recovery_with_duplicate_acks_and_d_sack_is_no_war() {
    let sack = |kind: u32| {
        let mut options = vec![1, 1, 5, 10];
        options.extend((200 + kind).to_be_bytes());
        options.extend((300 + kind).to_be_bytes());
        options
    };
    // A lost segment, fifty duplicate ACKs with SACK, the segment again; then copies that a D-SACK answers.
    let mut segments = handshake(100);
    for n in 1..50 {
        segments.push(client(100 + 100 * n, &[b'x'; 100]));
        segments.push(Seg { options: sack(n), ..server(1, 100) });
    }
    segments.push(client(100, &[b'x'; 100]));
    segments.push(server(1, 5_100));
    for _ in 0..50 {
        segments.push(client(100, &[b'x'; 100]));
        segments.push(Seg { options: sack(0), ..server(1, 5_100) });
    }
    assert_eq!(wars(&segments), []);
}
