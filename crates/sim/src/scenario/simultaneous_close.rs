//! Both hosts close at once, and their FINs cross (draft-gont-tcpm-tcp-seq-validation 3.3; S4).

use std::time::Duration;

use tcp::State;

use super::{Make, Played, Side, establish, pair};
use crate::explore::{Choice, Found, Plan, Stand, explore, replay};
use crate::ladder::Numbers;
use crate::{Host, Network, war};

/// The figure: A closes, then B, both before the other's FIN arrives.
///
/// # Errors
/// If the connection could not be opened in the first place.
pub fn play(make: Make<'_>, seed: u64) -> Result<Played, String> {
    let mut network = pair(make, seed, None);
    establish(&mut network)?;
    network.begin_log();
    close(&mut network, Side::A);
    network.run_for(Duration::from_millis(2));
    close(&mut network, Side::B);
    let ended = network.run_for(Duration::from_secs(3));
    Ok(Played::of(network, ended, Numbers::Figures))
}

/// Every order in which the segments of a simultaneous close can arrive or be lost.
///
/// # Errors
/// If the connection could not be opened in the first place.
pub fn every(make: Make<'_>, plan: &Plan) -> Result<Found, String> {
    begin(make)?;
    Ok(explore(plan, || begin(make).unwrap_or_else(|_| pair(make, 1, None)), judge))
}

/// The run that `choices` describe.
///
/// # Errors
/// If the connection could not be opened in the first place.
pub fn again(make: Make<'_>, choices: &[Choice]) -> Result<Played, String> {
    let mut network = begin(make)?;
    replay(&mut network, choices);
    let ended = network.run_for(Duration::ZERO);
    Ok(Played::of(network, ended, Numbers::Figures))
}

fn close(network: &mut Network<dyn Host>, side: Side) {
    network.act(side.node(), |host, now| host.close(now));
}

fn begin(make: Make<'_>) -> Result<Network<dyn Host>, String> {
    let mut network = pair(make, 1, None);
    establish(&mut network)?;
    network.begin_log();
    network.hold();
    close(&mut network, Side::A);
    close(&mut network, Side::B);
    Ok(network)
}

/// Both FINs were sent before either arrived: whatever is lost, both sides come to TIME-WAIT.
fn judge(network: &Network<dyn Host>) -> Stand {
    let count = war::count(network.log());
    if count.is_war() {
        return Stand::Failed(format!("a war: {} answers in a chain", count.longest));
    }
    let states = [Side::A, Side::B].map(|side| network.node(side.node()).tcp_state());
    if states.contains(&State::Closed) {
        return Stand::Failed(format!("CLOSED without TIME-WAIT: {states:?}"));
    }
    if states == [State::TimeWait; 2] { Stand::Done } else { Stand::Open }
}
