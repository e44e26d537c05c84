//! A transfer through a link that loses packets at random, in virtual time: what of the possible is reached.
//!
//! Bulk data one way over 100 Mbit/s; the queue before the link holds one bandwidth-delay product. Loss is on the way of
//! the data. Possible is what the link carries or, if that is less, what Mathis et al. found for a window that is
//! halved at each loss: MSS / RTT * sqrt(3/2) / sqrt(p).

use std::collections::VecDeque;
use std::time::Duration;

use hairpin_tcp::{Checksum, Config, ConnectionId};
use rules::Instant;

use crate::figures::{alone, beside, spread};
use crate::many::next;
use crate::{ideal, ours, smol};

const RATE: f64 = 100e6;
const BUFFERS: usize = 4 << 20;
const MSS: f64 = 1_448.0;
/// Who has not finished by then has failed with what it has.
const LONGEST: Duration = Duration::from_secs(20_000);

/// What a simulated pair of stacks can do: A sends, B receives.
pub(crate) trait Stacks {
    fn write(&mut self, data: &[u8]);
    /// Octets that B's application has read.
    fn read(&mut self) -> usize;
    /// Time goes to `nanos`; timers that are due run.
    fn advance(&mut self, nanos: u64);
    fn arrive(&mut self, at_b: bool, packet: &[u8]);
    /// What both have to send.
    fn poll(&mut self, sent: &mut dyn FnMut(bool, Vec<u8>));
    /// When time matters next.
    fn next(&mut self) -> Option<u64>;
}

/// One direction of the link.
struct Way {
    delay: u64,
    queue: usize,
    /// Of a million.
    loss: u64,
    /// Its own: the n-th packet of the data has the same fate, however many ACKs come between.
    random: u64,
    free_at: u64,
    flying: VecDeque<(u64, Vec<u8>)>,
    departures: VecDeque<u64>,
}

impl Way {
    fn new(rtt: Duration, loss: u64, random: u64) -> Self {
        let queue = (RATE * rtt.as_secs_f64() / 8.0 / 1_500.0) as usize;
        let delay = rtt.as_nanos() as u64 / 2;
        Self { delay, queue, loss, random, free_at: 0, flying: VecDeque::new(), departures: VecDeque::new() }
    }

    fn carry(&mut self, packet: Vec<u8>, now: u64) {
        while self.departures.front().is_some_and(|&at| at <= now) {
            self.departures.pop_front();
        }
        if self.departures.len() > self.queue {
            return;
        }
        self.free_at = self.free_at.max(now) + (packet.len() as f64 * 8e9 / RATE) as u64;
        self.departures.push_back(self.free_at);
        if next(&mut self.random) % 1_000_000 >= self.loss {
            self.flying.push_back((self.free_at + self.delay, packet));
        }
    }
}

/// Seconds that `octets` take.
fn transfer(stacks: &mut dyn Stacks, octets: usize, rtt: Duration, loss: u64, seed: u64) -> f64 {
    let (mut there, mut back) = (Way::new(rtt, loss, seed), Way::new(rtt, 0, seed));
    let start = 1_000_000_000;
    let (mut now, mut read) = (start, 0);
    let data = vec![7; 1 << 16];
    let end = start + LONGEST.as_nanos() as u64;
    while now < end {
        // The application always has more: what it writes beyond `octets` is not waited for.
        stacks.write(&data);
        stacks.poll(&mut |from_a, packet| {
            if from_a { &mut there } else { &mut back }.carry(packet, now);
        });
        read += stacks.read();
        if read >= octets {
            break;
        }
        // Reading may have opened the window.
        stacks.poll(&mut |from_a, packet| {
            if from_a { &mut there } else { &mut back }.carry(packet, now);
        });
        let arrivals = [&there, &back].map(|way| way.flying.front().map(|(at, _)| *at));
        let Some(next) = arrivals.into_iter().flatten().chain(stacks.next()).min() else { break };
        now = now.max(next);
        stacks.advance(now);
        for (at_b, way) in [(true, &mut there), (false, &mut back)] {
            while way.flying.front().is_some_and(|(at, _)| *at <= now)
                && let Some((_, packet)) = way.flying.pop_front()
            {
                stacks.arrive(at_b, &packet);
            }
        }
    }
    let share = octets as f64 / read.max(1) as f64;
    (now - start) as f64 / 1e9 * share.max(1.0)
}

struct Hairpin {
    pair: ours::Pair,
    a: ConnectionId,
    b: ConnectionId,
    sink: Vec<u8>,
}

impl Hairpin {
    fn new() -> Self {
        let mut pair = ours::Pair::with_buffers(BUFFERS as u32);
        let config =
            Config { send_buffer: BUFFERS as u32, receive_buffer: BUFFERS as u32, ..Config::default() };
        let (a, b) = pair.open(config);
        Self { pair, a, b, sink: vec![0; 1 << 16] }
    }
}

impl Stacks for Hairpin {
    fn write(&mut self, data: &[u8]) {
        while self.pair.a.send(self.a, data, self.pair.now).is_ok_and(|taken| taken == data.len()) {}
    }

    fn read(&mut self) -> usize {
        let mut read = 0;
        while let Ok(got) = self.pair.b.recv(self.b, &mut self.sink, self.pair.now) {
            read += got.len;
        }
        read
    }

    fn advance(&mut self, nanos: u64) {
        self.pair.now = Instant::from_nanos(nanos);
        for endpoint in [&mut self.pair.a, &mut self.pair.b] {
            if endpoint.poll_timeout().is_some_and(|time| time <= self.pair.now) {
                endpoint.handle_timeout(self.pair.now);
            }
        }
    }

    fn arrive(&mut self, at_b: bool, packet: &[u8]) {
        let to = if at_b { &mut self.pair.b } else { &mut self.pair.a };
        to.handle_packet(packet, Checksum::Verify, self.pair.now);
    }

    fn poll(&mut self, sent: &mut dyn FnMut(bool, Vec<u8>)) {
        let mut buffer = [0; 1_500];
        for (from_a, endpoint) in [(true, &mut self.pair.a), (false, &mut self.pair.b)] {
            while let Some(transmit) = endpoint.poll_transmit(&mut buffer, self.pair.now) {
                sent(from_a, buffer[..transmit.len].to_vec());
            }
            while endpoint.poll_event().is_some() {}
        }
    }

    fn next(&mut self) -> Option<u64> {
        [self.pair.a.poll_timeout(), self.pair.b.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .map(Instant::as_nanos)
    }
}

/// Mbit/s that are possible.
fn possible(rtt: Duration, loss: u64) -> f64 {
    let mathis = MSS * 8.0 / rtt.as_secs_f64() * 1.5f64.sqrt() / (loss as f64 / 1e6).sqrt();
    mathis.min(RATE * MSS / 1_500.0) / 1e6
}

pub(crate) fn run() {
    for mebi in [10usize, 100] {
        for rtt in [20, 100].map(Duration::from_millis) {
            for (percent, loss) in [("0.1", 1_000), ("1", 10_000), ("3", 30_000), ("5", 50_000)] {
                cell(mebi, rtt, percent, loss);
            }
        }
    }
}

fn cell(mebi: usize, rtt: Duration, percent: &str, loss: u64) {
    let octets = mebi << 20;
    let mbits = |seconds: f64| octets as f64 * 8.0 / seconds / 1e6;
    let (mut pairs, mut shares) = (Vec::new(), Vec::new());
    for seed in 0..if mebi == 10 { 25 } else { 7 } {
        let ours = mbits(transfer(&mut Hairpin::new(), octets, rtt, loss, seed));
        let peer = mbits(transfer(&mut smol::Pair::apart(BUFFERS), octets, rtt, loss, seed));
        pairs.push((ours, peer));
        shares.push(ours / possible(rtt, loss));
    }
    let name = format!("{mebi} MiB, {} ms, {percent} % lost", rtt.as_millis());
    let target = match loss {
        50_000.. => 4.0,
        10_000 => 1.5,
        _ => 1.0,
    };
    beside(
        &format!("{name}: beside smoltcp 0.14"),
        "Mbit/s",
        &pairs,
        Some(target),
        "virtual time, CUBIC, the same losses",
    );
    let note = format!("of {:.2} Mbit/s: Mathis, or the link", possible(rtt, loss));
    alone(&format!("{name}: of what is possible"), "share", shares, Some(0.8), false, &note);
    // A short transfer is as much slow start as it is this.
    if mebi == 100 {
        let ideal = ideal::segments_a_second(rtt.as_secs_f64(), loss) * MSS * 8.0 / 1e6;
        let peer = spread(pairs.iter().map(|pair| pair.1).collect()).1;
        let note = format!("of {ideal:.2} Mbit/s, which is {:.2} times smoltcp", ideal / peer);
        let shares = pairs.iter().map(|pair| pair.0 / ideal).collect();
        alone(
            &format!("{name}: of an RFC 9438 sender that loses no time"),
            "share",
            shares,
            None,
            false,
            &note,
        );
    }
}
