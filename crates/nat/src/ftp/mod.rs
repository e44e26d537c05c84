//! The gateway for FTP (B8): endpoints that subscribers name in control connections become external ones.
//!
//! Only subscribers name endpoints that are translated: a client's PORT and EPRT, a server's 227 and 229. So only
//! what comes from inside changes its length, and only the subscriber's numbers are shifted.
//!
//! Nobody opens a hole to a third host: the address must be the subscriber's own, the port no well-known one.

mod command;
pub(crate) mod place;

use core::time::Duration;
use std::collections::BTreeMap;

use wire::checksum::{Delta, Sum};
use wire::tcp::Flags;

use crate::batch::{Arrival, Decision, Fit, Refusal};
use crate::brief::Brief;
use crate::config::Config;
use crate::engine::Engine;
use crate::event::OpenedFrom;
use crate::explicit::{Parity, Request};
use crate::fragment::verdict_of;
use crate::mapping::MappingKey;
use crate::rewrite::{change, write};
use crate::tcp::shift::{Shift, has_signature, options_of};
use crate::{Checksum, Endpoint, Packet, Protocol, Realm, Reason, Verdict};
use command::{Line, Named};
use place::{LONGEST, Overlap, Place};

/// How long the server (or client) may take to open a data connection.
const PATIENCE: Duration = Duration::from_secs(120);

/// Control connections that may have a rewritten command, and data endpoints that wait, at most.
const CONTROLS: u32 = 65_536;

/// Who may use the mappings that the gateway has made, whatever filtering says: the other end of the control
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Expected(BTreeMap<u32, u32>);

impl Expected {
    pub(crate) fn admits(&self, mapping: u32, remote: Endpoint) -> bool {
        self.0.get(&mapping) == Some(&remote.address.to_bits())
    }

    /// Mapping `index` has ended.
    pub(crate) fn forget(&mut self, mapping: u32) {
        self.0.remove(&mapping);
    }
}

/// How many control connections can have a rewritten command.
pub(crate) fn controls(config: &Config) -> u32 {
    if config.algs.ftp.is_empty() { 0 } else { config.limits.sessions.min(CONTROLS) }
}

/// What [`Expected`] takes: a node of its tree holds from 5 to 11 entries in some 200 octets.
pub(crate) fn octets(config: &Config) -> u64 {
    u64::from(controls(config)) * 40
}

impl Engine {
    /// Session `index` is new: is it a control connection?
    pub(crate) fn mark_control(&mut self, index: u32) {
        let session = &mut self.sessions.lines_mut()[index as usize];
        let server = match session.opened_from() {
            OpenedFrom::Inside => session.remote(),
            OpenedFrom::Outside => session.internal(),
        };
        let is_tcp = session.protocol() == Protocol::Tcp;
        if is_tcp && !session.is_hairpin() && self.config.algs.ftp.contains(&server.port) {
            session.set_control();
        }
    }

    /// A packet of a control connection is looked at before it moves anything.
    #[cold]
    pub(crate) fn pass_control(
        &mut self,
        index: u32,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<(), Refusal> {
        if !brief.is_tcp {
            return Ok(());
        }
        if arrival.realm() == Realm::Outside {
            self.note_acknowledged(index, brief);
            return Ok(());
        }
        let Some(payload) = payload(packet.data, brief) else { return Ok(()) };
        let at = self.sessions.lines()[index as usize].shift();
        if self.shifts.get(at).place.is_left_behind(brief.seen.seq().0) {
            self.shifts.change(at, Shift::settle);
        }
        let place = self.shifts.get(at).place;
        let pending = place.is_somewhere() && place.acked == 0;
        let seq = brief.seen.seq().0;
        match place.overlap(seq, payload.len()) {
            Overlap::Part if pending => return Err(Reason::FtpPending.into()),
            Overlap::Whole(_) => return self.check_grown(arrival, packet, brief),
            Overlap::Part => return Ok(()),
            Overlap::None => {}
        }
        let reader = match self.sessions.lines()[index as usize].opened_from() {
            OpenedFrom::Inside => command::command,
            OpenedFrom::Outside => command::answer,
        };
        let header = packet.data.get(usize::from(brief.header_len)..).unwrap_or_default();
        let signed = has_signature(options_of(header));
        let (mut passed, mut done) = (0, false);
        for (offset, line) in command::lines(payload, reader) {
            let named = match line {
                Line::Other => continue,
                Line::Unreadable => {
                    passed += 1;
                    continue;
                }
                Line::Named(named) => named,
            };
            let start = seq.wrapping_add((offset + named.at) as u32);
            let is_old = place.is_somewhere() && (start.wrapping_sub(place.start) as i32) < 0;
            if done || is_old || signed {
                // A segment has one place.
                passed += 1;
                continue;
            }
            if pending && self.may_name(index, &named) {
                return Err(Reason::FtpPending.into());
            }
            self.check_grown(arrival, packet, brief)?;
            done = self.rewrite_command(index, start, &named).is_some();
            passed += u64::from(!done);
        }
        self.output.counters.ftp_rewritten += u64::from(done);
        self.output.counters.ftp_passed += passed;
        Ok(())
    }

    /// A segment that means nothing to its session may have the rewritten command in it all the same.
    pub(crate) fn check_command(
        &self,
        index: u32,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<(), Refusal> {
        let place = self.shifts.get(self.sessions.lines()[index as usize].shift()).place;
        let payload = payload(packet.data, brief).filter(|_| arrival.realm() == Realm::Inside);
        match payload.map(|payload| place.overlap(brief.seen.seq().0, payload.len())) {
            Some(Overlap::Whole(_)) => self.check_grown(arrival, packet, brief),
            _ => Ok(()),
        }
    }

    /// A packet that may grow must fit the link as the longest that it can be.
    fn check_grown(&self, arrival: Arrival, packet: &Packet<'_>, brief: &Brief) -> Result<(), Refusal> {
        let Some(total_len) = brief.total_len.checked_add(LONGEST as u16) else {
            return Err(Reason::FtpPending.into());
        };
        self.fit(arrival, packet, &Brief { total_len, ..*brief }, Realm::Outside).map(drop)
    }

    /// The remote has acknowledged the last command of session `index`?
    fn note_acknowledged(&mut self, index: u32, brief: &Brief) {
        let at = self.sessions.lines()[index as usize].shift();
        let shift = self.shifts.get(at);
        let end = shift.place.start.wrapping_add(shift.seq).wrapping_add(shift.place.new.into());
        let ahead = brief.seen.ack().0.wrapping_sub(end) as i32;
        if brief.flags.contains(Flags::ACK) && shift.place.is_somewhere() && ahead >= 0 {
            self.shifts.change(at, |shift| shift.place.acked = 1);
        }
    }

    /// Whether a subscriber may name this endpoint.
    fn may_name(&self, index: u32, named: &Named) -> bool {
        let own = self.sessions.lines()[index as usize].internal().address;
        named.address.is_none_or(|address| address == own) && named.port >= 1024
    }

    /// Makes the mapping of an endpoint and the place where it is named. `None`: it is not to be had.
    fn rewrite_command(&mut self, index: u32, start: u32, named: &Named) -> Option<()> {
        if !self.may_name(index, named) {
            return None;
        }
        let session = &self.sessions.lines()[index as usize];
        let (own, remote, at) = (session.internal().address, session.remote(), session.shift());
        if at == 0 && !self.shifts.has_room() {
            return None;
        }
        let external = self.expect_data(Endpoint::new(own, named.port), remote)?;
        // An extended answer has no address: the client takes that of the control connection.
        let home = self.sessions.lines()[index as usize].external().address;
        if named.address.is_none() && external.address != home {
            return None;
        }
        let text = command::write(named.form, external);
        let place = Place::new(start, named.len, text.as_bytes())?;
        let at = match at {
            0 => self.shifts.insert(Shift::default()),
            at => at,
        };
        self.shifts.change(at, |shift| {
            // What was behind the last place is before this one.
            shift.settle();
            shift.place = place;
        });
        self.sessions.lines_mut()[index as usize].set_shift(at);
        Some(())
    }

    /// A mapping for a data connection that `remote` will open.
    fn expect_data(&mut self, internal: Endpoint, remote: Endpoint) -> Option<Endpoint> {
        let key = MappingKey::independent(Protocol::Tcp, internal);
        let found = self.find_mapping(key);
        if let Some(index) = found
            && self.mappings.get(index).is_kept()
            && !self.expected.0.contains_key(&index)
        {
            // Somebody else has asked for it and says how long it lives.
            return Some(self.mappings.get(index).external());
        }
        let request = Request {
            protocol: Protocol::Tcp,
            internal,
            count: 1,
            suggested: None,
            parity: Parity::Any,
            lifetime: PATIENCE,
            open: false,
        };
        let external = self.allocate(&request, self.now).ok()?.external;
        let index = self.find_mapping(key)?;
        if self.expected.0.len() < controls(&self.config) as usize {
            self.expected.0.insert(index, remote.address.to_bits());
        }
        Some(external)
    }

    /// A segment from inside with the rewritten command in it; the numbers of its header are shifted already.
    /// `None`: it has none.
    pub(crate) fn carry_command(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        brief: &Brief,
        decision: &Decision,
    ) -> Option<Result<Verdict, Refusal>> {
        let place = self.shifts.get(decision.rewrite.shift).place;
        let payload = payload(packet.data, brief).filter(|_| brief.is_tcp)?;
        let Overlap::Whole(at) = place.overlap(brief.seen.seq().0, payload.len()) else { return None };
        let mut data = edited(packet, brief, at, &place)?;
        let grown = Brief { total_len: data.len() as u16, ..*brief };
        decision.rewrite.apply(&mut data, &grown, packet.offload.checksum, arrival.age());
        let fit = match self.fit(arrival, packet, &grown, Realm::Outside) {
            Ok(fit) => fit,
            Err(refusal) => return Some(Err(refusal)),
        };
        if brief.needs_id && self.config.rewrite_ip_id {
            let mut changed = Packet { data: &mut data, from: packet.from, offload: packet.offload };
            self.identify(&mut changed, &grown, &Decision { fit, ..*decision });
        }
        if data.len() == usize::from(brief.total_len) && fit == Fit::Whole {
            packet.data.get_mut(..data.len())?.copy_from_slice(&data);
            return Some(Ok(verdict_of(decision.route)));
        }
        Some(self.send_grown(data, packet, arrival, &grown, &Decision { fit, ..*decision }))
    }

    fn send_grown(
        &mut self,
        mut data: Vec<u8>,
        packet: &Packet<'_>,
        arrival: Arrival,
        grown: &Brief,
        &Decision { route, fit, .. }: &Decision,
    ) -> Result<Verdict, Refusal> {
        let mut offload = packet.offload;
        match fit {
            Fit::Whole => {}
            Fit::Segment(size) => offload.gso_size = size,
            Fit::Split(mtu) => {
                let packet = Packet { data: &mut data, from: packet.from, offload };
                return self.split(&packet, arrival, grown, route, mtu);
            }
        }
        self.count(arrival, verdict_of(route));
        self.output.send(route, offload, data);
        Ok(Verdict::Held)
    }
}

/// What a whole TCP segment carries, if it carries something.
fn payload<'a>(data: &'a [u8], brief: &Brief) -> Option<&'a [u8]> {
    let start = usize::from(brief.header_len) + usize::from(brief.transport_len);
    data.get(start..usize::from(brief.total_len)).filter(|payload| !payload.is_empty())
}

/// The packet with other octets from `at` of its payload on, all lengths and sums right. `None`: it would be too
/// long.
fn edited(packet: &Packet<'_>, brief: &Brief, at: usize, place: &Place) -> Option<Vec<u8>> {
    let header_len = usize::from(brief.header_len);
    let at = header_len + usize::from(brief.transport_len) + at;
    let whole = packet.data.get(..usize::from(brief.total_len))?;
    let (front, rest) = whole.split_at_checked(at)?;
    let mut data = [front, place.text(), rest.get(usize::from(place.old)..)?].concat();
    let total = u16::try_from(data.len()).ok()?;
    write(&mut data, 2, total);
    change(&mut data, 10, |field| Delta::u16(brief.total_len, total).apply(field));
    let field = header_len + usize::from(brief.checksum_at);
    let len = total - u16::from(brief.header_len);
    if packet.offload.checksum == Checksum::Partial {
        let was = brief.total_len - u16::from(brief.header_len);
        change(&mut data, field, |field| Delta::u16(was, len).apply_partial(field));
        return Some(data);
    }
    let address = |at: usize| data.get(at..)?.first_chunk::<4>().map(|octets| (*octets).into());
    let pseudo = Sum::pseudo_header(address(12)?, address(16)?, Protocol::Tcp.number(), len);
    write(&mut data, field, 0);
    let checksum = pseudo.plus(Sum::of(data.get(header_len..)?)).checksum();
    write(&mut data, field, checksum);
    Some(data)
}
