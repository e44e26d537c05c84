//! Windows: who may update them (RFC 9293 3.10.7.4), against silly ones (RFC 1122 4.2.3.3 and
//! 4.2.3.4, RFC 9293 3.8.6), and their scale (RFC 7323 section 2).

use wire::SeqNumber;

/// The largest shift of the window scale option (RFC 7323 2.3).
pub const MAX_SHIFT: u8 = 14;

/// Whether a segment's window replaces SND.WND: it is not older than the one that set it last.
///
/// `wl1` and `wl2` are SND.WL1 and SND.WL2. SEG.ACK beyond SND.NXT was refused before
/// ([`ack_verdict`](crate::rfc5961::ack_verdict)); one before `snd_una` says nothing.
pub fn updates_send_window(
    seq: SeqNumber,
    ack: SeqNumber,
    wl1: SeqNumber,
    wl2: SeqNumber,
    snd_una: SeqNumber,
) -> bool {
    !ack.before(snd_una) && (wl1.before(seq) || (wl1 == seq && !ack.before(wl2)))
}

/// RCV.WND to offer: the receiver's side of silly window avoidance.
///
/// `current` is what is still offered (the right edge minus RCV.NXT), `free` the octets that fit the
/// buffer now (RCV.BUFF - RCV.USER), `buffer` RCV.BUFF. The right edge moves only in steps of half
/// the buffer or one segment, whichever is less, and never back (RFC 9293 SHLD-14).
pub fn receive_window(current: u32, free: u32, buffer: u32, eff_snd_mss: u32) -> u32 {
    let step = (buffer / 2).min(eff_snd_mss).max(1);
    if free.saturating_sub(current) >= step { free } else { current }
}

/// What the sender knows when it decides whether to send now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToSend {
    /// D: octets queued and not yet sent.
    pub queued: u32,
    /// U: the usable window, SND.UNA + SND.WND - SND.NXT; 0 if the peer has shrunk it below.
    pub usable: u32,
    /// Max(SND.WND).
    pub max_snd_wnd: u32,
    /// Eff.snd.MSS.
    pub eff_snd_mss: u32,
    /// The data is pushed.
    pub pushed: bool,
    /// Everything sent is acknowledged: SND.NXT = SND.UNA.
    pub idle: bool,
    /// Nagle's algorithm is on (RFC 1122 4.2.3.4); off is TCP_NODELAY.
    pub nagle: bool,
    /// The override timer has expired (0.1 to 1 second).
    pub overridden: bool,
}

/// Whether to send: the sender's side of silly window avoidance, with Nagle's algorithm.
///
/// Never for nothing to send, and never into a closed window: that is the persist timer's.
pub fn may_send(to_send: &ToSend) -> bool {
    let &ToSend { queued, usable, max_snd_wnd, eff_snd_mss, pushed, idle, nagle, overridden } = to_send;
    let now = queued.min(usable);
    let patient = !nagle || idle;
    now > 0
        && (now >= eff_snd_mss
            || (patient && pushed && queued <= usable)
            || (patient && u64::from(now) * 2 >= u64::from(max_snd_wnd))
            || (pushed && overridden))
}

/// The smallest shift with which a buffer of `octets` can be offered whole; 14 if none can.
pub const fn shift_for(octets: u32) -> u8 {
    let mut shift = 0;
    while shift < MAX_SHIFT && octets >> shift > 0xffff {
        shift += 1;
    }
    shift
}

/// The shift to use for what the peer announced: more than 14 counts as 14.
pub const fn peer_shift(announced: u8) -> u8 {
    if announced > MAX_SHIFT { MAX_SHIFT } else { announced }
}

/// SEG.WND for a window of `octets`: shifted, rounded down, at most 65535. A SYN is sent with shift 0.
pub const fn window_field(octets: u32, shift: u8) -> u16 {
    let scaled = octets >> peer_shift(shift);
    if scaled > 0xffff { u16::MAX } else { scaled as u16 }
}

/// The window that a field of SEG.WND means, in octets, at most 2^30. In a SYN the shift is 0.
pub const fn window_octets(field: u16, shift: u8) -> u32 {
    (field as u32) << peer_shift(shift)
}
