//! An ICMP error about a segment of ours (RFC 9293 3.9.2.2, RFC 1191, RFC 5927).

use rules::path_mtu::narrower_path;
use wire::SeqNumber;

use crate::connection::{Connection, Context};
use crate::{Reason, State};

/// What the error says, and of which segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IcmpError {
    pub(crate) kind: IcmpKind,
    /// SEG.SEQ of the quoted segment.
    pub(crate) seq: SeqNumber,
}

/// The errors that mean something to TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IcmpKind {
    /// 3/4: the datagram, of so many octets, is too long for a link of this MTU.
    TooBig { mtu: u16, total_len: u16 },
    /// 3/2, 3/3 and other prohibitions.
    Refused,
    /// 3/0, 3/1, 3/5, 11: may pass.
    Unreachable,
}

impl Connection {
    /// An error is believed if it quotes what is in flight (RFC 5927 4.1); an established connection is never
    /// ended by one (RFC 5927 section 5), one that is being opened is when it is refused.
    pub(crate) fn icmp_error(&mut self, error: IcmpError, cx: &mut Context<'_>) {
        let in_flight = error.seq.distance_from(self.snd_una) < self.snd_nxt.distance_from(self.snd_una);
        if !in_flight || self.state == State::Closed {
            cx.counters.icmp_ignored += 1;
            return;
        }
        match error.kind {
            IcmpKind::TooBig { mtu, total_len } => self.path_is_narrower(mtu, total_len, cx),
            IcmpKind::Refused | IcmpKind::Unreachable if self.is_synchronized() => {
                cx.counters.icmp_ignored += 1
            }
            IcmpKind::Refused => self.end(Reason::Refused, cx.pool),
            // May pass: the SYN goes out again until it has been tried often enough (RFC 9293 3.9.2.2, MUST-56).
            IcmpKind::Unreachable => self.unreachable = true,
        }
    }

    fn path_is_narrower(&mut self, mtu: u16, total_len: u16, cx: &mut Context<'_>) {
        let current = self.snd_mss.saturating_add(40);
        let narrower = if self.sets_df() { narrower_path(mtu, total_len) } else { None };
        let Some(path) = narrower.filter(|path| path.mtu < current || path.fragments) else {
            cx.counters.icmp_ignored += 1;
            return;
        };
        self.fragments = path.fragments;
        if path.mtu < current {
            self.set_mss(path.mtu - 40);
        }
        self.recovery.path_changed();
    }

    /// Packets go out with DF, and what routers say about it is followed.
    pub(crate) fn sets_df(&self) -> bool {
        self.config.path_mtu_discovery && !self.fragments
    }

    /// The largest segment to send from now on, options included.
    pub(crate) fn set_mss(&mut self, mss: u16) {
        self.snd_mss = mss;
        let options = if self.negotiated.timestamps { 12 } else { 0 };
        self.recovery.set_mss(mss.saturating_sub(options));
    }
}
