//! Both hosts open at once, and their SYNs cross (draft-gont-tcpm-tcp-seq-validation 3.1; S2).

use std::time::Duration;

use super::{Make, Played, Side, both_established, pair};
use crate::explore::{Choice, Found, Plan, Stand, explore, replay};
use crate::ladder::Numbers;
use crate::{Host, Instant, Network, war};

/// The figure: A opens, then B, both before the other's SYN arrives.
pub fn play(make: Make<'_>, seed: u64) -> Played {
    let mut network = pair(make, seed, None);
    open(&mut network, Side::A);
    network.run_for(Duration::from_millis(2));
    open(&mut network, Side::B);
    let ended = network.run_until(Instant::from_secs(3));
    Played::of(network, ended, Numbers::Figures)
}

/// Every order in which the segments of a simultaneous open can arrive or be lost.
pub fn every(make: Make<'_>, plan: &Plan) -> Found {
    explore(plan, || begin(make), judge)
}

/// The run that `choices` describe.
pub fn again(make: Make<'_>, choices: &[Choice]) -> Played {
    let mut network = begin(make);
    replay(&mut network, choices);
    let ended = network.run_for(Duration::ZERO);
    Played::of(network, ended, Numbers::Figures)
}

fn open(network: &mut Network<dyn Host>, side: Side) {
    network.act(side.node(), |host, now| host.open(side.endpoint(), side.other().endpoint(), now));
}

fn begin(make: Make<'_>) -> Network<dyn Host> {
    let mut network = pair(make, 1, None);
    network.hold();
    open(&mut network, Side::A);
    open(&mut network, Side::B);
    network
}

fn judge(network: &Network<dyn Host>) -> Stand {
    let count = war::count(network.log());
    if count.is_war() {
        return Stand::Failed(format!("a war: {} answers in a chain", count.longest));
    }
    if both_established(network) { Stand::Done } else { Stand::Open }
}
