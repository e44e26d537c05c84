//! Goodput over a path in virtual time: a bottleneck with a queue, random loss, a receiver with delayed
//! ACKs, SACK and D-SACK.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::println;

use super::*;

const SEGMENT: u32 = 1_448;
/// 100 Mbit/s, in octets a second.
const LINK: f64 = 100e6 / 8.0;
/// IPv4 and TCP headers with timestamps.
const HEADERS: u32 = 52;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn chance(&mut self, p: f64) -> bool {
        self.fraction() < p
    }

    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / ((1_u64 << 53) as f64)
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Segment { start: u32, end: u32, sent_at: Instant },
    DelayedAck,
    Ack { ack: u32, sacks: Vec<(u32, u32)>, echo: Instant },
}

/// Octets are counted from 0 and do not wrap here; the sender's numbers do.
#[derive(Default)]
struct Receiver {
    next: u32,
    ranges: BTreeMap<u32, u32>,
    recent: VecDeque<u32>,
    unacked: u32,
    echo: Instant,
}

impl Receiver {
    /// Takes a segment. Returns the duplicate to report, and whether to acknowledge at once.
    fn take(&mut self, start: u32, end: u32, sent_at: Instant) -> (Option<(u32, u32)>, bool) {
        if start <= self.next && self.unacked == 0 {
            self.echo = sent_at;
        }
        if end <= self.next || self.ranges.iter().any(|(&a, &b)| a <= start && end <= b) {
            return (Some((start, end)), true);
        }
        if start > self.next {
            let (mut start, mut end) = (start, end);
            while let Some((&a, &b)) = self.ranges.iter().find(|&(&a, &b)| a <= end && b >= start) {
                self.forget(a);
                (start, end) = (start.min(a), end.max(b));
            }
            self.ranges.insert(start, end);
            self.recent.push_front(start);
            return (None, true);
        }
        let filled = !self.ranges.is_empty();
        self.unacked += end - self.next;
        self.next = end;
        while let Some((&a, &b)) = self.ranges.first_key_value()
            && a <= self.next
        {
            self.forget(a);
            self.next = self.next.max(b);
        }
        (None, filled || self.unacked >= 2 * SEGMENT)
    }

    fn forget(&mut self, start: u32) {
        self.ranges.remove(&start);
        self.recent.retain(|&recent| recent != start);
    }

    fn sacks(&self, dsack: Option<(u32, u32)>) -> Vec<(u32, u32)> {
        let held = self.recent.iter().filter_map(|start| Some((*start, *self.ranges.get(start)?)));
        dsack.into_iter().chain(held).take(3).collect()
    }
}

struct Path {
    rtt: Duration,
    loss: f64,
    /// Loss of ACKs.
    ack_loss: f64,
    /// Segments arrive up to this much late, each on its own: that reorders them.
    jitter: Duration,
    octets: u32,
    sack: bool,
    congestion: CongestionControl,
}

struct World<'a> {
    path: &'a Path,
    recovery: Recovery,
    receiver: Receiver,
    random: Random,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
    now: Instant,
    /// When the bottleneck has sent what waits in it.
    free: Instant,
    sent: u32,
    acked: u32,
    probe: bool,
    timeouts: u32,
}

impl World<'_> {
    fn schedule(&mut self, after: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.now + after, self.order, event)));
    }

    /// What leaves next, if something may.
    fn next(&mut self) -> Option<(SeqNumber, SeqNumber)> {
        let probe = std::mem::take(&mut self.probe);
        if probe && self.sent == self.path.octets {
            return self.recovery.tlp_range();
        }
        if !probe && let Some((start, end)) = self.recovery.next_retransmission() {
            let len = end.distance_from(start).min(SEGMENT);
            return (self.recovery.allowance() >= len).then(|| (start, start.plus(len)));
        }
        let len = (self.path.octets - self.sent).min(SEGMENT);
        if len == 0 || (!probe && self.recovery.allowance() < len) {
            return None;
        }
        self.sent += len;
        Some((at(self.sent - len), at(self.sent)))
    }

    fn send(&mut self) {
        while let Some((start, end)) = self.next() {
            self.recovery.on_transmit(start, end, self.now);
            let (start, end) = (start.distance_from(at(0)), end.distance_from(at(0)));
            // A queue of one bandwidth-delay product.
            let full = self.free.since(self.now) > self.path.rtt;
            if self.random.chance(self.path.loss) || full {
                continue;
            }
            let wire = Duration::from_secs_f64(f64::from(end - start + HEADERS) / LINK);
            self.free = self.free.max(self.now) + wire;
            let late = self.path.jitter.mul_f64(self.random.fraction());
            let after = self.free.since(self.now) + self.path.rtt / 2 + late;
            self.schedule(after, Event::Segment { start, end, sent_at: self.now });
        }
    }

    fn acknowledge(&mut self, dsack: Option<(u32, u32)>) {
        self.receiver.unacked = 0;
        let sacks = if self.path.sack { self.receiver.sacks(dsack) } else { Vec::new() };
        if self.random.chance(self.path.ack_loss) {
            return;
        }
        let ack = Event::Ack { ack: self.receiver.next, sacks, echo: self.receiver.echo };
        self.schedule(self.path.rtt / 2, ack);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Segment { start, end, sent_at } => match self.receiver.take(start, end, sent_at) {
                (dsack, true) => self.acknowledge(dsack),
                _ => self.schedule(Duration::from_millis(40), Event::DelayedAck),
            },
            Event::DelayedAck if self.receiver.unacked > 0 => self.acknowledge(None),
            Event::DelayedAck => {}
            Event::Ack { ack, sacks, echo } => {
                let sacks: Vec<_> = sacks.iter().map(|&(a, b)| (at(a), at(b))).collect();
                self.acked = self.acked.max(ack);
                self.recovery.on_ack(&AckInput {
                    now: self.now,
                    ack: at(ack),
                    sacks: &sacks,
                    tsecr_rtt: Some(self.now.since(echo)),
                    has_data: false,
                    window_changed: false,
                    ece: false,
                    can_send_new: self.sent < self.path.octets,
                });
            }
        }
    }

    /// The next thing happens: a timer or an arrival.
    fn step(&mut self) {
        self.send();
        let deadline = self.recovery.deadline();
        let arrival = self.events.peek().map(|Reverse((at, ..))| *at);
        if let Some(deadline) = deadline
            && arrival.is_none_or(|arrival| deadline < arrival)
        {
            self.now = self.now.max(deadline);
            match self.recovery.on_timeout(self.now) {
                Expired::Probe => self.probe = true,
                Expired::Rto => self.timeouts += 1,
                Expired::Nothing | Expired::Reorder => {}
            }
        } else {
            let Reverse((at, _, event)) = self.events.pop().expect("something must still happen");
            self.now = at;
            self.take(event);
        }
    }
}

impl Path {
    /// What a loss rate allows (Mathis and others), or the link.
    fn bound(&self) -> f64 {
        let mathis = f64::from(SEGMENT) * 1.22 / (self.rtt.as_secs_f64() * self.loss.sqrt());
        mathis.min(LINK * f64::from(SEGMENT) / f64::from(SEGMENT + HEADERS))
    }

    fn world(&self, seed: u64) -> World<'_> {
        let config = Config { congestion: self.congestion, ..Config::default() };
        let mut sender = Sender::with(self.sack, &config);
        sender.recovery.set_mss(SEGMENT as u16);
        World {
            path: self,
            recovery: sender.recovery,
            receiver: Receiver::default(),
            random: Random(seed),
            events: BinaryHeap::new(),
            order: 0,
            now: sender.now,
            free: sender.now,
            sent: 0,
            acked: 0,
            probe: false,
            timeouts: 0,
        }
    }

    /// Mean goodput over the bound.
    fn share(&self, seeds: u64) -> f64 {
        let (mut seconds, mut timeouts, mut again) = (0.0, 0, 0);
        for seed in 0..seeds {
            let mut world = self.world(seed * 77 + 1);
            let start = world.now;
            while world.acked < self.octets {
                world.step();
            }
            seconds += world.now.since(start).as_secs_f64();
            timeouts += world.timeouts;
            again += world.recovery.retransmissions();
        }
        let share = f64::from(self.octets) * seeds as f64 / seconds / self.bound();
        let Self { rtt, loss, sack, congestion, .. } = self;
        println!("{congestion:?} sack {sack} {rtt:?} {loss}: {share:.3}, {timeouts} timeouts, {again} again");
        share
    }
}

// covers: T6, T7
#[test]
fn goodput_under_random_loss_is_near_what_the_loss_allows() {
    let mut worst: f64 = f64::MAX;
    for rtt in [20, 100] {
        for loss in [0.001, 0.01, 0.03, 0.05] {
            let rtt = Duration::from_millis(rtt);
            let path = Path {
                rtt,
                loss,
                ack_loss: 0.0,
                jitter: Duration::ZERO,
                octets: 10 << 20,
                sack: true,
                congestion: CongestionControl::Cubic,
            };
            worst = worst.min(path.share(20));
        }
    }
    assert!(worst >= 0.8, "{worst}");
}

// covers: T6, T7
#[test]
fn a_path_without_loss_is_filled_and_its_queue_survived() {
    for congestion in [CongestionControl::NewReno, CongestionControl::Cubic] {
        for sack in [true, false] {
            let path = Path {
                rtt: Duration::from_millis(20),
                loss: 0.0,
                ack_loss: 0.0,
                jitter: Duration::ZERO,
                octets: 40 << 20,
                sack,
                congestion,
            };
            let share = path.share(1);
            // Without SACK a hole takes a round trip, and slow start leaves two hundred.
            assert!(share >= if sack { 0.9 } else { 0.6 }, "{congestion:?} {sack} {share}");
        }
    }
}

// covers: T6, T7
#[test]
fn lost_acknowledgments_cost_little() {
    for rtt in [20, 100] {
        for loss in [0.01, 0.05] {
            let path = Path {
                rtt: Duration::from_millis(rtt),
                loss,
                ack_loss: loss,
                jitter: Duration::ZERO,
                octets: 10 << 20,
                sack: true,
                congestion: CongestionControl::Cubic,
            };
            let share = path.share(3);
            assert!(share >= 0.7, "{rtt} {loss} {share}");
        }
    }
}

// covers: T6
#[test]
fn reordering_is_learnt_and_no_longer_taken_for_loss() {
    let path = Path {
        rtt: Duration::from_millis(20),
        loss: 0.0,
        ack_loss: 0.0,
        jitter: Duration::from_millis(8),
        octets: 40 << 20,
        sack: true,
        congestion: CongestionControl::Cubic,
    };
    let share = path.share(1);
    assert!(share >= 0.6, "{share}");
}

// covers: T6
#[test]
fn without_sack_everything_arrives_too() {
    for loss in [0.01, 0.05, 0.3] {
        let path = Path {
            rtt: Duration::from_millis(20),
            loss,
            ack_loss: loss,
            jitter: Duration::ZERO,
            octets: 1 << 20,
            sack: false,
            congestion: CongestionControl::NewReno,
        };
        assert!(path.share(1) > 0.0);
    }
}
