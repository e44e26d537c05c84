//! What the model makes of sequence numbers and timestamps: N3 and N7 in plain words.
//!
//! A side's numbers are options: what was not seen is not there, and whoever has not seen both sides
//! says nothing.

use hairpin_nat::config::{RstPolicy, TimeWaitPolicy};
use hairpin_nat::event::{DeleteReason, EventKind, OpenedFrom, SessionId};
use hairpin_nat::{Endpoint, Realm, Reason};
use wire::tcp::{Flags, Tcp, TcpOption};
use wire::{Fragment, Packet as Parsed, Transport};

use crate::nat::{Model, Refusal, ticks};
use crate::tcp::Phase;

/// The numbers of a whole segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) end: u32,
    pub(crate) flags: Flags,
    pub(crate) window: u32,
    pub(crate) tsval: Option<u32>,
    pub(crate) scale: Option<u32>,
    /// It has an MD5 or TCP-AO option.
    pub(crate) signed: bool,
}

/// What one side has shown of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    /// Highest number behind an octet that it has sent, if its SYN was seen.
    pub(crate) end: Option<u32>,
    /// Highest acknowledgment of something that was sent to it.
    pub(crate) acked: Option<u32>,
    /// Its timestamp, if its SYN had one.
    pub(crate) tsval: Option<u32>,
    scale: Option<u32>,
    /// Bits of the largest window it has offered.
    bits: u32,
    /// It was too far ahead.
    pub(crate) lost: bool,
}

impl Shown {
    pub(crate) fn window(&self) -> i64 {
        1 << self.bits.clamp(16, 30)
    }
}

/// Both sides: inside, outside.
pub(crate) type Conn = [Shown; 2];

/// How far `a` is ahead of `b` on the circle: negative if it is behind.
pub(crate) fn ahead(a: u32, b: u32) -> i64 {
    let distance = i64::from(a) - i64::from(b);
    (distance + (1 << 31)).rem_euclid(1 << 32) - (1 << 31)
}

impl Numbers {
    /// Of anything that is no whole segment there are none.
    pub(crate) fn of(parsed: &Parsed, data: &[u8]) -> Option<Self> {
        let (Transport::Tcp { .. }, Fragment::Whole) = (parsed.transport, parsed.fragment) else {
            return None;
        };
        let segment = Tcp::new(&data[usize::from(parsed.header_len)..usize::from(parsed.total_len)]).ok()?;
        let flags = segment.flags();
        let options: Vec<_> = segment.options().map_while(Result::ok).collect();
        let tsval = options.iter().find_map(|option| match option {
            TcpOption::Timestamps { value, .. } => Some(*value),
            _ => None,
        });
        let scale = options.iter().find_map(|option| match option {
            TcpOption::WindowScale(shift) if flags.contains(Flags::SYN) => Some(u32::from(*shift).min(14)),
            _ => None,
        });
        Some(Self {
            seq: segment.seq().0,
            ack: flags.contains(Flags::ACK).then_some(segment.ack().0),
            end: segment.seq().plus(segment.segment_len()).0,
            flags,
            window: u32::from(segment.window()),
            tsval,
            scale,
            signed: options
                .iter()
                .any(|option| matches!(option, TcpOption::Md5(_) | TcpOption::Authentication { .. })),
        })
    }
}

/// A SYN in a connection that is not running, or of which nothing was acknowledged yet.
fn syn(conn: &mut Conn, own: usize, numbers: &Numbers) {
    conn[own] =
        Shown { end: Some(numbers.end), tsval: numbers.tsval, scale: numbers.scale, ..Shown::default() };
    (conn[1 - own].acked, conn[1 - own].bits) = (None, 0);
    acknowledgment(conn, own, numbers, false);
}

fn acknowledgment(conn: &mut Conn, own: usize, numbers: &Numbers, scaled: bool) {
    let (Some(ack), Some(sent)) = (numbers.ack, conn[1 - own].end) else { return };
    // What was never sent cannot be acknowledged.
    if ahead(ack, sent) > 0 {
        return;
    }
    let both = conn[1 - own].scale.is_some();
    let scale = if scaled && both { conn[own].scale.unwrap_or(0) } else { 0 };
    let bits = (0..=16).find(|bits| numbers.window < 1 << bits).unwrap_or(16) + scale;
    conn[own].bits = conn[own].bits.max(bits);
    let moves = match conn[own].acked {
        Some(acked) => ahead(ack, acked) > 0,
        None => i64::from(sent.wrapping_sub(ack)) <= conn[own].window(),
    };
    if moves {
        conn[own].acked = Some(ack);
    }
}

/// A segment of a running connection. `silence`: nanoseconds since the session was last seen.
fn segment(conn: &mut Conn, own: usize, numbers: &Numbers, silence: u64) {
    let (Some(end), peer) = (conn[own].end, conn[1 - own]) else { return };
    let beyond = ahead(numbers.end, peer.acked.unwrap_or(end));
    if beyond.abs() > peer.window() {
        conn[own].lost |= beyond > 0;
        return;
    }
    // RFC 5961 5: the receiver looks at nothing that acknowledges what it never sent, or what was acknowledged
    // more than a window ago.
    if let Some(sent) = peer.end {
        let una = conn[own].acked.unwrap_or(sent);
        let Some(ack) = numbers.ack else { return };
        if ahead(ack, sent) > 0 || -ahead(ack, una) > conn[own].window() {
            return;
        }
    }
    conn[own].lost = false;
    // RFC 7323 5.3 R3: newer, and not to the right of what its receiver acknowledged last.
    if let (Some(new), Some(old), Some(acked)) = (numbers.tsval, conn[own].tsval, peer.acked)
        && (is_outdated(silence) || !ts_before(new, old))
        && ahead(numbers.seq, acked) <= 0
    {
        conn[own].tsval = Some(new);
    }
    if ahead(numbers.end, end) > 0 {
        conn[own].end = Some(numbers.end);
    }
    acknowledgment(conn, own, numbers, true);
}

/// Half a circle away is neither before nor after.
pub(crate) fn ts_before(a: u32, b: u32) -> bool {
    (-(1i64 << 31) + 1..0).contains(&ahead(a, b))
}

fn is_outdated(silence: u64) -> bool {
    silence > 24 * 86_400 * 1_000_000_000
}

fn is_old(conn: &Conn, own: usize, numbers: &Numbers, silence: u64) -> bool {
    let (one, peer) = (&conn[own], &conn[1 - own]);
    if numbers.flags.intersects(Flags::SYN | Flags::RST) || one.end.is_none() || peer.end.is_none() {
        return false;
    }
    let Some(acked) = peer.acked else { return false };
    if let (Some(new), Some(old)) = (numbers.tsval, one.tsval) {
        return !is_outdated(silence) && ts_before(new, old);
    }
    let behind = -ahead(numbers.end, acked);
    !one.lost && behind > peer.window() && behind < 1 << 31
}

/// On the half of the circle before it.
pub(crate) fn sequence_after(a: u32, b: u32) -> bool {
    ahead(a, b) > 0
}

/// RFC 6191 section 2: whether a SYN may end TIME-WAIT.
pub(crate) fn ends_time_wait(end: u32, tsval: Option<u32>, numbers: &Numbers) -> bool {
    let greater = sequence_after(numbers.seq, end.wrapping_sub(1));
    let accepted = match (tsval, numbers.tsval) {
        (Some(old), Some(new)) => ts_before(old, new) || old == new && greater,
        (Some(_), None) | (None, None) => greater,
        (None, Some(_)) => true,
    };
    accepted && numbers.ack.is_none()
}

/// RFC 7857 2.2 with RFC 5961: whether the receiver believes a RST.
fn is_exact(conn: &Conn, own: usize, phase: Phase, numbers: &Numbers) -> bool {
    let (one, peer) = (&conn[own], &conn[1 - own]);
    let opening = matches!(phase, Phase::Opening | Phase::Reopening { .. });
    if opening && numbers.ack.is_some() {
        return numbers.ack == peer.end;
    }
    // What its receiver has acknowledged nothing of may be anybody's.
    peer.acked.is_some() && (one.end == Some(numbers.seq) || peer.acked == Some(numbers.seq))
}

impl Model {
    /// Whether a segment from `realm` may pass session `id`, if there is one.
    pub(crate) fn judge(
        &mut self,
        id: SessionId,
        realm: Realm,
        ends: (Endpoint, Endpoint),
    ) -> Result<(), Refusal> {
        let (Some(index), Some(numbers)) = (self.session(id), self.numbers) else { return Ok(()) };
        let (session, checks) = (&self.sessions[index], &self.config.tcp_checks);
        let own = realm as usize;
        let numbers = numbers.restored(session.shift, realm);
        let reopens = numbers.flags.contains(Flags::SYN)
            && session.phase == Some(Phase::TimeWait)
            && checks.time_wait == TimeWaitPolicy::Rfc6191;
        if reopens
            && session.conn[own]
                .end
                .is_some_and(|end| !ends_time_wait(end, session.conn[own].tsval, &numbers))
        {
            return Err(Reason::TimeWaitSyn.into());
        }
        if reopens && realm == Realm::Outside && session.id.opened_from == OpenedFrom::Inside {
            self.has_inbound_room(session.id.mapping)?;
        }
        let silence = self.silence(index);
        if checks.paws && is_old(&session.conn, own, &numbers, silence) {
            return Err(Reason::OldDuplicate.into());
        }
        let (id, conn) = (session.id, session.conn);
        Ok(self.scrub_numbers(id, &conn, realm, &numbers, ends)?)
    }

    fn silence(&self, index: usize) -> u64 {
        self.now.as_nanos().saturating_sub(self.sessions[index].last_seen * 100_000_000)
    }

    /// A TCP packet with `flags` passes from `realm`; the answer is whether the phase may still move.
    pub(crate) fn hear(&mut self, index: usize, realm: Realm, flags: Flags, phase: Phase) -> bool {
        let Some(numbers) = self.numbers else { return !flags.contains(Flags::RST) };
        let numbers = numbers.restored(self.sessions[index].shift, realm);
        let own = realm as usize;
        if flags.contains(Flags::RST) {
            self.reset(index, realm, phase, &numbers);
            return false;
        }
        if !flags.contains(Flags::SYN) {
            let silence = self.silence(index);
            segment(&mut self.sessions[index].conn, own, &numbers, silence);
            return true;
        }
        if phase == Phase::TimeWait && self.config.tcp_checks.time_wait == TimeWaitPolicy::Rfc6191 {
            let old = self.sessions[index].id;
            let new = SessionId { opened_from: OpenedFrom::from(realm), ..old };
            self.event(self.tick, EventKind::SessionDeleted(old, DeleteReason::Reopened));
            self.event(self.tick, EventKind::SessionCreated(new));
            let session = &mut self.sessions[index];
            session.shift.settle();
            (session.id, session.conn, session.phase) = (new, Conn::default(), Some(Phase::Opening));
        }
        let session = &mut self.sessions[index];
        let running = matches!(phase, Phase::Open { .. });
        if !running || session.conn[1 - own].acked.is_none() {
            syn(&mut session.conn, own, &numbers);
        } else if session.conn[own].end == Some(numbers.end) {
            // The same SYN again may acknowledge the other side's.
            acknowledgment(&mut session.conn, own, &numbers, false);
        }
        true
    }

    fn reset(&mut self, index: usize, realm: Realm, phase: Phase, numbers: &Numbers) {
        if !is_exact(&self.sessions[index].conn, realm as usize, phase, numbers) {
            return;
        }
        if self.config.tcp_checks.rst == RstPolicy::Delete && phase != Phase::TimeWait {
            let id = self.sessions[index].id;
            self.doomed.push(id);
            return;
        }
        let end = self.deadline(&self.sessions[index]);
        let client = self.sessions[index].id.opened_from == OpenedFrom::from(realm);
        let Some(next) = phase.segment(client, numbers.flags) else { return };
        // N13: it must not make the session live longer.
        let transitory = ticks(self.config.tcp.transitory) + 1;
        let latest = if phase.timed_out().is_none() { end - transitory.min(end) } else { u64::MAX };
        let tick = self.tick;
        let session = &mut self.sessions[index];
        (session.phase, session.last_seen) = (Some(next), tick.min(latest));
    }

    /// What a RST has ended is gone once the RST is through; where not all ports can be held, in the
    /// engine's order.
    pub(crate) fn end_doomed(&mut self) {
        let mut doomed = std::mem::take(&mut self.doomed);
        doomed.sort_by_key(|id| self.ended.iter().position(|other| other == id));
        for id in doomed {
            if let Some(index) = self.session(id) {
                self.delete_session(index, self.tick, DeleteReason::Reset);
            }
        }
    }
}
