//! An ICMP error about a segment of ours (RFC 9293 3.9.2.2, RFC 1191, RFC 5927).

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

/// No path is believed to be narrower (RFC 5927 7.2 and what deployed stacks use).
const LEAST_MTU: u16 = 552;

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
        let told = if mtu == 0 { plateau_below(total_len) } else { mtu };
        // It must be about a packet that was too long for it, and make us smaller.
        let next = told.max(LEAST_MTU);
        if !self.config.path_mtu_discovery || told >= total_len || next >= current {
            cx.counters.icmp_ignored += 1;
            return;
        }
        self.set_mss(next - 40);
        self.recovery.path_changed();
    }

    /// The largest segment to send from now on, options included.
    pub(crate) fn set_mss(&mut self, mss: u16) {
        self.snd_mss = mss;
        let options = if self.negotiated.timestamps { 12 } else { 0 };
        self.recovery.set_mss(mss.saturating_sub(options));
    }
}

/// The plateaus of RFC 1191 section 7.1, for routers that do not say their MTU.
fn plateau_below(len: u16) -> u16 {
    const PLATEAUS: [u16; 10] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];
    PLATEAUS.into_iter().find(|&plateau| plateau < len).unwrap_or(68)
}
