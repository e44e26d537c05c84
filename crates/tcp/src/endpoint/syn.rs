//! A segment for a listener (RFC 9293 3.10.7.2): SYNs, and the ACKs that bring cookies back.

use rules::Instant;
use rules::reset::Group;
use wire::SeqNumber;
use wire::tcp::Flags;

use super::cookie::{self, Offer};
use super::{Context, Endpoint, context};
use crate::output::{OptionOctets, Packet};
use crate::segment::{Segment, Tuple};
use crate::{ListenerId, State};

impl Endpoint {
    pub(super) fn handle_listen(
        &mut self,
        listener: ListenerId,
        tuple: Tuple,
        segment: Segment<'_>,
        now: Instant,
    ) {
        if segment.has(Flags::RST) {
            self.counters.rst_ignored += 1;
        } else if segment.has(Flags::ACK) {
            self.handle_cookie(listener, tuple, segment, now);
        } else if segment.opens() {
            self.handle_syn(listener, tuple, segment, now);
        } else {
            self.counters.unacceptable += 1;
        }
    }

    /// A SYN opens a connection, or is answered with a cookie if too many are half open.
    fn handle_syn(&mut self, listener: ListenerId, tuple: Tuple, segment: Segment<'_>, now: Instant) {
        if !self.has_room(listener) {
            return;
        }
        if self.half_open >= self.config.limits.half_open {
            return self.send_cookie(listener, tuple, &segment, now);
        }
        self.open_passive(listener, tuple, segment, None, now);
    }

    /// Whether a SYN that ends a TIME-WAIT (RFC 6191) would open a connection. If not it has to change nothing:
    /// it is dropped, TIME-WAIT goes on, and the SYN may come again.
    ///
    /// No cookie is sent there. A cookie is the ISN, and nothing makes it lie beyond the old SND.NXT.
    pub(super) fn may_reopen(&mut self, listener: ListenerId) -> bool {
        let may = self.half_open < self.config.limits.half_open && self.has_room(listener);
        if !may {
            self.counters.time_wait_kept += 1;
        }
        may
    }

    /// The backlog and the bound on connections have room for one more; what has none is counted.
    fn has_room(&mut self, listener: ListenerId) -> bool {
        let Some(state) = self.listeners.get(listener) else { return false };
        if state.is_full() {
            self.counters.backlog_full += 1;
            return false;
        }
        if self.connections.len() >= self.config.limits.connections as usize {
            self.counters.connections_full += 1;
            return false;
        }
        true
    }

    /// A connection in SYN-RECEIVED.
    ///
    /// `after`: the connection that this one follows in TIME-WAIT ended there, and ours has to begin beyond
    /// (RFC 9293 MAY-2, RFC 6191).
    pub(super) fn open_passive(
        &mut self,
        listener: ListenerId,
        tuple: Tuple,
        segment: Segment<'_>,
        after: Option<SeqNumber>,
        now: Instant,
    ) {
        let Some(config) = self.listeners.get(listener).map(|listener| listener.config.clone()) else {
            return;
        };
        let iss = self.keys.isn(&tuple, now);
        let iss = after.filter(|&end| !iss.after(end)).map_or(iss, |end| end.plus(1 << 16));
        let index = self.insert(tuple, config, State::SynReceived, iss, now);
        self.half_open += 1;
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.listener = Some(listener);
        connection.counted_half_open = true;
        connection.take_syn(&segment, &context!(self, now));
        self.settle(index, now);
    }

    /// Answers without remembering: everything is in the sequence number and the timestamp.
    fn send_cookie(&mut self, listener: ListenerId, tuple: Tuple, segment: &Segment<'_>, now: Instant) {
        let Some(config) = self.listeners.get(listener).map(|listener| listener.config.clone()) else {
            return;
        };
        let offer = Offer::of(segment, &config);
        let seq = self.keys.cookie(&tuple, segment.seq, offer.mss, now);
        let mss = config.mss.unwrap_or(self.link.mtu - 40);
        let tsval = rules::isn::tsval(self.keys.timestamp_offset(&tuple), now);
        let mut options = OptionOctets::NONE;
        offer.write(&mut options, mss, tsval, segment, &config);
        let packet = Packet {
            tuple,
            seq,
            ack: segment.seq.plus(1),
            flags: Flags::SYN | Flags::ACK,
            window: config.receive_buffer.min(0xFFFF) as u16,
            urgent: 0,
            ect: false,
            identification: None,
        };
        self.counters.cookies_sent += 1;
        self.cookie_sent = Some(now);
        self.replies.push_with(packet, options, &mut self.counters);
    }

    /// Cookies of ours may come back: else whoever sends 2^24 ACKs would have guessed one.
    fn awaits_cookies(&self, now: Instant) -> bool {
        self.cookie_sent.is_some_and(|sent| now.since(sent) <= cookie::LIFETIME)
    }

    /// An ACK to a listener: the third segment of a handshake that we did not remember, or a stray.
    fn handle_cookie(&mut self, listener: ListenerId, tuple: Tuple, segment: Segment<'_>, now: Instant) {
        let (iss, irs) = (segment.ack.minus(1), segment.seq.minus(1));
        let offer = match self.keys.check_cookie(&tuple, iss, irs, now) {
            Some(mss) if !segment.has(Flags::SYN) && self.awaits_cookies(now) => {
                Offer::restored(mss, &segment)
            }
            _ => {
                self.counters.cookies_wrong += 1;
                return self.reset(tuple, &segment, Group::Listen, now);
            }
        };
        let Some(state) = self.listeners.get(listener) else { return };
        if state.is_full() || self.connections.len() >= self.config.limits.connections as usize {
            self.counters.backlog_full += 1;
            return;
        }
        let config = state.config.clone();
        self.counters.cookies_accepted += 1;
        let index = self.insert(tuple, config, State::SynReceived, iss, now);
        let Some(connection) = self.connections.get_mut(index) else { return };
        connection.listener = Some(listener);
        connection.take_syn(&offer.syn(irs, &segment), &context!(self, now));
        connection.snd_nxt = iss.plus(1);
        connection.syn_due = false;
        self.handle_segment(index, tuple, segment, now);
    }
}
