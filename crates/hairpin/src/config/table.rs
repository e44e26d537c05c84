//! The table of all settings: key, place, bounds, requirements, meaning.
//!
//! Reading a file, `explain` and `docs/configuration.md` all follow it, so that a setting cannot
//! exist in one and be missing in another. Defaults are not repeated here: they are those of
//! [`nat::Config`] and [`LiveSettings`](super::LiveSettings); a row only says where a profile differs.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use rules::port_selection::Algorithm;

use super::Settings;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its path in the file, e.g. `tcp.established`; `pool.…` means each `[[pool]]`.
    pub(crate) key: &'static str,
    /// Where its value lives, and thereby its type.
    pub(crate) slot: Slot,
    /// The least and the greatest value, as the file writes them; `nat::Config::problems` enforces them.
    pub(crate) allowed: Option<(&'static str, &'static str)>,
    /// What a number counts; empty for everything else.
    pub(crate) unit: &'static str,
    /// The default under `behave-update-01`, as the file writes it, where it is not the usual one.
    pub(crate) update_01: Option<&'static str>,
    /// Requirements behind it (`conformance/requirements.toml`).
    pub(crate) requirements: &'static [&'static str],
    /// What it means, in one line.
    pub(crate) meaning: &'static str,
}

/// Where a value lives, and its type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// The profile: no place of its own, it decides the defaults.
    Profile,
    /// A time, e.g. `"2h4m"`.
    Duration(fn(&mut Settings) -> &mut Duration),
    /// A number.
    Count32(fn(&mut Settings) -> &mut u32),
    /// A small number.
    Count16(fn(&mut Settings) -> &mut u16),
    /// A small number, or `"off"`.
    Maybe16(fn(&mut Settings) -> &mut Option<u16>),
    /// `true` or `false`.
    Flag(fn(&mut Settings) -> &mut bool),
    /// An IPv4 address.
    Address(fn(&mut Settings) -> &mut Ipv4Addr),
    /// A list of prefixes.
    Prefixes(fn(&mut Settings) -> &mut Vec<Ipv4Net>),
    /// A list of interface names.
    Names(fn(&mut Settings) -> &mut Vec<String>),
    /// An interface name.
    Name(fn(&mut Settings) -> &mut String),
    /// A directory.
    Path(fn(&mut Settings) -> &mut PathBuf),
    /// An algorithm of RFC 6056, by its number.
    Algorithm(fn(&mut Settings) -> &mut Algorithm),
    /// `[[pool]]`: a list of addresses, ranges, prefixes.
    PoolAddresses,
    /// `[[pool]]`: a range of ports.
    PoolPorts,
}

/// The longest time; see `nat::Config::problems`.
const MONTH: &str = "\"720h\"";

const fn time(
    key: &'static str,
    place: fn(&mut Settings) -> &mut Duration,
    least: &'static str,
    most: &'static str,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    let slot = Slot::Duration(place);
    Setting { key, slot, allowed: Some((least, most)), unit: "", update_01: None, requirements, meaning }
}

const fn count(
    key: &'static str,
    place: fn(&mut Settings) -> &mut u32,
    allowed: (&'static str, &'static str),
    unit: &'static str,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    let slot = Slot::Count32(place);
    Setting { key, slot, allowed: Some(allowed), unit, update_01: None, requirements, meaning }
}

const fn other(
    key: &'static str,
    slot: Slot,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    Setting { key, slot, allowed: None, unit: "", update_01: None, requirements, meaning }
}

const fn bounded(
    key: &'static str,
    slot: Slot,
    allowed: (&'static str, &'static str),
    unit: &'static str,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    Setting { key, slot, allowed: Some(allowed), unit, update_01: None, requirements, meaning }
}

/// All settings, in the order of the documentation.
pub(crate) const SETTINGS: &[Setting] = &[
    other(
        "profile",
        Slot::Profile,
        &["O1"],
        "Which document decides the defaults: \"rfc7857\" or \"behave-update-01\"; a setting in the file goes first.",
    ),
    other(
        "inside.prefixes",
        Slot::Prefixes(|s| &mut s.engine.inside),
        &["N10", "B5"],
        "The subscribers' prefixes. Required.",
    ),
    other(
        "inside.interfaces",
        Slot::Names(|s| &mut s.live.inside_interfaces),
        &["O1"],
        "What arrives on these interfaces from a subscriber goes to the gateway (`run`).",
    ),
    other(
        "inside.address",
        Slot::Address(|s| &mut s.engine.gateway.inside),
        &["B4"],
        "Source of ICMP errors sent to subscribers.",
    ),
    other(
        "outside.address",
        Slot::Address(|s| &mut s.engine.gateway.outside),
        &["B4"],
        "Source of ICMP errors sent outwards.",
    ),
    other(
        "outside.proxy_arp",
        Slot::Names(|s| &mut s.live.proxy_arp),
        &["O1"],
        "Interfaces on which ARP for pool addresses is answered (`run`).",
    ),
    other(
        "pool.addresses",
        Slot::PoolAddresses,
        &["B5", "B1.4787-2", "B1.6888-2"],
        "External addresses: single ones, ranges \"a-b\", prefixes \"a/28\" (all of it). Required.",
    ),
    other(
        "pool.ports",
        Slot::PoolPorts,
        &["B5", "B1.4787-3"],
        "TCP and UDP ports of each address that may be given out.",
    ),
    other(
        "ports.preserve",
        Slot::Flag(|s| &mut s.engine.ports.preserve),
        &["N16"],
        "Try the subscriber's own port first.",
    ),
    bounded(
        "ports.algorithm",
        Slot::Algorithm(|s| &mut s.engine.ports.algorithm),
        ("1", "5"),
        "",
        &["N16", "B1.6888-15"],
        "How a port is drawn, by its number in RFC 6056 section 3.3.",
    ),
    time(
        "ports.hold",
        |s| &mut s.engine.ports.hold,
        "\"0s\"",
        MONTH,
        &["B1.6888-8"],
        "How long a freed UDP port or ICMP identifier rests before it is given out again.",
    ),
    bounded(
        "ports.hold_max",
        Slot::Count32(|s| &mut s.engine.ports.hold_max),
        ("0", "1073741824"),
        "ports",
        &["B1.6888-8"],
        "Freed ports that rest at one time; what is freed beyond that may be given out again at once.",
    ),
    time(
        "tcp.opening",
        |s| &mut s.engine.tcp.opening,
        "\"1s\"",
        MONTH,
        &["N2"],
        "Idle time of a session of which one side only has sent a SYN.",
    ),
    time(
        "tcp.established",
        |s| &mut s.engine.tcp.established,
        "\"2h4m\"",
        MONTH,
        &["N2", "B1.5382-5"],
        "Idle time of an established session.",
    ),
    time(
        "tcp.closing",
        |s| &mut s.engine.tcp.closing,
        "\"1s\"",
        MONTH,
        &["N1", "N2"],
        "Idle time after both sides have sent a FIN.",
    ),
    time(
        "tcp.time_wait",
        |s| &mut s.engine.tcp.time_wait,
        "\"1s\"",
        MONTH,
        &["N2", "N3"],
        "Idle time after both FINs and the last acknowledgment.",
    ),
    time(
        "tcp.transitory",
        |s| &mut s.engine.tcp.transitory,
        "\"4m\"",
        MONTH,
        &["N1", "N7", "B1.5382-5"],
        "Idle time after a RST, or after an idle established session was put on notice.",
    ),
    bounded(
        "tcp.mss_clamp",
        Slot::Maybe16(|s| &mut s.engine.mss_clamp),
        ("536", "65495"),
        "octets",
        &["B7"],
        "Upper bound for the MSS option of SYN segments, both ways; \"off\" leaves it alone.",
    ),
    time(
        "udp.timeout",
        |s| &mut s.engine.udp.timeout,
        "\"2m\"",
        MONTH,
        &["B1.4787-5"],
        "Idle time of a UDP session.",
    ),
    other(
        "udp.inbound_refresh",
        Slot::Flag(|s| &mut s.engine.udp.inbound_refresh),
        &["B1.4787-6"],
        "Packets from outside keep a UDP session alive too.",
    ),
    time(
        "icmp.timeout",
        |s| &mut s.engine.icmp_timeout,
        "\"1m\"",
        MONTH,
        &["N18", "B1.5508-2"],
        "Idle time of an ICMP query session.",
    ),
    count(
        "icmp.errors_per_second",
        |s| &mut s.engine.icmp_errors_per_second,
        ("1", "1000000"),
        "messages",
        &["B4"],
        "ICMP errors that the gateway itself sends at most.",
    ),
    count(
        "limits.sessions",
        |s| &mut s.engine.limits.sessions,
        ("1", "268435456"),
        "sessions",
        &["B10", "O7"],
        "Sessions of each worker; memory follows from it.",
    ),
    count(
        "limits.mappings",
        |s| &mut s.engine.limits.mappings,
        ("1", "268435456"),
        "mappings",
        &["B10", "O7"],
        "Mappings of each worker.",
    ),
    count(
        "limits.subscribers",
        |s| &mut s.engine.limits.subscribers,
        ("1", "268435456"),
        "subscribers",
        &["B10", "O7"],
        "Subscribers with at least one mapping, of each worker.",
    ),
    count(
        "limits.ports_per_subscriber",
        |s| &mut s.engine.limits.ports_per_subscriber,
        ("1", "65535"),
        "ports",
        &["B10", "B1.6888-4"],
        "External ports that one subscriber may hold, for each protocol.",
    ),
    count(
        "limits.sessions_per_subscriber",
        |s| &mut s.engine.limits.sessions_per_subscriber,
        ("1", "268435456"),
        "sessions",
        &["B10", "B1.6888-5"],
        "Sessions that one subscriber may have.",
    ),
    count(
        "limits.session_rate_per_subscriber",
        |s| &mut s.engine.limits.session_rate_per_subscriber,
        ("0", "4294967295"),
        "sessions a second",
        &["B10", "B1.6888-4"],
        "New sessions a second that one subscriber may open, with a burst of as many; 0 is no limit.",
    ),
    time(
        "limits.report_interval",
        |s| &mut s.engine.limits.report_interval,
        "\"1s\"",
        MONTH,
        &["B10"],
        "A limit that keeps being hit is reported once in this time, per subscriber and kind.",
    ),
    count(
        "fragments.datagrams",
        |s| &mut s.engine.fragments.datagrams,
        ("1", "16777216"),
        "datagrams",
        &["B3", "B1.4787-14"],
        "Fragmented datagrams that are followed at one time.",
    ),
    count(
        "fragments.waiting_per_source",
        |s| &mut s.engine.fragments.waiting_per_source,
        ("1", "65535"),
        "fragments",
        &["B3"],
        "Fragments that one source may have waiting for their first one.",
    ),
    count(
        "fragments.waiting_octets",
        |s| &mut s.engine.fragments.waiting_octets,
        ("1500", "1073741824"),
        "octets",
        &["B3"],
        "Octets of waiting fragments, all sources together.",
    ),
    time(
        "fragments.timeout",
        |s| &mut s.engine.fragments.timeout,
        "\"1s\"",
        "\"2m\"",
        &["B3"],
        "How long a fragmented datagram is followed after its first arrival.",
    ),
    bounded(
        "mtu.inside",
        Slot::Count16(|s| &mut s.engine.mtu.inside),
        ("576", "65535"),
        "octets",
        &["B7"],
        "Largest IP packet on the links towards the subscribers.",
    ),
    bounded(
        "mtu.outside",
        Slot::Count16(|s| &mut s.engine.mtu.outside),
        ("576", "65535"),
        "octets",
        &["B7"],
        "Largest IP packet on the links outwards.",
    ),
    bounded(
        "live.workers",
        Slot::Count16(|s| &mut s.live.workers),
        ("1", "1024"),
        "threads",
        &["O1"],
        "Threads that translate, each with its own part of the pool; at most one for each address (`run`).",
    ),
    other(
        "live.offloads",
        Slot::Flag(|s| &mut s.live.offloads),
        &["O1"],
        "Take super-segments and unfinished checksums from the kernel instead of having it split them (`run`).",
    ),
    other(
        "live.inside_device",
        Slot::Name(|s| &mut s.live.inside_device),
        &["O1"],
        "Name of the TUN device that faces the subscribers (`run`).",
    ),
    other(
        "live.outside_device",
        Slot::Name(|s| &mut s.live.outside_device),
        &["O1"],
        "Name of the TUN device that faces the outside (`run`).",
    ),
    bounded(
        "live.route_table",
        Slot::Count32(|s| &mut s.live.route_table),
        ("1", "4294967295"),
        "",
        &["O1"],
        "Number of the routing table for what subscribers send; not 253 to 255, which are the kernel's (`run`).",
    ),
    other(
        "live.state_directory",
        Slot::Path(|s| &mut s.live.state_directory),
        &["O1"],
        "Where `run` notes what it changed on the machine, to take it back after a crash.",
    ),
];

/// The names directly below a table of the file; below the file itself for `""`.
pub(crate) fn names_below(table: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for setting in SETTINGS {
        let rest = match table {
            "" => Some(setting.key),
            _ => setting.key.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    names
}

/// The setting with this key, list indices left out (`pool.ports`).
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
