//! What is negotiated: on where both have it, off where one lacks it (T12), and it works in each case.

mod common;

use common::{Pair, octets};
use hairpin_tcp::{Config, EndpointConfig};

fn config(bits: u32) -> Config {
    Config {
        window_scaling: bits & 1 != 0,
        timestamps: bits & 2 != 0,
        sack: bits & 4 != 0,
        ecn: bits & 8 != 0,
        ..Config::default()
    }
}

// covers: T12, T3, T9
#[test]
fn an_option_is_used_if_and_only_if_both_sides_have_it() {
    for (ours, theirs) in (0..16).flat_map(|ours| (0..16).map(move |theirs| (ours, theirs))) {
        let b = EndpointConfig { connection: config(theirs), ..EndpointConfig::default() };
        let mut pair = Pair::with(EndpointConfig::default(), b);
        let (a, b) = pair.open(config(ours));
        let both = ours & theirs;
        for info in [pair.a.info(a).unwrap(), pair.b.info(b).unwrap()] {
            let on = [info.window_scaling, info.timestamps, info.sack, info.ecn];
            assert_eq!(on, [both & 1 != 0, both & 2 != 0, both & 4 != 0, both & 8 != 0], "{ours} {theirs}");
        }
        let data = octets(20_000);
        assert_eq!(pair.transfer(a, b, &data), data);
    }
}
