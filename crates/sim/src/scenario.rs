//! What is played: each scenario is one file, written for any [`Host`], so that it can be played
//! by hairpin's endpoint and by other stacks alike.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tcp::State;

use crate::ladder::Numbers;
use crate::war::{self, Count};
use crate::{Bounds, Ended, Host, Link, Log, Network, NodeId};

pub mod land;
pub mod self_connect;
pub mod shipped;
pub mod simultaneous_close;
pub mod simultaneous_open;
pub mod window_probes;

/// The two ends of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// TCP A of the figures.
    A,
    /// TCP B.
    B,
}

/// What a scenario needs of a host.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Whose host.
    pub side: Side,
    /// Its address.
    pub address: Ipv4Addr,
    /// For everything random in it.
    pub seed: u64,
    /// Receive buffer in octets; `None`: as it likes.
    pub receive_buffer: Option<u32>,
}

/// Makes the hosts of a scenario.
pub type Make<'a> = &'a dyn Fn(Wanted) -> Box<dyn Host>;

/// What a run left.
#[derive(Debug)]
pub struct Played {
    /// What happened.
    pub log: Log,
    /// How the run ended.
    pub ended: Ended,
    /// The hosts' states at the end.
    pub states: Vec<State>,
    /// Answers that said nothing new.
    pub count: Count,
    /// How its numbers are shown.
    pub numbers: Numbers,
}

impl Side {
    /// Its address and port.
    pub const fn endpoint(self) -> SocketAddrV4 {
        match self {
            Self::A => SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1_000),
            Self::B => SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 2), 2_000),
        }
    }

    /// Its place in the network.
    pub const fn node(self) -> NodeId {
        match self {
            Self::A => NodeId(0),
            Self::B => NodeId(1),
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl Played {
    /// Takes what a network has come to.
    pub fn of(network: Network<dyn Host>, ended: Ended, numbers: Numbers) -> Self {
        let nodes = 0..network.log().names().len();
        let states = nodes.map(|node| network.node(NodeId(node)).tcp_state()).collect();
        let log = network.into_log();
        Self { ended, states, count: war::count(&log), log, numbers }
    }

    /// In a few words.
    pub fn summary(&self) -> String {
        let states: Vec<_> = self.states.iter().map(|&state| crate::state_name(state)).collect();
        let Count { segments, empty_answers, longest } = self.count;
        let what = if self.count.is_war() {
            format!("WAR: {empty_answers} empty answers, {longest} in a chain")
        } else {
            format!("no war: {empty_answers} empty answers")
        };
        format!("{}; {segments} segments; {what}", states.join(" / "))
    }
}

/// Both hosts, and links of 10 ms from A and 5 ms from B: what crosses does not arrive at one instant.
pub(crate) fn pair(make: Make<'_>, seed: u64, receive_buffer: Option<u32>) -> Network<dyn Host> {
    let mut network = Network::new(seed).bounded(Bounds { packets: 20_000, at_one_instant: 2_000 });
    for side in [Side::A, Side::B] {
        let address = *side.endpoint().ip();
        let host = make(Wanted { side, address, seed: seed.wrapping_add(side as u64), receive_buffer });
        network.attach(if side == Side::A { "TCP A" } else { "TCP B" }, host, &[address]);
    }
    let delay = |millis| Link { delay: Duration::from_millis(millis), ..Link::default() };
    network.link(Side::A.node(), Side::B.node(), delay(10));
    network.link(Side::B.node(), Side::A.node(), delay(5));
    network
}

/// One host, and a link back to itself.
pub(crate) fn single(make: Make<'_>, seed: u64) -> Network<dyn Host> {
    let mut network = Network::new(seed).bounded(Bounds { packets: 20_000, at_one_instant: 2_000 });
    let (side, address) = (Side::A, *Side::A.endpoint().ip());
    let host = make(Wanted { side, address, seed, receive_buffer: None });
    network.attach("TCP A", host, &[address]);
    network
}

/// Opens a connection in the ordinary way, A to B, and lets it come to rest.
///
/// # Errors
/// The states, if it did not become established.
pub(crate) fn establish(network: &mut Network<dyn Host>) -> Result<(), String> {
    network.act(Side::B.node(), |host, now| host.listen(Side::B.endpoint(), now));
    network.act(Side::A.node(), |host, now| host.open(Side::A.endpoint(), Side::B.endpoint(), now));
    network.run_for(Duration::from_secs(1));
    let states = [Side::A, Side::B].map(|side| network.node(side.node()).tcp_state());
    if states == [State::Established; 2] { Ok(()) } else { Err(format!("not established: {states:?}")) }
}

pub(crate) fn both_established(network: &Network<dyn Host>) -> bool {
    [Side::A, Side::B].iter().all(|side| network.node(side.node()).tcp_state() == State::Established)
}
