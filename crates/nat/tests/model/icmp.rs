//! The model's ICMP errors: those that pass (RFC 5508 4) and those that it sends.

use hairpin_nat::event::{EventKind, Limit};
use hairpin_nat::{Endpoint, Offload, Protocol, Realm, Reason, Verdict};
use wire::{Fragment, Packet as Parsed, Transport};

use crate::ftp::Shift;
use crate::nat::{Arrival, Model, Refusal, Route, Sent, ends_of, is_martian, ticks};
use crate::octets::{self, Ends};
use crate::tombs::Change;

impl Model {
    /// RFC 5508 4: an error goes to whom its quote came from, and no session notices.
    pub(crate) fn icmp_error(
        &mut self,
        data: &mut Vec<u8>,
        parsed: &Parsed,
        quote: &wire::Quote,
        from: Arrival,
    ) -> Result<Verdict, Refusal> {
        let whole = !quote.later_fragment && self.passes_other(from, quote.destination, quote.source);
        let protocol = match Protocol::from_number(quote.protocol) {
            None if whole => Protocol::Other,
            protocol => protocol.ok_or(Reason::QuoteRefused)?,
        };
        if quote.is_icmp_error || protocol == Protocol::Icmp && !quote.is_icmp_query {
            return Err(Reason::QuoteRefused.into());
        }
        if quote.later_fragment || parsed.destination != quote.source {
            return Err(Reason::QuoteUnknown.into());
        }
        if is_martian(parsed.source) {
            return Err(Reason::Martian.into());
        }
        if self.is_spoofed(parsed.source, from) {
            return Err(Reason::SpoofedInside.into());
        }
        let mut sender = Endpoint::new(quote.source, quote.source_port);
        let mut receiver = Endpoint::new(quote.destination, quote.destination_port);
        if protocol == Protocol::Other {
            let number = u16::from(quote.protocol);
            (sender.port, receiver.port) = if from == Arrival::Inside { (0, number) } else { (number, 0) };
        }
        let index = match from {
            // It quotes what came in: from the remote to the subscriber, who has the identifier.
            Arrival::Inside => {
                let icmp = protocol == Protocol::Icmp;
                let (internal, remote) = if icmp {
                    (Endpoint::new(receiver.address, sender.port), Endpoint::new(sender.address, 0))
                } else {
                    (receiver, sender)
                };
                self.find(|id| {
                    id.mapping.protocol == protocol && id.mapping.internal == internal && id.remote == remote
                })
            }
            _ => self.find(|id| {
                id.mapping.protocol == protocol && id.mapping.external == sender && id.remote == receiver
            }),
        };
        let id = self.sessions[index.ok_or(Reason::QuoteUnknown)?].id;
        let shift = self.session(id).map_or(Shift::default(), |index| self.sessions[index].shift);
        let change = Change::of(shift, from.realm(), true);
        let owner = self.owner(id.remote.address);
        let (route, quoted) = match (from, owner) {
            (Arrival::Outside, Some(_)) => return Err(Reason::SpoofedInside.into()),
            (Arrival::Outside | Arrival::Shard, _) => {
                (Route::To(Realm::Inside), Ends { source: Some(id.mapping.internal), destination: None })
            }
            (Arrival::Inside, None) => {
                (Route::To(Realm::Outside), Ends { source: None, destination: Some(id.mapping.external) })
            }
            (Arrival::Inside, Some(shard)) if shard != self.config.shard.index => {
                (Route::Shard(shard), Ends { source: None, destination: Some(id.mapping.external) })
            }
            (Arrival::Inside, Some(_)) => {
                // Hairpin: the quote becomes what the other subscriber sent.
                let other = self.other_side(id.mapping, id.remote).map_err(|_| Reason::QuoteUnknown)?;
                self.session(other).ok_or(Reason::QuoteUnknown)?;
                let (source, destination) = (other.mapping.internal, id.mapping.external);
                (Route::To(Realm::Inside), Ends { source: Some(source), destination: Some(destination) })
            }
        };
        let cut = self.fit(parsed, Offload::default(), from, route.realm())?;
        // An internal router is hidden behind the external address (RFC 5508 REQ-5c).
        let mut outer = Ends { source: quoted.destination, destination: quoted.source };
        if let Some(whole) = self.active_whole(parsed.source).filter(|_| from == Arrival::Inside) {
            // But one with an address of its own has that.
            outer.source = Some(Endpoint::new(whole, 0));
        }
        *data = octets::translate_error(data, quoted, outer, from.age(), change);
        self.identify(data, parsed, Offload::default(), from);
        Ok(self.emit(data, &mut Offload::default(), parsed, from, route, cut))
    }

    pub(crate) fn refuse(&mut self, data: &[u8], parsed: &Parsed, from: Arrival, refusal: Refusal) -> Reason {
        let (reason, answer) = match refusal {
            Refusal::Reason(Reason::TtlExpired) => (Reason::TtlExpired, Some((11, 0, 0))),
            Refusal::Reason(reason) => (reason, None),
            Refusal::TooBig(mtu) => (Reason::TooBig, Some((3, 4, mtu))),
            // RFC 6888 REQ-11b: the subscriber is told, softly; the outside is not.
            Refusal::Limit(limit) => (limit.reason(), (from == Arrival::Inside).then_some((3, 1, 0))),
        };
        self.counters.dropped[reason.index()] += 1;
        self.found_drop(from, reason, data);
        if let Refusal::Limit(limit) = refusal {
            self.report(limit, parsed, from);
        }
        // RFC 1812 4.3.2.7: never about an error or a later fragment.
        let error = matches!(parsed.transport, Transport::IcmpError { .. } | Transport::IcmpOther);
        let later = matches!(parsed.fragment, Fragment::Later { .. });
        if let Some((kind, code, mtu)) = answer
            && from != Arrival::Shard
            && self.config.icmp_errors_to[from.realm() as usize]
            && !error
            && !later
            && !is_martian(parsed.source)
        {
            if self.may_send_error() {
                let gateway = &self.config.gateway;
                let source = if from == Arrival::Inside { gateway.inside } else { gateway.outside };
                let data = octets::error(source, data, kind, code, mtu);
                self.sent.push(Sent { route: Route::To(from.realm()), offload: Offload::default(), data });
                self.counters.icmp_errors_sent += 1;
            } else {
                self.counters.icmp_errors_limited += 1;
            }
        }
        reason
    }

    /// RFC 1812 4.3.2.8: so many a second, a second's worth at once.
    pub(crate) fn may_send_error(&mut self) -> bool {
        let rate = u64::from(self.config.icmp_errors_per_second);
        let earned = (self.now.as_nanos() - self.errors.1.as_nanos()) * rate;
        let tokens = (self.errors.0 + earned).min(rate * 1_000_000_000);
        let may = tokens >= 1_000_000_000;
        self.errors = (if may { tokens - 1_000_000_000 } else { tokens }, self.now);
        may
    }

    /// Once in an interval for each subscriber and limit; those who are none share one memory.
    pub(crate) fn report(&mut self, limit: Limit, parsed: &Parsed, from: Arrival) {
        let subscriber = if from == Arrival::Inside {
            parsed.source
        } else {
            let target = ends_of(parsed, Realm::Outside)
                .and_then(|(protocol, remote, external)| self.reached(protocol, external, remote.address));
            let Some(mapping) = target else { return };
            mapping.internal.address
        };
        let interval = ticks(self.config.limits.report_interval);
        let of = self.whose(Endpoint::new(subscriber, 0));
        let memory = match self.subscribers.get_mut(&of) {
            Some(subscriber) => &mut subscriber.reported,
            None => &mut self.reported,
        };
        if memory.get(&(limit as usize)).is_none_or(|&last| self.tick - last >= interval) {
            memory.insert(limit as usize, self.tick);
            self.event(self.tick, EventKind::LimitHit { subscriber, limit });
        }
    }
}
