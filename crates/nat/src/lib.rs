//! A sans-I/O carrier-grade NAPT44 engine.
//!
//! One [`Engine`] is one shard: it owns its subscribers, mappings and sessions and shares nothing.
//! Packets, time and randomness come in as arguments; what happens comes out as values:
//!
//! - [`Engine::handle_batch`] translates up to [`BATCH`] packets in place and gives a [`Verdict`] for each;
//! - [`Engine::poll_transmit`] hands out packets that the engine made itself (ICMP errors, fragments);
//! - [`Engine::poll_timeout`] and [`Engine::handle_timeout`] drive expiry;
//! - [`Engine::poll_event`] tells everything that happened, once.
//!
//! It never reads a clock, a socket, a file or a random number generator.
//!
//! ```
//! use hairpin_nat::config::{Config, Pool};
//! use hairpin_nat::{Engine, Instant, Offload, Packet, Realm, Verdict};
//! use wire::craft::{Header, udp};
//!
//! let pool = Pool::new(vec!["192.0.2.1".parse()?..="192.0.2.1".parse()?], 1024..=65_535);
//! let config = Config::new(vec!["100.64.0.0/10".parse()?], vec![pool]);
//! let mut engine = Engine::new(&config, [7; 32], Instant::ZERO)?;
//!
//! // A subscriber's datagram leaves with the pool's address...
//! let mut data = [0; 64];
//! udp(&mut data, &Header::new("100.64.0.9".parse()?, "198.51.100.7".parse()?), 5_000, 53, b"?");
//! let mut packets = [Packet { data: &mut data, from: Realm::Inside, offload: Offload::default() }];
//! let mut verdicts = [Verdict::Held];
//! engine.handle_batch(&mut packets, &mut verdicts, Instant::ZERO);
//!
//! assert_eq!(verdicts, [Verdict::Forward(Realm::Outside)]);
//! assert_eq!(data[12..16], [192, 0, 2, 1]);
//! // ... and everybody who asks is told of it.
//! assert!(engine.poll_event().is_some());
//! assert_eq!(engine.sessions().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod basic;
mod batch;
mod blocks;
mod brief;
mod bypass;
pub mod config;
pub mod counters;
pub mod deterministic;
mod engine;
pub mod event;
mod expiry;
pub mod explicit;
mod filter;
mod foresight;
mod fragment;
mod free;
mod ftp;
mod hairpin;
mod hash;
mod icmp;
mod ip_id;
mod kept;
mod mapping;
mod memory;
mod open;
mod output;
mod overlap;
mod packet;
mod pool;
mod reason;
mod rewrite;
mod scrub;
mod session;
mod statics;
mod steering;
mod subscriber;
mod table;
mod tags;
mod tcp;
mod timer;
mod unsolicited;

pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use engine::Engine;
pub use event::Event;
pub use packet::{BATCH, Endpoint, Packet, Protocol, Realm, Transmit, Verdict};
pub use reason::Reason;
pub use rules::Instant;
pub use scrub::{Finding, Findings, Headers, ScrubEvent, ScrubEventKind, Scrubbed, Scrubber};
pub use steering::Steering;
pub use wire::offload::{Checksum, Offload};
