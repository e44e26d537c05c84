//! Fragments (B3, RFC 4787 REQ-14): followed by their datagram, translated one by one.
//!
//! The first fragment has the ports, so it decides; the others borrow its translation through
//! (source, destination, protocol, ID). Those that come before it wait, bounded in number for each
//! source, in octets altogether, and in time. Nothing is reassembled. A fragment that overlaps what
//! was seen of its datagram is refused (RFC 1858).

use std::collections::{BTreeMap, VecDeque};

use wire::checksum::Sum;
use wire::{Fragment, Packet as Parsed};

use crate::batch::{Arrival, Decision, Refusal, Route};
use crate::brief::Brief;
use crate::config::Fragments;
use crate::engine::Engine;
use crate::ip_id::write_id;
use crate::output::Output;
use crate::rewrite::Rewrite;
use crate::timer::ticks;
use crate::{Checksum, Offload, Packet, Realm, Reason, Verdict};

/// Gaps that a datagram may have at one time. In order there is none.
const RANGES: usize = 32;

/// Datagrams that one call gives up at most. What is left is due at once.
const EXPIRIES: usize = 1_024;

/// The don't-fragment and more-fragments bits of the field at octet 6.
const MORE_FRAGMENTS: u16 = 0x2000;

/// What makes fragments one datagram (RFC 791 3.2), and the realm that they come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    from_outside: bool,
    hairpin: bool,
    source: u32,
    destination: u32,
    protocol: u8,
    id: u16,
}

/// The datagrams whose fragments are followed.
#[derive(Debug)]
pub(crate) struct Followed {
    config: Fragments,
    timeout: u32,
    datagrams: BTreeMap<Key, Datagram>,
    /// How many of them came from outside and nobody knows for whom, for their first is not seen yet.
    strangers: u32,
    /// Serial numbers and keys by the tick at which they are given up, in that order.
    order: VecDeque<(u32, u64, Key)>,
    serial: u64,
    /// Fragments waiting, by source.
    sources: BTreeMap<u32, u32>,
    octets: usize,
}

/// What all fragments of a datagram have in common on their way out.
#[derive(Clone, Copy, Debug)]
struct Passage {
    route: Route,
    rewrite: Rewrite,
    /// The new Identification.
    id: Option<u16>,
}

#[derive(Debug)]
struct Datagram {
    serial: u64,
    /// What its first fragment was translated to.
    decided: Option<Passage>,
    /// What was seen of its payload: ranges of octets, sorted, none touching another.
    seen: Vec<(u32, u32)>,
    /// Where it ends, once the last fragment was seen.
    end: Option<u32>,
    waiting: Vec<Waiting>,
}

/// A fragment that came before its first.
#[derive(Debug)]
struct Waiting {
    brief: Brief,
    offload: Offload,
    data: Vec<u8>,
}

impl Key {
    fn of(arrival: Arrival, data: &[u8], parsed: &Parsed) -> Self {
        Self {
            from_outside: arrival.realm() == Realm::Outside,
            hairpin: arrival == Arrival::Hairpin,
            source: parsed.source.to_bits(),
            destination: parsed.destination.to_bits(),
            protocol: parsed.protocol,
            id: data.get(4..6).map_or(0, |id| u16::from_be_bytes([id[0], id[1]])),
        }
    }

    /// 1: it comes from outside, from anybody.
    fn is_stranger(&self) -> u32 {
        u32::from(self.from_outside && !self.hairpin)
    }
}

impl Followed {
    /// What following takes at most. Trees, queues and arrays that grow by doubling are half full in the
    /// worst case, and whatever is allocated by itself costs two words more, rounded up to two.
    pub(crate) fn octets(config: &Fragments) -> u64 {
        /// What an allocation costs beyond its octets.
        const EXTRA: usize = 32;
        /// The shortest fragment: a header and one octet.
        const SHORTEST: u64 = 21;
        /// An array of fragments begins with room for so many.
        const FIRST: usize = 4;
        let entry = 2 * size_of::<(Key, Datagram)>()
            + (RANGES * size_of::<(u32, u32)>() + EXTRA)
            + (FIRST * size_of::<Waiting>() + EXTRA);
        // The order holds two places for each datagram before it is compacted.
        let places = 2 * 2 * size_of::<(u32, u64, Key)>();
        let fragment = 2 * size_of::<Waiting>() + EXTRA + 2 * size_of::<(u32, u32)>();
        let octets = u64::from(config.waiting_octets);
        u64::from(config.datagrams) * (entry + places) as u64 + octets + octets / SHORTEST * fragment as u64
    }

    pub(crate) fn new(config: Fragments) -> Self {
        Self {
            timeout: ticks(config.timeout),
            config,
            datagrams: BTreeMap::new(),
            strangers: 0,
            order: VecDeque::new(),
            serial: 0,
            sources: BTreeMap::new(),
            octets: 0,
        }
    }

    /// When the next datagram is given up.
    pub(crate) fn next_tick(&self) -> Option<u32> {
        self.order.front().map(|&(tick, ..)| tick)
    }

    /// Gives up what is due at `tick`; what still waited is counted as dropped.
    pub(crate) fn expire(&mut self, tick: u32, output: &mut Output) {
        for _ in 0..EXPIRIES {
            let Some(&(due, serial, key)) = self.order.front() else { return };
            if due > tick {
                return;
            }
            self.order.pop_front();
            if self.datagrams.get(&key).is_some_and(|datagram| datagram.serial == serial) {
                for _ in self.forget(key) {
                    output.drop(Reason::FragmentTimeout);
                }
            }
        }
    }

    /// Follows a datagram no longer; the answer is what still waited.
    fn forget(&mut self, key: Key) -> Vec<Waiting> {
        let Some(mut datagram) = self.datagrams.remove(&key) else { return Vec::new() };
        if datagram.decided.is_none() {
            self.strangers -= key.is_stranger();
        }
        // The front of the order is what the engine is woken for: it must be somebody who lives.
        while let Some((_, serial, key)) = self.order.front()
            && self.datagrams.get(key).is_none_or(|datagram| datagram.serial != *serial)
        {
            self.order.pop_front();
        }
        self.take_waiting(key, &mut datagram)
    }

    fn take_waiting(&mut self, key: Key, datagram: &mut Datagram) -> Vec<Waiting> {
        let waiting = core::mem::take(&mut datagram.waiting);
        self.octets -= waiting.iter().map(|fragment| fragment.data.len()).sum::<usize>();
        if let Some(count) = self.sources.get_mut(&key.source) {
            *count -= waiting.len() as u32;
            if *count == 0 {
                self.sources.remove(&key.source);
            }
        }
        waiting
    }

    /// Whether a fragment of `first..last` octets may join its datagram.
    fn check(&self, key: &Key, (first, last, is_last): (u32, u32, bool)) -> Result<(), Reason> {
        let Some(datagram) = self.datagrams.get(key) else {
            // Later fragments cost a stranger nothing. Half of the places is for those who have shown that
            // they are let through, and for the inside.
            let strangers =
                first > 0 && key.is_stranger() > 0 && self.strangers >= self.config.datagrams.div_ceil(2);
            let full = self.datagrams.len() >= self.config.datagrams as usize;
            return if full || strangers { Err(Reason::FragmentDatagrams) } else { Ok(()) };
        };
        if datagram.seen.iter().any(|&(from, to)| first < to && from < last)
            || datagram.end.is_some_and(|end| last > end || is_last && last < end)
            || is_last && datagram.seen.last().is_some_and(|&(_, to)| to > last)
        {
            return Err(Reason::FragmentOverlap);
        }
        if datagram.seen.len() >= RANGES { Err(Reason::FragmentDatagrams) } else { Ok(()) }
    }

    /// Whether one more of `octets` may wait.
    fn check_waiting(&self, source: u32, octets: usize) -> Result<(), Reason> {
        if self.sources.get(&source).copied().unwrap_or(0) >= self.config.waiting_per_source {
            return Err(Reason::FragmentSource);
        }
        if self.octets + octets > self.config.waiting_octets as usize {
            return Err(Reason::FragmentOctets);
        }
        Ok(())
    }

    /// The datagram of `key`, followed from now on if it was not.
    fn follow(&mut self, key: Key, tick: u32) -> &mut Datagram {
        if !self.datagrams.contains_key(&key) {
            self.serial += 1;
            self.order.push_back((tick.saturating_add(self.timeout).saturating_add(1), self.serial, key));
            self.compact();
        }
        let (serial, strangers) = (self.serial, &mut self.strangers);
        self.datagrams.entry(key).or_insert_with(|| {
            *strangers += key.is_stranger();
            Datagram { serial, decided: None, seen: Vec::new(), end: None, waiting: Vec::new() }
        })
    }

    /// The first fragment of `key` has said where the others go.
    fn decide(&mut self, key: Key, passage: Passage, tick: u32) {
        let before = self.follow(key, tick).decided.replace(passage);
        if before.is_none() {
            self.strangers -= key.is_stranger();
        }
    }

    /// Datagrams that were complete leave their place in the order behind; before those outnumber
    /// the limit, they are cleared away.
    fn compact(&mut self) {
        if self.order.len() > 2 * self.config.datagrams as usize {
            let datagrams = &self.datagrams;
            let last = self.serial;
            self.order.retain(|(_, serial, key)| {
                *serial == last || datagrams.get(key).is_some_and(|datagram| datagram.serial == *serial)
            });
        }
    }
}

impl Datagram {
    /// Octets `first..last` were seen; `true`: that was all of it.
    fn see(&mut self, first: u32, last: u32, is_last: bool) -> bool {
        let at = self.seen.partition_point(|&(from, _)| from < first);
        self.seen.insert(at, (first, last));
        if self.seen.get(at + 1).is_some_and(|&(from, _)| from == last) {
            self.seen[at].1 = self.seen.remove(at + 1).1;
        }
        if at > 0 && self.seen[at - 1].1 == first {
            self.seen[at - 1].1 = self.seen.remove(at).1;
        }
        if is_last {
            self.end = Some(last);
        }
        self.end.is_some_and(|end| self.seen.first() == Some(&(0, end)))
    }
}

impl Engine {
    /// A fragment.
    pub(crate) fn handle_fragment(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        parsed: &Parsed,
    ) -> Result<Verdict, Refusal> {
        if matches!(parsed.fragment, Fragment::Later { .. }) {
            // Nobody who could never pass may take up room of those who wait.
            self.check_later_addresses(arrival, parsed)?;
        }
        let key = Key::of(arrival, packet.data, parsed);
        let (first, last, is_last) = extent(parsed);
        self.fragments.check(&key, (first, last, is_last))?;
        let mut brief = Brief::new(parsed, packet.data, arrival.realm(), packet.offload.checksum);
        match parsed.fragment {
            Fragment::Later { .. } => {
                match self.fragments.datagrams.get(&key).and_then(|datagram| datagram.decided) {
                    Some(Passage { route, rewrite, id }) => {
                        let fit = self.fit(arrival, packet, &brief, realm_of(route))?;
                        self.see(key, first, last, is_last);
                        write_new_id(packet.data, id);
                        self.carry_out(packet, arrival, &brief, &Decision { route, rewrite, fit })
                    }
                    None => self.pen(key, packet, brief, (first, last, is_last)),
                }
            }
            Fragment::First | Fragment::Whole => {
                brief.hash = self.key.flow(brief.flow);
                let decision = self.decide(arrival, packet, &brief)?;
                let id = self.fragment_id(arrival.realm(), &brief, &decision, parsed.protocol);
                let passage = Passage { route: decision.route, rewrite: decision.rewrite, id };
                self.fragments.decide(key, passage, self.tick);
                write_new_id(packet.data, id);
                let verdict = self.carry_out(packet, arrival, &brief, &decision)?;
                self.release(key, arrival, decision, id);
                self.see(key, first, last, is_last);
                Ok(verdict)
            }
        }
    }

    fn see(&mut self, key: Key, first: u32, last: u32, is_last: bool) {
        let tick = self.tick;
        if self.fragments.follow(key, tick).see(first, last, is_last) {
            // Complete: nothing more will come, and its ID may come again.
            self.fragments.forget(key);
        }
    }

    /// Keeps a fragment that came before its first.
    fn pen(
        &mut self,
        key: Key,
        packet: &Packet<'_>,
        brief: Brief,
        (first, last, is_last): (u32, u32, bool),
    ) -> Result<Verdict, Refusal> {
        let len = usize::from(brief.total_len);
        self.fragments.check_waiting(key.source, len)?;
        let waiting = Waiting { brief, offload: packet.offload, data: packet.data[..len].to_vec() };
        let datagram = self.fragments.follow(key, self.tick);
        datagram.see(first, last, is_last);
        datagram.waiting.push(waiting);
        self.fragments.octets += len;
        *self.fragments.sources.entry(key.source).or_insert(0) += 1;
        Ok(Verdict::Held)
    }

    /// The first fragment has come: those that waited go out behind it.
    fn release(&mut self, key: Key, arrival: Arrival, decision: Decision, id: Option<u16>) {
        let Some(mut datagram) = self.fragments.datagrams.remove(&key) else { return };
        let waiting = self.fragments.take_waiting(key, &mut datagram);
        self.fragments.datagrams.insert(key, datagram);
        for mut fragment in waiting {
            let mut packet =
                Packet { data: &mut fragment.data, from: arrival.realm(), offload: fragment.offload };
            let outcome =
                self.fit(arrival, &packet, &fragment.brief, realm_of(decision.route)).and_then(|fit| {
                    write_new_id(packet.data, id);
                    self.carry_out(&mut packet, arrival, &fragment.brief, &Decision { fit, ..decision })
                });
            match outcome {
                Ok(verdict) => {
                    self.count(arrival, verdict);
                    if verdict != Verdict::Held {
                        self.output.send(decision.route, fragment.offload, fragment.data);
                    }
                }
                Err(refusal) => {
                    self.refuse(&packet, arrival, refusal);
                }
            }
        }
    }

    /// Cuts a translated packet into fragments of `mtu` octets at most and sends them (RFC 791 3.2).
    pub(crate) fn split(
        &mut self,
        packet: &Packet<'_>,
        arrival: Arrival,
        brief: &Brief,
        route: Route,
        mtu: u16,
    ) -> Result<Verdict, Refusal> {
        self.count(arrival, verdict_of(route));
        let header_len = usize::from(brief.header_len);
        let (header, payload) = packet.data[..usize::from(brief.total_len)].split_at(header_len);
        let completed = completed(packet, brief, payload);
        let payload = completed.as_deref().unwrap_or(payload);
        let later = later_header(header);
        let piece = (usize::from(mtu).saturating_sub(header_len) / 8 * 8).max(8);
        let field = u16::from_be_bytes([header[6], header[7]]);
        let pieces = payload.len().div_ceil(piece);
        for (n, octets) in payload.chunks(piece).enumerate() {
            let offset = (field & 0x1fff) + (n * piece / 8) as u16;
            // Whatever is cut off has more behind it; the rest has what the whole had.
            let more = if n + 1 < pieces { MORE_FRAGMENTS } else { field & MORE_FRAGMENTS };
            let header = if n == 0 { header } else { &later };
            let mut data = Vec::with_capacity(header.len() + octets.len());
            data.extend(header);
            data.extend(octets);
            data[2..4].copy_from_slice(&((header.len() + octets.len()) as u16).to_be_bytes());
            data[6..8].copy_from_slice(&(offset | more).to_be_bytes());
            data[10..12].fill(0);
            let checksum = Sum::of(&data[..header.len()]).checksum();
            data[10..12].copy_from_slice(&checksum.to_be_bytes());
            self.output.send(route, Offload::default(), data);
        }
        Ok(Verdict::Held)
    }
}

fn write_new_id(data: &mut [u8], id: Option<u16>) {
    if let Some(id) = id {
        write_id(data, id);
    }
}

/// The payload of a packet with its transport checksum completed, if that was partial: whoever sends
/// the pieces sees none of them whole.
fn completed(packet: &Packet<'_>, brief: &Brief, payload: &[u8]) -> Option<Vec<u8>> {
    let at = usize::from(brief.checksum_at);
    let has_partial =
        packet.offload.checksum == Checksum::Partial && (brief.has_ports && at + 2 <= payload.len());
    has_partial.then(|| {
        // The field holds the pseudo-header's sum, so it takes part in the sum of the rest.
        let sum = Sum::of(payload);
        let checksum = if brief.is_udp { sum.checksum_udp() } else { sum.checksum() };
        let mut payload = payload.to_vec();
        payload[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        payload
    })
}

/// The header of all fragments but the first: without the options that are not to be copied (RFC 791 3.1).
fn later_header(header: &[u8]) -> Vec<u8> {
    let (fixed, mut options) = header.split_at(header.len().min(20));
    let mut later = fixed.to_vec();
    while let [kind, length, ..] = options {
        let len = match kind {
            0 => break,
            1 => 1,
            _ => usize::from(*length).clamp(2, options.len()),
        };
        if kind & 0x80 != 0 {
            later.extend(&options[..len]);
        }
        options = &options[len..];
    }
    later.resize(later.len().next_multiple_of(4), 0);
    later[0] = 0x40 | (later.len() / 4) as u8;
    later
}

/// The octets of its datagram that a fragment holds, and whether it is the last.
fn extent(parsed: &Parsed) -> (u32, u32, bool) {
    let len = u32::from(parsed.total_len) - u32::from(parsed.header_len);
    match parsed.fragment {
        Fragment::Whole => (0, len, true),
        Fragment::First => (0, len, false),
        Fragment::Later { offset, last } => (u32::from(offset), u32::from(offset) + len, last),
    }
}

/// What the sender of a packet is told of its route.
pub(crate) const fn verdict_of(route: Route) -> Verdict {
    match route {
        Route::To(realm) => Verdict::Forward(realm),
        Route::Shard(shard) => Verdict::Hairpin { shard },
    }
}

/// The realm that a route leads to.
fn realm_of(route: Route) -> Realm {
    match route {
        Route::To(realm) => realm,
        Route::Shard(_) => Realm::Inside,
    }
}
