//! The network: nodes, links, and time that moves from one happening to the next.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rules::Instant;

use crate::link::Wire;
use crate::log::destination;
use crate::{Cause, Fate, Link, Log, Moment, Node, NodeId, Packet, PacketId, Why};

/// What ends a run that would not end.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Packets in all.
    pub packets: usize,
    /// Packets and timers at one instant: an exchange over links without delay never leaves it.
    pub at_one_instant: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { packets: 1_000_000, at_one_instant: 10_000 }
    }
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Nothing is in flight and no timer is set.
    Quiet,
    /// The time is over.
    Deadline,
    /// [`Bounds::packets`] was reached.
    Packets,
    /// [`Bounds::at_one_instant`] was reached: time does not move on.
    Stuck,
}

type Action<N> = Box<dyn FnOnce(&mut N, Instant)>;

enum Happening<N: Node + ?Sized> {
    Arrival(PacketId),
    Action(NodeId, Action<N>),
}

struct Attached<N: ?Sized> {
    node: Box<N>,
    addresses: Vec<Ipv4Addr>,
    state: &'static str,
}

/// A network of nodes of one kind; `dyn Node` and [`dyn Host`](crate::Host) are kinds too.
pub struct Network<N: Node + ?Sized> {
    now: Instant,
    nodes: Vec<Attached<N>>,
    wires: BTreeMap<(NodeId, NodeId), Wire>,
    /// What comes, by time and by order of its making: nothing depends on chance but what the seed says.
    queue: BTreeMap<(Instant, u64), Happening<N>>,
    made: u64,
    rng: ChaCha8Rng,
    log: Log,
    /// Packets that wait for [`deliver`](Self::deliver) or [`lose`](Self::lose), if they are held.
    held: Option<Vec<PacketId>>,
    bounds: Bounds,
    at_this_instant: usize,
    over: Option<Ended>,
    buffer: Vec<u8>,
}

impl<N: Node + ?Sized> Network<N> {
    /// An empty network, at time zero.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            nodes: Vec::new(),
            wires: BTreeMap::new(),
            queue: BTreeMap::new(),
            made: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
            log: Log::default(),
            held: None,
            bounds: Bounds::default(),
            at_this_instant: 0,
            over: None,
            buffer: vec![0; 65_535],
        }
    }

    /// Other bounds.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Adds a node, which gets what is sent to `addresses`.
    pub fn attach(&mut self, name: &str, node: Box<N>, addresses: &[Ipv4Addr]) -> NodeId {
        let state = node.state();
        self.nodes.push(Attached { node, addresses: addresses.to_vec(), state });
        self.log.names.push(name.to_owned());
        let id = NodeId(self.nodes.len() - 1);
        if !state.is_empty() {
            self.log.push(self.now, Moment::State(id, state, Cause::Application));
        }
        id
    }

    /// Gives a node another name in drawings.
    pub fn rename(&mut self, id: NodeId, name: &str) {
        if let Some(slot) = self.log.names.get_mut(id.0) {
            name.clone_into(slot);
        }
    }

    /// Sets what happens to packets from `from` to `to`. A pair without a link has the default one.
    pub fn link(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.wires.insert((from, to), Wire::new(link));
    }

    /// Sets both directions.
    pub fn link_both(&mut self, a: NodeId, b: NodeId, link: &Link) {
        self.link(a, b, link.clone());
        self.link(b, a, link.clone());
    }

    /// Now.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// What happened so far.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// The log, at the end.
    pub fn into_log(self) -> Log {
        self.log
    }

    /// The node.
    ///
    /// # Panics
    /// If `id` is of another network.
    pub fn node(&self, id: NodeId) -> &N {
        &self.nodes[id.0].node
    }

    /// What is drawn and counted begins here; what was before stays in [`Log::packets`].
    pub fn begin_log(&mut self) {
        self.log.begin = (self.log.entries.len(), self.log.packets.len());
        for id in 0..self.nodes.len() {
            let state = self.nodes[id].state;
            self.log.push(self.now, Moment::State(NodeId(id), state, Cause::Application));
        }
    }

    /// Says something in the log.
    pub fn note(&mut self, id: NodeId, text: impl Into<String>) {
        self.log.push(self.now, Moment::Note(id, text.into()));
    }

    /// Lets the application of a node do something, now; what the node wants to send is sent.
    pub fn act<R>(&mut self, id: NodeId, act: impl FnOnce(&mut N, Instant) -> R) -> R {
        let result = self.touch(id, act);
        self.flush(id, Cause::Application);
        result
    }

    /// The same, but what the node wants to send waits until it acts again.
    pub fn touch<R>(&mut self, id: NodeId, act: impl FnOnce(&mut N, Instant) -> R) -> R {
        let now = self.now;
        let result = act(&mut self.nodes[id.0].node, now);
        self.note_state(id, Cause::Application);
        result
    }

    /// Lets the application of a node do something later.
    pub fn at(&mut self, time: Instant, id: NodeId, act: impl FnOnce(&mut N, Instant) + 'static) {
        self.enqueue(time, Happening::Action(id, Box::new(act)));
    }

    /// Puts a packet on the way that no node sent: from outside.
    pub fn inject(&mut self, from: NodeId, octets: &[u8]) {
        self.dispatch(from, octets, Cause::Application);
    }

    /// Runs until `time`, or until nothing is to come.
    pub fn run_until(&mut self, time: Instant) -> Ended {
        loop {
            if let Some(over) = self.over {
                return over;
            }
            let Some((at, timer)) = self.next() else {
                return Ended::Quiet;
            };
            if at > time {
                self.advance(time);
                return Ended::Deadline;
            }
            self.advance(at);
            match timer {
                Some(id) => self.fire(id),
                None => self.happen(),
            }
        }
    }

    /// Runs for `duration`.
    pub fn run_for(&mut self, duration: Duration) -> Ended {
        self.run_until(self.now + duration)
    }

    /// Runs until nothing is in flight, for a virtual minute at most.
    pub fn settle(&mut self) {
        let end = self.now + Duration::from_secs(60);
        while let Some((&(at, _), _)) = self.queue.first_key_value() {
            if at > end || matches!(self.run_until(at), Ended::Packets | Ended::Stuck) {
                return;
            }
        }
    }

    /// When the next thing happens, and whose timer it is if it is one. Arrivals come before timers.
    fn next(&mut self) -> Option<(Instant, Option<NodeId>)> {
        let queued = self.queue.keys().next().map(|&(at, _)| (at, None));
        let timer = self.next_timer().map(|(at, id)| (at, Some(id)));
        match (queued, timer) {
            (Some(queued), Some(timer)) => Some(if timer.0 < queued.0 { timer } else { queued }),
            (queued, timer) => queued.or(timer),
        }
    }

    /// The earliest timer of all nodes.
    pub fn next_timer(&mut self) -> Option<(Instant, NodeId)> {
        let now = self.now;
        let timers = self.nodes.iter_mut().enumerate();
        timers.filter_map(|(id, it)| Some((it.node.poll_timeout(now)?.max(now), NodeId(id)))).min()
    }

    fn advance(&mut self, to: Instant) {
        if to > self.now {
            self.now = to;
            self.at_this_instant = 0;
        }
    }

    /// Counts what happens at one instant; the run is over when that does not end.
    fn count(&mut self) {
        self.at_this_instant += 1;
        if self.at_this_instant > self.bounds.at_one_instant {
            self.over.get_or_insert(Ended::Stuck);
        }
    }

    fn fire(&mut self, id: NodeId) {
        self.count();
        self.nodes[id.0].node.handle_timeout(self.now);
        self.note_state(id, Cause::Timer);
        self.flush(id, Cause::Timer);
    }

    fn happen(&mut self) {
        match self.queue.pop_first() {
            Some((_, Happening::Arrival(packet))) => self.arrive(packet),
            Some((_, Happening::Action(id, act))) => self.act(id, act),
            None => {}
        }
    }

    fn arrive(&mut self, id: PacketId) {
        let packet = &mut self.log.packets[id.0];
        let Some(to) = packet.to else { return };
        packet.fate = Fate::Arrived(self.now);
        self.nodes[to.0].node.handle_packet(&packet.octets, self.now);
        self.log.push(self.now, Moment::Arrived(id));
        self.note_state(to, Cause::Packet(id));
        self.flush(to, Cause::Packet(id));
    }

    fn note_state(&mut self, id: NodeId, cause: Cause) {
        let attached = &mut self.nodes[id.0];
        let state = attached.node.state();
        if state != attached.state {
            attached.state = state;
            self.log.push(self.now, Moment::State(id, state, cause));
        }
    }

    /// Sends everything that a node has to send.
    fn flush(&mut self, id: NodeId, cause: Cause) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while self.over.is_none() {
            let Some(len) = self.nodes[id.0].node.poll_transmit(&mut buffer, self.now) else { break };
            self.note_state(id, cause);
            self.dispatch(id, &buffer[..len.min(buffer.len())], cause);
        }
        self.buffer = buffer;
        self.note_state(id, cause);
    }

    /// A packet leaves its sender.
    fn dispatch(&mut self, from: NodeId, octets: &[u8], cause: Cause) {
        self.count();
        if self.log.packets.len() >= self.bounds.packets {
            self.over.get_or_insert(Ended::Packets);
        }
        if self.over.is_some() {
            return;
        }
        let to = destination(octets).and_then(|address| self.owner(address));
        let packet = self.record(from, to, octets, cause, None);
        self.log.push(self.now, Moment::Sent(packet));
        match (to, &mut self.held) {
            (None, _) => self.lost(packet, Why::NoRoute),
            (Some(_), Some(held)) => held.push(packet),
            (Some(to), None) => self.transmit(packet, from, to, octets, cause),
        }
    }

    fn transmit(&mut self, packet: PacketId, from: NodeId, to: NodeId, octets: &[u8], cause: Cause) {
        let wire = self.wires.entry((from, to)).or_insert_with(|| Wire::new(Link::default()));
        let verdict = wire.carry(octets.len(), self.now, &mut self.rng);
        if let Some(why) = verdict.lost {
            return self.lost(packet, why);
        }
        if let Some(bit) = verdict.flipped {
            let packet = &mut self.log.packets[packet.0];
            packet.corrupted = true;
            if let Some(octet) = packet.octets.get_mut(bit / 8) {
                *octet ^= 1 << (bit % 8);
            }
        }
        for (copy, at) in verdict.arrivals.into_iter().enumerate() {
            let id = if copy == 0 {
                packet
            } else {
                let octets = self.log.packets[packet.0].octets.clone();
                let id = self.record(from, Some(to), &octets, cause, Some(packet));
                self.log.push(self.now, Moment::Sent(id));
                id
            };
            self.enqueue(at, Happening::Arrival(id));
        }
    }

    fn record(
        &mut self,
        from: NodeId,
        to: Option<NodeId>,
        octets: &[u8],
        cause: Cause,
        copy_of: Option<PacketId>,
    ) -> PacketId {
        let (sent, fate, corrupted) = (self.now, Fate::InFlight, false);
        self.log.packets.push(Packet {
            from,
            to,
            sent,
            cause,
            fate,
            copy_of,
            corrupted,
            octets: octets.into(),
        });
        PacketId(self.log.packets.len() - 1)
    }

    fn lost(&mut self, id: PacketId, why: Why) {
        self.log.packets[id.0].fate = Fate::Lost(why);
        self.log.push(self.now, Moment::Lost(id));
    }

    fn owner(&self, address: Ipv4Addr) -> Option<NodeId> {
        self.nodes.iter().position(|it| it.addresses.contains(&address)).map(NodeId)
    }

    fn enqueue(&mut self, at: Instant, happening: Happening<N>) {
        self.made += 1;
        self.queue.insert((at.max(self.now), self.made), happening);
    }
}

/// Going by hand: what is sent waits until somebody says what becomes of it.
impl<N: Node + ?Sized> Network<N> {
    /// From now on packets wait.
    pub fn hold(&mut self) {
        self.held.get_or_insert_with(Vec::new);
    }

    /// From now on packets travel by themselves; those that wait go on their way.
    pub fn release(&mut self) {
        for id in self.held.take().unwrap_or_default() {
            let packet = &self.log.packets[id.0];
            let (from, cause, octets) = (packet.from, packet.cause, packet.octets.clone());
            if let Some(to) = packet.to {
                self.transmit(id, from, to, &octets, cause);
            }
        }
    }

    /// The packets that wait, in the order of sending.
    pub fn in_flight(&self) -> &[PacketId] {
        self.held.as_deref().unwrap_or_default()
    }

    /// Time passes, and nothing happens in it: no timer goes off.
    pub fn pass(&mut self, duration: Duration) {
        self.advance(self.now + duration);
    }

    /// Packet `id` arrives now, if it waits.
    pub fn deliver(&mut self, id: PacketId) {
        if self.take(id) {
            self.arrive(id);
        }
    }

    /// Packet `id` is lost, if it waits.
    pub fn lose(&mut self, id: PacketId) {
        if self.take(id) {
            self.lost(id, Why::Loss);
        }
    }

    /// The earliest timer goes off; time moves there. False if there is none.
    pub fn fire_next_timer(&mut self) -> bool {
        let Some((at, id)) = self.next_timer() else { return false };
        self.advance(at);
        self.fire(id);
        true
    }

    /// Whether a bound was reached.
    pub const fn over(&self) -> Option<Ended> {
        self.over
    }

    fn take(&mut self, id: PacketId) -> bool {
        let Some(held) = &mut self.held else { return false };
        let Some(place) = held.iter().position(|&it| it == id) else { return false };
        held.remove(place);
        true
    }
}
