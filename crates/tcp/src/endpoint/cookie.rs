//! SYN cookies (RFC 4987 3.6): a handshake that the listener need not remember.
//!
//! The ISN is `minute (5 bits) | MSS (3 bits) | keyed hash (24 bits)`; it is good for the minute that it was made in
//! and the next. Window scale and SACK ride in the lowest bits of the timestamp, if the peer sends timestamps.

use core::hash::Hasher;

use rules::Instant;
use siphasher::sip::SipHasher24;
use wire::SeqNumber;
use wire::tcp::Flags;

use super::keys::Keys;
use crate::Config;
use crate::output::OptionOctets;
use crate::segment::{Options, Segment, Tuple};

/// Segment sizes that three bits can name.
const SIZES: [u16; 8] = [64, 256, 536, 966, 1_200, 1_400, 1_440, 1_460];

/// A cookie's unit of time.
const MINUTE: u64 = 64;

/// How long a cookie may be good: the minute that it was made in, and the next.
pub(super) const LIFETIME: core::time::Duration = core::time::Duration::from_secs(2 * MINUTE);

/// Lowest bits of the timestamp: the peer's window scale (15: none), and SACK.
const TIMESTAMP_BITS: u32 = 0b1_1111;
const NO_SCALE: u32 = 15;

/// What the SYN offered, as far as a cookie holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Index into [`SIZES`].
    pub(super) mss: u8,
    window_scale: Option<u8>,
    sack: bool,
    timestamps: bool,
}

impl Keys {
    /// The sequence number of the SYN-ACK.
    pub(super) fn cookie(&self, tuple: &Tuple, irs: SeqNumber, mss: u8, now: Instant) -> SeqNumber {
        let minute = minute(now);
        SeqNumber(
            (minute as u32 & 31) << 27 | u32::from(mss & 7) << 24 | self.cookie_hash(tuple, irs, mss, minute),
        )
    }

    /// The MSS index in a cookie of ours that is not too old.
    pub(super) fn check_cookie(
        &self,
        tuple: &Tuple,
        iss: SeqNumber,
        irs: SeqNumber,
        now: Instant,
    ) -> Option<u8> {
        let mss = (iss.0 >> 24 & 7) as u8;
        let fits = |minute: u64| {
            minute as u32 & 31 == iss.0 >> 27
                && self.cookie_hash(tuple, irs, mss, minute) == iss.0 & 0xFF_FFFF
        };
        let current = minute(now);
        (fits(current) || current.checked_sub(1).is_some_and(fits)).then_some(mss)
    }

    fn cookie_hash(&self, tuple: &Tuple, irs: SeqNumber, mss: u8, minute: u64) -> u32 {
        let mut hasher = SipHasher24::new_with_keys(self.cookie[0], self.cookie[1]);
        for end in [tuple.local, tuple.remote] {
            hasher.write_u32(end.ip().to_bits());
            hasher.write_u16(end.port());
        }
        hasher.write_u32(irs.0);
        hasher.write_u8(mss);
        hasher.write_u64(minute);
        hasher.finish() as u32 & 0xFF_FFFF
    }
}

fn minute(now: Instant) -> u64 {
    now.as_nanos() / 1_000_000_000 / MINUTE
}

impl Offer {
    /// What a SYN offers and `config` takes. Without timestamps there is no room but for the MSS.
    pub(super) fn of(segment: &Segment<'_>, config: &Config) -> Self {
        let offered = segment.options.mss.unwrap_or(536);
        let mss = SIZES.iter().rposition(|&size| size <= offered).unwrap_or(0) as u8;
        let timestamps = config.timestamps && segment.options.timestamps.is_some();
        Self {
            mss,
            window_scale: segment.options.window_scale.filter(|_| timestamps && config.window_scaling),
            sack: timestamps && config.sack && segment.options.sack_permitted,
            timestamps,
        }
    }

    /// What the ACK brings back.
    pub(super) fn restored(mss: u8, segment: &Segment<'_>) -> Self {
        let bits = segment.options.timestamps.map(|(_, echo)| echo & TIMESTAMP_BITS);
        let scale = bits.map(|bits| bits & 15).filter(|&scale| scale != NO_SCALE);
        Self {
            mss,
            window_scale: scale.map(|scale| scale as u8),
            sack: bits.is_some_and(|bits| bits & 16 != 0),
            timestamps: bits.is_some(),
        }
    }

    /// The options of the SYN-ACK.
    pub(super) fn write(
        &self,
        options: &mut OptionOctets,
        mss: u16,
        tsval: u32,
        segment: &Segment<'_>,
        config: &Config,
    ) {
        let [high, low] = mss.to_be_bytes();
        options.put(&[2, 4, high, low]);
        let Some((value, _)) = segment.options.timestamps.filter(|_| self.timestamps) else { return };
        options.put(if self.sack { &[4, 2] } else { &[1, 1] });
        let scale = self.window_scale.map_or(NO_SCALE, |scale| u32::from(scale.min(14)));
        let bits = scale | u32::from(self.sack) << 4;
        // Never from the future, or the next timestamp would seem older.
        let stamp = (tsval & !TIMESTAMP_BITS).wrapping_sub(TIMESTAMP_BITS + 1) | bits;
        options.put(&[8, 10]);
        options.put(&stamp.to_be_bytes());
        options.put(&value.to_be_bytes());
        if self.window_scale.is_some() {
            options.put(&[1, 3, 3, rules::window::shift_for(config.receive_buffer)]);
        }
    }

    /// The SYN as it must have been.
    pub(super) fn syn<'a>(&self, irs: SeqNumber, segment: &Segment<'a>) -> Segment<'a> {
        let options = Options {
            mss: SIZES.get(usize::from(self.mss)).copied(),
            window_scale: self.window_scale,
            sack_permitted: self.sack,
            timestamps: segment.options.timestamps.filter(|_| self.timestamps),
            // The ACK that brought the cookie may tell it again.
            user_timeout: segment.options.user_timeout,
            sacks: None,
        };
        Segment {
            seq: irs,
            sent_at: irs,
            flags: Flags::SYN,
            was_syn: true,
            options,
            payload: &[],
            ..*segment
        }
    }
}
