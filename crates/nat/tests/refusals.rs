//! Bad input: each packet is dropped under its own named reason and changes nothing.
//!
//! [`scenario`] has a line for every reason there is; a new reason does not compile without one.

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::config::{Action, Shard, TimeWaitPolicy, Watch};
use nat::{Reason, Verdict};
use wire::Malformed;
use wire::tcp::Flags;

/// A world, and a packet in it that is refused.
struct Scenario {
    world: World,
    from: nat::Realm,
    packet: Octets,
    /// Type and code of the ICMP error that its sender is told of it.
    answer: Option<(u8, u8)>,
}

/// Why no packet given to the engine is ever refused for a reason.
struct Unreachable(&'static str);

fn in_world(world: World, from: nat::Realm, packet: impl Into<Octets>) -> Result<Scenario, Unreachable> {
    Ok(Scenario { world, from, packet: packet.into(), answer: None })
}

fn inside(packet: impl Into<Octets>) -> Result<Scenario, Unreachable> {
    in_world(open_world(), Inside, packet)
}

fn outside(packet: impl Into<Octets>) -> Result<Scenario, Unreachable> {
    in_world(open_world(), Outside, packet)
}

fn answered(scenario: Result<Scenario, Unreachable>, kind: u8, code: u8) -> Result<Scenario, Unreachable> {
    scenario.map(|scenario| Scenario { answer: Some((kind, code)), ..scenario })
}

/// A world in which something is going on, so that there is something to break.
fn open_world() -> World {
    limited(|_| {})
}

fn limited(change: impl FnOnce(&mut nat::Config)) -> World {
    let mut world = World::with(change);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.establish(A, S);
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    world.events();
    world.wait_secs(1);
    world
}

/// A packet with `octets` written `at` a place, the IPv4 checksum right again.
fn patched(packet: Pkt, at: usize, octets: &[u8]) -> Vec<u8> {
    let mut data = packet.octets();
    data[at..at + octets.len()].copy_from_slice(octets);
    fix_ip(&mut data);
    data
}

/// The same with all checksums right.
fn patched_whole(packet: Pkt, at: usize, octets: &[u8]) -> Vec<u8> {
    let mut data = patched(packet, at, octets);
    fix(&mut data);
    data
}

/// An error from a router outside about the echo request, whose quote is `quoted`.
fn error_quoting(quoted: &[u8]) -> Pkt {
    icmp_error(addr("198.51.100.99"), addr("192.0.2.1"), 3, 1, quoted)
}

fn malformed(malformed: Malformed) -> Result<Scenario, Unreachable> {
    let quoted = udp(XA, S).octets();
    match malformed {
        Malformed::Ipv4Truncated => inside(&udp(A, S).octets()[..19]),
        Malformed::Ipv4Version => inside(patched(udp(A, S), 0, &[0x65])),
        Malformed::Ipv4HeaderLength => inside(patched(udp(A, S), 0, &[0x44])),
        Malformed::Ipv4TotalLength => inside(&udp(A, S).octets()[..32]),
        Malformed::Ipv4Checksum => {
            let mut data = udp(A, S).octets();
            data[10] ^= 1;
            inside(data)
        }
        Malformed::Ipv4Option => inside(udp(A, S).ip_options(&[7, 9, 4, 0])),
        Malformed::FragmentBeyondEnd => {
            inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &[0; 64]).fragment(65_512, false))
        }
        Malformed::FragmentLength => {
            inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &[0; 63]).fragment(64, true))
        }
        // RFC 3128: a second fragment that would overwrite the flags of the TCP header.
        Malformed::FragmentTiny => {
            inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 6, &[0; 16]).fragment(8, false))
        }
        Malformed::TcpTruncated => inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 6, &[0; 19])),
        Malformed::TcpDataOffset => inside(patched_whole(tcp(A, S), 32, &[0x60])),
        Malformed::TcpChecksum => inside(patched(tcp(A, S), 36, &[0xde, 0xad])),
        Malformed::TcpOption => inside(tcp(A, S).tcp_options(&[2, 1, 0, 0])),
        Malformed::UdpTruncated => inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &[0; 7])),
        Malformed::UdpLength => inside(patched_whole(udp(A, S), 24, &[0, 7])),
        Malformed::UdpChecksum => inside(patched(udp(A, S), 26, &[0xde, 0xad])),
        Malformed::IcmpTruncated => inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 1, &[8; 7])),
        Malformed::IcmpChecksum => inside(patched(ping(A, S), 22, &[0xde, 0xad])),
        Malformed::QuoteTruncated => outside(error_quoting(&quoted[..27])),
        Malformed::QuoteHeader => {
            let mut quoted = quoted;
            quoted[0] = 0x41;
            outside(error_quoting(&quoted))
        }
        Malformed::QuoteChecksum => {
            let mut quoted = quoted;
            quoted[11] ^= 0x40;
            outside(error_quoting(&quoted))
        }
        Malformed::PortZero => inside(udp("100.64.0.1:0", S)),
        Malformed::LinkTruncated => {
            Err(Unreachable("the engine is given IPv4 packets, without a link layer"))
        }
        Malformed::VlanDepth => Err(Unreachable("the engine is given IPv4 packets, without a link layer")),
    }
}

fn scenario(reason: Reason) -> Result<Scenario, Unreachable> {
    match reason {
        Reason::Malformed(reason) => malformed(reason),
        Reason::SourceNotInside => inside(udp("10.0.0.1:4001", S)),
        Reason::DestinationInside => inside(udp(A, B)),
        Reason::SpoofedInside => outside(udp(B, XA)),
        Reason::Martian => inside(udp(A, "224.0.0.1:80")),
        Reason::SourceIsDestination => inside(tcp(B, B).syn()),
        Reason::BypassSource => {
            let world = limited(|config| config.bypass = vec!["198.51.100.0/24".parse().expect("a prefix")]);
            in_world(world, Outside, udp(T, XA))
        }
        Reason::NotExternal => outside(udp(S, "192.0.2.2:4001")),
        Reason::SourceRoute => inside(udp(A, S).ip_options(&[131, 7, 4, 1, 2, 3, 4, 0])),
        Reason::Protocol => inside(raw(addr("100.64.0.1"), addr("203.0.113.80"), 132, &[0; 12])),
        Reason::TtlExpired => answered(inside(udp(A, S).ttl(1)), 11, 0),
        Reason::TooBig => answered(inside(udp(A, S).len(1_500).df()), 3, 4),
        Reason::NoMapping => outside(udp(S, "192.0.2.1:4002")),
        Reason::NotSyn => inside(tcp(B, S).ack()),
        Reason::NotQuery => outside(pong(S, "192.0.2.1:77")),
        Reason::TcpFlags => inside(tcp(A, S).flags(Flags::SYN | Flags::FIN)),
        Reason::QuoteUnknown => outside(error_quoting(&udp(XA, T).octets())),
        Reason::QuoteRefused => {
            outside(error_quoting(&icmp(addr("192.0.2.1"), addr("203.0.113.80"), 3, 1, [0; 4], b"").octets()))
        }
        Reason::IcmpType => inside(icmp(addr("100.64.0.1"), addr("203.0.113.80"), 10, 0, [0; 4], b"")),
        Reason::LimitSessions => {
            let world = limited(|config| config.limits.sessions = 3);
            answered(in_world(world, Inside, udp(A, T)), 3, 1)
        }
        Reason::LimitMappings => {
            let world = limited(|config| config.limits.mappings = 3);
            answered(in_world(world, Inside, udp(B, S)), 3, 1)
        }
        Reason::LimitSubscribers => {
            let world = limited(|config| config.limits.subscribers = 1);
            answered(in_world(world, Inside, udp(B, S)), 3, 1)
        }
        Reason::LimitPorts => {
            let world = limited(|config| config.limits.ports_per_subscriber = 1);
            answered(in_world(world, Inside, udp(port(A, 9), S)), 3, 1)
        }
        Reason::LimitSubscriberSessions => {
            let world = limited(|config| config.limits.sessions_per_subscriber = 3);
            answered(in_world(world, Inside, udp(A, T)), 3, 1)
        }
        Reason::LimitRate => {
            let mut world = limited(|config| config.limits.session_rate_per_subscriber = 3);
            for n in 1..=3 {
                world.inside(udp(A, port(T, n))).out();
            }
            answered(in_world(world, Inside, udp(A, T)), 3, 1)
        }
        Reason::PortsExhausted => {
            let world = limited(|config| config.pools[0].ports = 4_001..=4_001);
            answered(in_world(world, Inside, udp(B, S)), 3, 1)
        }
        Reason::LimitBlocks => {
            let mut config = config_with(&["192.0.2.1"], 4_000..=4_007);
            config.pools[0].blocks = Some(nat::config::Blocks {
                size: 2,
                max_per_subscriber: 1,
                shared: nat::config::SharedPorts::None,
                deterministic: false,
            });
            let mut world = World::new(&config);
            world.inside(udp(port(A, 1), S)).out();
            world.inside(udp(port(A, 2), S)).out();
            answered(in_world(world, Inside, udp(port(A, 3), S)), 3, 1)
        }
        Reason::Filtered => {
            let mut world =
                World::with(|config| config.filtering.udp = nat::config::Behaviour::AddressDependent);
            world.inside(udp(A, S)).out();
            in_world(world, Outside, udp(T, XA))
        }
        Reason::LimitInboundMapping => {
            let mut world = limited(|config| config.limits.inbound_sessions_per_mapping = 1);
            world.outside(udp(port(T, 1), XA)).inward();
            in_world(world, Outside, udp(port(T, 2), XA))
        }
        Reason::LimitInboundSubscriber => {
            let mut world = limited(|config| config.limits.inbound_sessions_per_subscriber = 1);
            world.outside(udp(port(T, 1), XA)).inward();
            in_world(world, Outside, udp(port(T, 2), XA))
        }
        Reason::LimitInboundRate => {
            let mut world = limited(|config| config.limits.inbound_rate_per_subscriber = 1);
            world.outside(udp(port(T, 1), XA)).inward();
            in_world(world, Outside, udp(port(T, 2), XA))
        }
        Reason::FragmentDatagrams => {
            let mut world = limited(|config| config.fragments.datagrams = 1);
            world.inside(&udp(A, S).len(64).id(1).fragments(32)[1]).expect_held();
            in_world(world, Inside, &udp(A, S).len(64).id(2).fragments(32)[1])
        }
        Reason::FragmentSource => {
            let mut world = limited(|config| config.fragments.waiting_per_source = 1);
            world.inside(&udp(A, S).len(64).id(1).fragments(32)[1]).expect_held();
            in_world(world, Inside, &udp(A, S).len(64).id(2).fragments(32)[1])
        }
        Reason::FragmentOctets => {
            let mut world = limited(|config| config.fragments.waiting_octets = 1_500);
            world.inside(&udp(A, S).len(1_400).id(1).fragments(64)[1]).expect_held();
            in_world(world, Inside, &udp(A, S).len(3_000).id(2).fragments(1_424)[1])
        }
        Reason::FragmentTimeout => Err(Unreachable("counted when time is up, see fragments.rs")),
        Reason::FragmentOverlap => {
            let mut world = open_world();
            world.inside(&udp(A, S).len(256).id(1).fragments(64)[2]).expect_held();
            in_world(world, Inside, &udp(A, S).len(256).id(1).fragments(64)[2])
        }
        Reason::OldDuplicate => {
            let mut world = limited(|config| config.tcp_checks.paws = true);
            world.outside(tcp(S, XA).len(100)).inward();
            world.inside(tcp(A, S).acks(1_100)).out();
            in_world(world, Outside, tcp(S, XA).seq(1_100u32.wrapping_sub(65_537)))
        }
        Reason::TimeWaitSyn => {
            let mut world = limited(|config| config.tcp_checks.time_wait = TimeWaitPolicy::Rfc6191);
            world.close(A, S);
            world.events();
            in_world(world, Inside, tcp(A, S).syn())
        }
        Reason::UrgentPointer => {
            let world = limited(|config| config.scrub.urgent_pointer = Action::Drop);
            in_world(world, Inside, patched_whole(tcp(A, S), 38, &[0, 1]))
        }
        Reason::ReservedBits => {
            let world = limited(|config| config.scrub.reserved_bits = Action::Drop);
            in_world(world, Outside, patched_whole(tcp(S, XA), 32, &[0x54]))
        }
        Reason::OutOfWindow => {
            let world = limited(|config| config.scrub.out_of_window = Watch::Drop);
            in_world(world, Outside, tcp(S, XA).seq(1_000 + 65_536 + 1))
        }
        Reason::WarDamped => {
            let mut world = limited(|config| config.scrub.war_limit = Some(4));
            for _ in 0..4 {
                world.inside(tcp(A, S).seq(999));
                world.outside(tcp(S, XA).seq(999));
            }
            in_world(world, Inside, tcp(A, S).seq(999))
        }
        Reason::FtpPending => {
            let mut world = World::default();
            let server = "203.0.113.21:21";
            world.establish(A, server);
            let command = b"PORT 100,64,0,1,19,137\r\n";
            world.inside(tcp(A, server).payload(command)).expect_held();
            world.events();
            in_world(world, Inside, tcp(A, server).seq(1_024).payload(command))
        }
        Reason::WrongShard => {
            let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1024..=65_535);
            config.shard = Shard { index: 0, count: 2 };
            in_world(World::new(&config), Outside, udp(S, "192.0.2.2:4001"))
        }
    }
}

// covers: B10, B1.4787-8, B1.5382-3, B1.6888-7, B1.5508-3, B1.5508-3a, N10
#[test]
fn every_reason_is_met_by_a_packet_that_changes_nothing_but_its_counter() {
    let mut unreachable = Vec::new();
    for reason in Reason::all() {
        match scenario(reason) {
            Ok(Scenario { mut world, from, packet, answer }) => {
                let (sent, events) = world.refuses(from, packet, reason);
                let answers: Vec<_> = sent.iter().map(|sent| (sent.data[20], sent.data[21])).collect();
                assert_eq!(answers, Vec::from_iter(answer), "{reason}");
                sent.iter().for_each(|sent| assert_sound(&sent.data));
                // A limit is reported; what the outside runs into is not answered.
                let is_limit = answer == Some((3, 1)) || reason.name().starts_with("limit-inbound");
                assert_eq!(events.len(), usize::from(is_limit), "{reason}: {events:?}");
            }
            Err(Unreachable(why)) => unreachable.push((reason.name(), why)),
        }
    }
    let names: Vec<_> = unreachable.iter().map(|&(name, _)| name).collect();
    assert_eq!(names, ["link-truncated", "vlan-depth", "fragment-timeout"]);
}

// covers: B1.4787-12, B1.5508-6
#[test]
fn a_refused_packet_does_not_move_any_timer() {
    for reason in Reason::all() {
        let Ok(Scenario { mut world, from, packet, .. }) = scenario(reason) else { continue };
        let Ok(Scenario { world: mut other, .. }) = scenario(reason) else { continue };
        world.send(from, packet);
        world.events();
        other.events();
        // Both have the same future, to the tick.
        world.wait_secs(100_000);
        other.wait_secs(100_000);
        assert_eq!(world.events(), other.events(), "{reason}");
        assert_eq!(world.sessions(), 0);
    }
}

fn valid_packets() -> Vec<(nat::Realm, Vec<u8>)> {
    vec![
        (Inside, udp(A, S).octets()),
        (Inside, tcp(A, S).tcp_options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]).payload(b"data").octets()),
        (Inside, tcp(A, T).syn().tcp_options(&[2, 4, 5, 180]).octets()),
        (Inside, ping(A, S).octets()),
        (Inside, udp(A, S).ip_options(&[1, 1, 1, 0]).octets()),
        (Outside, udp(S, XA).octets()),
        (Outside, tcp(S, XA).octets()),
        (Outside, pong(S, XA).octets()),
        (Outside, error_quoting(&udp(XA, S).octets()).octets()),
        (Outside, error_quoting(&tcp(XA, S).octets()).octets()),
        (Inside, icmp_error(addr("100.64.0.1"), addr("203.0.113.80"), 3, 3, &udp(S, A).octets()).octets()),
    ]
}

// covers: B10
#[test]
fn a_packet_cut_short_anywhere_is_refused() {
    let mut world = open_world();
    for (from, packet) in valid_packets() {
        for len in 0..packet.len() {
            let header = usize::from(packet[0] & 15) * 4;
            let reason = match len {
                0..20 => Malformed::Ipv4Truncated,
                _ if len < header => Malformed::Ipv4HeaderLength,
                _ => Malformed::Ipv4TotalLength,
            };
            world.refuses(from, &packet[..len], reason.into());
        }
    }
}

// covers: B10
#[test]
fn a_packet_cut_short_whose_length_was_made_to_fit_is_refused_too() {
    let mut world = open_world();
    for (from, packet) in valid_packets() {
        let header = usize::from(packet[0] & 15) * 4;
        // The error about an error's end is a shorter quote, which may pass.
        let is_error = packet[9] == 1 && packet[header] == 3;
        for len in header..packet.len() {
            let mut data = packet[..len].to_vec();
            data[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            fix_ip(&mut data);
            if is_error && len >= header + 8 {
                continue;
            }
            let before = world.snapshot();
            let outcome = world.send(from, data);
            let Verdict::Drop(Reason::Malformed(reason)) = outcome.verdict else {
                panic!("{len} octets of {packet:02x?}: {:?}", outcome.verdict);
            };
            outcome.expect_refused(reason);
            assert_eq!(world.snapshot().sessions, before.sessions);
        }
    }
}

/// Bits of the headers of a packet: IPv4, transport, and of an error the quoted ones.
fn header_bits(packet: &[u8]) -> usize {
    let header = usize::from(packet[0] & 15) * 4;
    let transport = match packet[9] {
        6 => usize::from(packet[header + 12] >> 4) * 4,
        1 if packet[header] == 3 => 36,
        _ => 8,
    };
    (header + transport) * 8
}

// covers: B10, B1.5508-3
#[test]
fn any_single_bit_of_a_header_flipped_is_noticed_by_a_checksum() {
    let mut world = open_world();
    for (from, packet) in valid_packets() {
        for bit in 0..header_bits(&packet) {
            let mut data = packet.clone();
            data[bit / 8] ^= 0x80 >> (bit % 8);
            let before = world.snapshot();
            let outcome = world.send(from, data);
            // What a checksum of 0 says, a flip cannot say: no valid one has a single bit set.
            let Verdict::Drop(reason) = outcome.verdict else {
                panic!("bit {bit} of {packet:02x?}: {:?}", outcome.verdict);
            };
            outcome.expect_refused(reason);
            let after = world.snapshot();
            assert_eq!((after.sessions, after.mappings), (before.sessions, before.mappings));
            assert_eq!(after.timeout, before.timeout);
        }
    }
}

// covers: B10, N10
#[test]
fn any_single_bit_flipped_under_right_checksums_changes_nothing_when_refused() {
    for (from, packet) in valid_packets() {
        let mut world = open_world();
        for bit in 0..header_bits(&packet) {
            let mut data = packet.clone();
            data[bit / 8] ^= 0x80 >> (bit % 8);
            fix(&mut data);
            world.engine.handle_timeout(world.now);
            let before = world.snapshot();
            let outcome = world.send(from, data);
            if let Verdict::Drop(reason) = outcome.verdict {
                outcome.expect_refused(reason);
                world.events();
                let mut after = world.snapshot();
                assert_eq!(after.counters.dropped(reason), before.counters.dropped(reason) + 1);
                after.counters = before.counters.clone();
                assert_eq!(after, before, "bit {bit} of {packet:02x?}: {reason}");
            } else {
                // It has opened something, or ended what was going on: the next flip meets the old world.
                world = open_world();
            }
        }
    }
}

// covers: N10, B1.4787-8
#[test]
fn nothing_but_a_syn_or_a_datagram_opens_anything_from_outside() {
    let mut world = open_world();
    for flags in
        [Flags::ACK, Flags::RST, Flags::FIN | Flags::ACK, Flags::SYN | Flags::ACK, Flags::RST | Flags::ACK]
    {
        world.refuses(Outside, tcp(T, XA).flags(flags), Reason::NotSyn);
    }
    for flags in
        [Flags(0), Flags::PSH | Flags::URG, Flags::SYN | Flags::RST, Flags::SYN | Flags::FIN | Flags::ACK]
    {
        world.refuses(Outside, tcp(T, XA).flags(flags), Reason::TcpFlags);
        world.refuses(Outside, tcp(S, XA).flags(flags), Reason::TcpFlags);
    }
    world.refuses(Outside, pong(T, XA), Reason::NotQuery);
    for source in ["100.64.3.4:9", "192.0.2.1:9"] {
        world.refuses(Outside, udp(source, XA), Reason::SpoofedInside);
        world.refuses(Outside, tcp(source, XA).syn(), Reason::SpoofedInside);
    }
    for source in ["0.1.2.3:9", "127.0.0.1:9", "224.0.0.1:9", "255.255.255.255:9"] {
        world.refuses(Outside, udp(source, XA), Reason::Martian);
        world.refuses(Inside, udp(A, source), Reason::Martian);
    }
    world.refuses(Outside, udp(XA, XA), Reason::SourceIsDestination);
    for zero in [udp("203.0.113.80:0", XA), udp(S, "192.0.2.1:0")] {
        world.refuses(Outside, zero, Malformed::PortZero.into());
    }
}

// covers: B10
#[test]
fn source_routes_are_refused_in_every_kind_of_packet() {
    for option in [131, 137] {
        let route = [option, 7, 4, 198, 51, 100, 9, 0];
        let mut world = open_world();
        for packet in [udp(A, S), tcp(A, S), ping(A, S), udp(B, S)] {
            world.refuses(Inside, packet.ip_options(&route), Reason::SourceRoute);
        }
        world.refuses(Outside, udp(S, XA).ip_options(&route), Reason::SourceRoute);
        let error = error_quoting(&udp(XA, S).octets()).ip_options(&route);
        world.refuses(Outside, error, Reason::SourceRoute);
        let later = raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &[0; 64]).fragment(64, false);
        world.refuses(Inside, later.ip_options(&route), Reason::SourceRoute);
    }
}

// covers: B6
#[test]
fn protocols_that_are_not_translated_are_refused_by_name() {
    let mut world = open_world();
    // UDP-Lite, DCCP, SCTP, GRE, ESP, IPv6.
    for protocol in [136, 33, 132, 47, 50, 41] {
        world.refuses(
            Inside,
            raw(addr("100.64.0.1"), addr("203.0.113.80"), protocol, &[1; 40]),
            Reason::Protocol,
        );
        world.refuses(
            Outside,
            raw(addr("203.0.113.80"), addr("192.0.2.1"), protocol, &[1; 40]),
            Reason::Protocol,
        );
        let later = raw(addr("100.64.0.1"), addr("203.0.113.80"), protocol, &[1; 40]).fragment(64, false);
        world.refuses(Inside, later, Reason::Protocol);
    }
}

// covers: B10
#[test]
fn octets_behind_the_packet_are_left_alone() {
    let mut world = open_world();
    let mut padded = udp(A, S).octets();
    let len = padded.len();
    padded.extend([0xaa; 9]);
    let outcome = world.inside(padded);
    assert_eq!(outcome.after[..len], udp(XA, S).one_hop_less().octets());
    assert_eq!(outcome.after[len..], [0xaa; 9]);
}
