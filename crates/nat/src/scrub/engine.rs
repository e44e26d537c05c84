//! Scrubbing in the NAT: what is refused is refused before anything is written, what is changed is changed
//! before the translation.

use core::net::Ipv4Addr;

use rules::flags::legal;
use rules::middlebox::placement;
use rules::tracking::is_illegal;
use wire::tcp::Flags;

use super::Service;
use super::config::Action;
use super::finding::{Finding, Findings, Found, Headers, ScrubEvent, ScrubEventKind};
use super::segment::{clean, raise_ttl};
use super::wars::Outcome;
use crate::batch::{Arrival, Decision, Refusal, Route};
use crate::brief::Brief;
use crate::engine::Engine;
use crate::event::OpenedFrom;
use crate::session::CONTROL;
use crate::{Endpoint, Packet, Realm, Reason};

impl Engine {
    /// The next thing that scrubbing has to tell (C5): samples, and wars that were damped. What nobody fetches is
    /// lost when there is too much of it, and counted.
    pub fn poll_scrub_event(&mut self) -> Option<ScrubEvent> {
        self.scrub.told.poll()
    }

    /// A segment with illegal flags (C2).
    #[cold]
    #[inline(never)]
    pub(crate) fn decide_illegal(
        &mut self,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let action = self.scrub.illegal(brief.flags);
        match (action, legal(brief.flags)) {
            (Action::Clear, Some(flags)) => self.decide(arrival, packet, &brief.with_flags(flags)),
            (Action::Pass, _) => self.pass_illegal(arrival, packet, brief),
            _ => Err(Reason::TcpFlags.into()),
        }
    }

    /// It passes over a session that there is, and means nothing to it; and opens none.
    fn pass_illegal(
        &mut self,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let realm = arrival.realm();
        let index = self.session_of(realm, brief).filter(|&index| self.settle(index));
        let Some(index) = index.filter(|&index| !self.sessions.lines()[index as usize].is_hairpin()) else {
            return Err(Reason::TcpFlags.into());
        };
        let fit = self.fit(arrival, packet, brief, realm.other())?;
        if self.sessions.lines()[index as usize].rewrite(realm).shift & CONTROL != 0 {
            self.check_command(index, arrival, packet, brief)?;
        }
        let findings = Findings::NONE.with(Finding::IllegalPassed);
        let (at, from, headers) = (self.now, realm, brief.headers());
        let found = Found { at, from, findings, before: None, data: packet.data, headers };
        self.scrub.told.note(&mut self.output.counters.scrubbed, found);
        let rewrite = self.sessions.lines()[index as usize].rewrite(realm);
        Ok(Decision { route: Route::To(realm.other()), rewrite, fit })
    }

    /// Whether a segment with these marks may pass (C2).
    #[cold]
    #[inline(never)]
    pub(crate) fn check_marks(&self, brief: &Brief) -> Result<(), Reason> {
        self.scrub.refuses(brief.marks).map_or(Ok(()), Err)
    }

    /// A packet is dropped by scrubbing: it is told if it is its turn.
    #[cold]
    pub(crate) fn sample_drop(&mut self, reason: Reason, packet: &Packet<'_>, arrival: Arrival) {
        let lost = self.scrub.told.dropped(self.now, arrival.realm(), reason, packet.data);
        self.output.counters.scrubbed.events_lost += u64::from(lost);
    }

    /// Whether a SYN is looked at that has nothing else to it.
    #[inline(always)]
    pub(crate) fn scrubs_syn(&self, brief: &Brief) -> bool {
        self.config.mss_clamp.is_some() || is_illegal(brief.flags)
    }

    /// Changes a packet that may pass.
    #[cold]
    #[inline(never)]
    pub(crate) fn scrub_packet(&mut self, packet: &mut Packet<'_>, arrival: Arrival, brief: &Brief) {
        let before = self.scrub.told.is_due().then(|| Headers::of(packet.data, brief.headers()));
        let mut findings = Findings::NONE;
        if brief.marks != 0 {
            let mss = self.config.mss_clamp;
            let wanted = self.scrub.wanted(brief.marks, brief.flags, mss, || {
                let (service, ends) = self.about(arrival.realm(), brief);
                self.scrub.clears_urgent(arrival.realm(), service, &ends)
            });
            let segment = packet.data.get_mut(usize::from(brief.header_len)..).unwrap_or_default();
            findings = clean(segment, brief.transport_len.into(), &wanted, packet.offload.checksum);
        }
        // Nothing below the floor leaves; what is used up was refused before.
        if raise_ttl(packet.data, self.scrub.ttl_floor.saturating_add(arrival.age())) {
            findings = findings.with(Finding::Ttl);
        }
        let (at, from, headers) = (self.now, arrival.realm(), brief.headers());
        let found = Found { at, from, findings, before, data: packet.data, headers };
        self.scrub.told.note(&mut self.output.counters.scrubbed, found);
    }

    /// The service ports that a segment from `realm` is about, and the addresses that prefixes may name: those of
    /// its session, or its own if it has none.
    fn about(&self, realm: Realm, brief: &Brief) -> (Service, [Ipv4Addr; 2]) {
        let session = self.session_of(realm, brief).map(|index| &self.sessions.lines()[index as usize]);
        let Some(session) = session else {
            let (source, destination) = ends(brief);
            return (Service::Either([source.port, destination.port]), [source.address, destination.address]);
        };
        let (internal, external, remote) = (session.internal(), session.external(), session.remote());
        let ports = match session.opened_from() {
            OpenedFrom::Inside => [remote.port; 2],
            OpenedFrom::Outside => [external.port, internal.port],
        };
        (Service::Known(ports), [internal.address, remote.address])
    }

    /// A whole segment from `realm` of session `index`: whether its receiver would take it, and whether it belongs
    /// to a war (C3).
    pub(crate) fn scrub_numbers(&mut self, index: u32, realm: Realm, brief: &Brief) -> Result<(), Reason> {
        let session = &self.sessions.lines()[index as usize];
        let seen = self.restored(session.shift(), realm, &brief.seen);
        let line = &self.sessions.lines()[index as usize].line;
        if !brief.flags.contains(Flags::SYN)
            && let Some((acked, window)) = line.offered(realm)
        {
            let findings = self.scrub.placed(placement(seen.seq(), seen.len, acked, window))?;
            self.output.counters.scrubbed.add(findings);
        }
        let Some(wars) = &mut self.scrub.wars else { return Ok(()) };
        let outcome = wars.see(index, realm, &seen, brief.flags, line);
        if let Outcome::First(segments) = outcome {
            let (source, destination) = ends(brief);
            let kind = ScrubEventKind::WarDamped { source, destination, segments };
            let lost = self.scrub.told.tell(ScrubEvent { at: self.now, from: realm, kind });
            let scrubbed = &mut self.output.counters.scrubbed;
            scrubbed.wars += 1;
            scrubbed.events_lost += u64::from(lost);
        }
        outcome.reason().map_or(Ok(()), Err)
    }
}

/// Source and destination of a packet.
pub(super) fn ends(brief: &Brief) -> (Endpoint, Endpoint) {
    let nobody = Endpoint::new(Ipv4Addr::UNSPECIFIED, 0);
    brief.flow.ends().map_or((nobody, nobody), |(_, source, destination)| (source, destination))
}

/// Octets of sequence space that SYN and FIN take.
pub(super) fn marks_of(flags: Flags) -> u32 {
    u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN))
}

impl Brief {
    /// What is left of a segment once its flags are `flags`.
    pub(super) fn with_flags(&self, flags: Flags) -> Self {
        let mut left = *self;
        if self.is_tcp {
            left.seen.len = left.seen.len.saturating_sub(marks_of(self.flags) - marks_of(flags));
        }
        left.flags = flags;
        left
    }
}
