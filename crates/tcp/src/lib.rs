//! contract
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod buffer;
mod config;
mod endpoint;
mod event;
mod recv;
mod send;

pub use config::*;
pub use endpoint::*;
pub use event::*;
