//! Inbound SYNs that nobody waits for (B2, RFC 5382 REQ-4).
//!
//! Such a SYN may be one half of a simultaneous open whose other half is still on its way, so it is
//! dropped in silence for six seconds. If the subscriber has sent its own SYN for that very tuple by
//! then, the silence is for good; if not, the sender hears that the port is unreachable. A SYN that
//! comes again does not begin the time anew.

use std::collections::{BTreeMap, VecDeque};

use core::net::Ipv4Addr;
use core::time::Duration;

use rules::address::is_martian;

use crate::batch::{Arrival, Route};
use crate::brief::Brief;
use crate::engine::Engine;
use crate::icmp::{PORT_UNREACHABLE, UNREACHABLE};
use crate::timer::ticks;
use crate::{Endpoint, Offload, Packet, Protocol, Realm};

/// The least silence that RFC 5382 REQ-4 asks for.
const SILENCE: Duration = Duration::from_secs(6);

/// Of a SYN so much is kept to be quoted: the longest IPv4 header and the longest TCP header.
const QUOTED: usize = 120;

/// SYNs that one call answers at most. What is left is due at once.
const ANSWERS: usize = 256;

/// Remote and external endpoint.
type Tuple = (Endpoint, Endpoint);

/// The SYNs that are remembered, the first to be answered first.
#[derive(Debug)]
pub(crate) struct Unsolicited {
    max: usize,
    order: VecDeque<Syn>,
    /// The serial number of the SYN of each tuple that is still to be answered.
    tuples: BTreeMap<Tuple, u64>,
    /// Of the SYN at the front of `order`.
    first: u64,
}

#[derive(Debug)]
struct Syn {
    /// The tick in which it is answered.
    due: u32,
    tuple: Tuple,
    len: u8,
    octets: [u8; QUOTED],
}

impl Unsolicited {
    /// What one takes; a tree is half full in the worst case.
    pub(crate) const OCTETS: u64 = (size_of::<Syn>() + 3 * size_of::<(Tuple, u64)>()) as u64;

    pub(crate) fn new(max: u32) -> Self {
        let order = VecDeque::with_capacity(max as usize);
        Self { max: max as usize, order, tuples: BTreeMap::new(), first: 0 }
    }

    /// When the next one is to be answered.
    pub(crate) fn next_tick(&self) -> Option<u32> {
        self.order.front().map(|syn| syn.due)
    }

    fn remember(&mut self, tuple: Tuple, data: &[u8], tick: u32) {
        if self.order.len() >= self.max || self.tuples.contains_key(&tuple) {
            return;
        }
        let mut octets = [0; QUOTED];
        let len = data.len().min(QUOTED);
        octets[..len].copy_from_slice(&data[..len]);
        self.tuples.insert(tuple, self.first + self.order.len() as u64);
        // It may have come late in its tick, hence the one more: six seconds at least.
        let due = tick.saturating_add(ticks(SILENCE)).saturating_add(1);
        self.order.push_back(Syn { due, tuple, len: len as u8, octets });
    }

    /// Somebody has opened `tuple`: its SYN is never answered.
    fn forgive(&mut self, tuple: &Tuple) {
        if self.tuples.remove(tuple).is_some() {
            self.skip();
        }
    }

    /// The front is what the engine is woken for: it must be one that is still to be answered.
    fn skip(&mut self) {
        while let Some(syn) = self.order.front()
            && self.tuples.get(&syn.tuple) != Some(&self.first)
        {
            self.order.pop_front();
            self.first += 1;
        }
    }

    /// The next SYN that is to be answered at `tick`.
    fn due(&mut self, tick: u32) -> Option<Syn> {
        self.order.front().filter(|syn| syn.due <= tick)?;
        let syn = self.order.pop_front()?;
        self.first += 1;
        self.tuples.remove(&syn.tuple);
        self.skip();
        Some(syn)
    }
}

impl Engine {
    /// A packet from outside was refused, because its external endpoint has no mapping or because of who
    /// sent it. If it is a SYN it is remembered. No other shard's subscriber is kept in suspense: its
    /// SYN was rewritten already, so no quote would be right.
    #[cold]
    pub(crate) fn note_unsolicited(
        &mut self,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
        remote: Endpoint,
        external: Endpoint,
    ) {
        let may_answer = self.config.icmp_errors_to[Realm::Outside as usize] && brief.common;
        if brief.opens_tcp() && may_answer && arrival == Arrival::From(Realm::Outside) {
            let data = &packet.data[..usize::from(brief.total_len).min(packet.data.len())];
            self.unsolicited.remember((remote, external), data, self.tick);
        }
    }

    /// A TCP session begins between these two (RFC 5382 REQ-4: the SYN was one half of a simultaneous
    /// open).
    pub(crate) fn forgive_unsolicited(&mut self, protocol: Protocol, remote: Endpoint, external: Endpoint) {
        if protocol == Protocol::Tcp && !self.unsolicited.tuples.is_empty() {
            self.unsolicited.forgive(&(remote, external));
        }
    }

    /// Tells the senders of SYNs whose time is up.
    pub(crate) fn answer_unsolicited(&mut self) {
        for _ in 0..ANSWERS {
            let Some(syn) = self.unsolicited.due(self.tick) else { return };
            let to: Ipv4Addr = syn.tuple.0.address;
            if !is_martian(to) && self.output.may_send_error(self.now) {
                let quoted = &syn.octets[..usize::from(syn.len)];
                let error = self.error(Realm::Outside, quoted, to, UNREACHABLE, PORT_UNREACHABLE, 0);
                self.output.send(Route::To(Realm::Outside), Offload::default(), error);
            }
        }
    }
}
