//! Which congestion control a connection has, end to end.

mod common;

use common::{Pair, octets, plain};
use hairpin_tcp::{Config, CongestionControl};

// covers: T7
#[test]
fn the_congestion_control_that_was_chosen_is_the_one_at_work() {
    let ssthresh = [CongestionControl::NewReno, CongestionControl::Cubic].map(|congestion| {
        let mut pair = Pair::new();
        let (a, b) = pair.open(Config { congestion, ..plain() });
        assert_eq!(pair.a.info(a).unwrap().congestion, congestion);
        // The same segment is lost in the same flight: one halves its window, the other keeps 0.7 of it.
        let mut seen = 0;
        pair.lose = Box::new(move |_, flight| {
            seen += u32::from(flight.octets.len() > 1_000);
            flight.octets.len() > 1_000 && seen == 3
        });
        let data = octets(100_000);
        assert_eq!(pair.transfer(a, b, &data), data);
        pair.a.info(a).unwrap().ssthresh
    });
    assert!(ssthresh[0] < ssthresh[1], "{ssthresh:?}");
}
