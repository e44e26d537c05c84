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

mod batch;
mod brief;
pub mod config;
pub mod counters;
mod engine;
pub mod event;
mod expiry;
mod foresight;
mod fragment;
mod free;
mod hairpin;
mod hash;
mod icmp;
mod mapping;
mod memory;
mod mss;
mod open;
mod output;
mod packet;
mod pool;
mod reason;
mod rewrite;
mod session;
mod steering;
mod subscriber;
mod table;
mod timer;

pub use config::{Config, ConfigError};
pub use counters::Counters;
pub use engine::Engine;
pub use event::Event;
pub use packet::{BATCH, Checksum, Endpoint, Offload, Packet, Protocol, Realm, Transmit, Verdict};
pub use reason::Reason;
pub use steering::Steering;
