//! A war between two hosts of the old sequence test, live through the daemon: it is brought to rest, and told (C3).

use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::mpsc::Sender;

use hairpin::net::netlink::{MAIN_TABLE, Netlink, Route};
use hairpin::net::sysctl;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tun::vnet;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;
use wire::{Packet, SeqNumber, Transport, Trust};

use crate::in_new_namespace;
use crate::run::{CLIENT, Job, SERVER};
use crate::scrub::{Between, Lab, at};

/// Two hosts behind `client` and `server`, each at the end of a TUN device.
const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 77), Ipv4Addr::new(198, 51, 100, 77)];
const PORTS: [u16; 2] = [40_000, 4_000];
/// Answers to answers, where nobody damps.
const ROUNDS: usize = 100;

/// A host that answers what it cannot take with what it said last.
struct Legacy {
    device: File,
    own: usize,
}

impl Legacy {
    /// At a device in the namespace of `host`, which routes to it.
    fn new(host: &Sender<Job>, own: usize) -> Self {
        let device = at(host, move || {
            let device = tun::create("legacy", 1, false).expect("a TUN device").remove(0);
            let netlink = Netlink::open().expect("netlink");
            let index = netlink.link_index("legacy").expect("an answer").expect("it is there");
            sysctl::set("net/ipv6/conf/legacy/disable_ipv6", "1").expect("a sysctl");
            netlink.link_up(index).expect("up");
            route(&netlink, ENDS[own], None, Some(index));
            for (setting, value) in
                [("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/legacy/rp_filter", "0")]
            {
                sysctl::set(&format!("net/ipv4/{setting}"), value).expect("a sysctl");
            }
            device
        });
        Self { device, own }
    }

    fn say(&self, flags: Flags, seq: u32, ack: u32) {
        let [source, destination] = if self.own == 0 { [0, 1] } else { [1, 0] };
        let header = Header::new(ENDS[source], ENDS[destination]);
        let segment = Segment {
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            window: 1_000,
            ..Segment::new(PORTS[source], PORTS[destination], flags)
        };
        let mut frame = [0; vnet::LENGTH + 40];
        craft::tcp(&mut frame[vnet::LENGTH..], &header, &segment, &[]).expect("it fits");
        (&self.device).write_all(&frame).expect("it is taken");
    }

    /// Whether a segment arrives within `wait`.
    fn hears(&self, wait: PollTimeout) -> bool {
        let mut frame = [0; 2_048];
        loop {
            let mut ready = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, wait).expect("poll") == 0 {
                return false;
            }
            let len = (&self.device).read(&mut frame).expect("a frame");
            let packet = Packet::parse(&frame[vnet::LENGTH..len], Trust::Verify);
            if packet.is_ok_and(|packet| matches!(packet.transport, Transport::Tcp { .. })) {
                return true;
            }
        }
    }
}

fn route(netlink: &Netlink, to: Ipv4Addr, via: Option<Ipv4Addr>, device: Option<u32>) {
    let destination = to.into();
    netlink.add_route(&Route { destination, via, device, table: MAIN_TABLE }).expect("a route");
}

/// How many segments of a war arrive, with the daemon's counters and what it said.
fn war(scrub: &str) -> (usize, serde_json::Value, String) {
    let lab = Lab::new(Between::Scrubber, scrub);
    let netlink = Netlink::open().expect("netlink");
    for (end, router) in ENDS.into_iter().zip([CLIENT, SERVER]) {
        route(&netlink, end, Some(router), None);
    }
    let hosts = [Legacy::new(&lab.client, 0), Legacy::new(&lab.server, 1)];
    // So long a packet is waited for on the busiest machine, and one that was dropped on any.
    let long = PollTimeout::from(5_000_u16);
    for (from, flags, seq, ack) in
        [(0, Flags::SYN, 100, 0), (1, Flags::SYN | Flags::ACK, 500, 101), (0, Flags::ACK, 101, 501)]
    {
        hosts[from].say(flags, seq, ack);
        assert!(hosts[1 - from].hears(long), "the connection is opened");
    }
    // Each stands one octet left of what the other has acknowledged, and answers what it hears.
    let said = [(100, 501), (500, 101)];
    let mut arrived = 0;
    for round in 0..ROUNDS {
        let from = round % 2;
        hosts[from].say(Flags::ACK, said[from].0, said[from].1);
        if !hosts[1 - from].hears(long) {
            break;
        }
        arrived += 1;
    }
    let (counters, errors) = lab.end();
    (arrived, counters, errors)
}

// covers: C3
#[test]
fn a_war_through_the_daemon_is_brought_to_rest_and_the_log_says_so() {
    in_new_namespace(|| {
        let (arrived, counters, said) = war("flows = 1000\nwar_limit = 8");
        // The first words of each, and seven repetitions.
        assert_eq!(arrived, 2 + 7, "{said}");
        assert_eq!(counters["wars_damped"], 1, "{counters:#}");
        assert_eq!(counters["dropped"]["war-damped"], 1, "{counters:#}");
        let told = "war damped: ";
        assert!(
            said.contains(told) && said.contains("answered one another 8 times without progress"),
            "{said}"
        );
    });
    in_new_namespace(|| {
        let (arrived, counters, said) = war("flows = 1000");
        assert_eq!(arrived, ROUNDS, "{said}");
        assert_eq!(counters["wars_damped"], 0, "{counters:#}");
        assert!(!said.contains("war damped"), "{said}");
    });
}
