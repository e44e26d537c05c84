//! Arbitrary ACKs, blocks, timers and transmissions against a board that keeps every octet.

use proptest::prelude::*;

use super::*;

/// What the peer, the clock and the application do.
#[derive(Clone, Debug)]
enum Step {
    New(u32),
    /// As much of the oldest loss as is allowed, whatever the window says.
    Resend(u32),
    /// Any range, relative to the first octet in flight.
    Any(u32, u32),
    Ack(u32),
    Sacks(u32, Vec<(u32, u32)>, bool),
    /// Absolute garbage in every field.
    Garbage(u32, Vec<(u32, u32)>, u64),
    Timer,
    Wait(u64),
    Mss(u16),
    Idle,
}

fn step() -> impl Strategy<Value = Step> {
    let block = || (0_u32..30_000, 1_u32..6_000);
    prop_oneof![
        4 => (1_u32..5_000).prop_map(Step::New),
        3 => (1_u32..2_000).prop_map(Step::Resend),
        1 => block().prop_map(|(a, len)| Step::Any(a, len)),
        3 => (0_u32..5_000).prop_map(Step::Ack),
        4 => (0_u32..500, prop::collection::vec(block(), 0..5), any::<bool>())
            .prop_map(|(ack, blocks, ece)| Step::Sacks(ack, blocks, ece)),
        1 => (any::<u32>(), prop::collection::vec((any::<u32>(), any::<u32>()), 0..5), any::<u64>())
            .prop_map(|(ack, blocks, rtt)| Step::Garbage(ack, blocks, rtt)),
        2 => Just(Step::Timer),
        2 => (0_u64..400_000).prop_map(Step::Wait),
        1 => (1_u16..3_000).prop_map(Step::Mss),
        1 => Just(Step::Idle),
    ]
}

/// One octet between SND.UNA and SND.NXT: whether it is acknowledged selectively, and was sent again.
#[derive(Clone, Copy, Default)]
struct Octet {
    sacked: bool,
    resent: bool,
}

struct Model {
    una: u32,
    octets: Vec<Octet>,
}

impl Model {
    fn nxt(&self) -> u32 {
        self.una.wrapping_add(self.octets.len() as u32)
    }

    fn transmit(&mut self, start: u32, end: u32) {
        for seq in start.wrapping_sub(self.una)..end.wrapping_sub(self.una) {
            match self.octets.get_mut(seq as usize) {
                Some(octet) => octet.resent |= !octet.sacked,
                None => self.octets.push(Octet::default()),
            }
        }
    }

    /// The board may know less than the blocks said (it does not cut for ever), never more, and its records
    /// follow one another from SND.UNA to SND.NXT.
    fn check(&mut self, recovery: &Recovery) {
        let board = &recovery.board;
        assert_eq!((board.una().0, board.nxt().0), (self.una, self.nxt()));
        let (mut next, mut counts) = (board.una(), [0; 3]);
        for record in board.records() {
            assert_eq!(record.start, next);
            assert!(record.start.before(record.end));
            next = record.end;
            counts[record.state as usize] += record.len();
            let first = record.start.0.wrapping_sub(self.una) as usize;
            for octet in &mut self.octets[first..first + record.len() as usize] {
                if record.state == State::Sacked {
                    assert!(octet.sacked, "{record:?}");
                } else {
                    // A cut that was refused, or the peer has dropped it.
                    if core::mem::take(&mut octet.sacked) {
                        octet.resent = record.resent;
                    }
                    assert_eq!(record.resent, octet.resent, "{record:?}");
                }
            }
        }
        assert_eq!(next, board.nxt());
        assert_eq!(counts, [board.in_flight(), board.lost(), board.sacked()]);
        assert!(recovery.in_flight() <= board.in_flight());
        assert!(recovery.cwnd() >= 1 && recovery.cwnd() <= 1 << 30 && recovery.allowance() <= 1 << 31);
        assert_eq!(recovery.deadline().is_none(), self.octets.is_empty());
        let lost = board.records().find(|record| record.state == State::Lost).map(|record| record.start);
        assert_eq!(board.first_lost().map(|(start, _)| start), lost);
    }
}

fn apply(recovery: &mut Recovery, model: &mut Model, now: &mut Instant, sack: bool, step: &Step) {
    match step {
        Step::New(len) => {
            if model.octets.len() < 40_000 {
                let nxt = model.nxt();
                recovery.on_transmit(SeqNumber(nxt), SeqNumber(nxt).plus(*len), *now);
                model.transmit(nxt, nxt.wrapping_add(*len));
            }
        }
        Step::Resend(len) => {
            if let Some((start, end)) = recovery.next_retransmission() {
                let end = start.plus(end.distance_from(start).min(*len));
                recovery.on_transmit(start, end, *now);
                model.transmit(start.0, end.0);
            }
        }
        Step::Any(from, len) => {
            let outstanding = model.octets.len() as u32;
            let (from, to) = ((*from).min(outstanding), from.saturating_add(*len).min(outstanding));
            recovery.on_transmit(SeqNumber(model.una).plus(from), SeqNumber(model.una).plus(to), *now);
            model.transmit(model.una.wrapping_add(from), model.una.wrapping_add(to));
        }
        Step::Ack(octets) => acknowledge(recovery, model, *now, sack, *octets, &[], None, false),
        Step::Sacks(octets, blocks, ece) => {
            acknowledge(recovery, model, *now, sack, *octets, blocks, Some(5), *ece);
        }
        Step::Garbage(ack, blocks, rtt) => {
            let old = SeqNumber(*ack).before(SeqNumber(model.una));
            let blocks: Vec<_> =
                blocks.iter().map(|&(a, b)| (a.wrapping_sub(model.una), b.wrapping_sub(a))).collect();
            let octets = if old { 0 } else { (*ack).wrapping_sub(model.una) % 100 };
            acknowledge(recovery, model, *now, sack, octets, &blocks, Some(*rtt), true);
        }
        Step::Timer => {
            if let Some(deadline) = recovery.deadline() {
                *now = (*now).max(deadline);
                if recovery.on_timeout(*now) == Expired::Probe
                    && let Some((start, end)) = recovery.tlp_range()
                {
                    recovery.on_transmit(start, end, *now);
                    model.transmit(start.0, end.0);
                }
            }
        }
        Step::Wait(micros) => *now = *now + Duration::from_micros(*micros),
        Step::Mss(mss) => recovery.set_mss(*mss),
        Step::Idle => recovery.on_idle(*now),
    }
}

#[expect(clippy::too_many_arguments, reason = "the fields of a segment")]
fn acknowledge(
    recovery: &mut Recovery,
    model: &mut Model,
    now: Instant,
    sack: bool,
    octets: u32,
    blocks: &[(u32, u32)],
    rtt: Option<u64>,
    ece: bool,
) {
    let octets = octets.min(model.octets.len() as u32);
    let una = SeqNumber(model.una);
    let sacks: Vec<_> =
        blocks.iter().map(|&(from, len)| (una.plus(from), una.plus(from).plus(len))).collect();
    if sack {
        for &(from, len) in blocks.iter().take(4) {
            let to = u64::from(from) + u64::from(len);
            if from >= octets && to <= model.octets.len() as u64 {
                model.octets[from as usize..to as usize].iter_mut().for_each(|octet| octet.sacked = true);
            }
        }
    }
    let outcome = recovery.on_ack(&AckInput {
        now,
        ack: una.plus(octets),
        sacks: &sacks,
        tsecr_rtt: rtt.map(Duration::from_micros),
        has_data: octets % 3 == 1,
        window_changed: octets % 5 == 1,
        ece,
        can_send_new: octets.is_multiple_of(2),
    });
    assert_eq!(outcome.newly_acked, octets);
    model.octets.drain(..octets as usize);
    model.una = model.una.wrapping_add(octets);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    // covers: T6, T12
    #[test]
    fn whatever_is_acknowledged_the_books_balance(
        iss in any::<u32>(),
        sack in any::<bool>(),
        reno in any::<bool>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let congestion = if reno { CongestionControl::NewReno } else { CongestionControl::Cubic };
        let config = Config { congestion, ..Config::default() };
        let mut recovery = Recovery::new(&config, 1_000, SeqNumber(iss));
        let mut now = Instant::from_secs(1);
        let mut model = Model { una: iss, octets: Vec::new() };
        recovery.set_sack(sack);
        for step in &steps {
            apply(&mut recovery, &mut model, &mut now, sack, step);
            model.check(&recovery);
        }
    }
}

// covers: T6, T12
#[test]
fn a_peer_that_acknowledges_single_octets_cannot_make_the_board_grow() {
    let mut sender = Sender::new(true);
    for _ in 0..100 {
        sender.recovery.on_transmit(at(sender.sent), at(sender.sent + 10 * MSS), sender.now);
        sender.sent += 10 * MSS;
    }
    for octet in 0..400_000 {
        let block = (at(2 * octet + 1), at(2 * octet + 2));
        sender.recovery.on_ack(&AckInput {
            now: sender.now,
            ack: at(0),
            sacks: &[block],
            tsecr_rtt: None,
            has_data: false,
            window_changed: false,
            ece: false,
            can_send_new: true,
        });
    }
    assert!(sender.recovery.board.records().count() <= 64 + 2 * 1_000 + 2);
}
