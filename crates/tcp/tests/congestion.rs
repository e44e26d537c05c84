//! Which congestion control a connection has, end to end.

mod common;

use std::time::Duration;

use common::{Pair, octets, plain};
use hairpin_tcp::{Config, CongestionControl};

// covers: T7
#[test]
fn the_congestion_control_that_was_chosen_is_the_one_at_work() {
    for (congestion, left) in [(CongestionControl::NewReno, 50), (CongestionControl::Cubic, 70)] {
        let mut pair = Pair::new();
        let (a, b) = pair.open(Config { congestion, hystart: false, ..plain() });
        assert_eq!(pair.a.info(a).unwrap().congestion, congestion);
        let data = octets(200_000);
        assert_eq!(pair.transfer(a, b, &data), data);
        pair.run(Duration::from_secs(1));
        // One segment of a full flight is lost: the flight is what the window is taken from.
        let mut lost = false;
        pair.lose =
            Box::new(move |_, flight| flight.octets.len() > 1_000 && !std::mem::replace(&mut lost, true));
        let data = octets(60_000);
        let before = pair.a.info(a).unwrap().cwnd.min(60_000);
        assert_eq!(pair.transfer(a, b, &data), data);
        let share = pair.a.info(a).unwrap().ssthresh * 100 / before;
        assert!(share.abs_diff(left) <= 10, "{congestion:?}: {share} % of {before}");
    }
}
