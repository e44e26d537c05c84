//! The TUN device that a host stands on, with the kernel at its other end.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;

use crate::net::netlink::Netlink;
use crate::net::sysctl;

/// Packets that may wait in the device: more than a burst of a sender with a full window.
const TRANSMIT_QUEUE: u32 = 4_000;

/// A device to be made.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Its name.
    pub name: &'a str,
    /// The kernel's address on it.
    pub kernel: Ipv4Addr,
    /// Length of the prefix that is reached through it.
    pub prefix: u8,
    /// Largest packet, in octets.
    pub mtu: u16,
}

impl Link<'_> {
    /// Makes it, in the network namespace of the calling thread. It is gone when the queue is closed, however the
    /// process ends. Not to be called within a runtime.
    ///
    /// # Errors
    /// Names what could not be done. There must be no device of that name.
    pub fn create(&self, offloads: bool) -> io::Result<File> {
        let netlink = Netlink::open()?;
        let name = self.name;
        if netlink.link_index(name)?.is_some() {
            return Err(io::Error::other(format!(
                "a device {name} exists already: remove it (`ip link delete {name}`), or choose another name \
                 with --tun"
            )));
        }
        let mut queues = ::tun::create(name, 1, offloads)?;
        let missing = || io::Error::other(format!("the device {name} has no queue, or has gone again"));
        let index = netlink.link_index(name)?.ok_or_else(missing)?;
        // The kernel would send router solicitations of its own; one without IPv6 has no such setting.
        if let Err(error) = sysctl::set(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1") {
            tracing::debug!("{error}");
        }
        netlink.set_mtu(index, u32::from(self.mtu))?;
        netlink.set_transmit_queue(index, TRANSMIT_QUEUE)?;
        netlink.add_address(index, self.kernel, self.prefix)?;
        netlink.link_up(index)?;
        queues.pop().ok_or_else(missing)
    }
}
