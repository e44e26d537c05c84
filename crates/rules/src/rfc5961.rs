//! Robustness against blind attacks (RFC 5961): RST, SYN and ACK of a synchronized connection.
//!
//! These tests are exact whatever [`Edge`](crate::acceptability::Edge) is chosen: the octet at
//! RCV.NXT-1 is outside (S7). The limit on challenge ACKs is the caller's, since it needs a state.

use wire::SeqNumber;

use crate::acceptability::Window;

/// What a RST does (RFC 5961 section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RstVerdict {
    /// Exactly at RCV.NXT: the connection is reset.
    Reset,
    /// Elsewhere in the window: send a challenge ACK, drop the RST.
    Challenge,
    /// Outside: drop it in silence.
    Ignore,
}

/// The verdict on a RST at `seq`. With a closed window only RCV.NXT itself resets.
pub fn rst_verdict(seq: SeqNumber, window: Window) -> RstVerdict {
    if seq == window.nxt {
        RstVerdict::Reset
    } else if seq.in_window(window.nxt, window.wnd) {
        RstVerdict::Challenge
    } else {
        RstVerdict::Ignore
    }
}

/// What a SYN does (RFC 5961 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SynVerdict {
    /// Send a challenge ACK whatever its sequence number, drop it.
    Challenge,
    /// The state's own rules decide: LISTEN, SYN-SENT, SYN-RECEIVED, CLOSED.
    Process,
}

/// The verdict on a SYN; `synchronized` is true from ESTABLISHED on.
///
/// TIME-WAIT is asked first in [`time_wait`](crate::time_wait). In SYN-RECEIVED a SYN at RCV.NXT-1 is
/// the peer's own once more: [`trim`](crate::acceptability::trim) it and process its ACK, else a
/// simultaneous open never ends.
pub const fn syn_verdict(synchronized: bool) -> SynVerdict {
    if synchronized { SynVerdict::Challenge } else { SynVerdict::Process }
}

/// What an acknowledgment number means (RFC 9293 3.10.7.4 with RFC 5961 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AckVerdict {
    /// Before SND.UNA by at most MAX.SND.WND: it says nothing new, but the segment's text counts.
    Old,
    /// Exactly SND.UNA.
    Duplicate,
    /// SND.UNA < SEG.ACK =< SND.NXT.
    New,
    /// Further back than MAX.SND.WND: send a challenge ACK, drop the segment.
    TooOld,
    /// Beyond SND.NXT: send an ACK, drop the segment.
    Future,
}

impl AckVerdict {
    /// Whether the rest of the segment may be processed.
    pub const fn is_acceptable(self) -> bool {
        matches!(self, Self::Old | Self::Duplicate | Self::New)
    }
}

/// The verdict on SEG.ACK. `max_snd_wnd` is the largest window ever received from the peer, scaled.
pub fn ack_verdict(ack: SeqNumber, snd_una: SeqNumber, snd_nxt: SeqNumber, max_snd_wnd: u32) -> AckVerdict {
    let ahead = ack.distance_from(snd_una);
    if ahead == 0 {
        AckVerdict::Duplicate
    } else if ahead <= snd_nxt.distance_from(snd_una) {
        AckVerdict::New
    } else if ack.after(snd_nxt) {
        AckVerdict::Future
    } else if snd_una.distance_from(ack) <= max_snd_wnd {
        AckVerdict::Old
    } else {
        AckVerdict::TooOld
    }
}
