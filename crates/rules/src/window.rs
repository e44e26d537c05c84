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

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u32; 5] = [0, 2, 1 << 31, u32::MAX - 1, u32::MAX];

    // covers: T8
    #[test]
    fn only_a_segment_not_older_than_the_last_update_moves_the_window() {
        for base in BASES {
            for (seq, ack, una) in
                (-3..4).flat_map(|seq| (-3..4).flat_map(move |ack| (-3..4).map(move |una| (seq, ack, una))))
            {
                let at = |offset: i32| SeqNumber(base.wrapping_add(offset as u32));
                // WL1 and WL2 are 0 on the line.
                let slow = una <= ack && (0 < seq || (0 == seq && 0 <= ack));
                let updates = updates_send_window(at(seq), at(ack), at(0), at(0), at(una));
                assert_eq!(updates, slow, "{base} {seq} {ack} {una}");
            }
        }
    }

    // covers: T8
    #[test]
    fn the_offered_window_grows_in_steps_and_never_shrinks() {
        const BUFFER: u32 = 10;
        for mss in [0, 1, 3, 5, 100] {
            let step = mss.clamp(1, BUFFER / 2);
            for current in 0..=BUFFER {
                for free in 0..=BUFFER {
                    let offered = receive_window(current, free, BUFFER, mss);
                    assert!(offered >= current, "never taken back");
                    assert!(offered == current || offered - current >= step, "no silly step");
                    assert_eq!(offered > current, free >= current + step, "{mss} {current} {free}");
                }
            }
        }
        assert_eq!(receive_window(0, 0, 0, 0), 0, "a buffer of nothing offers nothing");
        assert_eq!(receive_window(0, u32::MAX, u32::MAX, u32::MAX), u32::MAX);
    }

    const CALM: ToSend = ToSend {
        queued: 10,
        usable: 1_000,
        max_snd_wnd: 1_000,
        eff_snd_mss: 100,
        pushed: true,
        idle: true,
        nagle: true,
        overridden: false,
    };

    // covers: T8
    #[test]
    fn the_sender_waits_and_sends_as_the_table_says() {
        for (why, to_send, sends) in [
            ("idle and pushed", CALM, true),
            ("Nagle: something is in flight", ToSend { idle: false, ..CALM }, false),
            ("no Nagle", ToSend { idle: false, nagle: false, ..CALM }, true),
            ("not pushed, small", ToSend { pushed: false, ..CALM }, false),
            (
                "a full segment in flight or not",
                ToSend { queued: 100, idle: false, pushed: false, ..CALM },
                true,
            ),
            ("one short of a segment", ToSend { queued: 99, idle: false, ..CALM }, false),
            ("half the largest window", ToSend { max_snd_wnd: 20, pushed: false, ..CALM }, true),
            ("less than half of it", ToSend { max_snd_wnd: 21, pushed: false, ..CALM }, false),
            ("half of it in flight", ToSend { max_snd_wnd: 20, pushed: false, idle: false, ..CALM }, false),
            ("does not fit the window", ToSend { usable: 9, ..CALM }, false),
            ("does not fit, timer expired", ToSend { usable: 9, overridden: true, ..CALM }, true),
            ("in flight, timer expired", ToSend { idle: false, overridden: true, ..CALM }, true),
            ("timer expired, not pushed", ToSend { pushed: false, overridden: true, ..CALM }, false),
            ("closed window", ToSend { usable: 0, max_snd_wnd: 0, overridden: true, ..CALM }, false),
            ("nothing to send", ToSend { queued: 0, eff_snd_mss: 0, overridden: true, ..CALM }, false),
            ("half of 2^32 does not overflow", ToSend { queued: 1 << 31, usable: 1 << 31, ..CALM }, true),
        ] {
            assert_eq!(may_send(&to_send), sends, "{why}");
        }
    }

    // covers: T3
    #[test]
    fn the_scale_is_the_smallest_that_fits_and_at_most_14() {
        for (octets, shift) in [
            (0, 0),
            (65_535, 0),
            (65_536, 1),
            (131_071, 1),
            (131_072, 2),
            ((1 << 30) - 1, 14),
            (1 << 30, 14),
            (u32::MAX, 14),
        ] {
            assert_eq!(shift_for(octets), shift, "{octets}");
            let slow = (0..=MAX_SHIFT).find(|&s| u64::from(octets) < 65_536 << s).unwrap_or(MAX_SHIFT);
            assert_eq!(shift, slow);
        }
        assert_eq!([0, 14, 15, 255].map(peer_shift), [0, 14, 14, 14]);
    }

    // covers: T3
    #[test]
    fn a_window_field_never_promises_more_than_there_is() {
        for shift in 0..=255 {
            for octets in [0, 1, 65_535, 65_536, 1 << 20, 1 << 30, u32::MAX] {
                let promised = window_octets(window_field(octets, shift), shift);
                assert!(promised <= octets && promised <= 1 << 30, "{octets} {shift}");
            }
        }
        assert_eq!(window_field(u32::MAX, 14), u16::MAX);
        assert_eq!(window_octets(u16::MAX, 14), 65_535 << 14);
    }
}
