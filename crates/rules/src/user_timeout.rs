//! The user timeout that two hosts tell one another (RFC 5482): how long what was sent may go unacknowledged.

use core::time::Duration;

/// The option's kind.
pub const KIND: u8 = 28;

/// No peer makes a connection last shorter or longer than this (RFC 5482 3.1: both limits are a must, and at least
/// 100 s).
pub const LIMITS: (Duration, Duration) = (Duration::from_secs(100), Duration::from_secs(3_600));

/// The field counts minutes, not seconds.
const MINUTES: u16 = 1 << 15;

/// The option's field for `timeout`, in minutes where seconds do not fit; rounded up. `None`: 0 is never sent.
#[must_use]
pub fn field(timeout: Duration) -> Option<u16> {
    let seconds = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
    let most = u64::from(MINUTES - 1);
    match seconds {
        0 => None,
        _ if seconds <= most => Some(seconds as u16),
        _ => Some(MINUTES | seconds.div_ceil(60).min(most) as u16),
    }
}

/// What a field says. `None`: the reserved value, which is ignored.
#[must_use]
pub fn timeout(field: u16) -> Option<Duration> {
    let number = u64::from(field & !MINUTES);
    let unit = if field & MINUTES == 0 { 1 } else { 60 };
    (number != 0).then(|| Duration::from_secs(number * unit))
}

/// The timeout to be used: what we told, what the peer told, within the limits and above the RTO (RFC 5482 3.1).
#[must_use]
pub fn adopted(told: Duration, heard: Duration, rto: Duration) -> Duration {
    let (least, most) = LIMITS;
    told.max(heard).max(least).min(most).max(rto + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: T8
    #[test]
    fn a_field_is_seconds_or_minutes_and_zero_is_reserved() {
        let secs = Duration::from_secs;
        for (time, written) in [
            (secs(0), None),
            (Duration::from_nanos(1), Some(1)),
            (secs(1), Some(1)),
            (secs(32_767), Some(0x7FFF)),
            (secs(32_768), Some(0x8000 | 547)),
            (secs(60 * 0x7FFF), Some(0xFFFF)),
            (Duration::MAX, Some(0xFFFF)),
        ] {
            assert_eq!(field(time), written, "{time:?}");
        }
        assert_eq!((timeout(0), timeout(0x8000)), (None, None));
        assert_eq!((timeout(120), timeout(0x8000 | 2)), (Some(secs(120)), Some(secs(120))));
        for written in (1..=u16::MAX).filter(|field| field & 0x7FFF != 0) {
            let time = timeout(written).unwrap();
            let again = timeout(field(time).unwrap()).unwrap();
            assert_eq!(again, time, "{written}");
        }
    }

    // covers: T8
    #[test]
    fn the_longer_of_both_is_used_within_the_limits_and_above_the_rto() {
        let secs = Duration::from_secs;
        for (told, heard, rto, used) in [
            (300, 200, 1, 300),
            (200, 300, 1, 300),
            (1, 1, 1, 100),
            (100_000, 1, 1, 3_600),
            (1, 1_000_000, 1, 3_600),
            (100, 100, 120, 121),
        ] {
            assert_eq!(adopted(secs(told), secs(heard), secs(rto)), secs(used), "{told} {heard} {rto}");
        }
    }
}
