//! ICMP errors: those that pass (B4, RFC 5508 4.2 and 4.3) and those that the engine sends.
//!
//! An error is matched by the packet that it quotes, as that packet was on the side that the error
//! comes from. The quoted header is put back first, then the outer one. No timer and no state is
//! touched: anybody can send an ICMP error.

use core::net::Ipv4Addr;

use rules::address::is_martian;
use wire::checksum::{Delta, Sum};
use wire::{Fragment, Packet as Parsed, Quote, Transport, Trust};

use crate::batch::{Arrival, Fit, Refusal, Route, ends};
use crate::brief::{Brief, DCCP, UDP_LITE};
use crate::engine::Engine;
use crate::event::{EventKind, Limit};
use crate::fragment::verdict_of;
use crate::ftp::place::Way;
use crate::hash::Flow;
use crate::ip_id::write_id;
use crate::pool::{Owner, Port};
use crate::rewrite::{Rewrite, change, write_ip};
use crate::session::Session;
use crate::subscriber::report;
use crate::tcp::Shifts;
use crate::tcp::shift::{Numbers, Shift};
use crate::{Endpoint, Offload, Packet, Protocol, Realm, Reason, Verdict};

/// Destination unreachable and its codes (RFC 792, RFC 1191).
pub(crate) const UNREACHABLE: u8 = 3;
pub(crate) const PORT_UNREACHABLE: u8 = 3;
const HOST_UNREACHABLE: u8 = 1;
const FRAGMENTATION_NEEDED: u8 = 4;
/// Time exceeded in transit.
const TIME_EXCEEDED: u8 = 11;

/// An ICMP error is no longer than this (RFC 1812 4.3.2.3).
const ERROR_LEN: usize = 576;
/// Of that, its own headers.
const HEADERS: usize = 28;

impl Engine {
    /// An ICMP error on its way through.
    pub(crate) fn handle_icmp_error(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        parsed: &Parsed,
        quote: &Quote,
    ) -> Result<Verdict, Refusal> {
        let realm = arrival.realm();
        let protocol = match quoted_protocol(quote) {
            // What is quoted went the other way.
            Err(_) if is_other(quote) && self.quotes_basic(realm, quote) => Protocol::Other,
            protocol => protocol?,
        };
        if parsed.destination != quote.source {
            // It goes to somebody else than who sent what it quotes.
            return Err(Reason::QuoteUnknown.into());
        }
        self.check_error_source(arrival, parsed)?;
        let index = self.quoted_session(realm, protocol, quote).ok_or(Reason::QuoteUnknown)?;
        let session = self.sessions.lines()[index as usize];
        if session.is_hairpin() && arrival == Arrival::From(Realm::Outside) {
            return Err(Reason::SpoofedInside.into());
        }
        let partner = (session.is_hairpin() && realm == Realm::Inside)
            .then(|| self.sessions.ties()[index as usize].partner())
            .flatten()
            .map(|partner| self.sessions.lines()[partner as usize]);
        let route = self.error_route(realm, &session, partner.as_ref())?;
        let to = if let Route::To(to) = route { to } else { Realm::Inside };
        let brief = Brief::new(parsed, packet.data, realm, packet.offload.checksum);
        let fit = self.fit(arrival, packet, &brief, to)?;
        let translation = ErrorTranslation::new(realm, protocol, &session, partner.as_ref(), &self.shifts);
        // Outside it may be any router and stays; inside it is hidden behind the session's external address, or
        // has its own (RFC 5508 REQ-5c).
        let sender = match (realm, self.whole_of(parsed.source)) {
            (Realm::Outside, _) => parsed.source,
            (Realm::Inside, Some(own)) => own,
            (Realm::Inside, None) => translation.quoted.destination().address,
        };
        let translation = ErrorTranslation { sender, ..translation };
        translation.apply(packet.data, parsed, quote, arrival.age());
        if brief.needs_id && self.config.rewrite_ip_id {
            let id = self.new_id(translation.sender, translation.quoted.source().address, parsed.protocol, 1);
            write_id(packet.data, id);
        }
        if let Fit::Split(mtu) = fit {
            return self.split(packet, arrival, &brief, route, mtu);
        }
        Ok(verdict_of(route))
    }

    /// Whether the packet that is quoted is of an address that is translated whole.
    fn quotes_basic(&self, realm: Realm, quote: &Quote) -> bool {
        self.passes_other(Arrival::From(realm), quote.destination, quote.source)
    }

    /// The sender of an error may be any router of its realm, but of its realm.
    pub(crate) fn check_error_source(&self, arrival: Arrival, parsed: &Parsed) -> Result<(), Reason> {
        if is_martian(parsed.source) {
            return Err(Reason::Martian);
        }
        let spoofed = arrival == Arrival::From(Realm::Outside)
            && (self.inside.contain(parsed.source) || self.pool.owner(parsed.source).is_some());
        if spoofed { Err(Reason::SpoofedInside) } else { Ok(()) }
    }

    /// The session whose packet is quoted: the error travels against that packet, so its tuple read
    /// backwards is one of the error's own direction.
    fn quoted_session(&mut self, realm: Realm, protocol: Protocol, quote: &Quote) -> Option<u32> {
        let mut source = Endpoint::new(quote.destination, quote.destination_port);
        let mut destination = Endpoint::new(quote.source, quote.source_port);
        if protocol == Protocol::Icmp && realm == Realm::Inside {
            (source.port, destination.port) = (destination.port, 0);
        }
        if protocol == Protocol::Other {
            let number = u16::from(quote.protocol);
            (source.port, destination.port) = if realm == Realm::Inside { (number, 0) } else { (0, number) };
        }
        let flow = Flow::new(realm, protocol, source, destination);
        let lines = self.sessions.lines();
        let index =
            self.flows.find(self.key.flow(flow), |index| lines[index as usize].flow(realm) == flow)?;
        // One whose time is up is gone, even if nobody has looked yet.
        self.settle(index).then_some(index)
    }

    fn error_route(
        &self,
        realm: Realm,
        session: &Session,
        partner: Option<&Session>,
    ) -> Result<Route, Refusal> {
        if realm == Realm::Outside {
            return Ok(Route::To(Realm::Inside));
        }
        if !session.is_hairpin() {
            return Ok(Route::To(Realm::Outside));
        }
        match (self.pool.owner(session.remote().address), partner) {
            (Some(Owner::Shard(shard)), _) => Ok(Route::Shard(shard)),
            (_, Some(_)) => Ok(Route::To(Realm::Inside)),
            (_, None) => Err(Reason::QuoteUnknown.into()),
        }
    }

    /// Counts a refused packet and tells its sender where the standards want it told.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse(&mut self, packet: &Packet<'_>, arrival: Arrival, refusal: Refusal) -> Reason {
        let reason = match refusal {
            Refusal::Reason(reason) => reason,
            Refusal::TooBig(_) => Reason::TooBig,
            Refusal::Limit(limit) => limit.reason(),
        };
        self.output.drop(reason);
        if reason.is_scrubbing() {
            self.sample_drop(reason, packet, arrival);
        }
        let error = match refusal {
            Refusal::Reason(Reason::TtlExpired) => Some((TIME_EXCEEDED, 0, 0)),
            Refusal::TooBig(mtu) => Some((UNREACHABLE, FRAGMENTATION_NEEDED, mtu)),
            // To its own subscribers alone: a soft error, so that their TCP tries again
            // (RFC 6888 REQ-11b).
            Refusal::Limit(_) if arrival.realm() == Realm::Inside => Some((UNREACHABLE, HOST_UNREACHABLE, 0)),
            _ => None,
        };
        if !matches!(refusal, Refusal::Limit(_)) && error.is_none() {
            return reason;
        }
        let Ok(parsed) = Parsed::parse(packet.data, Trust::Skip) else { return reason };
        if let Refusal::Limit(limit) = refusal {
            self.report(limit, arrival, &parsed);
        }
        // The packets of another shard's subscriber were rewritten already: no quote would be right.
        if let (Some((kind, code, mtu)), Arrival::From(realm)) = (error, arrival)
            && self.config.icmp_errors_to[realm as usize]
            && may_be_answered(&parsed)
            && self.output.may_send_error(self.now)
        {
            let quoted = &packet.data[..usize::from(parsed.total_len).min(packet.data.len())];
            let error = self.error(realm, quoted, parsed.source, kind, code, mtu);
            self.output.send(Route::To(realm), Offload::default(), error);
        }
        reason
    }

    /// A limit was hit: an event, once in a while for each subscriber and kind.
    fn report(&mut self, limit: Limit, arrival: Arrival, parsed: &Parsed) {
        let address = match arrival.realm() {
            Realm::Inside => parsed.source,
            // Whose port it was to.
            Realm::Outside => match self.addressee(parsed) {
                Some(endpoint) => endpoint.address,
                None => return,
            },
        };
        let due = match self.find_subscriber(self.subscriber_of(address)) {
            Some(index) => self.subscribers.get_mut(index).report(limit, self.report_interval, self.tick),
            None => report(&mut self.reported[limit as usize], self.report_interval, self.tick),
        };
        if due {
            self.output.event(self.tick, EventKind::LimitHit { subscriber: address, limit });
        }
    }

    /// The internal endpoint that a packet from outside is meant for.
    fn addressee(&self, parsed: &Parsed) -> Option<Endpoint> {
        let (protocol, remote, external) = ends(Realm::Outside, parsed)?;
        let Owner::Here(address) = self.pool.owner(external.address)? else { return None };
        let port = Port { address, protocol, port: external.port };
        match self.mapping_at(port, remote.address) {
            Some(mapping) => Some(self.mappings.get(mapping).internal()),
            None => self.basic_target(port),
        }
    }

    /// An ICMP error about the packet in `data`, to its sender.
    pub(crate) fn error(
        &self,
        realm: Realm,
        data: &[u8],
        to: Ipv4Addr,
        kind: u8,
        code: u8,
        mtu: u16,
    ) -> Vec<u8> {
        let source = match realm {
            Realm::Inside => self.config.gateway.inside,
            Realm::Outside => self.config.gateway.outside,
        };
        let quoted = &data[..data.len().min(ERROR_LEN - HEADERS)];
        let total_len = (HEADERS + quoted.len()) as u16;
        let mut error = Vec::with_capacity(HEADERS + quoted.len());
        // The class of what it is about (RFC 5508 7.7), without its congestion marks. Atomic, so its
        // Identification says nothing.
        error.extend([0x45, data.get(1).copied().unwrap_or(0) & 0xfc]);
        error.extend(total_len.to_be_bytes());
        error.extend([0, 0, 0x40, 0, 64, Protocol::Icmp.number(), 0, 0]);
        error.extend(source.octets());
        error.extend(to.octets());
        error.extend([kind, code, 0, 0, 0, 0]);
        error.extend(mtu.to_be_bytes());
        error.extend(quoted);
        let ip = Sum::of(&error[..20]).checksum();
        error[10..12].copy_from_slice(&ip.to_be_bytes());
        let icmp = Sum::of(&error[20..]).checksum();
        error[22..24].copy_from_slice(&icmp.to_be_bytes());
        error
    }
}

/// The protocol of a quoted packet whose error can be translated.
fn quoted_protocol(quote: &Quote) -> Result<Protocol, Reason> {
    let protocol = Protocol::from_number(quote.protocol).ok_or(Reason::QuoteRefused)?;
    if quote.is_icmp_error || protocol == Protocol::Icmp && !quote.is_icmp_query {
        return Err(Reason::QuoteRefused);
    }
    if quote.later_fragment {
        return Err(Reason::QuoteUnknown);
    }
    Ok(protocol)
}

/// It quotes a protocol without a port space, and all of its beginning.
fn is_other(quote: &Quote) -> bool {
    Protocol::from_number(quote.protocol).is_none() && !quote.later_fragment
}

/// Never an error about an error, a later fragment (RFC 1812 4.3.2.7), or about something whose
/// sender is not one host.
fn may_be_answered(parsed: &Parsed) -> bool {
    let answerable = match parsed.transport {
        Transport::IcmpError { .. } | Transport::IcmpOther => false,
        _ => !matches!(parsed.fragment, Fragment::Later { .. }),
    };
    answerable && !is_martian(parsed.source)
}

/// What an error is rewritten to: its quoted packet's two ends; its own follow from them.
#[derive(Debug)]
struct ErrorTranslation {
    protocol: Protocol,
    quoted: Rewrite,
    /// The error's own source from here on.
    sender: Ipv4Addr,
    /// How the numbers of the quoted segment change.
    shift: Option<(Shift, Numbers, Way)>,
}

impl ErrorTranslation {
    fn new(
        realm: Realm,
        protocol: Protocol,
        session: &Session,
        partner: Option<&Session>,
        shifts: &Shifts,
    ) -> Self {
        // The quoted packet travelled the other way: its source is the error's destination.
        let own = session.rewrite(realm);
        let (mut source, mut destination) = (own.destination(), own.source());
        let mut quoted = own;
        if let Some(partner) = partner {
            let back = partner.rewrite(Realm::Outside);
            source = back.destination();
            quoted.ip = quoted.ip.and(back.ip);
            quoted.transport = quoted.transport.and(back.transport);
        }
        if protocol == Protocol::Icmp {
            // One identifier: of the two translations the later one counts.
            destination.port = source.port;
        }
        let quoted = quoted.with(source, destination);
        let shift = (quoted.shift != 0).then(|| {
            let shift = shifts.get(quoted.shift);
            match realm {
                // It quotes what came in, put back; outside it was not.
                Realm::Inside => (shift, Numbers::Echoed, Way::Out),
                Realm::Outside => (shift, Numbers::Own, Way::Back),
            }
        });
        Self { protocol, quoted, sender: destination.address, shift }
    }

    fn apply(&self, data: &mut [u8], parsed: &Parsed, quote: &Quote, age: u8) {
        let icmp = usize::from(parsed.header_len);
        let header = usize::from(quote.offset);
        let change_of_quote =
            self.apply_quoted(&mut data[..usize::from(parsed.total_len)], icmp, header, quote);
        change(data, icmp + 2, |field| change_of_quote.apply(field));
        // The receiver is who sent the quoted packet.
        let source = self.sender;
        let destination = self.quoted.source().address;
        let delta =
            Delta::address(parsed.source, source).and(Delta::address(parsed.destination, destination));
        let addresses = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
        write_ip(data, addresses, delta, age);
    }

    /// Rewrites the quoted packet, as far as it goes; the answer is what that does to the ICMP checksum.
    fn apply_quoted(&self, data: &mut [u8], icmp: usize, header: usize, quote: &Quote) -> Delta {
        let end = quote_end(data, icmp, header);
        let mut fields = Fields { data: &mut data[..end], delta: Delta::default() };
        fields.write_address(header + 12, self.quoted.source());
        fields.write_address(header + 16, self.quoted.destination());
        fields.change(header + 10, |field| self.quoted.ip.apply(field));
        let transport = header + usize::from(quote.header_len);
        let checksum = match self.protocol {
            Protocol::Other if !matches!(quote.protocol, DCCP | UDP_LITE) => return fields.delta,
            Protocol::Other => 6,
            Protocol::Tcp | Protocol::Udp => {
                fields.change(transport, |_| self.quoted.source().port);
                fields.change(transport + 2, |_| self.quoted.destination().port);
                if self.protocol == Protocol::Tcp { 16 } else { 6 }
            }
            Protocol::Icmp => {
                fields.change(transport + 4, |_| self.quoted.source().port);
                2
            }
        };
        let mut shifted = Delta::NONE;
        if let (Some((shift, numbers, way)), Some(header)) = (self.shift, fields.data.get_mut(transport..)) {
            shifted = shift.apply(header, numbers, way);
            fields.delta = fields.delta.and(shifted);
        }
        fields.change(transport + checksum, |field| match self.protocol {
            Protocol::Udp if field == 0 => 0,
            Protocol::Udp => self.quoted.transport.apply_udp(field),
            Protocol::Tcp | Protocol::Icmp | Protocol::Other => {
                self.quoted.transport.and(shifted).apply(field)
            }
        });
        fields.delta
    }
}

/// With extensions behind it, a quote is padded to 128 octets at least (RFC 4884 5.1), in words. A
/// smaller length says nothing, and heeding it would leave the quote untranslated.
const LEAST_LENGTH: u8 = 32;

/// Where the quoted packet ends: with the data, with its own length (what follows is padding), or
/// where RFC 4884's length says that the extensions begin.
fn quote_end(data: &[u8], icmp: usize, header: usize) -> usize {
    let own =
        data.get(header + 2..header + 4).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
    let mut end = data.len().min(header + own);
    if let (Some(&kind), Some(&words)) = (data.get(icmp), data.get(icmp + 5))
        && matches!(kind, UNREACHABLE | TIME_EXCEEDED | 12)
        && words >= LEAST_LENGTH
    {
        end = end.min(header + usize::from(words) * 4);
    }
    end.max(header.min(data.len()))
}

/// Writes 16-bit fields and keeps account of what that does to a checksum over them.
struct Fields<'a> {
    data: &'a mut [u8],
    delta: Delta,
}

impl Fields<'_> {
    fn change(&mut self, at: usize, new: impl FnOnce(u16) -> u16) {
        let delta = &mut self.delta;
        change(self.data, at, |old| {
            let new = new(old);
            *delta = delta.and(Delta::u16(old, new));
            new
        });
    }

    fn write_address(&mut self, at: usize, endpoint: Endpoint) {
        let bits = endpoint.address.to_bits();
        self.change(at, |_| (bits >> 16) as u16);
        self.change(at + 2, |_| bits as u16);
    }
}
