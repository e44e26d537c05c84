//! Mappings that live without sessions: those of the configuration, and those that somebody asks for.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use hairpin_nat::config::StaticMapping;
use hairpin_nat::event::{Limit, MappingId};
use hairpin_nat::explicit::{Allocation, Parity, Request, Unallocated};
use hairpin_nat::{Endpoint, Protocol};
use rules::Instant;

use crate::nat::{Model, Refusal, ticks};
use crate::plan::Ask;
use crate::traffic::{PORTS, host};

/// Nanoseconds of a tick.
const TICK: u64 = 100_000_000;

/// Ports of a set: protocol, first internal endpoint, how many.
type Set = (Protocol, Endpoint, u16);

/// A call.
pub(crate) enum Asked {
    Allocate(Request),
    Extend(Set, Duration),
    Deallocate(Set),
}

impl Model {
    /// A plan made into a call.
    pub(crate) fn asked(&self, ask: &Ask) -> Option<Asked> {
        let of = |pick: u8| {
            let count = self.mappings.len();
            (count > 0).then(|| self.mappings[usize::from(pick) % count])
        };
        Some(match *ask {
            Ask::Allocate { protocol, host: from, port, count, suggested, parity, secs, open } => {
                let parity = [Parity::Any, Parity::Even, Parity::Odd, Parity::Preserved][usize::from(parity)];
                // Number 5 is nobody.
                let address = if from == 5 { [203, 0, 113, 5].into() } else { host(from) };
                let internal = Endpoint::new(address, PORTS[usize::from(port)]);
                let lifetime = Duration::from_secs(secs);
                Asked::Allocate(Request { protocol, internal, count, suggested, parity, lifetime, open })
            }
            Ask::Extend { pick, count, secs } => {
                let id = of(pick)?;
                Asked::Extend((id.protocol, id.internal, count), Duration::from_secs(secs))
            }
            Ask::Deallocate { pick, count } => {
                let id = of(pick)?;
                Asked::Deallocate((id.protocol, id.internal, count))
            }
        })
    }

    pub(crate) fn make_statics(&mut self) {
        for mapping in self.config.statics.clone() {
            let StaticMapping::Port { protocol, internal, external } = mapping else { continue };
            if self.owner(external.address) == Some(self.config.shard.index) {
                let id = MappingId { protocol, internal, external, remote: None };
                self.make_mapping(id);
                self.kept.insert(id, None);
                self.open.insert(id);
            }
        }
    }

    /// The mapping of `internal` that serves all remotes.
    fn independent(&self, protocol: Protocol, internal: Endpoint) -> Option<MappingId> {
        let is_it =
            |id: &&MappingId| id.protocol == protocol && id.internal == internal && id.remote.is_none();
        self.mappings.iter().find(is_it).copied()
    }

    /// What is kept the shortest, and until when. Those of one tick end as they did in the engine.
    pub(crate) fn next_kept_deadline(&self) -> Option<(u64, MappingId)> {
        let turn =
            |id: &MappingId| self.ended_mappings.iter().position(|other| other == id).unwrap_or(usize::MAX);
        let all = self.kept.iter().filter_map(|(id, until)| Some(((*until)?, turn(id), *id)));
        all.min().map(|(until, _, id)| (until, id))
    }

    pub(crate) fn let_go(&mut self, id: MappingId, tick: u64) {
        self.kept.remove(&id);
        self.open.remove(&id);
        self.delete_unused_mapping(id, tick);
    }

    fn until(&self, lifetime: Duration) -> (u64, Option<Instant>) {
        let tick = self.tick + ticks(lifetime) + 1;
        (tick, Some(Instant::from_nanos(tick * TICK)))
    }

    fn keep(&mut self, id: MappingId, until: u64, open: bool) {
        self.kept.insert(id, Some(until));
        if open {
            self.open.insert(id);
        }
    }

    pub(crate) fn extend(
        &mut self,
        (protocol, internal, count): Set,
        lifetime: Duration,
    ) -> Option<Allocation> {
        let first = self.independent(protocol, internal)?;
        self.kept.contains_key(&first).then(|| self.renew(first, count, lifetime, false))
    }

    pub(crate) fn deallocate(&mut self, (protocol, internal, count): Set) -> u16 {
        let mut gone = 0;
        for port in u32::from(internal.port)..=u32::from(internal.port) + u32::from(count) - 1 {
            let Ok(port) = u16::try_from(port) else { break };
            if let Some(id) = self.independent(protocol, Endpoint { port, ..internal })
                && self.kept.get(&id).copied().flatten().is_some()
            {
                self.let_go(id, self.tick);
                gone += 1;
            }
        }
        gone
    }

    fn renew(&mut self, first: MappingId, count: u16, lifetime: Duration, open: bool) -> Allocation {
        let (tick, until) = self.until(lifetime);
        let external = first.external;
        if self.kept.get(&first) == Some(&None) {
            return Allocation { external, count: 1, until: None };
        }
        let mut kept = 0;
        for more in 0..count {
            let (Some(inside), Some(outside)) =
                (first.internal.port.checked_add(more), external.port.checked_add(more))
            else {
                break;
            };
            let next = self.independent(first.protocol, Endpoint { port: inside, ..first.internal });
            let goes_on = |id: &MappingId| {
                id.external == Endpoint { port: outside, ..external } && self.kept.get(id) != Some(&None)
            };
            let Some(id) = next.filter(goes_on) else { break };
            self.keep(id, tick, open);
            kept += 1;
        }
        Allocation { external, count: kept, until }
    }

    /// What the engine must have answered. Which ports it gave is its choice, if that was allowed.
    pub(crate) fn allocate(
        &mut self,
        request: &Request,
        answer: &Result<Allocation, Unallocated>,
    ) -> Result<Result<Allocation, Unallocated>, String> {
        let Request { protocol, internal, count, lifetime, open, .. } = *request;
        if !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
            return Ok(Err(Unallocated::Protocol));
        }
        let beyond = u32::from(internal.port) + u32::from(count) > 65_536;
        if !self.config.inside.iter().any(|net| net.contains(&internal.address)) || count == 0 || beyond {
            return Ok(Err(Unallocated::Endpoint));
        }
        if let Some(first) = self.independent(protocol, internal) {
            return Ok(Ok(self.renew(first, count, lifetime, open)));
        }
        if let Err(limit) = self.may_have_port(protocol, internal) {
            return Ok(Err(limit.into()));
        }
        if self.is_basic(internal.address) {
            return Ok(self.allocate_whole(request));
        }
        // The address: the subscriber's own, or the one that the engine took.
        let paired = self.home_of(protocol, self.whose(internal));
        let wanted = (1..count).take_while(|more| {
            let port = internal.port + more;
            self.independent(protocol, Endpoint { port, ..internal }).is_none()
        });
        let mut wanted = wanted.count() as u16 + 1;
        let together = self.kept_together(protocol, internal, None);
        if together.is_some() {
            wanted = 1;
        }
        let Ok(given) = answer else {
            let of = self.whose(internal);
            let none = |address: &Ipv4Addr| self.may_have_no_run(protocol, *address, request, wanted);
            let homes = paired.map_or_else(|| self.homes(of), |address| vec![address]);
            let why = homes.into_iter().filter(none).map(|address| self.why_none(of, protocol, address));
            let exhausted: Vec<_> = why.filter(|_| together.is_none()).collect();
            let full = self.mappings.len() >= self.config.limits.mappings as usize;
            let expected = match answer {
                &Err(Unallocated::Limit(limit)) if exhausted.contains(&limit) => limit,
                _ if full => Limit::Mappings,
                // Nothing should have refused it.
                _ => return Err(format!("{request:?} refused: {answer:?}")),
            };
            return Ok(Err(expected.into()));
        };
        // One port for both protocols is where the other's is, though its subscriber may have moved on since.
        if together.is_none() && paired.is_some_and(|address| address != given.external.address) {
            return Err(format!("{request:?} has {given:?}, which is not its address"));
        }
        let homes = self.homes(self.whose(internal));
        if paired.is_none() && together.is_none() && !homes.contains(&given.external.address) {
            return Err(format!("{request:?} has {given:?} of another's pool"));
        }
        let run = match together {
            Some(_) => 1,
            None => self.given_run(protocol, given.external, request, wanted)?,
        };
        if together.is_some_and(|external| external != given.external) {
            return Err(format!("{given:?}, but the other protocol has {together:?}"));
        }
        if together.is_none()
            && let Some(best) = self.preferred(given.external, request, wanted)
            && given.external.port != best
        {
            return Err(format!("{given:?} though {best} is free"));
        }
        if together.is_none() && !fits(request, given.external.port) {
            return Err(format!("{given:?} has the wrong parity"));
        }
        let (tick, until) = self.until(lifetime);
        let mut made = 0;
        while made < run {
            let at = |endpoint: Endpoint| Endpoint { port: endpoint.port + made, ..endpoint };
            let (internal, external) = (at(internal), at(given.external));
            let full = self.mappings.len() >= self.config.limits.mappings as usize;
            if self.may_have_port(protocol, internal).is_err() || full {
                break;
            }
            let ports = self.ports_for(self.whose(internal), protocol, external.address);
            let theirs = ports.iter().any(|ports| ports.contains(&external.port));
            if together.is_none() && !(theirs && self.is_free(protocol, external)) {
                return Err(format!("{given:?}, but {external} is not free"));
            }
            let id = MappingId { protocol, internal, external, remote: None };
            self.choices.retain(|choice| *choice != id);
            self.make_mapping(id);
            self.keep(id, tick, open);
            made += 1;
        }
        Ok(Ok(Allocation { external: given.external, count: made, until }))
    }

    /// Of a whole address the ports are what they are inside.
    fn allocate_whole(&mut self, request: &Request) -> Result<Allocation, Unallocated> {
        let Request { protocol, internal, count, lifetime, open, .. } = *request;
        let together = self.kept_together(protocol, internal, None).is_some();
        if !together && !fits(request, internal.port) {
            return Err(Limit::PortsExhausted.into());
        }
        let (tick, until) = self.until(lifetime);
        let external =
            Endpoint { address: self.whole_for(internal.address).unwrap_or(internal.address), ..internal };
        let mut made = 0;
        for port in internal.port..=internal.port + if together { 0 } else { count - 1 } {
            let internal = Endpoint { port, ..internal };
            if made > 0 && self.independent(protocol, internal).is_some() {
                break;
            }
            let full = self.mappings.len() >= self.config.limits.mappings as usize;
            let refused = self.may_have_port(protocol, internal).err();
            if let Some(limit) = refused.or(full.then_some(Limit::Mappings)) {
                if made == 0 {
                    return Err(limit.into());
                }
                break;
            }
            let id = MappingId { protocol, internal, external: Endpoint { port, ..external }, remote: None };
            self.choices.retain(|choice| *choice != id);
            self.make_mapping(id);
            self.keep(id, tick, open);
            made += 1;
        }
        Ok(Allocation { external, count: made, until })
    }

    /// The limits of one more port.
    fn may_have_port(&self, protocol: Protocol, internal: Endpoint) -> Result<(), Limit> {
        let address = self.whose(internal);
        let known = self.subscribers.contains_key(&address);
        if !known && self.subscribers.len() >= self.config.limits.subscribers as usize {
            return Err(Limit::Subscribers);
        }
        if let Err(Refusal::Limit(limit)) = self.may_open(address, true, protocol, 0) {
            return Err(limit);
        }
        let free = |external: &Ipv4Addr| self.has_free(protocol, (address, *external));
        if self.is_basic(address) {
            return self.whole_for(address).map(drop).ok_or(Limit::PortsExhausted);
        }
        let home = self.block_home(address).filter(|_| self.computed(address).is_none());
        if !known && home.is_none() && !self.homes(address).iter().any(free) {
            return Err(Limit::PortsExhausted);
        }
        Ok(())
    }

    /// The port that a set begins at if all of it is free there.
    fn preferred(&self, given: Endpoint, request: &Request, count: u16) -> Option<u16> {
        let preserved = self.config.ports.preserve.then_some(request.internal.port);
        let of = self.whose(request.internal);
        let mut ranges = self.ports_for(of, request.protocol, given.address);
        if let Some([own, new, shared]) = self.scopes(of, request.protocol, given.address) {
            // Of the new ones the engine has looked at one, which is known if it has taken that.
            let drawn = new.into_iter().filter(|range| range.contains(&given.port));
            ranges = own.into_iter().chain(drawn).chain(shared).collect();
        }
        let wishes = || request.suggested.into_iter().chain(preserved);
        ranges
            .iter()
            .find_map(|range| wishes().find(|port| self.is_whole_run(given, request, count, *port, range)))
    }

    fn is_whole_run(
        &self,
        given: Endpoint,
        request: &Request,
        count: u16,
        port: u16,
        range: &RangeInclusive<u16>,
    ) -> bool {
        let theirs = |port: u16| range.contains(&port);
        let whole = |port: &u16| {
            let all = u32::from(*port)..u32::from(*port) + u32::from(count);
            fits(request, *port)
                && all.into_iter().all(|port| {
                    u16::try_from(port).is_ok_and(|port| {
                        theirs(port) && self.is_free(request.protocol, Endpoint { port, ..given })
                    })
                })
        };
        whole(&port)
    }

    /// Whether there may be no run at all: of new blocks the engine looks at one.
    fn may_have_no_run(&self, protocol: Protocol, address: Ipv4Addr, request: &Request, count: u16) -> bool {
        let of = self.whose(request.internal);
        let run =
            |range: &RangeInclusive<u16>| self.best_run(protocol, address, range.clone(), request, count);
        match self.scopes(of, protocol, address) {
            None => self.ports_for(of, protocol, address).iter().all(|range| run(range) == 0),
            Some([own, new, shared]) => {
                own.iter().chain(&shared).all(|range| run(range) == 0)
                    && (new.is_empty() || new.iter().any(|range| run(range) == 0))
            }
        }
    }

    /// How long the run is that begins where the engine says, if it may be there.
    fn given_run(
        &self,
        protocol: Protocol,
        given: Endpoint,
        request: &Request,
        count: u16,
    ) -> Result<u16, String> {
        let of = self.whose(request.internal);
        let run = |range: &RangeInclusive<u16>| {
            self.best_run(protocol, given.address, range.clone(), request, count)
        };
        let scopes = self.scopes(of, protocol, given.address);
        let [own, new, shared] =
            scopes.unwrap_or_else(|| [self.ports_for(of, protocol, given.address), Vec::new(), Vec::new()]);
        let drawn: Vec<_> = new.iter().filter(|range| range.contains(&given.port)).cloned().collect();
        let known: Vec<_> = own.into_iter().chain(drawn.clone()).chain(shared).collect();
        let Some(here) = known.iter().find(|range| range.contains(&given.port)) else {
            return Err(format!("{given} for {request:?} is none of its ports"));
        };
        let best = known.iter().map(run).max().unwrap_or(0);
        let passed_over = if drawn.is_empty() { new.iter().map(run).min().unwrap_or(0) } else { 0 };
        // Where a wish came true nothing else was looked for.
        let wished = self.preferred(given, request, count) == Some(given.port);
        if !wished && run(here) < best.max(passed_over) {
            return Err(format!("{given} for {request:?}, though {best} in a row are free elsewhere"));
        }
        Ok(run(here))
    }

    /// How many ports of a range are free in a row for a request, `count` being enough.
    fn best_run(
        &self,
        protocol: Protocol,
        address: Ipv4Addr,
        ports: RangeInclusive<u16>,
        request: &Request,
        count: u16,
    ) -> u16 {
        let used = self.used(protocol, address);
        let mut best = 0;
        let mut run = 0;
        // Backwards: how many free ones there are from each port on.
        for port in ports.rev() {
            run = if used.contains(&port) { 0 } else { run + 1 };
            if fits(request, port) {
                best = best.max(run.min(u32::from(count)));
            }
        }
        best as u16
    }
}

fn fits(request: &Request, port: u16) -> bool {
    match request.parity {
        Parity::Any => true,
        Parity::Even => port.is_multiple_of(2),
        Parity::Odd => !port.is_multiple_of(2),
        Parity::Preserved => port % 2 == request.internal.port % 2,
    }
}
