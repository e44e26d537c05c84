//! Netlink, sysctls and namespaces.

pub mod namespace;
pub mod netlink;
pub mod offload;
pub mod sysctl;

use std::fs::File;
use std::io::{self, Read as _};

pub use tun::errno;
pub(crate) use tun::failure;

/// What engines key their hashes and choices with, from the system's generator.
pub(crate) fn seed<const OCTETS: usize>() -> io::Result<[u8; OCTETS]> {
    let mut seed = [0; OCTETS];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(|error| failure("reading /dev/urandom", error))?;
    Ok(seed)
}
