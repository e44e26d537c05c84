//! Views over packet octets.
#![no_std]
#![forbid(unsafe_code)]

pub mod checksum;
pub mod icmpv4;
pub mod ipv4;
mod malformed;
pub mod packet;
mod seq;
pub mod tcp;
pub mod udp;

pub use malformed::Malformed;
pub use packet::{Fragment, Options, Packet, Quote, Transport, Trust};
pub use seq::SeqNumber;
