//! Links, addresses, routes, rules and neighbours, one blocking call each.
//!
//! A [`Netlink`] belongs to the network namespace that the calling thread was in when it was
//! opened, whichever thread uses it afterwards.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::StreamExt;
use ipnet::Ipv4Net;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage,
};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{Handle, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::runtime::{Builder, Runtime};

use super::failure;

/// The number of the main routing table (`RT_TABLE_MAIN`).
pub const MAIN_TABLE: u32 = 254;

/// An open netlink socket.
#[derive(Debug)]
pub struct Netlink {
    runtime: Runtime,
    handle: Handle,
}

/// An IPv4 route.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// What it is for; 0.0.0.0/0 is the default route.
    pub destination: Ipv4Net,
    /// The next hop, if it is not on the link.
    pub via: Option<Ipv4Addr>,
    /// Index of the device; not needed beside `via`.
    pub device: Option<u32>,
    /// Its routing table, e.g. [`MAIN_TABLE`].
    pub table: u32,
}

/// A rule "iif ... lookup ...": which routing table is asked for what comes in on an interface.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    /// Name of the interface. It need not exist (yet): the kernel matches the name.
    pub in_interface: String,
    /// The table to ask.
    pub table: u32,
    /// Lower ones are asked first; the main table is at 32766.
    pub priority: u32,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(device) = self.device {
            // A name that has gone meanwhile is no reason to say nothing.
            match nix::net::if_::if_indextoname(device) {
                Ok(name) => write!(f, " dev {}", name.to_string_lossy())?,
                Err(_) => write!(f, " dev #{device}")?,
            }
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "iif {} lookup {} priority {}", self.in_interface, self.table, self.priority)
    }
}

/// The errors of all methods name what was tried; [`super::errno`] gives the system's number.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Netlink {
    /// A socket in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let tried = |error| failure("opening a netlink socket", error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(tried)?;
        let handle = {
            let _context = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection().map_err(tried)?;
            runtime.spawn(connection);
            handle
        };
        Ok(Self { runtime, handle })
    }

    /// The index of the link with this name, if there is one.
    pub fn link_index(&self, name: &str) -> io::Result<Option<u32>> {
        let link = self.run(format!("looking for link {name}"), async {
            let mut links = self.handle.link().get().match_name(name).execute();
            links.next().await.transpose()
        });
        match link {
            Ok(link) => Ok(link.map(|link| link.header.index)),
            Err(error) if super::errno(&error) == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A pair of connected Ethernet links.
    pub fn add_veth(&self, name: &str, peer: &str) -> io::Result<()> {
        let request = self.handle.link().add(LinkVeth::new(name, peer).build());
        self.run(format!("adding veth pair {name}, {peer}"), request.execute())
    }

    /// Moves a link into the network namespace that `namespace` is an open file of.
    pub fn move_link_to_namespace(&self, index: u32, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).setns_by_fd(namespace.as_raw_fd()).build();
        self.change_link(format!("moving link #{index} to another namespace"), message)
    }

    /// Gives a link, which must be down, another name.
    pub fn rename(&self, index: u32, name: &str) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).name(name).build();
        self.change_link(format!("renaming link #{index} to {name}"), message)
    }

    /// Brings a link up.
    pub fn link_up(&self, index: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).up().build();
        self.change_link(format!("bringing up link #{index}"), message)
    }

    /// Sets the MTU of a link, in octets.
    pub fn set_mtu(&self, index: u32, mtu: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).build();
        self.change_link(format!("setting the MTU of link #{index} to {mtu}"), message)
    }

    /// Sets the length of a link's transmit queue, in packets.
    pub fn set_transmit_queue(&self, index: u32, packets: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::TxQueueLen(packets))
            .build();
        self.change_link(format!("setting the transmit queue of link #{index} to {packets}"), message)
    }

    /// Deletes a link. One end of a pair takes the other with it.
    pub fn delete_link(&self, index: u32) -> io::Result<()> {
        self.run(format!("deleting link #{index}"), self.handle.link().del(index).execute())
    }

    /// Gives a link an address.
    pub fn add_address(&self, index: u32, address: Ipv4Addr, prefix_len: u8) -> io::Result<()> {
        let request = self.handle.address().add(index, IpAddr::V4(address), prefix_len);
        self.run(format!("adding address {address}/{prefix_len} to link #{index}"), request.execute())
    }

    /// Adds a route; there must not be one like it.
    pub fn add_route(&self, route: &Route) -> io::Result<()> {
        let request = self.handle.route().add(route_message(route));
        self.run(format!("adding route {route}"), request.execute())
    }

    /// Deletes a route.
    pub fn delete_route(&self, route: &Route) -> io::Result<()> {
        let request = self.handle.route().del(route_message(route));
        self.run(format!("deleting route {route}"), request.execute())
    }

    /// Adds a rule; there must not be one like it.
    pub fn add_rule(&self, rule: &Rule) -> io::Result<()> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = rule_message(rule);
        self.run(format!("adding rule {rule}"), request.execute())
    }

    /// Deletes a rule.
    pub fn delete_rule(&self, rule: &Rule) -> io::Result<()> {
        let request = self.handle.rule().del(rule_message(rule));
        self.run(format!("deleting rule {rule}"), request.execute())
    }

    /// Lets a link answer ARP requests for `address`, which is reached through another link.
    pub fn add_proxy_neighbour(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let request = self.handle.neighbours().add(index, IpAddr::V4(address)).flags(NeighbourFlags::Proxy);
        self.run(format!("adding a proxy ARP entry for {address} to link #{index}"), request.execute())
    }

    /// Takes [`Self::add_proxy_neighbour`] back.
    pub fn delete_proxy_neighbour(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.flags = NeighbourFlags::Proxy;
        message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address)));
        let request = self.handle.neighbours().del(message);
        self.run(format!("deleting the proxy ARP entry for {address} from link #{index}"), request.execute())
    }

    fn change_link(&self, tried: String, message: LinkMessage) -> io::Result<()> {
        self.run(tried, self.handle.link().change(message).execute())
    }

    fn run<T>(
        &self,
        tried: String,
        request: impl Future<Output = Result<T, rtnetlink::Error>>,
    ) -> io::Result<T> {
        self.runtime.block_on(request).map_err(|error| {
            let source = match error {
                rtnetlink::Error::NetlinkError(answer) => answer.to_io(),
                other => io::Error::other(other.to_string()),
            };
            failure(tried, source)
        })
    }
}

fn route_message(route: &Route) -> RouteMessage {
    let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(route.destination.network(), route.destination.prefix_len())
        .table_id(route.table);
    builder = match route.via {
        Some(via) => builder.gateway(via),
        // As iproute2 does: what needs no next hop is on the link, so that it can itself be the way
        // to a next hop.
        None => builder.scope(RouteScope::Link),
    };
    if let Some(device) = route.device {
        builder = builder.output_interface(device);
    }
    builder.build()
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Iifname(rule.in_interface.clone()));
    message.attributes.push(RuleAttribute::Table(rule.table));
    message.attributes.push(RuleAttribute::Priority(rule.priority));
    message
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// Runs `body` on a thread of its own in a fresh network namespace, which ends with it.
    fn in_new_namespace(body: impl FnOnce(&Netlink) + Send) {
        std::thread::scope(|scope| {
            let outcome = scope.spawn(|| {
                if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                    eprintln!("not run: no network namespace here: {error}");
                    assert!(std::env::var_os("CI").is_none(), "CI must be able to run this test");
                    return;
                }
                body(&Netlink::open().expect("a netlink socket"));
            });
            if let Err(panic) = outcome.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }

    // covers: O1
    #[test]
    fn what_is_added_is_there_once_and_can_be_deleted() {
        in_new_namespace(|netlink| {
            netlink.add_veth("here", "there").expect("a pair");
            let here = netlink.link_index("here").expect("an answer").expect("it is there");
            assert_eq!(netlink.link_index("nowhere").expect("an answer"), None);
            netlink.set_mtu(here, 9000).expect("an MTU");
            netlink.set_transmit_queue(here, 1234).expect("a queue length");
            netlink.link_up(here).expect("up");
            netlink.add_address(here, Ipv4Addr::new(10, 0, 0, 1), 24).expect("an address");
            let route = Route {
                destination: "192.0.2.16/28".parse().expect("a prefix"),
                via: None,
                device: Some(here),
                table: 6093,
            };
            let rule = Rule { in_interface: "here".into(), table: 6093, priority: 6093 };
            let address = Ipv4Addr::new(192, 0, 2, 16);
            // Twice over: a second round works only if the first has deleted everything.
            for _ in 0..2 {
                netlink.add_route(&route).expect("a route");
                netlink.add_rule(&rule).expect("a rule");
                netlink.add_proxy_neighbour(here, address).expect("a proxy entry");
                let error = netlink.add_route(&route).expect_err("it exists");
                assert_eq!(super::super::errno(&error), Some(libc::EEXIST));
                assert_eq!(
                    error.to_string(),
                    "adding route 192.0.2.16/28 dev here table 6093: File exists (os error 17)"
                );
                assert!(netlink.add_rule(&rule).is_err(), "the rule exists");
                netlink.delete_proxy_neighbour(here, address).expect("the proxy entry goes");
                netlink.delete_rule(&rule).expect("the rule goes");
                netlink.delete_route(&route).expect("the route goes");
                assert!(netlink.delete_proxy_neighbour(here, address).is_err(), "it is gone");
                assert!(netlink.delete_rule(&rule).is_err(), "it is gone");
                assert!(netlink.delete_route(&route).is_err(), "it is gone");
            }
            netlink.delete_link(here).expect("the link goes");
            assert_eq!(netlink.link_index("there").expect("an answer"), None, "and its peer with it");
        });
    }
}
