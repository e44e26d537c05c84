//! A TCP endpoint that keeps every rule: RFC 9293 with the urgent mechanism whole (RFC 6093), the sequence test
//! that ends packet wars, and what a TCP of today is expected to do beside it.
//!
//! Sans-I/O: time, packets and keys are arguments; there is no clock, no socket, no thread inside. An [`Endpoint`]
//! is all of a host's TCP, and its verbs are five: [`handle_packet`](Endpoint::handle_packet),
//! [`poll_transmit`](Endpoint::poll_transmit), [`poll_timeout`](Endpoint::poll_timeout),
//! [`handle_timeout`](Endpoint::handle_timeout), [`poll_event`](Endpoint::poll_event).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod buffer;
mod config;
mod congestion;
mod connection;
mod counters;
mod endpoint;
mod event;
mod input;
mod output;
mod recv;
mod rtt;
mod segment;
mod send;
mod types;

pub use config::*;
pub use counters::Counters;
pub use endpoint::Endpoint;
pub use event::*;
pub use types::*;
