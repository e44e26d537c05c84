//! What the model makes of C1 to C5: fields set one by one in a copy, checksums summed up again, connections
//! under suspicion in a list.

use std::collections::VecDeque;

use hairpin_nat::config::{Action, Urgent, Watch};
use hairpin_nat::event::{OpenedFrom, SessionId};
use hairpin_nat::{Checksum, Endpoint, Finding, Offload, Realm, Reason, ScrubEvent, ScrubEventKind};
use wire::tcp::Flags;
use wire::{Fragment, Packet as Parsed, Transport};

use crate::judge::{Numbers, Shown, ahead};
use crate::nat::{Arrival, Model, Passage, Refusal, Route, ends_of, same_session};
use crate::octets::{self, fill_ip_checksum, get16, put16};

/// Events that wait at most.
const WAITING: usize = 256;

/// What a side has said last: SEQ, ACK, flags, window.
type Said = (u32, Option<u32>, u8, u32);

/// A connection that may be at war.
#[derive(Debug)]
pub(crate) struct Suspect {
    id: SessionId,
    last: [Option<Said>; 2],
    counts: [u64; 2],
}

/// What the model remembers for scrubbing.
#[derive(Debug, Default)]
pub(crate) struct Scrubs {
    suspects: Vec<Suspect>,
    /// Findings until the next is told.
    left: u32,
    pub(crate) told: VecDeque<Told>,
}

/// An event in plain octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Changed { from: Realm, findings: Vec<Finding>, before: Vec<u8>, after: Vec<u8> },
    Dropped { from: Realm, reason: Reason, before: Vec<u8> },
    War { from: Realm, ends: (Endpoint, Endpoint), segments: u64 },
}

impl From<ScrubEvent> for Told {
    fn from(event: ScrubEvent) -> Self {
        let from = event.from;
        match event.kind {
            ScrubEventKind::Changed { findings, before, after } => Self::Changed {
                from,
                findings: findings.iter().collect(),
                before: masked(before.octets()),
                after: masked(after.octets()),
            },
            ScrubEventKind::Dropped { reason, before } => {
                Self::Dropped { from, reason, before: masked(before.octets()) }
            }
            ScrubEventKind::WarDamped { source, destination, segments } => {
                Self::War { from, ends: (source, destination), segments }
            }
        }
    }
}

/// A SYN with a FIN or a RST, or none of those that every segment has one of.
fn is_illegal(flags: Flags) -> bool {
    let some = flags.intersects(Flags::SYN | Flags::FIN | Flags::RST | Flags::ACK);
    !some || flags.contains(Flags::SYN) && flags.intersects(Flags::FIN | Flags::RST)
}

/// What a host reads of illegal flags: a RST first, then a SYN.
fn legal(flags: Flags) -> (Flags, Finding) {
    if flags.contains(Flags::RST) {
        (flags.without(Flags::SYN | Flags::FIN), Finding::SynRst)
    } else {
        (flags.without(Flags::FIN), Finding::SynFin)
    }
}

/// Both headers.
fn headers(data: &[u8]) -> Vec<u8> {
    let header = usize::from(data[0] & 15) * 4;
    let transport = match data[9] {
        _ if get16(data, 6) & 0x1fff != 0 => 8,
        6 => usize::from(data[header + 12] >> 4) * 4,
        17 | 1 => 8,
        // Of other protocols nothing is known.
        _ => 0,
    };
    masked(&data[..(header + transport).min(data.len())])
}

/// Without the Identification of a fragment: the engine has chosen a new one before.
fn masked(headers: &[u8]) -> Vec<u8> {
    let mut headers = headers.to_vec();
    if headers.len() >= 20 && get16(&headers, 6) & 0x3fff != 0 {
        headers[4..6].fill(0);
        headers[10..12].fill(0);
    }
    headers
}

/// The options of a TCP header: where each begins, its kind, its length.
fn options(segment: &[u8]) -> Vec<(usize, u8, usize)> {
    let end = usize::from(segment[12] >> 4) * 4;
    let mut all = Vec::new();
    let mut at = 20;
    while at < end && segment[at] != 0 {
        let len = if segment[at] == 1 { 1 } else { usize::from(segment[at + 1]) };
        if segment[at] != 1 {
            all.push((at, segment[at], len));
        }
        at += len;
    }
    all
}

impl Model {
    fn action(&self, flags: Flags) -> Action {
        let scrub = &self.config.scrub;
        match (flags.contains(Flags::SYN), flags.contains(Flags::RST)) {
            (true, true) => scrub.syn_rst,
            (true, false) => scrub.syn_fin,
            (false, _) => scrub.no_flags,
        }
    }

    /// C2: what is dropped is dropped first; the answer has the flags that count from here on.
    pub(crate) fn check_flags(&mut self, parsed: &Parsed, data: &[u8]) -> Result<Parsed, Refusal> {
        let Transport::Tcp { flags, source_port, destination_port, seq, header_len } = parsed.transport
        else {
            return Ok(*parsed);
        };
        let mut counts = *parsed;
        if is_illegal(flags) {
            match self.action(flags) {
                Action::Drop => return Err(Reason::TcpFlags.into()),
                Action::Pass => return Ok(*parsed),
                Action::Clear => {}
            }
            let (left, _) = legal(flags);
            if let Some(numbers) = &mut self.numbers {
                let marks =
                    |of: Flags| [Flags::SYN, Flags::FIN].iter().filter(|one| of.contains(**one)).count();
                numbers.end = numbers.end.wrapping_sub((marks(flags) - marks(left)) as u32);
                numbers.flags = left;
            }
            counts.transport = Transport::Tcp { flags: left, source_port, destination_port, seq, header_len };
        }
        let start = usize::from(parsed.header_len);
        let (pointer, reserved) = (get16(data, start + 18), data[start + 12] & 0x0e);
        let scrub = &self.config.scrub;
        if scrub.urgent_pointer == Action::Drop && !flags.contains(Flags::URG) && pointer != 0 {
            return Err(Reason::UrgentPointer.into());
        }
        if scrub.reserved_bits == Action::Drop && reserved != 0 {
            return Err(Reason::ReservedBits.into());
        }
        Ok(counts)
    }

    /// Illegal flags that pass: over a session that there is, to which they mean nothing.
    pub(crate) fn pass_illegal(
        &mut self,
        parsed: &Parsed,
        data: &[u8],
        offload: Offload,
        from: Arrival,
    ) -> Option<Result<Passage, Refusal>> {
        let Transport::Tcp { flags, .. } = parsed.transport else { return None };
        if !is_illegal(flags) {
            return None;
        }
        let session = self.session_of(parsed, from).map(|index| self.sessions[index].id);
        let Some(id) = session.filter(|id| self.owner(id.remote.address).is_none()) else {
            return Some(Err(Reason::TcpFlags.into()));
        };
        let realm = from.realm();
        if let Err(refusal) = self.fit(parsed, offload, from, realm.other()) {
            return Some(Err(refusal));
        }
        let edit = self.edit(id, from, parsed, data);
        if edit.is_some()
            && let Err(refusal) = self.fit_grown(parsed, offload, from)
        {
            return Some(Err(refusal));
        }
        self.found(realm, vec![Finding::IllegalPassed], data, data);
        let ends = match realm {
            Realm::Inside => octets::Ends { source: Some(id.mapping.external), destination: None },
            Realm::Outside => octets::Ends { source: None, destination: Some(id.mapping.internal) },
        };
        let change = self.change(id, realm);
        Some(Ok(Passage { route: Route::To(realm.other()), ends, change, edit, id: None }))
    }

    /// The session of a packet with ports.
    fn session_of(&self, parsed: &Parsed, from: Arrival) -> Option<usize> {
        let (protocol, source, destination) = ends_of(parsed, from.realm())?;
        self.find(|id| {
            let ends = match from {
                Arrival::Inside => (id.mapping.internal, id.remote),
                _ => (id.remote, id.mapping.external),
            };
            id.mapping.protocol == protocol && ends == (source, destination)
        })
    }

    /// C1: whether the urgent indication of a segment goes.
    fn clears_urgent(&self, parsed: &Parsed, from: Arrival) -> bool {
        let scrub = &self.config.scrub;
        let direction = match scrub.urgent {
            Urgent::Pass => false,
            Urgent::Clear => true,
            Urgent::ClearInbound => from != Arrival::Inside,
            Urgent::ClearOutbound => from == Arrival::Inside,
        };
        let Some((_, source, destination)) = ends_of(parsed, from.realm()) else { return false };
        let (ports, addresses) = match self.session_of(parsed, from) {
            None => (vec![source.port, destination.port], [source.address, destination.address]),
            Some(index) => {
                let id = self.sessions[index].id;
                let ports = match id.opened_from {
                    OpenedFrom::Inside => vec![id.remote.port],
                    OpenedFrom::Outside => vec![id.mapping.external.port, id.mapping.internal.port],
                };
                (ports, [id.mapping.internal.address, id.remote.address])
            }
        };
        let meant = |ranges: &[std::ops::RangeInclusive<u16>]| {
            ranges.is_empty() || ranges.iter().any(|range| ports.iter().any(|port| range.contains(port)))
        };
        let within = |nets: &[ipnet::Ipv4Net]| {
            nets.iter().any(|net| addresses.iter().any(|address| net.contains(address)))
        };
        direction
            && meant(&scrub.only_ports)
            && (scrub.only_prefixes.is_empty() || within(&scrub.only_prefixes))
            && !ports.iter().any(|port| scrub.except_ports.contains(port))
            && !within(&scrub.except_prefixes)
    }

    /// Changes a packet that may pass, before it is translated.
    pub(crate) fn scrub(&mut self, data: &mut Vec<u8>, offload: Offload, parsed: &Parsed, from: Arrival) {
        let before = data.clone();
        let mut findings = Vec::new();
        if let Transport::Tcp { flags, .. } = parsed.transport {
            // Of a fragment that is not translated, flags are not looked at.
            let untranslated = parsed.fragment != Fragment::Whole && self.is_untranslated(parsed, from);
            let flags = if untranslated { Flags::ACK } else { flags };
            let clears = self.clears_urgent(parsed, from);
            findings = self.scrub_header(data, parsed, flags, clears);
            if !findings.is_empty() && octets::has_signature(&before[usize::from(parsed.header_len)..]) {
                (*data, findings) = (before.clone(), vec![Finding::Signed]);
            } else if offload.checksum != Checksum::Partial && *data != before {
                let (start, end) = (usize::from(parsed.header_len), usize::from(parsed.total_len));
                let whole = parsed.fragment == Fragment::Whole;
                let field = get16(&before, start + 16);
                let field = octets::full_checksum(field, &before[..end], &data[..end], whole);
                put16(data, start + 16, field);
            }
        }
        let floor = self.config.scrub.ttl_floor;
        if floor > 0 && u16::from(data[8]) < u16::from(floor) + u16::from(from.age()) {
            // There is no more than 255.
            let raised = (u16::from(floor) + u16::from(from.age())).min(255) as u8;
            if raised > data[8] {
                data[8] = raised;
                fill_ip_checksum(data);
                findings.push(Finding::Ttl);
            }
        }
        self.found(from.realm(), findings, &before, data);
    }

    fn scrub_header(
        &self,
        data: &mut [u8],
        parsed: &Parsed,
        flags: Flags,
        clears_urgent: bool,
    ) -> Vec<Finding> {
        let scrub = &self.config.scrub;
        let segment = &mut data[usize::from(parsed.header_len)..usize::from(parsed.total_len)];
        let mut findings = Vec::new();
        let (urgent, pointer) = (segment[13] & 0x20 != 0, get16(segment, 18));
        if urgent && clears_urgent {
            segment[13] &= !0x20;
            put16(segment, 18, 0);
            findings.push(Finding::Urgent);
        } else if !urgent && pointer != 0 && (clears_urgent || scrub.urgent_pointer == Action::Clear) {
            put16(segment, 18, 0);
            findings.push(Finding::UrgentPointer);
        }
        if scrub.reserved_bits == Action::Clear && segment[12] & 0x0e != 0 {
            segment[12] &= !0x0e;
            findings.push(Finding::ReservedBits);
        }
        if is_illegal(flags) && self.action(flags) == Action::Clear {
            let (left, finding) = legal(flags);
            segment[13] = if findings.contains(&Finding::Urgent) { left.0 & !0x20 } else { left.0 };
            findings.push(finding);
        }
        let all = options(segment);
        let mss = all.iter().find(|(_, kind, len)| (*kind, *len) == (2, 4));
        if let (Some(limit), Some(&(at, kind, _))) = (self.config.mss_clamp, mss)
            && flags.contains(Flags::SYN)
            && !scrub.strip_options.contains(&kind)
            && get16(segment, at + 2) > limit
        {
            put16(segment, at + 2, limit);
            findings.push(Finding::Mss);
        }
        for (at, kind, len) in all {
            if scrub.strip_options.contains(&kind) {
                segment[at..at + len].fill(1);
                if !findings.contains(&Finding::Options) {
                    findings.push(Finding::Options);
                }
            }
        }
        findings
    }

    /// C5: each is counted, one in so many is told.
    fn found(&mut self, from: Realm, mut findings: Vec<Finding>, before: &[u8], after: &[u8]) {
        if findings.is_empty() {
            return;
        }
        findings.sort_unstable();
        for finding in &findings {
            self.counters.scrubbed.findings[*finding as usize] += 1;
        }
        let told = Told::Changed { from, findings, before: headers(before), after: headers(after) };
        self.sample(told);
    }

    /// A packet is dropped.
    pub(crate) fn found_drop(&mut self, from: Arrival, reason: Reason, data: &[u8]) {
        use Reason::{OldDuplicate, OutOfWindow, ReservedBits, TcpFlags, UrgentPointer, WarDamped};
        if [TcpFlags, UrgentPointer, ReservedBits, OutOfWindow, OldDuplicate, WarDamped].contains(&reason) {
            self.sample(Told::Dropped { from: from.realm(), reason, before: headers(data) });
        }
    }

    fn sample(&mut self, told: Told) {
        let Some(sample) = self.config.scrub.sample else { return };
        if self.scrubs.left > 0 {
            self.scrubs.left -= 1;
            return;
        }
        self.scrubs.left = sample - 1;
        self.tell(told);
    }

    fn tell(&mut self, told: Told) {
        if self.scrubs.told.len() < WAITING {
            self.scrubs.told.push_back(told);
        } else {
            self.counters.scrubbed.events_lost += 1;
        }
    }

    /// The session is a new one.
    pub(crate) fn forget_suspect(&mut self, id: SessionId) {
        self.scrubs.suspects.retain(|suspect| !same_session(suspect.id, id));
    }

    /// C3: a segment by its numbers, as the subscriber knows them.
    pub(crate) fn scrub_numbers(
        &mut self,
        id: SessionId,
        conn: &[Shown; 2],
        realm: Realm,
        numbers: &Numbers,
        ends: (Endpoint, Endpoint),
    ) -> Result<(), Reason> {
        let (own, peer) = (&conn[realm as usize], &conn[1 - realm as usize]);
        let watch = self.config.scrub.out_of_window;
        let syn = numbers.flags.contains(Flags::SYN);
        if let (Some(_), Some(acked), false) = (own.end, peer.acked, own.lost || syn || watch == Watch::Off)
            && let Some((reason, finding)) = misplaced(numbers, acked, peer.window())
        {
            if watch == Watch::Drop {
                return Err(reason);
            }
            self.counters.scrubbed.findings[finding as usize] += 1;
        }
        match self.config.scrub.war_limit {
            Some(limit) => self.war(id, realm, numbers, (own, peer), limit.into(), ends),
            None => Ok(()),
        }
    }

    fn war(
        &mut self,
        id: SessionId,
        realm: Realm,
        numbers: &Numbers,
        (own, peer): (&Shown, &Shown),
        limit: u64,
        ends: (Endpoint, Endpoint),
    ) -> Result<(), Reason> {
        let marks =
            [Flags::SYN, Flags::FIN].iter().filter(|one| numbers.flags.contains(**one)).count() as u32;
        let text = numbers.end.wrapping_sub(numbers.seq) > marks;
        let answer = numbers.ack.is_some() && !numbers.flags.contains(Flags::RST);
        let before = |distance: i64| (1 - (1 << 31)..0).contains(&distance);
        let lags = peer.acked.is_some_and(|acked| before(ahead(numbers.seq, acked)));
        let at = self.scrubs.suspects.iter().position(|suspect| same_session(suspect.id, id));
        let last = at.map_or([None; 2], |at| self.scrubs.suspects[at].last);
        let (mine, theirs) = (last[realm as usize], last[1 - realm as usize]);
        // Right of a closed window, and not where the receiver waits.
        let right_of = |edge: u32| {
            peer.acked.is_some_and(|acked| !before(ahead(numbers.seq, edge)) && numbers.seq != acked)
        };
        let closed_at = theirs.filter(|said| said.3 == 0).and_then(|said| said.1);
        let refused = lags || closed_at.is_some_and(right_of);
        let may_be = refused || numbers.window == 0 && peer.acked.is_some_and(right_of);
        let reopened = mine.is_some_and(|said| said.3 != numbers.window);
        if text || !answer || !may_be || reopened {
            let again = text && own.end.is_some_and(|sent| ahead(numbers.end, sent) <= 0);
            if let Some(at) = at.filter(|_| !again) {
                self.scrubs.suspects.remove(at);
            }
            return Ok(());
        }
        let at = at.unwrap_or_else(|| {
            self.scrubs.suspects.push(Suspect { id, last: [None; 2], counts: [0; 2] });
            self.scrubs.suspects.len() - 1
        });
        let suspect = &mut self.scrubs.suspects[at];
        let said = (numbers.seq, numbers.ack, numbers.flags.0, numbers.window);
        if suspect.last[realm as usize].replace(said) != Some(said) {
            suspect.counts = [0; 2];
            return Ok(());
        }
        if !refused {
            return Ok(());
        }
        let is_war = |[one, other]: [u64; 2]| one + other >= limit && one.min(other) + 1 >= limit / 2;
        let before = is_war(suspect.counts);
        suspect.counts[realm as usize] += 1;
        let (now, segments) = (is_war(suspect.counts), suspect.counts.iter().sum());
        if now && !before {
            self.counters.scrubbed.wars += 1;
            self.tell(Told::War { from: realm, ends, segments });
        }
        if now { Err(Reason::WarDamped) } else { Ok(()) }
    }
}

/// Whether a segment lies where its receiver takes nothing and waits for nothing.
fn misplaced(numbers: &Numbers, acked: u32, window: i64) -> Option<(Reason, Finding)> {
    let len = numbers.end.wrapping_sub(numbers.seq);
    let first = ahead(numbers.seq, acked);
    let last = ahead(numbers.end.wrapping_sub(1), acked);
    let end = ahead(numbers.end, acked);
    let fits = |octet: i64| (-1..=window).contains(&octet);
    if fits(first) || len > 0 && fits(last) {
        return None;
    }
    let before = |octet: i64| (1 - (1 << 31)..0).contains(&octet);
    if before(end) {
        return (end < -window).then_some((Reason::OldDuplicate, Finding::OldDuplicate));
    }
    (!before(first)).then_some((Reason::OutOfWindow, Finding::OutOfWindow))
}
