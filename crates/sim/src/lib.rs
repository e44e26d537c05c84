//! A network in virtual time: hosts, links, faults, and drawings of what happened.
//!
//! [`Network`] owns nodes (anything that speaks the verbs of [`Node`]) and the links between them, moves time
//! from one happening to the next, and keeps a [`Log`] of every packet: when it was sent, when it arrived or
//! why it was lost, and what made its sender send it. Links delay, queue, lose, re-order, duplicate and
//! corrupt, all from one seed: the same seed gives the same run to the octet. Instead of a clock a test can
//! choose by hand which packet in flight goes next ([`Network::hold`]), and [`explore`] does so in every way
//! there is.
//!
//! [`ladder`] draws a log as the figures of the RFCs are drawn, as text or as SVG. [`war`] counts answers that
//! say nothing new: an exchange that would never end is a number, not a hang.
//!
//! This crate has no clock, no socket, no thread and no global; an endless exchange ends at a bound.
//!
//! ```
//! # use hairpin_sim as sim;
//! use sim::scenario::Side;
//! use sim::{Behaviour, Hairpin, Host, Link, Network, ladder};
//! use std::time::Duration;
//!
//! let mut network = Network::new(7);
//! let [a, b] = [Side::A, Side::B].map(|side| {
//!     let address = *side.endpoint().ip();
//!     let host = Hairpin::new(address, side as u64, Behaviour::default(), None);
//!     network.attach(if side == Side::A { "client" } else { "server" }, Box::new(host), &[address])
//! });
//! // The second packet from the client is lost: its ACK of the SYN-ACK.
//! network.link(a, b, Link { lose: vec![1], ..Link::default() });
//! network.act(b, |host, now| host.listen(Side::B.endpoint(), now));
//! network.act(a, |host, now| host.open(Side::A.endpoint(), Side::B.endpoint(), now));
//! network.run_for(Duration::from_millis(100));
//! network.act(a, |host, now| host.write(b"hello", now));
//! network.run_for(Duration::from_millis(100));
//! assert_eq!(network.act(b, |host, now| host.read(now)), b"hello");
//!
//! let drawing = ladder::text(network.log(), &ladder::Style::default());
//! assert!(drawing.lines().any(|line| line.ends_with(" X")));
//! ```
#![forbid(unsafe_code)]

pub mod explore;
mod host;
pub mod ladder;
mod link;
mod log;
mod net;
mod node;
pub mod scenario;
pub mod war;

pub use host::{Behaviour, Hairpin};
pub use link::{Link, Why};
pub use log::{Cause, Entry, Fate, Log, Moment, Packet, PacketId};
pub use net::{Bounds, Ended, Network};
pub use node::{Host, Node, NodeId, state_name};
pub use rules::Instant;
