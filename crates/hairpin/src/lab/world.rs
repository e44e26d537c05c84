//! The network that the lab plays in: six hosts, each a network namespace, and the links between.
//!
//! ```text
//! client1 100.64.0.2 --in1--+                                          1280
//!                           gateway ---------- server ---------- hop ---------- far
//! client2 100.64.0.3 --in2--+   .1  198.51.100.0/24  .2 to .5    203.0.113.0/30    .9 .10 .11
//! ```
//!
//! The server is also the router towards `far`, behind a link that takes 1280 octets only. Pool
//! addresses (192.0.2.16/28) are routed to the gateway. Everything is gone when the process is.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use ipnet::Ipv4Net;

use crate::net::namespace::Namespace;
use crate::net::netlink::{MAIN_TABLE, Netlink, Route};
use crate::net::{offload, sysctl};

/// The subscribers' prefix.
pub const INSIDE: &str = "100.64.0.0/24";
/// The same as a prefix.
const INSIDE_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 24);
/// The external addresses, as the configuration file spells them.
pub const POOL: &str = "192.0.2.16-192.0.2.31";
/// The same as a prefix.
pub const POOL_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 16), 28);

/// The gateway as the clients address it.
pub const GATEWAY_INSIDE: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
/// The first subscriber.
pub const CLIENT1: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);
/// The second one.
pub const CLIENT2: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 3);
/// A server address that `client1` reaches past the daemon, over a link of its own: what the kernel's
/// masquerade does with the same traffic between the same two hosts.
pub const SERVER_BESIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 5);
/// `client1` on that link.
pub const CLIENT1_BESIDE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 2);
/// The gateway as the server addresses it.
pub const GATEWAY_OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The server, three times: most checks use the first; the others are third parties.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Its second address.
pub const SERVER_SECOND: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
/// Its third address, which no client ever sends anything to.
pub const SERVER_THIRD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 4);
/// Behind the narrow link.
pub const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// A second address there: the kernel remembers a path's MTU per destination.
pub const FAR_SECOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// MTU of the narrow link, octets.
pub const NARROW_MTU: u32 = 1280;

const GATEWAY_BESIDE: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const HOP_NEAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const SERVER_NARROW: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const HOP_FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const EVERYTHING: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
const FAR_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24);

/// A host: a namespace, with a netlink socket in it.
#[derive(Debug)]
pub struct Host {
    /// What it is called in messages.
    pub name: &'static str,
    namespace: Namespace,
    netlink: Netlink,
}

impl Host {
    fn create(name: &'static str) -> io::Result<Self> {
        let namespace = Namespace::create()?;
        let netlink = namespace.run(Netlink::open)?;
        let host = Self { name, namespace, netlink };
        host.netlink.link_up(host.link("lo")?)?;
        host.run(|| {
            // The checks judge the gateway's addresses, not this kernel's opinion of them.
            sysctl::set("net/ipv4/conf/all/rp_filter", "0")?;
            sysctl::set("net/ipv4/conf/default/rp_filter", "0")?;
            // Several errors within a second are what traceroute is about.
            sysctl::set("net/ipv4/icmp_ratelimit", "0")
        })?;
        Ok(host)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its routes and links.
    pub fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// Runs `work` in it; sockets made there stay there.
    ///
    /// # Errors
    /// Those of `work`, with the host's name.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.namespace
            .run(work)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.name)))
    }

    fn link(&self, name: &str) -> io::Result<u32> {
        let missing =
            || io::Error::new(io::ErrorKind::NotFound, format!("{}: there is no link {name}", self.name));
        self.netlink.link_index(name)?.ok_or_else(missing)
    }

    fn address(&self, link: &str, address: Ipv4Addr, prefix_len: u8) -> io::Result<()> {
        self.netlink.add_address(self.link(link)?, address, prefix_len)
    }

    /// A route to what is on the link itself.
    fn on_link(&self, destination: Ipv4Addr, link: &str) -> io::Result<()> {
        let (destination, device) = (Ipv4Net::from(destination), Some(self.link(link)?));
        self.netlink.add_route(&Route { destination, via: None, device, table: MAIN_TABLE })
    }

    fn via(&self, destination: Ipv4Net, via: Ipv4Addr) -> io::Result<()> {
        self.netlink.add_route(&via_route(destination, via))
    }

    fn forwarding(&self) -> io::Result<()> {
        self.run(|| sysctl::set("net/ipv4/ip_forward", "1"))
    }
}

/// The hosts.
#[derive(Debug)]
pub struct World {
    /// A subscriber.
    pub client1: Host,
    /// Another one.
    pub client2: Host,
    /// Where the daemon runs. It forwards nothing until somebody tells it to.
    pub gateway: Host,
    /// What the subscribers talk to.
    pub server: Host,
    /// A router behind the narrow link.
    pub hop: Host,
    /// A host behind that.
    pub far: Host,
}

impl World {
    /// Makes the hosts and connects them.
    ///
    /// # Errors
    /// The system's, with what was tried.
    pub fn create() -> io::Result<Self> {
        let world = Self {
            client1: Host::create("client1")?,
            client2: Host::create("client2")?,
            gateway: Host::create("gateway")?,
            server: Host::create("server")?,
            hop: Host::create("hop")?,
            far: Host::create("far")?,
        };
        world.inside()?;
        world.beside()?;
        world.outside()?;
        world.beyond()?;
        Ok(world)
    }

    /// All hosts, for those who want to look into each.
    pub fn hosts(&self) -> [&Host; 6] {
        [&self.client1, &self.client2, &self.gateway, &self.server, &self.hop, &self.far]
    }

    fn inside(&self) -> io::Result<()> {
        for (client, address, link) in [(&self.client1, CLIENT1, "in1"), (&self.client2, CLIENT2, "in2")] {
            connect((client, "eth0"), (&self.gateway, link))?;
            // One link for each subscriber, as in an access network: the two cannot meet on a wire.
            client.address("eth0", address, 32)?;
            client.on_link(GATEWAY_INSIDE, "eth0")?;
            client.via(EVERYTHING, GATEWAY_INSIDE)?;
            self.gateway.address(link, GATEWAY_INSIDE, 32)?;
            self.gateway.on_link(address, link)?;
        }
        Ok(())
    }

    /// The way past the daemon.
    fn beside(&self) -> io::Result<()> {
        connect((&self.client1, "eth1"), (&self.gateway, "beside"))?;
        self.client1.address("eth1", CLIENT1_BESIDE, 30)?;
        self.gateway.address("beside", GATEWAY_BESIDE, 30)?;
        self.client1.via(Ipv4Net::from(SERVER_BESIDE), GATEWAY_BESIDE)
    }

    fn outside(&self) -> io::Result<()> {
        connect((&self.gateway, "out"), (&self.server, "eth0"))?;
        self.gateway.address("out", GATEWAY_OUTSIDE, 24)?;
        for address in [SERVER, SERVER_SECOND, SERVER_THIRD, SERVER_BESIDE] {
            self.server.address("eth0", address, 24)?;
        }
        self.gateway.via(FAR_NET, SERVER)?;
        self.server.netlink.add_route(&self.pool_route())
    }

    fn beyond(&self) -> io::Result<()> {
        connect((&self.server, "narrow"), (&self.hop, "narrow"))?;
        connect((&self.hop, "wide"), (&self.far, "eth0"))?;
        for host in [&self.server, &self.hop] {
            host.netlink.set_mtu(host.link("narrow")?, NARROW_MTU)?;
            host.forwarding()?;
        }
        self.server.address("narrow", SERVER_NARROW, 30)?;
        self.hop.address("narrow", HOP_NEAR, 30)?;
        self.hop.address("wide", HOP_FAR, 29)?;
        self.hop.via(EVERYTHING, SERVER_NARROW)?;
        self.server.via(FAR_NET, HOP_NEAR)?;
        self.far.address("eth0", FAR, 29)?;
        self.far.address("eth0", FAR_SECOND, 29)?;
        self.far.via(EVERYTHING, HOP_FAR)
    }

    /// The server's route to the pool.
    pub fn pool_route(&self) -> Route {
        via_route(POOL_NET, GATEWAY_OUTSIDE)
    }

    /// The server's route to the subscribers themselves, for what the gateway does not translate.
    ///
    /// # Errors
    /// The system's.
    pub fn route_to_inside(&self) -> io::Result<()> {
        self.server.via(INSIDE_NET, GATEWAY_OUTSIDE)
    }

    /// The server's routes to all clients, on the links past the daemon as well.
    ///
    /// # Errors
    /// The system's.
    pub fn routes_to_clients(&self) -> io::Result<()> {
        self.route_to_inside()?;
        self.server.via(Ipv4Net::from(CLIENT1_BESIDE), GATEWAY_OUTSIDE)
    }

    /// From now on the links of the measurements carry frames of their MTU with finished checksums.
    ///
    /// # Errors
    /// The system's, with the link.
    pub fn without_offloads(&self) -> io::Result<()> {
        let links = [
            (&self.client1, ["eth0", "eth1"].as_slice()),
            (&self.gateway, &["in1", "beside", "out"]),
            (&self.server, &["eth0"]),
        ];
        links.into_iter().try_for_each(|(host, links)| {
            host.run(|| links.iter().try_for_each(|link| offload::disable(link)))
        })
    }

    /// Lets the gateway's kernel forward; the daemon does this itself.
    ///
    /// # Errors
    /// The system's.
    pub fn forward_in_kernel(&self) -> io::Result<()> {
        self.gateway.forwarding()
    }
}

/// Whether the gateway may show this endpoint to the outside.
pub fn is_external(endpoint: SocketAddrV4) -> bool {
    POOL_NET.contains(endpoint.ip()) && endpoint.port() != 0
}

fn via_route(destination: Ipv4Net, via: Ipv4Addr) -> Route {
    Route { destination, via: Some(via), device: None, table: MAIN_TABLE }
}

/// A cable between two hosts, both ends up.
fn connect(one: (&Host, &str), other: (&Host, &str)) -> io::Result<()> {
    // Made under a name that neither host has: an end is renamed once it is where it belongs.
    one.0.netlink.add_veth("here", "there")?;
    let there = one.0.link("there")?;
    one.0.netlink.move_link_to_namespace(there, std::os::fd::AsFd::as_fd(&other.0.namespace))?;
    for ((host, name), made) in [(one, "here"), (other, "there")] {
        let index = host.link(made)?;
        host.netlink.rename(index, name)?;
        host.netlink.link_up(index)?;
    }
    Ok(())
}
