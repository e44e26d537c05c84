//! contract
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod endpoint;
mod event;

pub use config::*;
pub use endpoint::*;
pub use event::*;
