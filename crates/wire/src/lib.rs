//! Views over packet octets.
#![no_std]
#![forbid(unsafe_code)]

pub mod checksum;
pub mod craft;
pub mod ethernet;
pub mod fragment;
pub mod icmpv4;
pub mod ipv4;
pub mod link;
mod malformed;
pub mod packet;
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
