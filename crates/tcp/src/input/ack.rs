//! Fifth step: ACK, and the window with it (RFC 9293 3.10.7.4 with RFC 5961 section 5).

use rules::reset::{Group, reset_for};
use rules::rfc5961::{AckVerdict, ack_verdict};
use rules::window::{updates_send_window, window_octets};
use wire::SeqNumber;
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::connection::{Connection, Context, Events, Fin};
use crate::segment::Segment;
use crate::send::recovery::AckInput;
use crate::{Reason, State};

/// All that 40 octets of options hold.
const SACK_BLOCKS: usize = 4;

impl Connection {
    pub(super) fn check_ack<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        if !segment.has(Flags::ACK) {
            return Err(Stop::Done);
        }
        if self.state == State::SynReceived {
            self.check_ack_of_syn(&segment, cx)?;
        }
        match ack_verdict(segment.ack, self.snd_una, self.snd_nxt, self.max_snd_wnd) {
            AckVerdict::TooOld => {
                cx.counters.ack_too_old += 1;
                self.challenge_ack(cx);
                return Err(Stop::Done);
            }
            AckVerdict::Future => {
                cx.counters.ack_of_unsent += 1;
                // Limited: a stranger who knows the numbers could make both ends answer one another for ever.
                self.challenge_ack(cx);
                return Err(Stop::Done);
            }
            AckVerdict::Old => {
                self.keep_timestamp(&segment, cx);
                return Ok(segment);
            }
            AckVerdict::Duplicate | AckVerdict::New => self.keep_timestamp(&segment, cx),
        }
        self.acknowledge(&segment, cx);
        if self.state == State::Closed { Err(Stop::Done) } else { Ok(segment) }
    }

    /// SYN-RECEIVED: the ACK of our SYN opens the connection, any other number is answered with RST.
    fn check_ack_of_syn(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let group = Group::Opening { snd_una: self.snd_una, snd_nxt: self.snd_nxt };
        if let Some(reset) = reset_for(segment.seq, Some(segment.ack), segment.len(), false, group) {
            return Err(Stop::Reset(reset));
        }
        self.established(segment, cx);
        Ok(())
    }

    /// The connection is open. SND.WND is what this segment says, scaled.
    pub(super) fn established(&mut self, segment: &Segment<'_>, cx: &Context<'_>) {
        self.state = State::Established;
        self.syn_due = false;
        self.user_timeout_due = self.config.told_user_timeout.and_then(rules::user_timeout::field).is_some();
        self.events.add(if self.listener.is_some() { Events::INCOMING } else { Events::CONNECTED });
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
        self.set_send_window(self.window_of(segment));
        self.heard = cx.now;
    }

    /// SND.UNA =< SEG.ACK =< SND.NXT.
    pub(super) fn acknowledge(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) {
        let window = self.window_of(segment);
        let (mut blocks, mut count) = ([(SeqNumber(0), SeqNumber(0)); SACK_BLOCKS], 0);
        if self.negotiated.sack {
            for (to, block) in blocks.iter_mut().zip(segment.options.sacks.into_iter().flatten()) {
                *to = block;
                count += 1;
            }
        }
        let input = AckInput {
            ack: segment.ack,
            sacks: blocks.get(..count).unwrap_or(&[]),
            tsecr_rtt: self.rtt_of(segment, cx),
            has_data: segment.len() > 0,
            window_changed: window != self.snd_wnd,
            ece: self.negotiated.ecn && segment.has(Flags::ECE),
            can_send_new: self.can_send_full_segment(),
            now: cx.now,
        };
        self.recovery.on_ack(&input);
        self.cwr_due |= self.recovery.take_cwr();
        if segment.ack != self.snd_una {
            self.advance_una(segment, cx);
        }
        if updates_send_window(segment.seq, segment.ack, self.snd_wl1, self.snd_wl2, self.snd_una) {
            self.set_send_window(window);
            self.snd_wl1 = segment.seq;
            self.snd_wl2 = segment.ack;
        }
        // Whoever answers is alive, however often it says that its window is closed (RFC 9293 3.8.6.1).
        if let Some(persist) = &mut self.persist {
            persist.unanswered = 0;
        }
    }

    /// Neither Nagle nor the peer's window would hold back a segment of new text.
    fn can_send_full_segment(&self) -> bool {
        let mss = u32::from(self.text_mss());
        self.unsent() >= mss
            && self.snd_wnd >= self.send_from().distance_from(self.snd_una).saturating_add(mss)
    }

    pub(super) fn window_of(&self, segment: &Segment<'_>) -> u32 {
        window_octets(segment.window, if segment.was_syn { 0 } else { self.snd_shift })
    }

    fn set_send_window(&mut self, window: u32) {
        self.snd_wnd = window;
        self.max_snd_wnd = self.max_snd_wnd.max(window);
    }

    /// RTTM: how long ago the echoed timestamp was sent, in our clock's milliseconds (RFC 7323 4.1).
    fn rtt_of(&self, segment: &Segment<'_>, cx: &Context<'_>) -> Option<core::time::Duration> {
        let (_, echo) = segment.options.timestamps.filter(|_| self.negotiated.timestamps)?;
        let millis = self.tsval(cx.now).wrapping_sub(echo);
        // What is older than the longest possible RTO, or from the future, is no echo of ours.
        (echo != 0 && millis < 240_000).then(|| core::time::Duration::from_millis(u64::from(millis)))
    }

    /// New octets are acknowledged: SYN, text, FIN.
    fn advance_una(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) {
        let syn = u32::from(!self.syn_acked);
        self.syn_acked = true;
        let acked = segment.ack.distance_from(self.snd_una) - syn;
        let text = (acked as usize).min(self.send.len());
        let fin_acked = self.fin == Fin::Sent && segment.ack == self.snd_nxt && acked as usize > text;
        self.send.advance(cx.pool, text);
        self.snd_una = segment.ack;
        if self.snd_una == self.snd_nxt {
            self.probe_octet = false;
        }
        if self.snd_up.is_some_and(|up| !up.after(self.snd_una)) {
            self.snd_up = None;
        }
        // What a timer asked for was answered before it was sent.
        (self.persist, self.due.window_probe, self.due.tail_probe) = (None, false, false);
        let all = self.send.is_empty() && (self.fin == Fin::Open || fin_acked);
        self.stalled_since = if all { None } else { Some(cx.now) };
        let room = (self.config.send_buffer as usize).saturating_sub(self.send.len());
        if self.wants_room && room >= self.config.send_buffer as usize / 3 {
            self.wants_room = false;
            self.events.add(Events::WRITABLE);
        }
        if fin_acked {
            self.fin_acknowledged(cx);
        }
    }

    fn fin_acknowledged(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.limit_fin_wait_2(cx.now);
            }
            State::Closing => self.time_wait(cx.now),
            State::LastAck => self.end(Reason::Finished, cx.pool),
            _ => {}
        }
    }

    /// Nobody will read what a peer sends to a closed application: it need not be waited for for ever.
    pub(crate) fn limit_fin_wait_2(&mut self, now: rules::Instant) {
        if self.state == State::FinWait2 && self.released {
            self.linger_until = self.config.fin_wait_2.map(|limit| now + limit);
        }
    }
}
