//! A packet arrives: whose it is, and what is done with those that are nobody's.

use core::net::{Ipv4Addr, SocketAddrV4};

use rules::Instant;
use rules::address::is_martian;
use rules::reset::{Group, Reset, reset_for};
use wire::tcp::{Flags, Tcp};
use wire::{Fragment, Packet, SeqNumber, Transport, Trust};

use super::{Context, Endpoint, Place, context};
use crate::input::{IcmpError, IcmpKind, Predicted};
use crate::output::reset_packet;
use crate::segment::{Segment, Tuple};
use crate::{Checksum, ListenerId, Reason};

/// So many connections stay in a processor's cache by themselves.
pub(super) const CACHED: usize = 1_024;

impl Endpoint {
    /// Packets that have come together, as in the ring of a network card, and of which each will be handed to
    /// [`handle_packet`](Self::handle_packet) soon. Changes nothing.
    ///
    /// Among many connections a segment costs most by waiting for memory: for the table of connections, and then for
    /// its own. What the first [`AHEAD`](Self::AHEAD) packets will need is waited for together, so hand over these
    /// before the next are told.
    pub fn anticipate<P: AsRef<[u8]>>(&self, packets: &[P]) {
        if self.connections.len() <= CACHED {
            return;
        }
        // Within either loop no packet depends on another: nothing is waited for by itself.
        let mut homes = [None; Self::AHEAD];
        for (packet, home) in packets.iter().zip(&mut homes) {
            *home = read_tuple(packet.as_ref()).map(|tuple| self.demux.anticipate(&tuple));
        }
        for home in homes.into_iter().flatten() {
            if let Some(Place::Connection(index)) = self.demux.find_at(home) {
                self.connections.prefetch(index);
            }
        }
    }

    /// How many packets [`anticipate`](Self::anticipate) looks at.
    pub const AHEAD: usize = 16;

    /// One IPv4 packet: TCP for us, or an ICMP error about it. Others are counted and ignored.
    pub fn handle_packet(&mut self, packet: &[u8], checksum: Checksum, now: Instant) {
        self.counters.received += 1;
        // A segment is verified when it is known whose it is: its text may be copied in the same pass.
        // Looked at where it is: a copy would wait for its stores.
        let parsed = Packet::parse(packet, Trust::Skip);
        let Ok(header) = &parsed else {
            self.counters.malformed += 1;
            return;
        };
        if header.fragment != Fragment::Whole {
            self.counters.fragments += 1;
            return;
        }
        if !self.config.any_address && !self.is_local(header.destination) {
            self.counters.not_ours += 1;
            return;
        }
        match header.transport {
            Transport::Tcp { .. } => self.handle_tcp(packet, header, checksum, now),
            Transport::IcmpError { .. } => self.handle_icmp_error(packet, header, checksum, now),
            _ => self.counters.not_tcp += 1,
        }
    }

    fn handle_tcp(&mut self, packet: &[u8], header: &Packet, checksum: Checksum, now: Instant) {
        let octets = packet.get(usize::from(header.header_len)..usize::from(header.total_len));
        let Some(Ok(tcp)) = octets.map(Tcp::new) else {
            self.counters.malformed += 1;
            return;
        };
        // RFC 3168: both bits of the ECN field are set.
        let congested = packet.get(1).is_some_and(|tos| tos & 0b11 == 0b11);
        let segment = Segment::read(&tcp, congested);
        let tuple = Tuple {
            local: SocketAddrV4::new(header.destination, tcp.destination_port()),
            remote: SocketAddrV4::new(header.source, tcp.source_port()),
        };
        let place = self.demux.find_again(&tuple);
        let headers = || tcp.header_sum(header.source, header.destination);
        if let Some(Place::Connection(index)) = place
            && let Some(connection) = self.connections.get_mut(index)
        {
            connection.touch();
            let unsummed = (checksum == Checksum::Verify).then(headers);
            match connection.take_predicted(&segment, unsummed, &mut context!(self, now)) {
                Predicted::Taken => return self.settle(index, now),
                Predicted::Damaged => {
                    self.counters.malformed += 1;
                    return;
                }
                Predicted::No => {}
            }
        }
        if checksum == Checksum::Verify && !tcp.checksum_is_valid(header.source, header.destination) {
            self.counters.malformed += 1;
            return;
        }
        match place {
            Some(Place::Connection(index)) => self.handle_segment(index, tuple, segment, now),
            Some(Place::TimeWait(index)) => self.handle_time_wait(index, tuple, segment, now),
            None => self.handle_stranger(tuple, segment, now),
        }
    }

    pub(super) fn handle_segment(&mut self, index: u32, tuple: Tuple, segment: Segment<'_>, now: Instant) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Some(after) = connection.is_reopened_by(&segment)
            && let Some(listener) = self.listeners.find(tuple.local)
        {
            return self.reopen(index, listener, (tuple, segment, after), now);
        }
        if let Some(reset) = connection.input(segment, &mut context!(self, now)) {
            self.replies.push_reset(reset_packet(tuple, reset), &segment, now, &mut self.counters);
        }
        self.settle(index, now);
    }

    /// A connection in TIME-WAIT, which the application still holds, gives its place to a new one (RFC 6191).
    fn reopen(
        &mut self,
        index: u32,
        listener: ListenerId,
        (tuple, segment, after): (Tuple, Segment<'_>, SeqNumber),
        now: Instant,
    ) {
        if !self.may_reopen(listener) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(index) {
            connection.end(Reason::Finished, &mut self.pool);
        }
        self.settle(index, now);
        self.counters.time_wait_reused += 1;
        self.open_passive(listener, tuple, segment, Some(after), now);
    }

    /// No connection: a listener's, or nobody's.
    pub(super) fn handle_stranger(&mut self, tuple: Tuple, segment: Segment<'_>, now: Instant) {
        // A segment from the port that it is sent to is LAND; a self-connect has its connection (S3).
        if is_martian(*tuple.remote.ip()) || tuple.remote.port() == 0 || tuple.local == tuple.remote {
            self.counters.martian += 1;
            return;
        }
        match self.listeners.find(tuple.local) {
            Some(listener) => self.handle_listen(listener, tuple, segment, now),
            None => {
                self.counters.no_listener += 1;
                if self.config.reset_closed_ports {
                    self.reset(tuple, &segment, Group::Closed, now);
                }
            }
        }
    }

    /// The RST that the standard asks for (RFC 9293 3.5.2), if it does.
    pub(super) fn reset(&mut self, tuple: Tuple, segment: &Segment<'_>, group: Group, now: Instant) {
        let ack = segment.has(Flags::ACK).then_some(segment.ack);
        let reset: Option<Reset> = reset_for(segment.seq, ack, segment.len(), segment.has(Flags::RST), group);
        if let Some(reset) = reset {
            self.replies.push_reset(reset_packet(tuple, reset), segment, now, &mut self.counters);
        }
    }

    fn handle_icmp_error(&mut self, packet: &[u8], header: &Packet, checksum: Checksum, now: Instant) {
        if checksum == Checksum::Verify && Packet::parse(packet, Trust::Verify).is_err() {
            self.counters.malformed += 1;
            return;
        }
        let found =
            read_icmp_error(packet, header).and_then(|(tuple, error)| match self.demux.find(&tuple) {
                Some(Place::Connection(index)) => Some((index, error)),
                _ => None,
            });
        let Some((index, error)) = found else {
            self.counters.icmp_ignored += 1;
            return;
        };
        if let Some(connection) = self.connections.get_mut(index) {
            connection.icmp_error(error, &mut context!(self, now));
        }
        self.settle(index, now);
    }
}

/// Whose segment it seems to be, at a glance: most are, and only their memory is fetched for it.
fn read_tuple(packet: &[u8]) -> Option<Tuple> {
    let (header, transport) = packet.split_first_chunk::<20>()?;
    let ports = transport.first_chunk::<4>()?;
    let [0x45, .., 6, _, _, a, b, c, d, e, f, g, h] = *header else { return None };
    let endpoint =
        |address: [u8; 4], port: [u8; 2]| SocketAddrV4::new(address.into(), u16::from_be_bytes(port));
    let [source_high, source_low, high, low] = *ports;
    Some(Tuple {
        local: endpoint([e, f, g, h], [high, low]),
        remote: endpoint([a, b, c, d], [source_high, source_low]),
    })
}

/// What an ICMP error says about a TCP segment of ours; `None` if it says nothing that matters.
fn read_icmp_error(packet: &[u8], header: &Packet) -> Option<(Tuple, IcmpError)> {
    let Transport::IcmpError { quote } = header.transport else { return None };
    if quote.protocol != wire::tcp::PROTOCOL || quote.later_fragment {
        return None;
    }
    let message = packet.get(usize::from(header.header_len)..)?;
    let quoted = packet.get(usize::from(quote.offset)..)?;
    let tcp = quoted.get(usize::from(quote.header_len)..)?;
    let seq = SeqNumber(u32::from_be_bytes(*tcp.get(4..8)?.first_chunk()?));
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let kind = match (kind, code) {
        (3, 4) => IcmpKind::TooBig { mtu: be16(message, 6)?, total_len: be16(quoted, 2)? },
        (3, 2 | 3 | 9 | 10 | 13) => IcmpKind::Refused,
        (3, _) | (11, _) => IcmpKind::Unreachable,
        _ => return None,
    };
    let endpoint = |address: Ipv4Addr, port| SocketAddrV4::new(address, port);
    let tuple = Tuple {
        local: endpoint(quote.source, quote.source_port),
        remote: endpoint(quote.destination, quote.destination_port),
    };
    Some((tuple, IcmpError { kind, seq }))
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*octets.get(at..at + 2)?.first_chunk()?))
}
