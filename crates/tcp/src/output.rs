//! What goes out next, and when: one decision.
//!
//! [`Connection::next`] is the only place that knows. `poll_transmit` sends what it says, `poll_timeout` waits
//! for what it says, so the two cannot disagree, and a step that changes nothing cannot emit twice. What a timer
//! changes is in `timers`, how a segment is written in `write`.

use rules::Instant;
use rules::acceptability::Edge;
use rules::window::{ToSend, may_send};
use wire::SeqNumber;

use crate::connection::{AckDue, Connection, Fin};
use crate::{State, WindowProbe};

mod run;
mod timers;
mod write;

pub(crate) use run::Run;
pub(crate) use write::{OptionOctets, Packet, reset_packet};

/// What the link takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) mtu: u16,
    /// Octets of the largest super-segment, IPv4 header included; 0: none.
    pub(crate) super_segment: u32,
    pub(crate) checksum_offload: bool,
    pub(crate) ttl: u8,
}

/// The decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// This, now.
    Send(Out),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing until something happens.
    Idle,
}

/// A segment to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Out {
    /// SYN, or SYN-ACK once the peer's is known.
    Syn,
    /// Text from `seq` on, `len` octets of it, and FIN if it is the end.
    Text { seq: SeqNumber, len: u32, fin: bool, again: bool },
    /// The next octet into a closed window.
    ProbeOctet,
    /// A segment left of what the peer expects, of no octet or one of garbage: it must be answered.
    Poke { octet: bool },
    /// An ACK alone.
    Ack,
}

impl Connection {
    /// What goes out next. Timers that are due have been handled by [`Connection::on_timeout`] before.
    pub(crate) fn next(&self, now: Instant, link: &Link) -> Next {
        match self.state {
            State::Closed => return Next::Idle,
            State::SynSent | State::SynReceived if self.syn_due => return Next::Send(Out::Syn),
            State::SynSent | State::SynReceived => {}
            _ => {
                if let Some(text) = self.text_due(now, link) {
                    return Next::Send(text);
                }
                if self.due.keep_alive {
                    return Next::Send(Out::Poke { octet: self.keep_alive_octet() });
                }
            }
        }
        match self.ack {
            AckDue::Now => Next::Send(self.ack_out()),
            AckDue::By(time) if time <= now => Next::Send(self.ack_out()),
            _ => self.deadline().map_or(Next::Idle, Next::Wait),
        }
    }

    /// An ACK alone. The stacks that FIN wars were seen with put their FIN into every segment while it was not
    /// acknowledged: the old test brings that back (S8), so that the figure comes out as drawn.
    fn ack_out(&self) -> Out {
        let legacy = self.config.seq_validation == Edge::Rfc793 && self.state == State::Closing;
        if legacy {
            return Out::Text { seq: self.snd_nxt.minus(1), len: 0, fin: true, again: true };
        }
        Out::Ack
    }

    /// What is lost first, then what a probe is due for, then new text.
    fn text_due(&self, now: Instant, link: &Link) -> Option<Out> {
        if self.send.is_empty() && self.fin != Fin::Queued && self.snd_una == self.snd_nxt {
            return None;
        }
        self.lost_text(link)
            .or_else(|| self.tail_probe(link))
            .or_else(|| self.new_text(now, link))
            .or_else(|| self.window_probe())
    }

    fn lost_text(&self, link: &Link) -> Option<Out> {
        let (start, end) = self.recovery.next_retransmission()?;
        let wanted = end.distance_from(start);
        let mss = u32::from(self.text_mss());
        let allowance = self.recovery.allowance();
        if allowance < wanted.min(mss) && self.recovery.in_flight() > 0 {
            return None;
        }
        let most = (allowance / mss * mss).max(mss).min(self.most_text(link));
        self.again(start, wanted.min(most))
    }

    fn tail_probe(&self, link: &Link) -> Option<Out> {
        if !self.due.tail_probe {
            return None;
        }
        let mss = u32::from(self.text_mss());
        let new = self.unsent().min(self.usable()).min(mss).min(self.most_text(link));
        if new > 0 {
            return Some(self.text(self.send_from(), new, false));
        }
        let (start, end) = self.recovery.tlp_range()?;
        let len = end.distance_from(start).min(mss);
        self.again(end.minus(len), len)
    }

    /// `len` octets of sequence space from `seq` on once more; the FIN may be the last of them.
    ///
    /// Into a closed window nothing is repeated, that is the persist timer's; into a shrunken one as
    /// much as fits (RFC 9293 3.8.6: SHLD-17).
    fn again(&self, seq: SeqNumber, len: u32) -> Option<Out> {
        let fin = self.fin == Fin::Sent && seq.plus(len) == self.snd_nxt;
        let text = len - u32::from(fin);
        let before = seq.distance_from(self.snd_una);
        let room = self.snd_wnd.saturating_sub(before);
        if text > room && room == 0 {
            return None;
        }
        let whole = text <= room;
        Some(Out::Text { seq, len: text.min(room), fin: fin && whole, again: true })
    }

    fn new_text(&self, now: Instant, link: &Link) -> Option<Out> {
        let queued = self.unsent();
        if queued == 0 {
            let alone = self.fin == Fin::Queued;
            return alone.then(|| Out::Text { seq: self.send_from(), len: 0, fin: true, again: false });
        }
        let mss = u32::from(self.text_mss());
        let usable = self.usable();
        if !self.may_send(queued, usable, mss) || self.paced_until.is_some_and(|until| until > now) {
            return None;
        }
        let allowance = self.recovery.allowance();
        let least = queued.min(usable).min(mss);
        if allowance < least && self.recovery.in_flight() > 0 {
            return None;
        }
        let mut len = queued.min(usable).min(allowance.max(least)).min(self.most_text(link));
        // A super-segment ends with a whole segment unless it ends the queue.
        if len > mss && len < queued {
            len -= len % mss;
        }
        Some(self.text(self.send_from(), len, false))
    }

    fn text(&self, seq: SeqNumber, len: u32, again: bool) -> Out {
        let last = self.fin == Fin::Queued && seq.plus(len) == self.snd_end();
        Out::Text { seq, len, fin: last, again }
    }

    /// Nagle and silly window avoidance (RFC 9293 3.8.6.2.1, 3.7.4); a FIN behind the text, or urgent data, is
    /// no small segment to wait for.
    fn may_send(&self, queued: u32, usable: u32, mss: u32) -> bool {
        let held = self.config.cork && self.fin == Fin::Open && queued < mss && !self.due.window_probe;
        !held
            && may_send(&ToSend {
                queued,
                usable,
                max_snd_wnd: self.max_snd_wnd,
                eff_snd_mss: mss,
                pushed: true,
                idle: self.send_from() == self.snd_una,
                nagle: self.config.nagle && self.fin == Fin::Open && self.snd_up.is_none(),
                overridden: self.due.window_probe,
            })
    }

    /// The window that is left: SND.UNA + SND.WND - SND.NXT, 0 if the peer took it back.
    fn usable(&self) -> u32 {
        self.snd_wnd.saturating_sub(self.send_from().distance_from(self.snd_una))
    }

    /// Every style in use (S5). One that brings text needs text.
    fn window_probe(&self) -> Option<Out> {
        if !self.due.window_probe {
            return None;
        }
        let shrunk = self.send_from() != self.snd_una;
        Some(match self.config.window_probe {
            // The peer took its window back: it waits for the octet at SND.UNA, which is no new one.
            WindowProbe::NextOctet | WindowProbe::OctetAtUna if shrunk && !self.send.is_empty() => {
                Out::Text { seq: self.snd_una, len: 1, fin: false, again: true }
            }
            WindowProbe::NextOctet | WindowProbe::OctetAtUna if self.unsent() > 0 => Out::ProbeOctet,
            WindowProbe::OldOctet => Out::Poke { octet: true },
            _ => Out::Poke { octet: false },
        })
    }

    /// Octets of text that fit a segment with its options.
    pub(crate) fn text_mss(&self) -> u16 {
        self.snd_mss.saturating_sub(self.option_octets() as u16).max(8)
    }

    /// Octets of text that one packet to the link may carry.
    fn most_text(&self, link: &Link) -> u32 {
        let mss = u32::from(self.text_mss());
        // Splitting copies URG and pointer to every part: only the first would be right.
        if link.super_segment == 0 || self.snd_up.is_some() {
            return mss;
        }
        let room = link.super_segment.min(65_535).saturating_sub(40 + self.option_octets() as u32);
        (room / mss * mss).max(mss)
    }

    fn keep_alive_octet(&self) -> bool {
        self.config.keep_alive.is_some_and(|keep_alive| keep_alive.garbage_octet)
    }
}
