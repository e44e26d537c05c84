//! The checks: each drives real sockets through the gateway and says what it saw.

mod basic;
mod bulk;
mod bypass;
mod fixed;
mod fragments;
mod ftp;
mod hairpin;
mod half_close;
pub(super) mod icmp;
mod inbound;
mod ip_id;
mod last_ack;
mod own;
pub(super) mod pattern;
mod ping;
mod pmtu;
mod pools;
mod rst;
mod short;
mod simultaneous;
mod stun;
mod tcp_segment;
mod time_wait;
mod traceroute;
mod udp;
mod unsolicited;
mod urgent;

use std::fmt;
use std::io;
use std::net::SocketAddrV4;

use super::gateway::Workshop;
use super::world::{World, is_external};

/// How much a check does.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Octets of a bulk transfer.
    pub bulk: u64,
    /// Short connections.
    pub connections: usize,
    /// Connections through ports that are all in TIME-WAIT.
    pub reuses: usize,
    /// Packets of a flood.
    pub flood: usize,
}

impl Scale {
    /// What issues 2 and 4 ask for.
    pub const FULL: Self = Self { bulk: 64 << 20, connections: 2_000, reuses: 10_000, flood: 100_000 };
    /// A tenth of it, or less.
    pub const QUICK: Self = Self { bulk: 8 << 20, connections: 200, reuses: 500, flood: 5_000 };
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, for machines.
    pub name: &'static str,
    /// What it is about, for people.
    pub about: &'static str,
    /// Does it, and says what was seen.
    pub run: Run,
}

/// What a check needs.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// The hosts and the gateway that others use too.
    Shared(fn(&World, Scale) -> Finding),
    /// One gateway or several with configurations of its own; with `--full` only.
    Own(fn(&Workshop<'_>) -> Finding),
}

impl Run {
    /// Whether it makes its own gateway.
    pub const fn has_own_gateway(self) -> bool {
        matches!(self, Self::Own(_))
    }
}

/// What was seen, or why it is not what should have been.
pub type Finding = Result<String, Failure>;

/// Why a check failed.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(match error.kind() {
            io::ErrorKind::WouldBlock => "nothing came in time".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// Puts what was being done in front of an error.
trait During<T> {
    fn during(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> During<T> for Result<T, E> {
    fn during(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("{what}: {}", error.into())))
    }
}

/// Fails unless `condition`, with the rest as the reason.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err($crate::lab::checks::Failure::new(format!($($reason)+)));
        }
    };
}
pub(super) use ensure;

/// Fails unless an endpoint that the outside saw is one of the pool.
pub(super) fn ensure_external(endpoint: SocketAddrV4) -> Result<(), Failure> {
    ensure!(is_external(endpoint), "the outside saw {endpoint}, which is not of the pool");
    Ok(())
}

/// All of them, in the order in which they run.
pub const ALL: &[Check] = &[
    Check { name: "tcp-download", about: "bulk TCP, outside to inside", run: Run::Shared(bulk::download) },
    Check { name: "tcp-upload", about: "bulk TCP, inside to outside", run: Run::Shared(bulk::upload) },
    Check { name: "tcp-short", about: "many short connections", run: Run::Shared(short::run) },
    Check {
        name: "tcp-half-close",
        about: "one direction closed, the other goes on",
        run: Run::Shared(half_close::run),
    },
    Check {
        name: "tcp-simultaneous-open",
        about: "two SYNs that cross",
        run: Run::Shared(simultaneous::run),
    },
    Check { name: "tcp-urgent", about: "an urgent octet each way", run: Run::Shared(urgent::run) },
    Check {
        name: "tcp-unsolicited",
        about: "inbound SYN to a port with and without a mapping",
        run: Run::Shared(unsolicited::run),
    },
    Check {
        name: "udp-mapping",
        about: "endpoint-independent mapping, paired pooling",
        run: Run::Shared(udp::mapping),
    },
    Check {
        name: "udp-filtering",
        about: "endpoint-independent filtering",
        run: Run::Shared(udp::filtering),
    },
    Check { name: "ping", about: "echo of several sizes, and several at once", run: Run::Shared(ping::run) },
    Check {
        name: "traceroute",
        about: "time to live used up at every hop",
        run: Run::Shared(traceroute::run),
    },
    Check { name: "path-mtu", about: "a link of 1280 octets further on", run: Run::Shared(pmtu::run) },
    Check {
        name: "fragments",
        about: "datagrams of several fragments, also out of order",
        run: Run::Shared(fragments::run),
    },
    Check {
        name: "hairpin-udp",
        about: "two subscribers meet at their external endpoints",
        run: Run::Shared(hairpin::udp),
    },
    Check { name: "hairpin-tcp", about: "the same with TCP", run: Run::Shared(hairpin::tcp) },
    Check {
        name: "hairpin-error",
        about: "a closed port behind the gateway, asked from behind it",
        run: Run::Shared(hairpin::icmp_error),
    },
    // Our own TCP against the kernel's.
    Check { name: "own-bulk", about: "our own TCP: bulk both ways at once", run: Run::Shared(own::bulk) },
    Check { name: "own-short", about: "our own TCP: many short connections", run: Run::Shared(own::short) },
    Check { name: "own-many", about: "our own TCP: 200 connections at once", run: Run::Shared(own::many) },
    Check {
        name: "own-half-close",
        about: "our own TCP: one direction closed, the other goes on",
        run: Run::Shared(own::half_close),
    },
    Check { name: "own-urgent", about: "our own TCP: urgent data both ways", run: Run::Shared(own::urgent) },
    Check {
        name: "own-simultaneous-open",
        about: "our own TCP: two SYNs that cross",
        run: Run::Shared(own::simultaneous),
    },
    Check { name: "own-abort", about: "our own TCP: a reset from either side", run: Run::Shared(own::abort) },
    // With a gateway of their own.
    Check { name: "stun", about: "STUN behaviour discovery (RFC 5780)", run: Run::Own(stun::run) },
    Check {
        name: "time-wait",
        about: "two clients through four ports, thousands of connections",
        run: Run::Own(time_wait::run),
    },
    Check { name: "time-wait-kept", about: "the same without re-use", run: Run::Own(time_wait::kept) },
    Check { name: "last-ack", about: "a FIN again after its session has gone", run: Run::Own(last_ack::run) },
    Check { name: "rst-hold", about: "RSTs from beside the path", run: Run::Own(rst::hold) },
    Check { name: "rst-delete", about: "the same where a RST ends a session", run: Run::Own(rst::delete) },
    Check { name: "inbound-flood", about: "a flood from outside", run: Run::Own(inbound::flood) },
    Check {
        name: "inbound-refresh",
        about: "refused packets keep no mapping alive",
        run: Run::Own(inbound::refresh),
    },
    Check {
        name: "inbound-opening",
        about: "what is no SYN opens no session",
        run: Run::Own(inbound::opening),
    },
    Check { name: "ftp", about: "an FTP client and server, active and passive", run: Run::Own(ftp::run) },
    Check { name: "basic-nat", about: "whole addresses", run: Run::Own(basic::run) },
    Check { name: "static-forward", about: "a port forward, inbound", run: Run::Own(fixed::run) },
    Check { name: "bypass", about: "destinations without translation", run: Run::Own(bypass::run) },
    Check { name: "pools", about: "a pool for each subscriber", run: Run::Own(pools::several) },
    Check { name: "port-blocks", about: "ports in blocks", run: Run::Own(pools::blocks) },
    Check { name: "ip-id", about: "Identification under load", run: Run::Own(ip_id::run) },
];
