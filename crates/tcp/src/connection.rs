//! One connection: the variables of RFC 9293 3.3.1, and what the application may ask of it.
//!
//! What a segment does to it is in `input`, what it sends and when in `output`. Nothing here looks at a
//! clock; nothing allocates but the buffers, from the endpoint's pool.

use alloc::sync::Arc;

use rules::Instant;
use rules::acceptability::Window;
use rules::paws::TsRecent;
use rules::window::shift_for;
use wire::SeqNumber;

use crate::buffer::Pool;
use crate::recv::assembler::Assembler;
use crate::recv::buffer::RecvBuffer;
use crate::recv::urgent::Receiver;
use crate::segment::Tuple;
use crate::send::buffer::SendBuffer;
use crate::send::recovery::Recovery;
use crate::{Config, Counters, Error, Info, Limits, ListenerId, Read, Reason, State};

/// What a step needs beside the connection.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) pool: &'a mut Pool,
    pub(crate) limits: &'a Limits,
    pub(crate) counters: &'a mut Counters,
}

/// A connection that is not CLOSED, or has just become it.
///
/// In this order in memory: among many connections a segment costs what it has to fetch of its own. What the next
/// text in order, its ACK and its reader look at comes first, in a few cache lines; what only sending needs, or what
/// is rare, behind.
#[repr(C)]
pub(crate) struct Connection {
    pub(crate) state: State,
    /// The application has let go of it.
    pub(crate) released: bool,
    /// The application reads no more: text is acknowledged and thrown away.
    pub(crate) deaf: bool,
    /// It is in its listener's queue.
    pub(crate) announced: bool,
    /// It counts against `limits.half_open`.
    pub(crate) counted_half_open: bool,
    pub(crate) events: Events,
    pub(crate) negotiated: Negotiated,
    pub(crate) fin: Fin,
    /// It was taken, in order: it is the octet before RCV.NXT.
    pub(crate) peer_finished: bool,
    /// The application has been told of it.
    pub(crate) end_read: bool,
    /// The SYN is to be sent (again).
    pub(crate) syn_due: bool,
    /// A probe was called for: by the persist timer, TLP or keep-alive.
    pub(crate) due: Due,
    /// The last octet before SND.NXT went out only to probe a closed window: it is not in flight.
    pub(crate) probe_octet: bool,
    /// ECN: CWR goes with the next new data.
    pub(crate) cwr_due: bool,
    /// ECN: CE was seen and no CWR since.
    pub(crate) ece: bool,
    /// The network has said that there is no way there while the connection was being opened.
    pub(crate) unreachable: bool,
    /// The path is narrower than we believe any to be: routers may fragment, DF is not set.
    pub(crate) fragments: bool,
    /// Segments of text that came since we sent some.
    pub(crate) one_way: u8,
    /// Keep-alives sent since.
    pub(crate) keep_alives: u8,
    pub(crate) snd_shift: u8,
    pub(crate) rcv_shift: u8,
    /// The application wrote less than it wanted, and waits for room.
    pub(crate) wants_room: bool,
    pub(crate) tuple: Tuple,
    /// Whom it came in by, until it is accepted.
    pub(crate) listener: Option<ListenerId>,
    pub(crate) iss: SeqNumber,
    /// Our SYN was acknowledged: from then on SND.UNA may come to be ISS again, 2^32 octets later.
    pub(crate) syn_acked: bool,
    pub(crate) snd_una: SeqNumber,
    /// Behind the highest octet sent; an octet sent as a window probe is among them.
    pub(crate) snd_nxt: SeqNumber,
    pub(crate) snd_wnd: u32,
    pub(crate) snd_wl1: SeqNumber,
    pub(crate) snd_wl2: SeqNumber,
    /// Largest segment to send, options included (RFC 9293 3.7.1: Eff.snd.MSS before options).
    pub(crate) snd_mss: u16,
    /// The peer's announced MSS, before the path had a say.
    pub(crate) peer_mss: u16,
    pub(crate) rcv_mss: u16,
    pub(crate) rcv_nxt: SeqNumber,
    /// Right edge of the window as announced: it never moves left (RFC 9293 3.8.6).
    pub(crate) rcv_adv: SeqNumber,
    /// Next octet for the application; up to RCV.NXT it is in the buffer.
    pub(crate) rcv_read: SeqNumber,
    /// Octets taken since the last ACK went out.
    pub(crate) unacked_octets: u32,
    pub(crate) last_ack_sent: SeqNumber,
    pub(crate) ts_offset: u32,
    /// Where the last text began that moved RCV.NXT: a probe's, perhaps (S9).
    pub(crate) last_text: Option<SeqNumber>,
    /// The FIN's sequence number, when it came.
    pub(crate) fin_at: Option<SeqNumber>,
    /// SND.UP: the octet behind the urgent data, while it is not acknowledged.
    pub(crate) snd_up: Option<SeqNumber>,
    /// A duplicate to be reported (RFC 2883).
    pub(crate) dsack: Option<(SeqNumber, SeqNumber)>,
    /// Why it ended, once it did.
    pub(crate) closed: Option<Reason>,
    pub(crate) config: Arc<Config>,
    pub(crate) assembler: Assembler,
    pub(crate) recv: RecvBuffer,
    /// The last segment that the peer sent: for keep-alives.
    pub(crate) heard: Instant,
    pub(crate) ack: AckDue,
    pub(crate) ts_recent: Option<TsRecent>,
    pub(crate) urgent: Receiver,
    pub(crate) send: SendBuffer,
    pub(crate) persist: Option<Persist>,
    /// With pacing: no new text before then.
    pub(crate) paced_until: Option<Instant>,
    /// When TIME-WAIT, or FIN-WAIT-2 of a closed application, is over.
    pub(crate) linger_until: Option<Instant>,

    pub(crate) recovery: Recovery,
    pub(crate) max_snd_wnd: u32,
    pub(crate) irs: SeqNumber,
    pub(crate) challenge: Challenge,
    /// When a segment outside the window that occupies no sequence space was answered last.
    pub(crate) empty_answered: Option<Instant>,
    /// When the last of them was.
    pub(crate) kept_alive: Instant,
    /// What the peer's user timeout option said last (RFC 5482); 0: nothing.
    pub(crate) heard_user_timeout: u16,
    /// Ours is yet to be told in a segment that is no SYN.
    pub(crate) user_timeout_due: bool,
    /// Since when data waits for an acknowledgment: for the user timeout.
    pub(crate) stalled_since: Option<Instant>,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Negotiated {
    pub(crate) window_scaling: bool,
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    pub(crate) ecn: bool,
}

/// How far the end of what we send is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fin {
    /// More may be written.
    Open,
    /// FIN follows what is queued.
    Queued,
    /// It was sent: it is the octet before SND.NXT.
    Sent,
}

/// Whether an ACK is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AckDue {
    /// No.
    No,
    /// By then.
    By(Instant),
    /// Now.
    Now,
}

/// The persist timer of a window that is closed, or too small to be worth sending into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Persist {
    pub(crate) at: Instant,
    pub(crate) backoff: u8,
    /// Probes since the peer was heard last.
    pub(crate) unanswered: u8,
}

/// Segments that a timer asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    pub(crate) window_probe: bool,
    pub(crate) tail_probe: bool,
    pub(crate) keep_alive: bool,
}

/// Challenge ACKs sent in this interval (RFC 5961 section 10).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenge {
    pub(crate) since: Instant,
    pub(crate) sent: u8,
}

/// Events that the application has not heard of yet: a set, so that nothing grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Events(pub(crate) u8);

impl Events {
    pub(crate) const INCOMING: Self = Self(1);
    pub(crate) const CONNECTED: Self = Self(1 << 1);
    pub(crate) const READABLE: Self = Self(1 << 2);
    pub(crate) const WRITABLE: Self = Self(1 << 3);
    pub(crate) const URGENT_ENTERED: Self = Self(1 << 4);
    pub(crate) const URGENT_ADVANCED: Self = Self(1 << 5);
    pub(crate) const URGENT_LEFT: Self = Self(1 << 6);
    pub(crate) const CLOSED: Self = Self(1 << 7);

    pub(crate) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// True if it was there.
    pub(crate) const fn remove(&mut self, other: Self) -> bool {
        let there = self.0 & other.0 != 0;
        self.0 &= !other.0;
        there
    }

    /// Takes the first event of the set, in the order in which they make sense.
    pub(crate) const fn take(&mut self) -> Option<Self> {
        if self.0 == 0 {
            return None;
        }
        let first = self.0 & self.0.wrapping_neg();
        self.0 &= !first;
        Some(Self(first))
    }
}

impl Connection {
    /// Reads a word of each cache line that the next text in order, its ACK and its reader look at: together they
    /// are fetched in the time of one, and one after the other they would be waited for.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        let first = (self.rcv_nxt, Arc::as_ptr(&self.config), self.heard);
        core::hint::black_box((first, self.ts_recent.is_some(), self.paced_until, self.linger_until));
    }

    /// A connection whose SYN is yet to be sent or answered.
    pub(crate) fn new(
        tuple: Tuple,
        config: Arc<Config>,
        state: State,
        iss: SeqNumber,
        ts_offset: u32,
        mtu: u16,
        now: Instant,
    ) -> Self {
        let mss = config.mss.unwrap_or(mtu.saturating_sub(40)).clamp(64, mtu.saturating_sub(40).max(64));
        let rcv_shift = if config.window_scaling { shift_for(config.receive_buffer) } else { 0 };
        let recovery = Recovery::new(&config, mss, iss);
        let urgent = Receiver::default();
        Self {
            tuple,
            config,
            state,
            closed: None,
            listener: None,
            announced: false,
            counted_half_open: false,
            released: false,
            events: Events::default(),
            negotiated: Negotiated::default(),
            iss,
            syn_acked: false,
            snd_una: iss,
            snd_nxt: iss,
            snd_wnd: 0,
            max_snd_wnd: 0,
            snd_wl1: SeqNumber(0),
            snd_wl2: SeqNumber(0),
            snd_mss: 536.min(mss),
            peer_mss: 536,
            snd_shift: 0,
            probe_octet: false,
            fin: Fin::Open,
            snd_up: None,
            send: SendBuffer::new(),
            recovery,
            persist: None,
            paced_until: None,
            due: Due::default(),
            syn_due: true,
            wants_room: false,
            cwr_due: false,
            ece: false,
            irs: SeqNumber(0),
            rcv_nxt: SeqNumber(0),
            rcv_adv: SeqNumber(0),
            rcv_read: SeqNumber(0),
            rcv_shift,
            rcv_mss: mss,
            recv: RecvBuffer::new(),
            assembler: Assembler::new(),
            last_text: None,
            fin_at: None,
            peer_finished: false,
            end_read: false,
            deaf: false,
            urgent,
            ts_recent: None,
            ts_offset,
            last_ack_sent: SeqNumber(0),
            ack: AckDue::No,
            unacked_octets: 0,
            dsack: None,
            challenge: Challenge { since: now, sent: 0 },
            empty_answered: None,
            heard: now,
            unreachable: false,
            fragments: false,
            one_way: 0,
            keep_alives: 0,
            kept_alive: now,
            heard_user_timeout: 0,
            user_timeout_due: false,
            stalled_since: None,
            linger_until: None,
        }
    }

    /// The receive window as announced (RCV.NXT, RCV.WND).
    pub(crate) const fn rcv_window(&self) -> Window {
        Window { nxt: self.rcv_nxt, wnd: self.rcv_adv.distance_from(self.rcv_nxt) }
    }

    /// Octets in order that the application has not read.
    pub(crate) fn unread(&self) -> u32 {
        let fin = u32::from(self.peer_finished);
        self.rcv_nxt.minus(fin).distance_from(self.rcv_read)
    }

    /// The octet that follows what was queued by the application.
    pub(crate) fn snd_end(&self) -> SeqNumber {
        self.data_start().plus(self.send.len() as u32)
    }

    /// Sequence number of the first octet in the send buffer.
    pub(crate) fn data_start(&self) -> SeqNumber {
        if self.syn_acked { self.snd_una } else { self.iss.plus(1) }
    }

    /// Where sending goes on: what went out only as a probe is sent again.
    pub(crate) const fn send_from(&self) -> SeqNumber {
        self.snd_nxt.minus(self.probe_octet as u32)
    }

    /// Octets queued that were never sent, or only as a probe.
    pub(crate) fn unsent(&self) -> u32 {
        // A connection that is over has nothing queued, and numbers that say nothing any more.
        if self.fin == Fin::Sent || self.send.is_empty() {
            return 0;
        }
        if self.snd_nxt == self.iss && !self.syn_acked {
            return self.send.len() as u32;
        }
        self.snd_end().distance_from(self.send_from())
    }

    /// States in which both sides have seen the other's SYN.
    pub(crate) const fn is_synchronized(&self) -> bool {
        !matches!(self.state, State::Closed | State::SynSent | State::SynReceived)
    }

    /// States in which the peer may still send text (RFC 9293 3.10.7.4, seventh).
    pub(crate) const fn takes_text(&self) -> bool {
        matches!(self.state, State::Established | State::FinWait1 | State::FinWait2)
    }

    /// TSval of what is sent now: milliseconds, with an offset per tuple (T4).
    pub(crate) const fn tsval(&self, now: Instant) -> u32 {
        rules::isn::tsval(self.ts_offset, now)
    }

    /// An ACK goes out at the next opportunity.
    pub(crate) const fn ack_now(&mut self) {
        self.ack = AckDue::Now;
    }

    /// The same, within the bound of RFC 5961 section 10.
    pub(crate) fn challenge_ack(&mut self, cx: &mut Context<'_>) {
        if cx.now.since(self.challenge.since) >= cx.limits.challenge_interval {
            self.challenge = Challenge { since: cx.now, sent: 0 };
        }
        if self.challenge.sent < cx.limits.challenge_acks {
            self.challenge.sent += 1;
            cx.counters.challenge_acks += 1;
            self.ack_now();
        } else {
            cx.counters.challenge_acks_withheld += 1;
        }
    }

    /// The connection is over: nothing more is sent or taken, buffered text can still be read after FIN.
    pub(crate) fn end(&mut self, reason: Reason, pool: &mut Pool) {
        self.state = State::Closed;
        self.closed = Some(reason);
        self.send.clear(pool);
        if reason != Reason::Finished {
            // What was not read is gone, and must not be read as something else.
            self.rcv_read = self.rcv_read.plus(self.unread());
            self.recv.clear(pool);
            // What was not read is gone: there is nothing that a read could give.
            self.rcv_read = self.rcv_nxt.minus(u32::from(self.peer_finished));
        }
        self.assembler.clear();
        self.ack = AckDue::No;
        self.due = Due::default();
        self.syn_due = false;
        self.persist = None;
        self.linger_until = None;
        self.events.add(Events::CLOSED);
    }

    /// Gives back what is buffered.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.send.clear(pool);
        self.recv.clear(pool);
    }

    /// Settings changed: what they hold back may go now.
    pub(crate) fn reconfigured(&mut self, now: Instant) {
        if self.config.delayed_ack.is_zero() && self.ack != AckDue::No {
            self.ack_now();
        }
        if self.config.keep_alive.is_some() {
            self.heard = self.heard.max(now);
        }
    }

    /// Enters TIME-WAIT (RFC 9293 3.10.7.4), or begins its time anew.
    pub(crate) fn time_wait(&mut self, now: Instant) {
        self.state = State::TimeWait;
        self.linger_until = Some(now + self.config.time_wait);
    }
}

/// What the application calls. Each is `Endpoint`'s function of the same name.
impl Connection {
    pub(crate) fn write(&mut self, data: &[u8], urgent: bool, cx: &mut Context<'_>) -> Result<usize, Error> {
        self.check_writable()?;
        let limit = self.config.send_buffer as usize;
        let taken = self.send.write(cx.pool, data, limit);
        self.wants_room = taken < data.len();
        if taken == 0 && !data.is_empty() {
            return Err(Error::WouldBlock);
        }
        if urgent && taken > 0 {
            self.snd_up = Some(self.snd_end());
            // Urgent data is announced at once, also where it cannot go yet (U8).
            self.due.window_probe |= self.snd_wnd == 0 && self.is_synchronized();
        }
        if self.stalled_since.is_none() && taken > 0 {
            self.stalled_since = Some(cx.now);
        }
        Ok(taken)
    }

    fn check_writable(&self) -> Result<(), Error> {
        if let Some(reason) = self.closed {
            return Err(Error::Closed(reason));
        }
        if self.fin == Fin::Open { Ok(()) } else { Err(Error::ShutDown) }
    }

    /// Takes up to `buf.len()` octets, never across the urgent mark.
    pub(crate) fn read(&mut self, buf: &mut [u8], cx: &mut Context<'_>) -> Result<Read, Error> {
        self.step_over_out_of_band(cx);
        let read = self.readable(buf.len())?;
        if let Some(to) = buf.get_mut(..read.len) {
            self.recv.read(cx.pool, to);
        }
        self.consumed(read.len as u32);
        self.tidy(cx);
        self.end_read |= self.peer_finished && self.unread() == 0;
        Ok(Read { at_mark: self.at_mark(), ..read })
    }

    /// The octets that [`Self::read`] would take.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> Result<Read, Error> {
        let read = self.readable(buf.len())?;
        if let Some(to) = buf.get_mut(..read.len) {
            self.recv.peek(0, to);
        }
        Ok(read)
    }

    fn readable(&self, room: usize) -> Result<Read, Error> {
        let unread = self.unread();
        if unread == 0 {
            return match self.closed {
                Some(Reason::Finished) | None if self.peer_finished || self.deaf => {
                    Ok(Read { len: 0, urgent: false, at_mark: self.at_mark() })
                }
                Some(Reason::Finished) => Ok(Read { len: 0, urgent: false, at_mark: false }),
                Some(reason) => Err(Error::Closed(reason)),
                None => Err(Error::WouldBlock),
            };
        }
        let wanted = unread.min(u32::try_from(room).unwrap_or(u32::MAX));
        let len = self.urgent.limit(&self.config.urgent, self.rcv_read, wanted) as usize;
        Ok(Read { len, urgent: self.urgent.is_urgent(self.rcv_read), at_mark: self.at_mark() })
    }

    /// The next octet to be read stands at the mark.
    pub(crate) fn at_mark(&self) -> bool {
        self.urgent.at_mark(&self.config.urgent, self.rcv_read, self.copied_seq())
    }

    /// The next number that the application will get to, the FIN's included: Linux's `copied_seq`.
    pub(crate) fn copied_seq(&self) -> SeqNumber {
        self.rcv_read.plus(u32::from(self.end_read))
    }

    /// An octet that is delivered out of band is no part of the stream.
    fn step_over_out_of_band(&mut self, cx: &mut Context<'_>) {
        while self.unread() > 0 && self.urgent.skips(&self.config.urgent, self.rcv_read) {
            self.drop_next_octet(cx);
        }
    }

    /// The next octet, if it is there, is not for the application.
    pub(crate) fn drop_next_octet(&mut self, cx: &mut Context<'_>) {
        if self.unread() > 0 {
            self.recv.discard(cx.pool, 1);
            self.consumed(1);
            self.tidy(cx);
        }
    }

    /// The application has `octets` more: urgent mode may end, the window may open.
    fn consumed(&mut self, octets: u32) {
        self.rcv_read = self.rcv_read.plus(octets);
        if self.urgent.on_read(self.rcv_read) {
            self.events.add(Events::URGENT_LEFT);
        }
        if self.is_window_update_due() {
            self.ack_now();
        }
    }

    /// A connection that has nothing buffered holds no chunk.
    pub(crate) fn tidy(&mut self, cx: &mut Context<'_>) {
        if self.unread() == 0 && self.assembler.is_empty() {
            self.recv.clear(cx.pool);
        }
    }

    pub(crate) fn take_urgent(&mut self, peek: bool) -> Result<u8, Error> {
        self.urgent.take(&self.config.urgent, peek, self.peer_finished)
    }

    /// FIN follows what is queued.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.check_writable()?;
        match self.state {
            State::SynSent => self.end(Reason::Finished, cx.pool),
            _ => self.fin = Fin::Queued,
        }
        if self.stalled_since.is_none() {
            self.stalled_since = Some(cx.now);
        }
        Ok(())
    }

    /// The application reads no more.
    pub(crate) fn stop_reading(&mut self, cx: &mut Context<'_>) {
        self.deaf = true;
        self.discard_unread(cx);
    }

    pub(crate) fn discard_unread(&mut self, cx: &mut Context<'_>) {
        let unread = self.unread();
        self.recv.discard(cx.pool, unread as usize);
        self.consumed(unread);
        self.tidy(cx);
    }

    /// How it is.
    pub(crate) fn info(&self) -> Info {
        let rtt = self.recovery.rtt();
        Info {
            state: self.state,
            local: self.tuple.local,
            remote: self.tuple.remote,
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            rcv_nxt: self.rcv_nxt,
            snd_wnd: self.snd_wnd,
            rcv_wnd: self.rcv_window().wnd,
            unread: self.unread() as usize,
            unacknowledged: self.send.len(),
            unsent: self.unsent() as usize,
            urgent: self.urgent.remaining(self.rcv_read),
            congestion: self.recovery.congestion(),
            cwnd: self.recovery.cwnd(),
            ssthresh: self.recovery.ssthresh(),
            srtt: rtt.srtt(),
            rttvar: rtt.rttvar(),
            rto: rtt.rto(),
            mss: self.snd_mss,
            in_flight: self.recovery.in_flight(),
            retransmissions: self.recovery.retransmissions(),
            window_scaling: self.negotiated.window_scaling,
            timestamps: self.negotiated.timestamps,
            sack: self.negotiated.sack,
            ecn: self.negotiated.ecn,
            peer_user_timeout: rules::user_timeout::timeout(self.heard_user_timeout),
            closed: self.closed,
        }
    }
}

#[cfg(test)]
mod tests;
