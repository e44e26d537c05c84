//! Destinations to which nothing is translated (B5, RFC 6888 REQ-6): forwarding without any state.
//!
//! What a subscriber sends to a bypass address, and what bypass addresses send to subscribers, passes as a
//! router would pass it: hops, size and addresses are looked at, and no mapping, session or limit is touched. What a bypass address sends to an *external* address is refused:
//! the subscriber's answer to it would go out untranslated.

use core::net::Ipv4Addr;

use rules::address::is_martian;
use wire::{Packet as Parsed, Quote, Transport};

use crate::batch::{Arrival, Decision, Refusal, Route};
use crate::brief::{Brief, NONE};
use crate::engine::Engine;
use crate::rewrite::Rewrite;
use crate::{Endpoint, Packet, Realm, Reason, Verdict};

impl Engine {
    /// Whether a packet between these addresses is not to be translated; where it goes then.
    pub(crate) fn bypass(&self, arrival: Arrival, source: Ipv4Addr, destination: Ipv4Addr) -> Option<Realm> {
        match arrival {
            _ if self.bypass.is_empty() => None,
            Arrival::From(Realm::Inside) => self.bypass.contain(destination).then_some(Realm::Outside),
            Arrival::From(Realm::Outside) => {
                (self.bypass.contain(source) && self.inside.contain(destination)).then_some(Realm::Inside)
            }
            Arrival::Hairpin => None,
        }
    }

    /// A packet with ports and without a session, between these, if it is not to be translated. Its
    /// addresses were found proper.
    pub(crate) fn decide_bypass(
        &self,
        arrival: Arrival,
        source: Endpoint,
        destination: Endpoint,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Option<Decision>, Refusal> {
        let Some(to) = self.bypass(arrival, source.address, destination.address) else {
            let refused = arrival == Arrival::From(Realm::Outside) && self.bypass.contain(source.address);
            return if refused { Err(Reason::BypassSource.into()) } else { Ok(None) };
        };
        let fit = self.fit(arrival, packet, brief, to)?;
        // A query has one identifier, in whichever end it was read.
        let (source, destination) = match brief.has_identifier {
            true => {
                let port = source.port | destination.port;
                (Endpoint { port, ..source }, Endpoint { port, ..destination })
            }
            false => (source, destination),
        };
        let rewrite = Rewrite::none(source, destination);
        Ok(Some(Decision { route: Route::To(to), rewrite, fit }))
    }

    /// A fragment, an ICMP error or a packet of another protocol, if it is not to be translated.
    pub(crate) fn pass_bypass(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        parsed: &Parsed,
    ) -> Result<Option<Verdict>, Refusal> {
        let to = match parsed.transport {
            Transport::IcmpOther => return Ok(None),
            Transport::IcmpError { quote } => match self.bypass_error(arrival, parsed, &quote)? {
                Some(to) => to,
                None => return Ok(None),
            },
            _ => {
                let (source, destination) = (parsed.source, parsed.destination);
                let Some(to) = self.bypass(arrival, source, destination) else {
                    let refused = arrival == Arrival::From(Realm::Outside) && self.bypass.contain(source);
                    return if refused { Err(Reason::BypassSource.into()) } else { Ok(None) };
                };
                let at = |address| Endpoint::new(address, 0);
                self.check_addresses(arrival, at(source), at(destination))?;
                to
            }
        };
        // Addresses alone: nothing of the payload is known or touched.
        let brief = Brief {
            has_ports: false,
            has_identifier: false,
            checksum_at: NONE,
            flags: wire::tcp::Flags::ACK,
            needs_id: false,
            ..Brief::new(parsed, packet.data, arrival.realm(), packet.offload.checksum)
        };
        let at = |address| Endpoint::new(address, 0);
        let (source, destination) = (at(parsed.source), at(parsed.destination));
        let rewrite = Rewrite::none(source, destination);
        let fit = self.fit(arrival, packet, &brief, to)?;
        self.carry_out(packet, arrival, &brief, &Decision { route: Route::To(to), rewrite, fit }).map(Some)
    }

    /// An error about a packet that was not translated, to who sent that. From outside it may come
    /// from any router on the way.
    fn bypass_error(
        &self,
        arrival: Arrival,
        parsed: &Parsed,
        quote: &Quote,
    ) -> Result<Option<Realm>, Refusal> {
        let Arrival::From(realm) = arrival else { return Ok(None) };
        let (inside, outside) = match realm {
            Realm::Inside => (quote.destination, quote.source),
            Realm::Outside => (quote.source, quote.destination),
        };
        if parsed.destination != quote.source || !self.bypass.contain(outside) || !self.inside.contain(inside)
        {
            return Ok(None);
        }
        if is_martian(parsed.source) {
            return Err(Reason::Martian.into());
        }
        // Nothing hides an internal router here, so it must have an address that may be seen.
        if realm == Realm::Inside && !self.inside.contain(parsed.source) {
            return Err(Reason::SourceNotInside.into());
        }
        self.check_error_source(arrival, parsed)?;
        Ok(Some(realm.other()))
    }
}
