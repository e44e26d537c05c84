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
