//! A TCP endpoint that keeps every rule: RFC 9293 with the urgent mechanism whole (RFC 6093), the sequence test
//! that ends packet wars, and what a TCP of today is expected to do beside it.
//!
//! Sans-I/O: time, packets and keys are arguments; there is no clock, no socket, no thread inside. An [`Endpoint`]
//! is all of a host's TCP, and its verbs are five: [`handle_packet`](Endpoint::handle_packet),
//! [`poll_transmit`](Endpoint::poll_transmit), [`poll_timeout`](Endpoint::poll_timeout),
//! [`handle_timeout`](Endpoint::handle_timeout), [`poll_event`](Endpoint::poll_event). Who gets packets by the ring and has
//! thousands of connections tells them ahead with [`anticipate`](Endpoint::anticipate).
//!
//! Every packet that an endpoint refuses is counted under a reason ([`Counters`]); every memory that a packet can make
//! grow has its bound ([`Limits`]). What is urgent, and to which host, is a value: a row of [`rules::urgent::PROFILES`].
//!
//! ```
//! # use hairpin_tcp as tcp;
//! use rules::Instant;
//! use tcp::{Checksum, Config, Endpoint, EndpointConfig, Event, ListenOptions};
//!
//! let host = |address: &str| EndpointConfig {
//!     addresses: vec![address.parse().unwrap()],
//!     ..EndpointConfig::default()
//! };
//! // The seed comes from the operating system; here it may be anything.
//! let (mut client, mut server) = (Endpoint::new(host("10.0.0.1"), [1; 32]), Endpoint::new(host("10.0.0.2"), [2; 32]));
//! let mut now = Instant::from_secs(1);
//!
//! let listener = server.listen("10.0.0.2:80".parse()?, ListenOptions::default())?;
//! let request = client.connect("10.0.0.1:0".parse()?, "10.0.0.2:80".parse()?, Config::default(), now)?;
//!
//! // A network without delay: packets go to and fro until there are no more.
//! let mut exchange = |client: &mut Endpoint, server: &mut Endpoint, now| {
//!     let mut packet = [0; 1_500];
//!     loop {
//!         if let Some(sent) = client.poll_transmit(&mut packet, now) {
//!             server.handle_packet(&packet[..sent.len], Checksum::Verify, now);
//!         } else if let Some(sent) = server.poll_transmit(&mut packet, now) {
//!             client.handle_packet(&packet[..sent.len], Checksum::Verify, now);
//!         } else {
//!             break;
//!         }
//!     }
//! };
//! exchange(&mut client, &mut server, now);
//! assert_eq!(client.poll_event(), Some(Event::Connected(request)));
//! let accepted = server.accept(listener).ok_or("nobody came")?;
//!
//! client.send(request, b"what is the time? ", now)?;
//! client.send_urgent(request, b"now", now)?;
//! exchange(&mut client, &mut server, now);
//!
//! let mut text = [0; 64];
//! let got = server.recv(accepted, &mut text, now)?;
//! assert_eq!(&text[..got.len], b"what is the time? now");
//! assert!(got.urgent && got.at_mark, "all of it lies before the mark, which comes next");
//!
//! // Whoever drives an endpoint calls it again when it asks to be called.
//! if let Some(time) = server.poll_timeout() {
//!     now = time;
//!     server.handle_timeout(now);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
