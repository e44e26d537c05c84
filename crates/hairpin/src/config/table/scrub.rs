//! Settings of the scrubber, in the NAT and alone.

use super::{Setting, Slot, bounded, other};

/// In the order of the documentation.
pub(super) const ROWS: &[Setting] = &[
    other(
        "scrub.urgent",
        Slot::Urgent(|s| &mut s.engine.scrub.urgent),
        &["C1"],
        "\"clear\" takes URG off and sets the urgent pointer to 0 in every TCP segment, of one direction or of both; \"pass\" leaves them.",
    ),
    other(
        "scrub.except_ports",
        Slot::Ports(|s| &mut s.engine.scrub.except_ports),
        &["C1"],
        "Service ports whose connections keep their urgent indication: FTP and Telnet depend on it, and rlogin and rsh.",
    ),
    other(
        "scrub.except_prefixes",
        Slot::Prefixes(|s| &mut s.engine.scrub.except_prefixes),
        &["C1"],
        "Prefixes whose connections keep it, whichever end they are.",
    ),
    other(
        "scrub.only_ports",
        Slot::PortRanges(|s| &mut s.engine.scrub.only_ports),
        &["C1"],
        "Service ports whose connections lose it; empty: all.",
    ),
    other(
        "scrub.only_prefixes",
        Slot::Prefixes(|s| &mut s.engine.scrub.only_prefixes),
        &["C1"],
        "Prefixes whose connections lose it, whichever end they are; empty: all.",
    ),
    other(
        "scrub.urgent_pointer",
        Slot::Action(|s| &mut s.engine.scrub.urgent_pointer),
        &["C2"],
        "An urgent pointer without URG.",
    ),
    other(
        "scrub.reserved_bits",
        Slot::Action(|s| &mut s.engine.scrub.reserved_bits),
        &["C2"],
        "The three reserved bits of the TCP header; AE (RFC 9768) is none of them.",
    ),
    other(
        "scrub.syn_fin",
        Slot::Action(|s| &mut s.engine.scrub.syn_fin),
        &["C2"],
        "SYN with FIN; \"clear\" takes FIN off; \"pass\", in the NAT, only over a session that there is.",
    ),
    other(
        "scrub.syn_rst",
        Slot::Action(|s| &mut s.engine.scrub.syn_rst),
        &["C2"],
        "SYN with RST; \"clear\" takes SYN off.",
    ),
    other(
        "scrub.no_flags",
        Slot::Action(|s| &mut s.engine.scrub.no_flags),
        &["C2"],
        "None of SYN, FIN, RST and ACK; there is nothing to clear.",
    ),
    other(
        "scrub.strip_options",
        Slot::Kinds(|s| &mut s.engine.scrub.strip_options),
        &["C4"],
        "Kinds of TCP options that are overwritten with no-operation (8: timestamps), in every segment.",
    ),
    bounded(
        "scrub.ttl_floor",
        Slot::Count8(|s| &mut s.engine.scrub.ttl_floor),
        ("0", "255"),
        "hops",
        &["C4"],
        "A time to live below this is raised to it; 0 leaves it. A routing loop through here would never end.",
    ),
    other(
        "scrub.out_of_window",
        Slot::Watch(|s| &mut s.engine.scrub.out_of_window),
        &["C3"],
        "Segments right of every window, or more than a window old: \"off\", \"count\" or \"drop\".",
    ),
    bounded(
        "scrub.war_limit",
        Slot::Maybe32(|s| &mut s.engine.scrub.war_limit),
        ("4", "1000000"),
        "segments",
        &["C3"],
        "In a war of two ends without progress, segments from this one on are dropped.",
    ),
    bounded(
        "scrub.sample",
        Slot::Maybe32(|s| &mut s.engine.scrub.sample),
        ("1", "4294967295"),
        "findings",
        &["C5"],
        "One change or drop in so many is told, with the headers before and after.",
    ),
    bounded(
        "scrub.flows",
        Slot::Maybe32(|s| &mut s.engine.scrub.flows),
        ("1", "268435456"),
        "connections",
        &["C3"],
        "The scrubber alone: TCP connections that each worker follows; \"off\" remembers nothing.",
    ),
    other(
        "scrub.hide_ip_id",
        Slot::Flag(|s| &mut s.engine.scrub.hide_ip_id),
        &["C4"],
        "The scrubber alone: Identifications of datagrams that may be fragmented are permuted (the NAT has `packets.rewrite_ip_id`).",
    ),
];
