//! Views over packet octets.
#![no_std]
#![forbid(unsafe_code)]

pub mod checksum;
mod malformed;
pub mod packet;
mod seq;
pub mod tcp;

pub use malformed::Malformed;
pub use packet::{Fragment, Packet, Quote, Transport, Trust};
pub use seq::SeqNumber;
