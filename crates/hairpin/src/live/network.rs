//! What the machine needs for packets to come to the gateway and go on from it.
//!
//! ```text
//!  subscribers                                                      outside
//!      |          rule: iif veth0 -> table 6093: default dev hp-in     |
//!    veth0 ----------------> hp-in  [engine]  hp-out ---------------> eth0
//!      ^                       |                 ^                     |
//!      +-----------------------+                 +---------------------+
//!        as the machine routes                 main table: pools dev hp-out
//! ```
//!
//! A scrubber alone has no pools to be found by. What arrives on its outside interfaces goes by a rule and a table of
//! its own: the subscribers' prefixes dev hp-out.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use ipnet::{Ipv4Net, Ipv4Subnets};

use super::journal::{Change, Journal};
use crate::config::{LiveSettings, Mode, Settings};
use crate::net::netlink::{MAIN_TABLE, Netlink, Route, Rule};
use crate::net::{errno, failure, sysctl};

/// Where our rules stand: behind the local table (0), before the main one (32766).
const RULE_PRIORITY: u32 = 6093;

/// Packets that may wait in a TUN device. The default of 500 is less than one burst of a sender
/// with a full window, and a drop there costs a retransmission.
const TRANSMIT_QUEUE: u32 = 4_000;

/// What was set up; dropping it takes it back.
#[derive(Debug)]
pub struct Network {
    netlink: Netlink,
    /// `None` once it is closed.
    journal: Option<Journal>,
}

/// The queues of the two devices, one pair for each worker.
#[derive(Debug)]
pub struct Devices {
    /// Of the device that faces the subscribers.
    pub inside: Vec<File>,
    /// Of the device that faces the outside.
    pub outside: Vec<File>,
}

impl Network {
    /// Sets everything up for `workers` workers; `say` is told each thing that is done.
    ///
    /// # Errors
    /// Names what could not be done; what was done until then has been taken back.
    pub fn set_up(
        settings: &Settings,
        workers: u16,
        mut say: impl FnMut(&str),
    ) -> io::Result<(Self, Devices)> {
        let netlink = Netlink::open()?;
        let live = &settings.live;
        check_interfaces(&netlink, live)?;
        check_scrubber(settings)?;
        let pools = pool_prefixes(settings);
        check_pools_are_free(settings)?;
        let journal = Journal::open(&live.state_directory, &netlink, &mut say)?;
        let mut network = Self { netlink, journal: Some(journal) };
        let devices = network.devices(settings, workers, &mut say)?;
        network.forwarding(live, &mut say)?;
        network.routes(settings, &pools, &mut say)?;
        network.proxy_arp(live, &pools, &mut say)?;
        Ok((network, devices))
    }

    /// Takes everything back. The devices go when their queues are closed.
    ///
    /// # Errors
    /// The first thing that could not be taken back.
    pub fn take_back(mut self) -> io::Result<()> {
        self.close()
    }

    fn close(&mut self) -> io::Result<()> {
        self.journal.take().map_or(Ok(()), |journal| journal.close(&self.netlink))
    }

    fn devices(&self, settings: &Settings, workers: u16, say: &mut impl FnMut(&str)) -> io::Result<Devices> {
        let live = &settings.live;
        let open = |name: &str, mtu: u16| {
            if self.netlink.link_index(name)?.is_some() {
                return Err(io::Error::other(format!(
                    "a device {name} exists already: remove it (`ip link delete {name}`), or choose \
                     other names with live.inside_device and live.outside_device"
                )));
            }
            let queues = tun::create(name, workers, live.offloads)?;
            self.bring_up(name, mtu)?;
            Ok(queues)
        };
        let mtu = settings.engine.mtu;
        let inside = open(&live.inside_device, mtu.inside)?;
        let outside = open(&live.outside_device, mtu.outside)?;
        say(&format!(
            "devices {} (MTU {}) and {} (MTU {}), {workers} queue(s) each, offloads {}",
            live.inside_device,
            mtu.inside,
            live.outside_device,
            mtu.outside,
            if live.offloads { "on" } else { "off" }
        ));
        Ok(Devices { inside, outside })
    }

    /// The settings of the devices go with them, so they are not in the journal.
    fn bring_up(&self, name: &str, mtu: u16) -> io::Result<()> {
        // The kernel would send router solicitations of its own; a kernel without IPv6 does not
        // have the setting.
        if let Err(error) = sysctl::set(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1") {
            tracing::debug!("{error}");
        }
        for (setting, value) in [
            // What comes out of the inside device has remote sources, which the machine reaches
            // elsewhere: with strict reverse-path filtering it would drop them. 2 is "loose", and
            // wins over a 1 for all interfaces.
            ("rp_filter", "2"),
            // The gateway may send ICMP errors from an address of this machine.
            ("accept_local", "1"),
            ("forwarding", "1"),
        ] {
            sysctl::set(&format!("net/ipv4/conf/{name}/{setting}"), value)?;
        }
        let index = self.index(name)?;
        self.netlink.set_mtu(index, u32::from(mtu))?;
        self.netlink.set_transmit_queue(index, TRANSMIT_QUEUE)?;
        self.netlink.link_up(index)
    }

    fn forwarding(&mut self, live: &LiveSettings, say: &mut impl FnMut(&str)) -> io::Result<()> {
        if sysctl::get("net/ipv4/ip_forward")? != "1" {
            // Writing ip_forward also writes the settings of every interface, both ways: they are
            // noted first, and so restored last.
            let own = [live.inside_device.as_str(), live.outside_device.as_str(), "all"];
            for interface in interfaces()?.iter().filter(|name| !own.contains(&name.as_str())) {
                self.note_sysctl(&format!("net/ipv4/conf/{interface}/forwarding"))?;
            }
            self.note_sysctl("net/ipv4/conf/all/accept_redirects")?;
            self.set_sysctl("net/ipv4/ip_forward", "1", say)?;
        }
        for interface in live.inside_interfaces.iter().chain(&live.outside_interfaces) {
            self.set_sysctl(&format!("net/ipv4/conf/{interface}/forwarding"), "1", say)?;
        }
        Ok(())
    }

    fn routes(
        &mut self,
        settings: &Settings,
        pools: &[Ipv4Net],
        say: &mut impl FnMut(&str),
    ) -> io::Result<()> {
        let live = &settings.live;
        let inside = self.index(&live.inside_device)?;
        let outside = self.index(&live.outside_device)?;
        let route =
            |destination, device, table| Route { destination, via: None, device: Some(device), table };
        for &pool in pools {
            self.add_route(route(pool, outside, MAIN_TABLE), say)?;
        }
        // The kernel answers for the last hop of the gateway: it takes the source of such an ICMP
        // error from the device that it leaves by, and one of the inside would be spoofed there. And
        // loose reverse-path filtering takes errors from a local address only on a device that has one.
        let gateway = settings.engine.gateway;
        for (address, device) in [(gateway.inside, inside), (gateway.outside, outside)] {
            if !pools.iter().any(|pool| pool.contains(&address)) {
                self.netlink.add_address(device, address, 32)?;
            }
        }
        self.add_route(route(Ipv4Net::default(), inside, live.route_table), say)?;
        for interface in &live.inside_interfaces {
            self.add_rule(interface, live.route_table, say)?;
        }
        if settings.mode == Mode::Scrub {
            let table = live.route_table.saturating_add(1);
            for &prefix in &settings.engine.inside {
                self.add_route(route(prefix, outside, table), say)?;
            }
            for interface in &live.outside_interfaces {
                self.add_rule(interface, table, say)?;
            }
        }
        Ok(())
    }

    fn add_rule(&mut self, interface: &str, table: u32, say: &mut impl FnMut(&str)) -> io::Result<()> {
        let rule = Rule { in_interface: interface.to_owned(), table, priority: RULE_PRIORITY };
        self.note(Change::Rule(rule.clone()))?;
        self.made(self.netlink.add_rule(&rule))?;
        say(&format!("rule {rule}"));
        Ok(())
    }

    fn proxy_arp(
        &mut self,
        live: &LiveSettings,
        pools: &[Ipv4Net],
        say: &mut impl FnMut(&str),
    ) -> io::Result<()> {
        for interface in &live.proxy_arp {
            let index = self.index(interface)?;
            self.set_sysctl(&format!("net/ipv4/conf/{interface}/forwarding"), "1", say)?;
            // Otherwise the kernel waits up to 0.8 s before it answers for another.
            self.set_sysctl(&format!("net/ipv4/neigh/{interface}/proxy_delay"), "0", say)?;
            for address in pools.iter().flat_map(all_addresses) {
                self.note(Change::ProxyNeighbour { interface: interface.clone(), address })?;
                self.made(self.netlink.add_proxy_neighbour(index, address))?;
            }
            say(&format!("proxy ARP on {interface} for {}", list(pools)));
        }
        Ok(())
    }

    fn add_route(&mut self, route: Route, say: &mut impl FnMut(&str)) -> io::Result<()> {
        self.note(Change::Route(route.clone()))?;
        let made = self.netlink.add_route(&route).map_err(|error| match errno(&error) {
            Some(libc::EEXIST) => io::Error::other(format!(
                "{error}: remove the one that is there (`ip route show table all {}`), or end the hairpin \
                 that made it",
                route.destination
            )),
            _ => error,
        });
        self.made(made)?;
        say(&format!("route {route}"));
        Ok(())
    }

    /// Gives a sysctl a value, unless it has it.
    fn set_sysctl(&mut self, name: &str, value: &str, say: &mut impl FnMut(&str)) -> io::Result<()> {
        if sysctl::get(name)? == value {
            return Ok(());
        }
        self.note_sysctl(name)?;
        sysctl::set(name, value)?;
        say(&format!("sysctl {name} = {value}"));
        Ok(())
    }

    fn note_sysctl(&mut self, name: &str) -> io::Result<()> {
        self.note(Change::Sysctl { name: name.to_owned(), before: sysctl::get(name)? })
    }

    fn note(&mut self, change: Change) -> io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.note(change))
    }

    /// A change that failed was not made; what was there before it must not be taken back as ours.
    fn made(&mut self, outcome: io::Result<()>) -> io::Result<()> {
        if let (Err(_), Some(journal)) = (&outcome, self.journal.as_mut()) {
            journal.not_made()?;
        }
        outcome
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        index(&self.netlink, name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!("not everything could be taken back: {error}");
        }
    }
}

fn index(netlink: &Netlink, name: &str) -> io::Result<u32> {
    netlink.link_index(name)?.ok_or_else(|| {
        failure(format!("looking for interface {name}"), io::Error::from_raw_os_error(libc::ENODEV))
    })
}

fn check_interfaces(netlink: &Netlink, live: &LiveSettings) -> io::Result<()> {
    let all = live.inside_interfaces.iter().chain(&live.outside_interfaces).chain(&live.proxy_arp);
    for interface in all {
        index(netlink, interface).map_err(|error| match errno(&error) {
            Some(libc::ENODEV) => io::Error::other(format!(
                "there is no interface {interface} here: see `ip link`, and correct inside.interfaces, \
                 outside.interfaces or outside.proxy_arp"
            )),
            _ => error,
        })?;
    }
    Ok(())
}

/// A scrubber is found by interfaces and the subscribers' prefixes.
fn check_scrubber(settings: &Settings) -> io::Result<()> {
    let missing = match settings.mode {
        Mode::Nat => return Ok(()),
        Mode::Scrub if settings.engine.inside.is_empty() => "inside.prefixes",
        Mode::Scrub if settings.live.inside_interfaces.is_empty() => "inside.interfaces",
        Mode::Scrub if settings.live.outside_interfaces.is_empty() => "outside.interfaces",
        Mode::Scrub => return Ok(()),
    };
    Err(io::Error::other(format!("a scrubber needs {missing} to know what comes to it: write it")))
}

/// An address of this machine never leaves it again, so nothing would come to the gateway.
fn check_pools_are_free(settings: &Settings) -> io::Result<()> {
    for address in pool_prefixes(settings).iter().flat_map(all_addresses) {
        if is_local(address) {
            return Err(io::Error::other(format!(
                "pool address {address} is an address of this machine: remove it from its interface \
                 (`ip address show to {address}`) or from the pool"
            )));
        }
    }
    Ok(())
}

/// Only an address of this machine can be bound to, unless the machine says otherwise.
fn is_local(address: Ipv4Addr) -> bool {
    let anything_binds = sysctl::get("net/ipv4/ip_nonlocal_bind").is_ok_and(|value| value == "1");
    !anything_binds && UdpSocket::bind((address, 0)).is_ok()
}

/// All pool addresses in as few prefixes as possible.
fn pool_prefixes(settings: &Settings) -> Vec<Ipv4Net> {
    let ranges = settings.engine.pools.iter().flat_map(|pool| &pool.addresses);
    let subnets = ranges.flat_map(|range| Ipv4Subnets::new(*range.start(), *range.end(), 0));
    Ipv4Net::aggregate(&subnets.collect())
}

fn all_addresses(prefix: &Ipv4Net) -> impl Iterator<Item = Ipv4Addr> + use<> {
    (prefix.network().to_bits()..=prefix.broadcast().to_bits()).map(Ipv4Addr::from_bits)
}

/// The names that have settings under `net/ipv4/conf`.
fn interfaces() -> io::Result<Vec<String>> {
    let path = "/proc/sys/net/ipv4/conf";
    let tried = |error| failure(format!("reading {path}"), error);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(tried)? {
        names.push(entry.map_err(tried)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Prefixes, separated by commas.
pub(crate) fn list(prefixes: &[Ipv4Net]) -> String {
    prefixes.iter().map(Ipv4Net::to_string).collect::<Vec<_>>().join(", ")
}

/// All pool addresses, for people.
pub(crate) fn pools(settings: &Settings) -> String {
    list(&pool_prefixes(settings))
}
