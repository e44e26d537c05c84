//! Netlink, sysctls and namespaces.

pub mod namespace;
pub mod netlink;
pub mod offload;
pub mod sysctl;

pub use tun::errno;
pub(crate) use tun::failure;
