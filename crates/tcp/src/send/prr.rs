//! Proportional rate reduction (RFC 6937): in recovery, what leaves follows what arrives.

/// Counts of one recovery, in octets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prr {
    /// In flight when the recovery began.
    flight: u32,
    delivered: u32,
    out: u32,
    budget: u32,
}

impl Prr {
    /// A recovery begins.
    pub(crate) fn new(flight: u32) -> Self {
        Self { flight: flight.max(1), ..Self::default() }
    }

    /// `delivered` octets arrived, `pipe` are in flight. `clean`: SND.UNA moved and nothing more was found
    /// lost; without that the part below ssthresh only keeps what is in flight (the draft that follows
    /// RFC 6937 chooses so between its two bounds).
    pub(crate) fn on_ack(&mut self, delivered: u32, pipe: u32, ssthresh: u32, mss: u32, clean: bool) {
        self.delivered = self.delivered.saturating_add(delivered);
        let allowed = if pipe > ssthresh {
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = u32::try_from(share.div_ceil(u64::from(self.flight))).unwrap_or(u32::MAX);
            share.saturating_sub(self.out)
        } else {
            let owed = self.delivered.saturating_sub(self.out).max(delivered);
            let limit = if clean { owed.saturating_add(mss) } else { owed };
            (ssthresh - pipe).min(limit)
        };
        // The fast retransmit itself always leaves; and with nothing in flight nothing would ever arrive.
        self.budget = if self.out == 0 || pipe == 0 { allowed.max(mss) } else { allowed };
    }

    /// `octets` left.
    pub(crate) fn on_transmit(&mut self, octets: u32) {
        self.out = self.out.saturating_add(octets);
        self.budget = self.budget.saturating_sub(octets);
    }

    /// Octets that may leave. A part of a segment stands for a whole one: what is too much is counted, and
    /// missing the next time.
    pub(crate) fn allowance(&self, mss: u32) -> u32 {
        if self.budget == 0 { 0 } else { self.budget.max(mss) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: T6
    #[test]
    fn twenty_segments_in_flight_become_the_ten_of_the_threshold_in_one_round_trip() {
        const MSS: u32 = 1_000;
        let mut prr = Prr::new(20 * MSS);
        let (mut pipe, mut out) = (19 * MSS, 0);
        for _ in 0..19 {
            pipe -= MSS;
            prr.on_ack(MSS, pipe, 10 * MSS, MSS, false);
            while prr.allowance(MSS) > 0 {
                prr.on_transmit(MSS);
                pipe += MSS;
                out += 1;
            }
        }
        assert!((9..=11).contains(&(pipe / MSS)) && (9..=11).contains(&out), "{pipe} {out}");
    }

    // covers: T6
    #[test]
    fn a_burst_of_losses_does_not_stop_the_clock() {
        const MSS: u32 = 1_000;
        let mut prr = Prr::new(20 * MSS);
        prr.on_ack(MSS, 2 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.allowance(MSS), MSS, "as much leaves as arrived");
        prr.on_transmit(MSS);
        assert_eq!(prr.allowance(MSS), 0);
        prr.on_ack(MSS, 2 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.allowance(MSS), 2 * MSS, "one more when all goes well");
    }
}
