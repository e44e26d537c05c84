//! Loss recovery: what has left, what of it is lost, and how much may leave now.
//!
//! The one thing of this folder that a connection talks to. It keeps the scoreboard, the timers and the
//! congestion window; the connection keeps the octets. SYN and FIN count as the octet of sequence space
//! that they are.

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

use crate::Config;
use crate::rtt::Rtt;

/// The sender's state of loss recovery and congestion control.
pub(crate) struct Recovery {}

/// An acknowledgment that passed the connection's tests: `ack` lies in [SND.UNA, SND.NXT].
pub(crate) struct AckInput<'a> {
    pub(crate) now: Instant,
    /// SEG.ACK: SND.UNA from now on.
    pub(crate) ack: SeqNumber,
    pub(crate) snd_nxt: SeqNumber,
    /// The blocks of the SACK option in their order, as the peer sent them: nothing is checked yet.
    pub(crate) sacks: &'a [(SeqNumber, SeqNumber)],
    /// Age of the echoed timestamp (RFC 7323), if there is one.
    pub(crate) tsecr_rtt: Option<Duration>,
    /// The segment brought text, SYN or FIN: then it is no duplicate ACK (RFC 5681 section 2).
    pub(crate) has_data: bool,
    /// It changed SND.WND: the same.
    pub(crate) window_changed: bool,
    /// ECE is set, and ECN was agreed on.
    pub(crate) ece: bool,
    /// There is text that was never sent and that the peer's window takes (RFC 5682 step 2b).
    pub(crate) can_send_new: bool,
}

/// What an acknowledgment brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct AckOutcome {
    /// Octets of sequence space that the cumulative acknowledgment moved over.
    pub(crate) newly_acked: u32,
    /// Octets that are now known to have arrived, by either kind of acknowledgment.
    pub(crate) delivered: u32,
    /// Something was found to be lost.
    pub(crate) lost_any: bool,
    /// The last reduction of the window turned out to have been for nothing, and was taken back.
    pub(crate) undone: bool,
}

/// What a timer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expired {
    /// It was too early.
    Nothing,
    /// The reordering window is over, and ranges are lost: see [`Recovery::next_retransmission`].
    Reorder,
    /// Send one segment, whatever the congestion window says: text never sent if there is some and the
    /// peer's window takes it, else [`Recovery::tlp_range`].
    Probe,
    /// The retransmission timer: everything is lost, the timer is backed off.
    Rto,
}

impl Recovery {
    /// For a connection whose first octet is `iss`. Until [`Self::set_sack`], without SACK.
    pub(crate) fn new(config: &Config, mss: u16, iss: SeqNumber) -> Self {}

    /// Whether SACK was agreed on: without it RACK and TLP rest, and duplicate ACKs are counted.
    pub(crate) fn set_sack(&mut self, agreed: bool) {}

    /// The segment size changed: octets of text that a full segment takes.
    pub(crate) fn set_mss(&mut self, mss: u16) {}

    /// `start..end` leaves: new text at SND.NXT or a range that left before. A super-segment is one call.
    pub(crate) fn on_transmit(&mut self, start: SeqNumber, end: SeqNumber, now: Instant) {}

    /// An acknowledgment came: call it for every acceptable ACK, also when nothing is in flight.
    pub(crate) fn on_ack(&mut self, ack: &AckInput<'_>) -> AckOutcome {}

    /// Octets that may leave now beyond what is in flight: new text or retransmissions. 0: none.
    pub(crate) fn allowance(&self) -> u32 {}

    /// The oldest range that is lost and has not been sent again. The caller cuts it into segments.
    pub(crate) fn next_retransmission(&self) -> Option<(SeqNumber, SeqNumber)> {}

    /// When [`Self::on_timeout`] is to be called; `None` when nothing is in flight.
    pub(crate) fn deadline(&self) -> Option<Instant> {}

    /// Time has come to `now`.
    pub(crate) fn on_timeout(&mut self, now: Instant, snd_nxt: SeqNumber) -> Expired {}

    /// The last segment in flight: what a probe sends when there is no new text.
    pub(crate) fn tlp_range(&self) -> Option<(SeqNumber, SeqNumber)> {}

    /// Before new text is sent when nothing is in flight: after a silence of an RTO the window is the
    /// restart window (RFC 5681 4.1).
    pub(crate) fn on_idle(&mut self, now: Instant) {}

    /// Timeouts in a row without an acknowledgment of new text, for R1 and R2 (RFC 9293 3.8.3).
    pub(crate) fn rto_count(&self) -> u32 {}

    /// Octets in flight (RFC 6675's pipe).
    pub(crate) fn in_flight(&self) -> u32 {}

    /// The congestion window, in octets.
    pub(crate) fn cwnd(&self) -> u32 {}

    /// The slow start threshold, in octets; `u32::MAX`: none yet.
    pub(crate) fn ssthresh(&self) -> u32 {}

    /// The round trip and the timeout made of it.
    pub(crate) fn rtt(&self) -> &Rtt {}

    /// Ranges sent again.
    pub(crate) fn retransmissions(&self) -> u64 {}

    /// In fast recovery, or after a timeout until what was in flight then is acknowledged.
    pub(crate) fn in_recovery(&self) -> bool {}

    /// The window was reduced since this was last asked: CWR is due (RFC 3168 6.1.2).
    pub(crate) fn take_cwr(&mut self) -> bool {}

    /// Octets a second to send at, if the settings ask for pacing and the round trip is known.
    pub(crate) fn pacing_rate(&self) -> Option<u64> {}
}
