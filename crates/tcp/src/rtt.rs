//! The round trip, and the retransmission timeout that is made of it (RFC 6298, RFC 7323 section 4).

use core::time::Duration;

use rules::Instant;

/// Estimates of the round trip.
#[derive(Clone, Debug)]
pub(crate) struct Rtt {}

impl Rtt {
    /// Nothing measured: the timeout is `initial`. It stays between `min` and `max`.
    pub(crate) fn new(initial: Duration, min: Duration, max: Duration) -> Self {}
    /// SRTT, once there was a sample.
    pub(crate) fn srtt(&self) -> Option<Duration> {}
    /// RTTVAR.
    pub(crate) fn rttvar(&self) -> Duration {}
    /// The shortest round trip of late.
    pub(crate) fn min_rtt(&self) -> Option<Duration> {}
    /// The timeout, backed off.
    pub(crate) fn rto(&self) -> Duration {}
}
