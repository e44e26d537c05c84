//! Taking a link's offloads away, so that every packet is one frame with a finished checksum.
//!
//! `unsafe` is here for one `ioctl` on a socket made for it, with a pointer to the type that
//! `linux/sockios.h` names for it, which points to the one that `linux/ethtool.h` does.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::failure;

mod ioctl {
    nix::ioctl_write_ptr_bad!(ethtool, libc::SIOCETHTOOL, libc::ifreq);
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// What is switched off, in this order: segmentation needs checksums. (Numbers of `linux/ethtool.h`;
/// libc has some of them only.)
const FEATURES: [(u32, &str); 4] = [
    (0x0000_001f, "TCP segmentation offload"),
    (0x0000_0024, "generic segmentation offload"),
    (0x0000_002c, "generic receive offload"),
    (0x0000_0017, "transmit checksums"),
];

/// Switches the offloads of `link` off, in the network namespace of the calling thread.
///
/// # Errors
/// The system's, with the link and the feature: ENODEV, or EPERM without CAP_NET_ADMIN.
pub fn disable(link: &str) -> io::Result<()> {
    let tried = |what: &str, error: nix::Error| {
        failure(format!("switching off {what} of {link}"), io::Error::from(error))
    };
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| tried("offloads", error))?;
    for (command, what) in FEATURES {
        let mut value = Value { command, data: 0 };
        let request = libc::ifreq {
            ifr_name: name(link).map_err(|error| tried(what, error))?,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() },
        };
        // SAFETY: an open descriptor and a pointer to an initialised `ifreq`; `ifru_data` points to an
        // initialised `ethtool_value` of a command that reads no more than that. Both outlive the call.
        unsafe { ioctl::ethtool(socket.as_raw_fd(), &request) }.map_err(|error| tried(what, error))?;
    }
    Ok(())
}

fn name(link: &str) -> Result<[libc::c_char; libc::IFNAMSIZ], nix::Error> {
    let mut name = [0; libc::IFNAMSIZ];
    // The last octet stays 0.
    if link.len() >= name.len() {
        return Err(nix::Error::ENODEV);
    }
    for (place, octet) in name.iter_mut().zip(link.bytes()) {
        *place = octet as libc::c_char;
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::errno;

    // covers: O1
    #[test]
    fn a_link_that_is_not_there_is_named() {
        for link in ["no-such-link", "a name much longer than any link's"] {
            let error = disable(link).expect_err("there is no such link");
            assert_eq!(errno(&error), Some(libc::ENODEV), "{error}");
            assert!(error.to_string().contains(link), "{error}");
        }
    }
}
