//! Opening a TUN device.
//!
//! `unsafe` is here for three `ioctl`s on a descriptor that this file has just opened, each with a
//! pointer to (or the value of) exactly the type that `linux/if_tun.h` names for it.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::{failure, vnet};

mod ioctl {
    nix::ioctl_write_ptr_bad!(set_interface, libc::TUNSETIFF, libc::ifreq);
    nix::ioctl_write_int_bad!(set_offload, libc::TUNSETOFFLOAD);
    nix::ioctl_write_ptr_bad!(set_header_length, libc::TUNSETVNETHDRSZ, libc::c_int);
}

/// What to ask of the kernel, best first. UDP segmentation came with Linux 6.2; the kernel wants
/// both address families of it or neither. ECN is asked for so that CWR super-segments stay whole.
const OFFLOADS: [u32; 3] =
    [libc::TUN_F_CSUM | TSO | libc::TUN_F_USO4 | libc::TUN_F_USO6, libc::TUN_F_CSUM | TSO, libc::TUN_F_CSUM];
const TSO: u32 = libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;

/// The queues of a device. It is gone when the last is closed, however the process ends.
///
/// # Errors
/// Names the device. A device of that name must not exist.
pub fn create(name: &str, queues: u16, offloads: bool) -> io::Result<Vec<File>> {
    let queues = (0..queues.max(1)).map(|_| open_queue(name)).collect::<io::Result<Vec<_>>>()?;
    if let (true, Some(queue)) = (offloads, queues.first()) {
        set_offloads(queue);
    }
    Ok(queues)
}

fn open_queue(name: &str) -> io::Result<File> {
    let queue = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(|error| failure("opening /dev/net/tun (is the tun module there?)", error))?;
    let tried = |error: nix::Error| failure(format!("creating TUN device {name}"), error.into());
    let request = interface_request(name).map_err(tried)?;
    // SAFETY: an open descriptor and a pointer to an initialised `ifreq` that outlives the call.
    unsafe { ioctl::set_interface(queue.as_raw_fd(), &request) }.map_err(tried)?;
    let length = vnet::LENGTH as libc::c_int;
    // SAFETY: an open descriptor and a pointer to an `int` that outlives the call.
    unsafe { ioctl::set_header_length(queue.as_raw_fd(), &length) }.map_err(tried)?;
    Ok(queue)
}

fn interface_request(name: &str) -> nix::Result<libc::ifreq> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    if name.is_empty() || name.len() >= ifr_name.len() {
        return Err(nix::Error::ENAMETOOLONG);
    }
    for (place, octet) in ifr_name.iter_mut().zip(name.bytes()) {
        *place = octet as libc::c_char;
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: flags as libc::c_short };
    Ok(libc::ifreq { ifr_name, ifr_ifru })
}

/// Asks for the most that this kernel knows. Without any, packets still come, one segment each.
fn set_offloads(queue: &File) {
    let accepted = OFFLOADS.into_iter().find(|&flags| {
        // SAFETY: an open descriptor; the argument is a value, not a pointer.
        unsafe { ioctl::set_offload(queue.as_raw_fd(), flags as libc::c_int) }.is_ok()
    });
    tracing::debug!("offloads of the TUN device: {accepted:?}");
}
