//! The model at the edges: SYNs that nobody waits for, destinations that are not translated, new
//! Identifications, single ports' timers.

use std::net::Ipv4Addr;
use std::time::Duration;

use hairpin_nat::event::OpenedFrom;
use hairpin_nat::{Endpoint, Offload, Protocol, Realm, Reason, Verdict};
use wire::tcp::Flags;
use wire::{Fragment, Packet as Parsed, Transport};

use crate::nat::{Arrival, Model, Refusal, Route, Sent, Session, headers, is_martian};
use crate::octets::{self, fill_ip_checksum, get16, put16};

/// A SYN that is to be answered.
#[derive(Debug)]
pub(crate) struct Syn {
    pub(crate) due: u64,
    remote: Endpoint,
    external: Endpoint,
    data: Vec<u8>,
    /// The subscriber has opened the connection itself: silence.
    forgiven: bool,
}

/// An Identification in use: source, destination and protocol, the number, and since when.
pub(crate) type UsedId = (Ipv4Addr, Ipv4Addr, u8, u16, u64);

impl Model {
    /// RFC 5382 REQ-4: remembered once, answered after six seconds.
    pub(crate) fn note_syn(&mut self, parsed: &Parsed, data: &[u8], remote: Endpoint, external: Endpoint) {
        let Transport::Tcp { flags, .. } = parsed.transport else { return };
        // One that is forgiven keeps its place until those before it are through.
        while self.syns.first().is_some_and(|syn| syn.forgiven) {
            self.syns.remove(0);
        }
        let known =
            self.syns.iter().any(|syn| !syn.forgiven && (syn.remote, syn.external) == (remote, external));
        let full = self.syns.len() >= self.config.unsolicited_syns.unwrap_or(0) as usize;
        let silent = !self.config.icmp_errors_to[Realm::Outside as usize];
        if !flags.contains(Flags::SYN) || known || full || silent || parsed.fragment != Fragment::Whole {
            return;
        }
        let data = data[..usize::from(parsed.total_len).min(120)].to_vec();
        self.syns.push(Syn { due: self.tick + 61, remote, external, data, forgiven: false });
    }

    /// Somebody has opened it.
    pub(crate) fn forgive_syn(&mut self, protocol: Protocol, remote: Endpoint, external: Endpoint) {
        for syn in &mut self.syns {
            syn.forgiven |= protocol == Protocol::Tcp && (syn.remote, syn.external) == (remote, external);
        }
    }

    /// Answers what is due.
    pub(crate) fn answer_syns(&mut self) {
        while self.syns.first().is_some_and(|syn| syn.forgiven || syn.due <= self.tick) {
            let syn = self.syns.remove(0);
            if syn.forgiven || is_martian(syn.remote.address) {
                continue;
            }
            if self.may_send_error() {
                let error = octets::error(self.config.gateway.outside, &syn.data, 3, 3, 0);
                let (route, offload) = (Route::To(Realm::Outside), Offload::default());
                self.sent.push(Sent { route, offload, data: error });
                self.counters.icmp_errors_sent += 1;
            } else {
                self.counters.icmp_errors_limited += 1;
            }
        }
    }

    pub(crate) fn next_answer(&self) -> Option<u64> {
        self.syns.iter().filter(|syn| !syn.forgiven).map(|syn| syn.due).min()
    }

    /// RFC 4787 REQ-5a: a UDP session that its subscriber opened to a port with a time of its own.
    pub(crate) fn udp_timeout(&self, session: &Session) -> Duration {
        let own = self.config.udp.port_timeouts.iter().find(|&&(port, _)| port == session.id.remote.port);
        match own {
            Some(&(_, timeout)) if session.id.opened_from == OpenedFrom::Inside => timeout,
            _ => self.config.udp.timeout,
        }
    }

    fn is_bypass(&self, address: Ipv4Addr) -> bool {
        self.config.bypass.iter().any(|net| net.contains(&address))
    }

    fn is_inside(&self, address: Ipv4Addr) -> bool {
        self.config.inside.iter().any(|net| net.contains(&address))
    }

    /// RFC 6888 REQ-6: where an untranslated packet goes; `None`: it is one that is translated.
    pub(crate) fn bypass(&self, parsed: &Parsed, from: Arrival) -> Result<Option<Realm>, Refusal> {
        let (source, destination) = (parsed.source, parsed.destination);
        if let Transport::IcmpError { quote } = parsed.transport {
            // About a packet that was not translated, and to its sender.
            let fits = match from {
                Arrival::Inside => self.is_bypass(quote.source) && self.is_inside(quote.destination),
                Arrival::Outside => self.is_inside(quote.source) && self.is_bypass(quote.destination),
                Arrival::Shard => false,
            };
            if !fits || destination != quote.source {
                return Ok(None);
            }
            return if is_martian(source) {
                Err(Reason::Martian.into())
            } else if from == Arrival::Inside && !self.is_inside(source) {
                Err(Reason::SourceNotInside.into())
            } else if self.is_spoofed(source, from) {
                Err(Reason::SpoofedInside.into())
            } else {
                Ok(Some(if from == Arrival::Inside { Realm::Outside } else { Realm::Inside }))
            };
        }
        match from {
            Arrival::Inside if self.is_bypass(destination) => Ok(Some(Realm::Outside)),
            Arrival::Outside if self.is_bypass(source) && self.is_inside(destination) => {
                Ok(Some(Realm::Inside))
            }
            Arrival::Outside if self.is_bypass(source) => Err(Reason::BypassSource.into()),
            _ => Ok(None),
        }
    }

    /// One hop less, nothing else.
    pub(crate) fn pass_untranslated(
        &mut self,
        data: &mut Vec<u8>,
        offload: &mut Offload,
        parsed: &Parsed,
        from: Arrival,
        to: Realm,
    ) -> Result<Verdict, Refusal> {
        let cut = self.fit(parsed, *offload, from, to)?;
        self.scrub(data, *offload, parsed, from);
        *data = octets::untranslated(data);
        Ok(self.emit(data, offload, parsed, from, Route::To(to), cut))
    }

    /// The Identification that the engine has given the packet under way: where that went through, or
    /// in the packet that it transmits next.
    pub(crate) fn told_id(&self) -> Option<u16> {
        self.forwarded_id.or_else(|| self.transmitted.get(self.sent.len()).map(|sent| get16(&sent.data, 4)))
    }

    /// RFC 6864 5.3.1: a datagram that was just translated, if it is not atomic, has a new Identification
    /// that none like it has had for two minutes.
    pub(crate) fn identify(&mut self, data: &mut [u8], parsed: &Parsed, offload: Offload, from: Arrival) {
        if from != Arrival::Inside || !self.config.rewrite_ip_id {
            return;
        }
        if parsed.dont_fragment && parsed.fragment == Fragment::Whole {
            return;
        }
        let Some(id) = self.told_id() else { return };
        let segments = match u32::from(offload.gso_size) {
            0 => 1,
            size => (u32::from(parsed.total_len) - headers(parsed)).div_ceil(size),
        };
        let address = |at: usize| Ipv4Addr::from([0, 1, 2, 3].map(|n| data[at + n]));
        let (source, destination) = (address(12), address(16));
        self.used_ids.retain(|used| used.4 + 1_200 >= self.tick);
        for n in 0..segments as u16 {
            let id = id.wrapping_add(n);
            let used = (source, destination, data[9], id);
            if self.used_ids.iter().any(|&(a, b, c, d, _)| (a, b, c, d) == used) {
                self.fault.get_or_insert(format!("identification {id} twice in two minutes: {used:?}"));
            }
            self.used_ids.push((source, destination, data[9], id, self.tick));
        }
        set_id(data, id);
    }

    /// How long a datagram from outside may be followed without its first: half of the places.
    pub(crate) fn may_follow_stranger(&self, from: Arrival, first: u32, strangers: usize) -> bool {
        from != Arrival::Outside
            || first == 0
            || strangers < self.config.fragments.datagrams.div_ceil(2) as usize
    }
}

pub(crate) fn set_id(data: &mut [u8], id: u16) {
    put16(data, 4, id);
    fill_ip_checksum(data);
}
