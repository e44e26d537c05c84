//! SYN-SENT (RFC 9293 3.10.7.3), and what both kinds of opening take from the peer's SYN.

use rules::paws::TsRecent;
use rules::reset::{Group, reset_for};
use rules::window::{peer_shift, window_octets};
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::connection::{Connection, Context};
use crate::segment::Segment;
use crate::{Reason, State};

impl Connection {
    pub(super) fn syn_sent<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        let ack = segment.has(Flags::ACK).then_some(segment.ack);
        let rst = segment.has(Flags::RST);
        let group = Group::Opening { snd_una: self.snd_una, snd_nxt: self.snd_nxt };
        if let Some(ack) = ack
            && reset_for(segment.seq, Some(ack), segment.len(), false, group).is_some()
        {
            let reset = reset_for(segment.seq, Some(ack), segment.len(), rst, group);
            cx.counters.ack_of_unsent += 1;
            return Err(reset.map_or(Stop::Done, Stop::Reset));
        }
        if rst {
            match ack {
                Some(_) => self.end(Reason::Refused, cx.pool),
                None => cx.counters.rst_ignored += 1,
            }
            return Err(Stop::Done);
        }
        if !segment.has(Flags::SYN) {
            return Err(Stop::Done);
        }
        self.take_syn(&segment, cx);
        if ack.is_some() { self.opened(segment, cx) } else { self.crossed(segment) }
    }

    /// The SYN-ACK: the connection is open. Its text and FIN, if any, go the way of any other.
    fn opened<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        self.established(&segment, cx);
        self.acknowledge(&segment, cx);
        self.ack_now();
        let segment = self.trim(segment, cx);
        let segment = self.check_urgent(segment, cx)?;
        self.note_fin(&segment, cx);
        let segment = self.take_text(segment, cx)?;
        self.check_fin(segment, cx)
    }

    /// A SYN that crosses ours: simultaneous open (RFC 9293 3.5). Our SYN goes out again, now with an ACK.
    fn crossed<'a>(&mut self, segment: Segment<'a>) -> Step<'a> {
        self.state = State::SynReceived;
        self.syn_due = true;
        self.snd_wnd = u32::from(segment.window);
        self.max_snd_wnd = self.snd_wnd;
        Err(Stop::Done)
    }

    /// IRS, and the options that the SYN offers or answers.
    pub(crate) fn take_syn(&mut self, segment: &Segment<'_>, cx: &Context<'_>) {
        let options = &segment.options;
        let config = &self.config;
        self.irs = segment.seq;
        self.rcv_nxt = segment.seq.plus(1);
        self.rcv_read = self.rcv_nxt;
        self.rcv_adv = self.rcv_nxt.plus(config.receive_buffer.min(0xFFFF));
        self.last_ack_sent = self.rcv_nxt;
        self.peer_mss = options.mss.unwrap_or(536).max(64);
        self.negotiated.window_scaling = config.window_scaling && options.window_scale.is_some();
        self.negotiated.timestamps = config.timestamps && options.timestamps.is_some();
        self.negotiated.sack = config.sack && options.sack_permitted;
        let asks = if segment.has(Flags::ACK) { Flags::ECE } else { Flags::ECE | Flags::CWR };
        self.negotiated.ecn = config.ecn
            && segment.flags.contains(asks)
            && (!segment.has(Flags::ACK) || !segment.has(Flags::CWR));
        match options.window_scale {
            Some(shift) if self.negotiated.window_scaling => self.snd_shift = peer_shift(shift),
            _ => self.rcv_shift = 0,
        }
        self.ts_recent = options
            .timestamps
            .filter(|_| self.negotiated.timestamps)
            .map(|(value, _)| TsRecent { value, seen: cx.now });
        self.hear_user_timeout(segment);
        self.recovery.set_sack(self.negotiated.sack);
        self.snd_wl1 = segment.seq;
        self.snd_wnd = window_octets(segment.window, 0);
        self.max_snd_wnd = self.snd_wnd;
        let mss = self.peer_mss.min(self.rcv_mss);
        self.set_mss(mss);
    }
}
