//! A worker: one thread, one shard, its queues of both TUN devices.
//!
//! It takes no lock and allocates nothing for a packet: frames lie in an arena that is used again
//! for each batch, and what others want to know of it is published when it has nothing to do.
//!
//! Before it sleeps it looks again for [`SPIN`], giving way to whoever else wants the processor. Of all
//! that was tried against nftables masquerade on two cores over veth (five rounds of a second, each way
//! interleaved, medians) this alone made a difference beyond the noise: TCP outwards 0.72 to 0.77 of the
//! kernel's figure without it, 0.83 to 0.95 with it; inwards 0.72 to 0.77 and 0.87 to 0.95; 200 us did
//! no better. A virtual processor that halts takes long to wake. Without effect: `IFF_NAPI`, batches of
//! one super-segment or of 100 KB, a TUN queue of 500, no queueing discipline on the TUN devices.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nat::{
    BATCH, Counters, Event, Offload, Packet, Realm, Reason, ScrubEvent, ScrubEventKind, Scrubber, Transmit,
    Verdict,
};
use rules::Instant;

use super::arena::Arena;
use super::handover::{Exchange, Origin};
use tun::vnet::{Header, LENGTH};

/// Where a worker's frames come from and go to. A frame is a [`Header`] and an IPv4 packet.
pub trait Datapath {
    /// Writes the next frame into `frame`; its length, or `None` if there is none now.
    ///
    /// # Errors
    /// The device is gone: the worker cannot go on.
    fn receive(&mut self, from: Realm, frame: &mut [u8]) -> io::Result<Option<usize>>;

    /// Sends a frame.
    ///
    /// # Errors
    /// This frame could not be sent; others may be.
    fn send(&mut self, to: Realm, frame: &[u8]) -> io::Result<()>;

    /// Returns when there is something to receive, when somebody has woken this worker, or when
    /// `timeout` is over (or earlier).
    ///
    /// # Errors
    /// The device is gone: the worker cannot go on.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()>;
}

/// A shard as a worker uses it; [`nat::Engine`] has the same methods.
#[expect(missing_docs, reason = "they are those of nat::Engine")]
pub trait Shard {
    fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], now: Instant);
    fn handle_hairpin(&mut self, packet: &mut Packet<'_>, now: Instant) -> Verdict;
    fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
    fn poll_event(&mut self) -> Option<Event>;
    fn poll_scrub_event(&mut self) -> Option<ScrubEvent>;
    fn rekey(&mut self, seed: [u8; 32]);
    fn counters(&self) -> &Counters;
}

impl Shard for nat::Engine {
    fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], now: Instant) {
        self.handle_batch(packets, verdicts, now);
    }
    fn handle_hairpin(&mut self, packet: &mut Packet<'_>, now: Instant) -> Verdict {
        self.handle_hairpin(packet, now)
    }
    fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        self.poll_transmit(buffer)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }
    fn poll_scrub_event(&mut self) -> Option<ScrubEvent> {
        self.poll_scrub_event()
    }
    fn rekey(&mut self, seed: [u8; 32]) {
        self.rekey(seed);
    }
    fn counters(&self) -> &Counters {
        self.counters()
    }
}

impl Shard for Scrubber {
    fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], now: Instant) {
        self.handle_batch(packets, verdicts, now);
    }
    /// Nobody hands anything over to a scrubber.
    fn handle_hairpin(&mut self, _packet: &mut Packet<'_>, _now: Instant) -> Verdict {
        Verdict::Drop(Reason::WrongShard)
    }
    fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        self.poll_transmit(buffer)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout()
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
    fn poll_event(&mut self) -> Option<Event> {
        None
    }
    fn poll_scrub_event(&mut self) -> Option<ScrubEvent> {
        self.poll_event()
    }
    /// It chooses nothing.
    fn rekey(&mut self, _seed: [u8; 32]) {}
    fn counters(&self) -> &Counters {
        self.counters()
    }
}

/// What a worker has counted beside its engine, since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Frames read from the inside and the outside device.
    pub received: [u64; 2],
    /// Octets of them.
    pub received_octets: [u64; 2],
    /// Frames written to the inside and the outside device.
    pub sent: [u64; 2],
    /// Frames that a device did not take.
    pub send_failed: u64,
    /// Frames copied to the worker that owns their subscriber or external address.
    pub handed_over: u64,
    /// Frames dropped because that worker was too far behind.
    pub hand_over_full: u64,
    /// Batches given to the engine.
    pub batches: u64,
    /// How often there was nothing to do.
    pub waits: u64,
}

/// What a worker shares with the thread that started it.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    published: Mutex<(Counters, Traffic)>,
}

impl Control {
    /// Ends the worker at the next occasion; it must be woken, too.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The latest totals: at most [`PUBLISH`] old.
    pub fn totals(&self) -> (Counters, Traffic) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A busy worker publishes its totals this often; an idle one before it sleeps.
const PUBLISH: Duration = Duration::from_millis(250);

/// How long a worker looks for more before it sleeps.
const SPIN: Duration = Duration::from_micros(30);

/// How often the keys of port selection are replaced (RFC 6056 3.3.3, N16).
const REKEY: Duration = Duration::from_secs(3_600);

/// A worker; [`Worker::run`] is its life.
pub struct Worker<S, D> {
    shard: S,
    datapath: D,
    exchange: Exchange,
    control: Arc<Control>,
    origin: std::time::Instant,
    arena: Arena,
    traffic: Traffic,
    published_at: Instant,
    seed: fn() -> io::Result<[u8; 32]>,
    keyed_at: Instant,
}

impl<S: Shard, D: Datapath> Worker<S, D> {
    /// A worker for `shard`. `origin` is when its clock stands at zero; `seed` makes new keys.
    pub fn new(
        shard: S,
        datapath: D,
        exchange: Exchange,
        control: Arc<Control>,
        origin: std::time::Instant,
        seed: fn() -> io::Result<[u8; 32]>,
    ) -> Self {
        Self {
            shard,
            datapath,
            exchange,
            control,
            origin,
            arena: Arena::new(),
            traffic: Traffic::default(),
            published_at: Instant::ZERO,
            seed,
            keyed_at: Instant::ZERO + origin.elapsed(),
        }
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// A device is gone.
    pub fn run(mut self) -> io::Result<()> {
        let outcome = self.work();
        self.publish();
        outcome
    }

    fn work(&mut self) -> io::Result<()> {
        let mut busy_at = self.now();
        while !self.control.stop.load(Ordering::Relaxed) {
            let busy = self.round()?;
            let now = self.now();
            if busy {
                busy_at = now;
                if now >= self.published_at + PUBLISH {
                    self.publish();
                    self.rekey(now);
                }
                continue;
            }
            if now < busy_at + SPIN {
                std::thread::yield_now();
                continue;
            }
            self.traffic.waits += 1;
            self.publish();
            self.rekey(now);
            let timeout = self.shard.poll_timeout().map(|at| at.since(now));
            self.datapath.wait(timeout)?;
        }
        Ok(())
    }

    /// One batch from each source, then what the engine itself wants. Whether there was anything.
    fn round(&mut self) -> io::Result<bool> {
        let mut busy = false;
        for from in [Realm::Inside, Realm::Outside] {
            self.receive(from)?;
            busy |= self.translate();
        }
        if self.exchange.receive(&mut self.arena) {
            busy |= self.translate();
        }
        let now = self.now();
        if self.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.shard.handle_timeout(now);
            busy = true;
        }
        self.transmit();
        self.exchange.wake();
        Ok(busy)
    }

    /// Reads a batch, and hands over what belongs to others.
    fn receive(&mut self, from: Realm) -> io::Result<()> {
        self.arena.clear();
        while let Some(room) = self.arena.room() {
            let Some(length) = self.datapath.receive(from, room)? else { break };
            self.traffic.received[from as usize] += 1;
            self.traffic.received_octets[from as usize] += length.saturating_sub(LENGTH) as u64;
            let frame = &room[..length];
            match self.exchange.other_owner(from, &frame[LENGTH.min(length)..]) {
                None => self.arena.push(length, Origin::from(from)),
                Some(owner) => self.hand_over(owner, Origin::from(from), length),
            }
        }
        Ok(())
    }

    /// Hands over the frame in the arena's room.
    fn hand_over(&mut self, owner: u16, origin: Origin, length: usize) {
        let Some(room) = self.arena.room() else { return };
        if self.exchange.send(owner, origin, &room[..length]) {
            self.traffic.handed_over += 1;
        } else {
            self.traffic.hand_over_full += 1;
        }
    }

    /// Translates what is in the arena, and sends it. Whether there was anything.
    fn translate(&mut self) -> bool {
        if self.arena.is_empty() {
            return false;
        }
        self.traffic.batches += 1;
        let now = self.now();
        let mut verdicts = [Verdict::Held; BATCH];
        let frames = self.arena.frames_mut();
        let count = translate_frames(&mut self.shard, frames, &mut verdicts, now);
        for (index, verdict) in verdicts[..count].iter().enumerate() {
            match *verdict {
                Verdict::Forward(to) => self.send(to, index),
                Verdict::Hairpin { shard } => self.hairpin(shard, index),
                Verdict::Drop(_) | Verdict::Held => {}
            }
        }
        self.arena.clear();
        self.drain_events();
        true
    }

    fn send(&mut self, to: Realm, index: usize) {
        match self.datapath.send(to, self.arena.frame(index)) {
            Ok(()) => self.traffic.sent[to as usize] += 1,
            Err(error) => self.refused(to, &error),
        }
    }

    /// Hands over a translated frame to the worker of its destination.
    fn hairpin(&mut self, shard: u16, index: usize) {
        let handed = self.exchange.send(shard, Origin::Hairpin, self.arena.frame(index));
        let counter = if handed { &mut self.traffic.handed_over } else { &mut self.traffic.hand_over_full };
        *counter += 1;
    }

    /// Sends what the engine made itself.
    fn transmit(&mut self) {
        // The arena is empty here, so it has room.
        while let Some((mut header, packet)) = self.arena.room().and_then(Header::split) {
            let Some(transmit) = self.shard.poll_transmit(packet) else { break };
            header.describe(&packet[..transmit.len], transmit.offload);
            self.arena.push(LENGTH + transmit.len, Origin::from(transmit.to));
            match transmit.shard {
                Some(shard) => self.hairpin(shard, 0),
                None => self.send(transmit.to, 0),
            }
            self.arena.clear();
        }
        self.drain_events();
    }

    fn refused(&mut self, to: Realm, error: &io::Error) {
        // Said rarely: a device that is down would fill the log.
        if self.traffic.send_failed.is_power_of_two() || self.traffic.send_failed == 0 {
            tracing::warn!("the {to:?} device does not take a packet: {error}");
        }
        self.traffic.send_failed += 1;
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            match event.kind {
                nat::event::EventKind::LimitHit { subscriber, limit } => {
                    tracing::warn!("{subscriber}: limit reached: {limit:?}");
                }
                kind => tracing::debug!("{kind:?}"),
            }
        }
        while let Some(event) = self.shard.poll_scrub_event() {
            match event.kind {
                ScrubEventKind::WarDamped { source, destination, segments } => tracing::warn!(
                    "war damped: {source} and {destination} answered one another {segments} times without progress"
                ),
                // Who has asked for samples wants to see them.
                ScrubEventKind::Changed { findings, before, after } => {
                    let found = findings.iter().map(nat::Finding::name).collect::<Vec<_>>().join(", ");
                    tracing::warn!("scrubbed ({found}): {before:?} became {after:?}");
                }
                ScrubEventKind::Dropped { reason, before } => {
                    tracing::warn!("dropped ({reason}): {before:?}");
                }
            }
        }
    }

    /// Replaces the engine's keys when they are old.
    fn rekey(&mut self, now: Instant) {
        if now < self.keyed_at + REKEY {
            return;
        }
        self.keyed_at = now;
        match (self.seed)() {
            Ok(seed) => self.shard.rekey(seed),
            Err(error) => tracing::warn!("the keys of port selection stay as they are: {error}"),
        }
    }

    fn publish(&mut self) {
        self.published_at = self.now();
        let mut published = self.control.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.0.clone_from(self.shard.counters());
        published.1.clone_from(&self.traffic);
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }
}

/// Runs one batch through the engine, in order; how many verdicts there are.
fn translate_frames<'a, S: Shard>(
    shard: &mut S,
    frames: impl Iterator<Item = (Origin, &'a mut [u8])>,
    verdicts: &mut [Verdict; BATCH],
    now: Instant,
) -> usize {
    // The unused ones cost nothing that matters and spare an allocation or a crate for them.
    let mut packets: [Packet<'_>; BATCH] =
        std::array::from_fn(|_| Packet { data: &mut [], from: Realm::Inside, offload: Offload::default() });
    let mut headers: [Option<Header<'_>>; BATCH] = std::array::from_fn(|_| None);
    let mut count = 0;
    let mut hairpins = 0_u64;
    for (index, (origin, frame)) in frames.enumerate().take(BATCH) {
        // A frame too short for its header stays an empty packet: the engine counts it as malformed.
        if let Some((mut header, packet)) = Header::split(frame) {
            packets[index].offload = header.offload();
            header.set_linear(packet);
            packets[index].data = packet;
            headers[index] = Some(header);
        }
        packets[index].from = origin.realm();
        hairpins |= u64::from(origin == Origin::Hairpin) << index;
        count = index + 1;
    }
    if hairpins == 0 {
        shard.handle_batch(&mut packets[..count], &mut verdicts[..count], now);
    } else {
        for index in 0..count {
            if hairpins >> index & 1 == 1 {
                verdicts[index] = shard.handle_hairpin(&mut packets[index], now);
            } else {
                shard.handle_batch(&mut packets[index..=index], &mut verdicts[index..=index], now);
            }
        }
    }
    for (header, packet) in headers.iter_mut().flatten().zip(&packets) {
        header.set_segment(packet.offload.gso_size);
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use nat::config::Pool;
    use nat::{Config, Engine};
    use wire::checksum::Sum;

    use super::*;

    type Sent = Arc<Mutex<Vec<(Realm, Vec<u8>)>>>;

    /// Frames in memory. A worker that has nothing left to do is told to stop.
    struct Memory {
        arriving: [VecDeque<Vec<u8>>; 2],
        sent: Sent,
        control: Arc<Control>,
    }

    impl Datapath for Memory {
        fn receive(&mut self, from: Realm, frame: &mut [u8]) -> io::Result<Option<usize>> {
            Ok(self.arriving[from as usize].pop_front().map(|octets| {
                frame[..octets.len()].copy_from_slice(&octets);
                octets.len()
            }))
        }

        fn send(&mut self, to: Realm, frame: &[u8]) -> io::Result<()> {
            self.sent.lock().expect("one thread").push((to, frame.to_vec()));
            Ok(())
        }

        fn wait(&mut self, _: Option<Duration>) -> io::Result<()> {
            self.control.stop();
            Ok(())
        }
    }

    /// A datagram without UDP checksum, behind an empty header.
    fn datagram(source: [u8; 4], destination: [u8; 4], port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 32, 0, 1, 0x40, 0, 64, 17, 0, 0];
        packet.extend(source.into_iter().chain(destination));
        let checksum = Sum::of(&packet).checksum();
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(port.to_be_bytes());
        packet.extend([0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
        [vec![0; LENGTH], packet].concat()
    }

    // covers: O7
    #[test]
    fn batches_go_through_in_order_and_short_frames_are_counted() {
        let first = std::net::Ipv4Addr::new(192, 0, 2, 1);
        let pool = Pool::new(vec![first..=first], 1_024..=65_535);
        let config = Config::new(vec!["10.0.0.0/8".parse().expect("a prefix")], vec![pool]);
        let engine = Engine::new(&config, [7; 32], Instant::ZERO).expect("settings that make sense");
        let control = Arc::new(Control::default());
        let sent = Sent::default();
        let mut frames: VecDeque<_> =
            (0..150).map(|n| datagram([10, 0, 0, 1], [198, 51, 100, 1], 2_000 + n)).collect();
        frames.extend([vec![], vec![0; LENGTH - 1], vec![0; LENGTH]]);
        let datapath = Memory {
            arriving: [frames, VecDeque::new()],
            sent: Arc::clone(&sent),
            control: Arc::clone(&control),
        };
        let origin = std::time::Instant::now();
        Worker::new(engine, datapath, Exchange::alone(), Arc::clone(&control), origin, || Ok([1; 32]))
            .run()
            .expect("memory does not go away");
        let sent = sent.lock().expect("one thread");
        assert_eq!(sent.len(), 150);
        for (n, (to, frame)) in (0..).zip(sent.iter()) {
            assert_eq!(*to, Realm::Outside);
            assert_eq!(frame[LENGTH + 12..LENGTH + 16], first.octets());
            assert_eq!(frame[LENGTH + 20..LENGTH + 22], (2_000_u16 + n).to_be_bytes(), "ports are preserved");
            assert_eq!(Sum::of(&frame[LENGTH..LENGTH + 20]).checksum(), 0, "the header's checksum");
        }
        let (counters, traffic) = control.totals();
        assert_eq!(counters.forwarded, [150, 0]);
        assert_eq!(counters.dropped.iter().sum::<u64>(), 3);
        assert_eq!((traffic.received, traffic.sent), ([153, 0], [0, 150]));
    }
}
