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
//! # extern crate hairpin_nat as nat;
//! use nat::{BATCH, Config, Engine, Offload, Packet, Realm, Verdict, config::Pool};
//! use rules::Instant;
//! use wire::craft;
//!
//! let (host, server) = ([100, 64, 0, 1].into(), [203, 0, 113, 80].into());
//! let external = [192, 0, 2, 1].into();
//! let pool = Pool { addresses: vec![external..=external], ports: 1024..=65535 };
//! let config = Config::new(vec!["100.64.0.0/10".parse()?], vec![pool]);
//! let mut engine = Engine::new(&config, [7; 32], Instant::ZERO)?;
//!
//! let mut data = [0; 64];
//! let header = craft::Header::new(host, server);
//! let len = craft::udp(&mut data, &header, 4001, 53, b"a question").ok_or("no room")?;
//! let mut packets = [Packet { data: &mut data[..len], from: Realm::Inside, offload: Offload::default() }];
//! let mut verdicts = [Verdict::Held; BATCH];
//! engine.handle_batch(&mut packets, &mut verdicts, Instant::from_millis(20));
//!
//! assert_eq!(verdicts[0], Verdict::Forward(Realm::Outside));
//! assert_eq!(data[12..16], [192, 0, 2, 1]);
//! assert_eq!(engine.sessions().count(), 1);
//! while let Some(event) = engine.poll_event() {
//!     println!("{event:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
