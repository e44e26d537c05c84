//! The checks: each drives real sockets through the gateway and says what it saw.

mod bulk;
mod fragments;
mod hairpin;
mod half_close;
pub(super) mod icmp;
mod own;
pub(super) mod pattern;
mod ping;
mod pmtu;
mod short;
mod simultaneous;
mod traceroute;
mod udp;
mod unsolicited;
mod urgent;

use std::fmt;
use std::io;
use std::net::SocketAddrV4;

use super::world::{World, is_external};

/// How much a check does.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Octets of a bulk transfer.
    pub bulk: u64,
    /// Short connections.
    pub connections: usize,
}

impl Scale {
    /// What issue 2 asks for.
    pub const FULL: Self = Self { bulk: 64 << 20, connections: 2_000 };
    /// A tenth of it.
    pub const QUICK: Self = Self { bulk: 8 << 20, connections: 200 };
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, for machines.
    pub name: &'static str,
    /// What it is about, for people.
    pub about: &'static str,
    /// Does it, and says what was seen.
    pub run: fn(&World, Scale) -> Finding,
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
    Check { name: "tcp-download", about: "bulk TCP, outside to inside", run: bulk::download },
    Check { name: "tcp-upload", about: "bulk TCP, inside to outside", run: bulk::upload },
    Check { name: "tcp-short", about: "many short connections", run: short::run },
    Check { name: "tcp-half-close", about: "one direction closed, the other goes on", run: half_close::run },
    Check { name: "tcp-simultaneous-open", about: "two SYNs that cross", run: simultaneous::run },
    Check { name: "tcp-urgent", about: "an urgent octet each way", run: urgent::run },
    Check {
        name: "tcp-unsolicited",
        about: "inbound SYN to a port with and without a mapping",
        run: unsolicited::run,
    },
    Check { name: "udp-mapping", about: "endpoint-independent mapping, paired pooling", run: udp::mapping },
    Check { name: "udp-filtering", about: "endpoint-independent filtering", run: udp::filtering },
    Check { name: "ping", about: "echo of several sizes, and several at once", run: ping::run },
    Check { name: "traceroute", about: "time to live used up at every hop", run: traceroute::run },
    Check { name: "path-mtu", about: "a link of 1280 octets further on", run: pmtu::run },
    Check {
        name: "fragments",
        about: "datagrams of several fragments, also out of order",
        run: fragments::run,
    },
    Check {
        name: "hairpin-udp",
        about: "two subscribers meet at their external endpoints",
        run: hairpin::udp,
    },
    Check { name: "hairpin-tcp", about: "the same with TCP", run: hairpin::tcp },
    Check {
        name: "hairpin-error",
        about: "a closed port behind the gateway, asked from behind it",
        run: hairpin::icmp_error,
    },
    // Our own TCP against the kernel's.
    Check { name: "own-bulk", about: "our own TCP: bulk both ways at once", run: own::bulk },
    Check { name: "own-short", about: "our own TCP: many short connections", run: own::short },
    Check { name: "own-many", about: "our own TCP: 200 connections at once", run: own::many },
    Check {
        name: "own-half-close",
        about: "our own TCP: one direction closed, the other goes on",
        run: own::half_close,
    },
    Check { name: "own-urgent", about: "our own TCP: urgent data both ways", run: own::urgent },
    Check {
        name: "own-simultaneous-open",
        about: "our own TCP: two SYNs that cross",
        run: own::simultaneous,
    },
    Check { name: "own-abort", about: "our own TCP: a reset from either side", run: own::abort },
];
