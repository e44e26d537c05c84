//! TUN devices with `IFF_VNET_HDR` and offloads: where packets leave the kernel and come back, a 64 KiB
//! super-segment as one packet.
//!
//! [`create`] opens the queues of a device; [`vnet`] is the header in front of every packet on them.

mod device;
mod failure;
pub mod vnet;

pub use device::create;
pub use failure::{errno, failure};
