//! Netlink, sysctls and namespaces.

mod failure;
pub mod namespace;
pub mod netlink;
pub mod offload;
pub mod sysctl;

pub use failure::errno;
pub(crate) use failure::failure;
