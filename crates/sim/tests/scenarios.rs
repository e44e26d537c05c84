//! Every scenario keeps its promise, and the figures come out as they are drawn.

use hairpin_sim::NodeId;
use hairpin_sim::scenario::shipped::{Outcome, Promise, SHIPPED, STYLES, Settings, find};
use hairpin_sim::{Cause, Log};
use rules::acceptability::Edge;
use wire::tcp::Flags;

fn play_with(name: &str, change: impl FnOnce(&mut Settings)) -> Outcome {
    let scenario = find(name).expect("the scenario is shipped");
    let mut settings = scenario.settings(1);
    change(&mut settings);
    scenario.play(&settings)
}

fn kept(name: &str) -> Outcome {
    let outcome = play_with(name, |_| {});
    assert!(outcome.held, "{name}: {}", outcome.summary);
    outcome
}

// covers: S8
#[test]
fn the_wars_of_the_figures_happen_with_the_old_test_on_both_ends() {
    for name in ["open-rfc793", "close-rfc793", "probes-rfc793", "self-rfc793"] {
        assert_eq!(find(name).expect("shipped").promise, Promise::War);
        kept(name);
    }
}

// covers: S2, S8
#[test]
fn one_end_with_the_new_test_ends_every_war() {
    for name in ["open-one-end", "close-one-end", "probes-one-end"] {
        kept(name);
        // On the other end as well.
        let swapped = play_with(name, |settings| std::mem::swap(&mut settings.a, &mut settings.b));
        assert!(swapped.held, "{name}, ends changed: {}", swapped.summary);
    }
}

// covers: S2
#[test]
fn a_simultaneous_open_opens_in_every_order_with_up_to_two_losses() {
    kept("open-seqval");
    kept("every-open");
}

// covers: S2
#[test]
fn a_simultaneous_open_opens_in_every_order_against_a_peer_of_rfc_793() {
    kept("every-open-one-end");
}

// covers: S3
#[test]
fn a_connection_to_itself_is_a_pipe() {
    kept("self-seqval");
}

// covers: S3
#[test]
fn land_from_outside_is_not_answered() {
    kept("land");
}

// covers: S4
#[test]
fn a_simultaneous_close_comes_to_time_wait_in_every_order_with_up_to_two_losses() {
    kept("close-seqval");
    kept("every-close");
}

// covers: S4
#[test]
fn a_simultaneous_close_comes_to_time_wait_against_a_peer_of_rfc_793() {
    kept("every-close-one-end");
}

// covers: S5
#[test]
fn crossing_probes_of_every_pair_of_styles_cause_no_war() {
    kept("probes-seqval");
    kept("every-probe");
    kept("every-probe-one-end");
}

// covers: S8
#[test]
fn the_old_test_wars_over_probes_exactly_where_sequence_numbers_lag_or_lead() {
    let mut wars = Vec::new();
    for (name_a, a) in STYLES {
        for (name_b, b) in STYLES {
            let outcome =
                play_with("probes-rfc793", |settings| (settings.a.probe, settings.b.probe) = (a, b));
            if outcome.held {
                wars.push((name_a, name_b));
            }
        }
    }
    // An ACK whose SEQ stays behind a probe that was taken, or goes ahead of one that was refused.
    assert_eq!(wars, [("next-octet", "next-octet"), ("octet-at-una", "octet-at-una")]);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for scenario in SHIPPED.iter().filter(|scenario| !scenario.name.starts_with("every")) {
        let octets = |outcome: &Outcome| -> Vec<_> {
            let log = &outcome.drawing.as_ref().expect("one run is drawn").0;
            log.packets().iter().map(|packet| (packet.sent, packet.octets.clone())).collect()
        };
        let [one, other] = [9, 9].map(|seed| scenario.play(&scenario.settings(seed)));
        assert!(octets(&one) == octets(&other), "{}", scenario.name);
        let third = scenario.play(&scenario.settings(10));
        assert!(third.held, "{} with another seed: {}", scenario.name, third.summary);
    }
}

#[test]
fn settings_are_checked() {
    let mut settings = find("open-seqval").expect("shipped").settings(1);
    assert_eq!(settings.set("a.seq_validation", "rfc793"), Ok(()));
    assert_eq!(settings.a.edge, Edge::Rfc793);
    for (key, value) in
        [("a.seq_validation", "rfc9999"), ("b.window_probe", "two"), ("losses", "5"), ("c", "1")]
    {
        assert!(settings.set(key, value).is_err(), "{key}={value}");
    }
}

/// What the figures say of a segment: who sent it, SEQ, ACK, flags, octets of data.
type Line = (NodeId, u32, Option<u32>, Flags, usize);

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);

/// The segments that arrived, in the order in which they were sent; A's numbers begin at 100, B's at 300.
fn lines(log: &Log) -> Vec<Line> {
    let first = |node| {
        let mut of_node = log.begun().filter(|(_, packet)| packet.from == node);
        of_node.find_map(|(_, packet)| packet.segment()).expect("each side sends").seq()
    };
    let bases = [(first(A), 100), (first(B), 300)];
    let shown = |node: NodeId, seq: wire::SeqNumber| bases[node.0].1 + seq.distance_from(bases[node.0].0);
    let arrived = log.begun().filter(|(_, packet)| !matches!(packet.fate, hairpin_sim::Fate::Lost(_)));
    arrived
        .map(|(_, packet)| {
            let segment = packet.segment().expect("only TCP is sent");
            let other = if packet.from == A { B } else { A };
            let flags = segment.flags().without(Flags::PSH);
            let ack = flags.contains(Flags::ACK).then(|| shown(other, segment.ack()));
            (packet.from, shown(packet.from, segment.seq()), ack, flags, segment.payload().len())
        })
        .collect()
}

/// The figure's lines come first, each by its side in order, and then its last round for ever.
fn assert_figure(name: &str, first: &[Line], round: [Line; 2]) {
    let outcome = kept(name);
    let (log, _) = outcome.drawing.expect("one run is drawn");
    let all = lines(&log);
    let (begin, rest) = all.split_at(first.len());
    assert_eq!(begin, first, "{name}");
    assert!(rest.len() > 100, "{name}: for ever is more than {} segments", rest.len());
    for line in rest {
        // A timer may repeat the probe or the FIN meanwhile; that ends nothing.
        assert!(round.contains(line) || first.contains(line), "{name}: {line:?}");
    }
    let answers = log.begun().filter(|(_, packet)| matches!(packet.cause, Cause::Packet(_))).count();
    assert!(answers * 10 > all.len() * 9, "{name}: the war feeds on itself");
}

// covers: S8
#[test]
fn the_syn_ack_war_comes_out_as_drawn() {
    let synack = Flags::SYN | Flags::ACK;
    let round = [(A, 100, Some(301), synack, 0), (B, 300, Some(101), synack, 0)];
    assert_figure("open-rfc793", &[(A, 100, None, Flags::SYN, 0), (B, 300, None, Flags::SYN, 0)], round);
}

// covers: S8
#[test]
fn the_fin_war_comes_out_as_drawn() {
    let fin = Flags::FIN | Flags::ACK;
    let round = [(A, 100, Some(301), fin, 0), (B, 300, Some(101), fin, 0)];
    assert_figure("close-rfc793", &[(A, 100, Some(300), fin, 0), (B, 300, Some(100), fin, 0)], round);
}

// covers: S8
#[test]
fn the_ack_war_comes_out_as_drawn() {
    let round = [(A, 100, Some(301), Flags::ACK, 0), (B, 300, Some(101), Flags::ACK, 0)];
    let probes = [(A, 100, Some(300), Flags::ACK, 1), (B, 300, Some(100), Flags::ACK, 1)];
    let outcome = kept("probes-rfc793");
    let (log, _) = outcome.drawing.expect("one run is drawn");
    let all = lines(&log);
    assert_eq!(all[..2], probes);
    assert_eq!(all[2..4], round);
    let lagging = all.iter().filter(|line| round.contains(line)).count();
    assert!(lagging * 10 > all.len() * 9, "{lagging} of {}", all.len());
}
