//! What the standards decide, written once.
#![no_std]
#![forbid(unsafe_code)]

pub mod port_selection;
pub mod time;

pub use time::Instant;
