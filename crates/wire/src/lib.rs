//! Octets of packets as values: link layers, IPv4, TCP, UDP, ICMP with the packet it quotes, fragments,
//! checksums.
//!
//! [`Packet::parse`] reads a packet once and says all that a translator needs, or why the octets are
//! [`Malformed`]; what it accepts, the views ([`ipv4::Ipv4`], [`tcp::Tcp`], [`udp::Udp`],
//! [`icmpv4::Icmpv4`]) read field by field and write in place. [`checksum`] is the arithmetic, [`rewrite`]
//! changes with checksums following, [`craft`] whole packets, [`link`] what is in front of them in a
//! capture file.
//!
//! This crate never allocates, never panics on any octets, keeps no state, reads no clock, and has no
//! opinion: a packet from a martian source is as well-formed as any. `unsafe` is in two
//! files, which use what a processor offers: wider vectors (`checksum/blocks.rs`) and [`prefetch`].
//!
//! ```
//! # use hairpin_wire as wire;
//! use wire::{Malformed, Packet, Transport, Trust, craft, rewrite, tcp::Flags};
//!
//! // A client's SYN ...
//! let mut buffer = [0; 128];
//! let header = craft::Header::new("100.64.0.7".parse()?, "198.51.100.1".parse()?);
//! let syn = craft::Segment::new(40_000, 80, Flags::SYN);
//! let len = craft::tcp(&mut buffer, &header, &syn, b"").ok_or("too small")?;
//!
//! // ... is parsed once, its checksums verified ...
//! let packet = Packet::parse(&buffer, Trust::Verify)?;
//! assert!(matches!(packet.transport, Transport::Tcp { source_port: 40_000, .. }));
//!
//! // ... gets another source, its checksums following ...
//! let transport = usize::from(packet.header_len);
//! let address = rewrite::source(&mut buffer, "192.0.2.1".parse()?).ok_or("cut")?;
//! let port = rewrite::source_port(&mut buffer, transport, 1_024).ok_or("cut")?;
//! rewrite::transport_checksum(&mut buffer, transport, packet.protocol, address.and(port)).ok_or("cut")?;
//! assert!(Packet::parse(&buffer[..len], Trust::Verify).is_ok());
//!
//! // ... and octets that are no packet have a reason each.
//! assert_eq!(Packet::parse(&buffer[..len - 1], Trust::Verify), Err(Malformed::Ipv4TotalLength));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

pub mod checksum;
pub mod craft;
pub mod ethernet;
pub mod fragment;
pub mod icmpv4;
pub mod ipv4;
pub mod link;
mod malformed;
pub mod offload;
pub mod packet;
pub mod prefetch;
pub mod rewrite;
mod seq;
pub mod sll;
pub mod tcp;
pub mod udp;
mod view;
pub mod vlan;

pub use malformed::Malformed;
pub use packet::{Fragment, Options, Packet, Quote, Transport, Trust};
pub use seq::SeqNumber;
