//! The parsers and builders here against those of smoltcp and etherparse.
#![allow(clippy::panic)] // A helper of tests fails as a test does.

use std::net::Ipv4Addr;

use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
};
use hairpin_wire as wire;
use proptest::prelude::*;
use wire::tcp::{Flags, Tcp, TcpOption};
use wire::{Fragment, Packet, SeqNumber, Transport, Trust, craft};

mod common;

/// What both oracles make of a packet that is accepted here; panics where they differ.
///
/// They differ from here in these points, which are no errors: etherparse takes a UDP length below the
/// packet's, neither verifies transport checksums unasked, and smoltcp does not look at options.
fn oracles_agree(octets: &[u8], packet: &Packet) {
    let theirs = SlicedPacket::from_ip(octets).expect("etherparse accepts it");
    let Some(NetSlice::Ipv4(net)) = &theirs.net else { panic!("etherparse sees no IPv4 in {octets:02x?}") };
    let header = net.header();
    assert_eq!((header.source_addr(), header.destination_addr()), (packet.source, packet.destination));
    assert_eq!((header.total_len(), header.slice().len()), (packet.total_len, packet.header_len.into()));
    assert_eq!((header.ttl(), header.protocol().0), (packet.ttl, packet.protocol));
    assert_eq!(header.dont_fragment(), packet.dont_fragment);
    let (offset, more) = (header.fragments_offset().value() * 8, header.more_fragments());
    let fragment = match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        (offset, more) => Fragment::Later { offset, last: !more },
    };
    assert_eq!(fragment, packet.fragment);
    // etherparse forgets the reserved flag, which is part of what was summed.
    if octets[6] & 0x80 == 0 {
        assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
    }

    let view = smoltcp::wire::Ipv4Packet::new_checked(octets).expect("smoltcp accepts it");
    assert!(view.verify_checksum());
    assert_eq!((view.src_addr(), view.dst_addr()), (packet.source, packet.destination));
    if fragment == Fragment::Whole {
        transports_agree(packet, &theirs, view.payload());
    }
}

fn transports_agree(packet: &Packet, theirs: &SlicedPacket<'_>, payload: &[u8]) {
    let (source, destination) = (packet.source.into(), packet.destination.into());
    match packet.transport {
        Transport::Tcp { source_port, destination_port, seq, flags, header_len } => {
            let Some(TransportSlice::Tcp(tcp)) = &theirs.transport else { panic!("no TCP for etherparse") };
            assert_eq!((tcp.source_port(), tcp.destination_port()), (source_port, destination_port));
            assert_eq!(tcp.sequence_number(), seq.0);
            assert_eq!(tcp.header_slice().len(), usize::from(header_len));
            assert_eq!(
                tcp.calc_checksum_ipv4(packet.source.octets(), packet.destination.octets()),
                Ok(tcp.checksum())
            );
            let theirs =
                [tcp.fin(), tcp.syn(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg(), tcp.ece(), tcp.cwr()];
            let octet = theirs.iter().enumerate().map(|(bit, set)| u8::from(*set) << bit).sum();
            assert_eq!(Flags(octet), flags);
            let tcp = smoltcp::wire::TcpPacket::new_checked(payload).expect("smoltcp accepts the segment");
            assert!(tcp.verify_checksum(&source, &destination));
        }
        Transport::Udp { source_port, destination_port, has_checksum } => {
            let Some(TransportSlice::Udp(udp)) = &theirs.transport else { panic!("no UDP for etherparse") };
            assert_eq!((udp.source_port(), udp.destination_port()), (source_port, destination_port));
            assert_eq!(udp.checksum() != 0, has_checksum);
            let udp = smoltcp::wire::UdpPacket::new_checked(payload).expect("smoltcp accepts the datagram");
            assert!(udp.verify_checksum(&source, &destination));
        }
        Transport::IcmpQuery { .. } | Transport::IcmpError { .. } | Transport::IcmpOther => {
            let icmp =
                smoltcp::wire::Icmpv4Packet::new_checked(payload).expect("smoltcp accepts the message");
            assert!(icmp.verify_checksum());
        }
        Transport::None | Transport::Other => {}
    }
}

/// Options from a list of sensible ones, padded.
fn tcp_options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        Just(vec![1]),
        any::<[u8; 2]>().prop_map(|mss| [&[2, 4], &mss[..]].concat()),
        any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        Just(vec![4, 2]),
        any::<[u8; 8]>().prop_map(|times| [&[8, 10], &times[..]].concat()),
        any::<[u8; 16]>().prop_map(|blocks| [&[5, 18], &blocks[..]].concat()),
    ];
    prop::collection::vec(option, 0..5).prop_map(|options| {
        let mut octets = options.concat();
        octets.truncate(40);
        while !whole_options(&octets) {
            octets.pop();
        }
        octets.resize(octets.len().next_multiple_of(4), 1);
        octets
    })
}

fn whole_options(mut octets: &[u8]) -> bool {
    while let [kind, rest @ ..] = octets {
        octets = if *kind == 1 {
            rest
        } else {
            match rest.first().and_then(|length| octets.get(usize::from(*length)..)) {
                Some(rest) => rest,
                None => return false,
            }
        };
    }
    true
}

fn ipv4_options() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(vec![]), 1 => Just(vec![148, 4, 0, 0]), 1 => (1..11usize).prop_map(|words| vec![1; words * 4])]
}

prop_compose! {
    fn ipv4_header()(
        source: [u8; 4], destination: [u8; 4], ttl: u8, identification: u16, dont_fragment: bool,
        options in ipv4_options(),
    ) -> Ipv4Header {
        let mut header = Ipv4Header::new(0, ttl, IpNumber::UDP, source, destination).expect("no payload fits");
        header.identification = identification;
        header.dont_fragment = dont_fragment;
        header.options = Ipv4Options::try_from(&options[..]).expect("at most 40 octets");
        header
    }
}

fn written(
    header: Ipv4Header,
    step: impl FnOnce(etherparse::PacketBuilderStep<etherparse::IpHeaders>) -> Vec<u8>,
) -> Vec<u8> {
    step(PacketBuilder::ip(etherparse::IpHeaders::Ipv4(header, Default::default())))
}

proptest! {
    // etherparse's builder, our parser.
    #[test]
    fn tcp_from_etherparse_parses_to_the_same(
        header in ipv4_header(), ports: [std::num::NonZeroU16; 2], seq: u32, window: u16, ack: Option<u32>,
        urgent: Option<u16>, marks: [bool; 4], options in tcp_options(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut tcp = etherparse::TcpHeader::new(ports[0].get(), ports[1].get(), seq, window);
        tcp.acknowledgment_number = ack.unwrap_or(0);
        tcp.ack = ack.is_some();
        tcp.urgent_pointer = urgent.unwrap_or(0);
        tcp.urg = urgent.is_some();
        [tcp.fin, tcp.syn, tcp.rst, tcp.psh] = marks;
        tcp.set_options_raw(&options).expect("at most 40 octets");
        let expected = (header.source, header.destination);
        let octets = written(header, |step| {
            let mut octets = vec![];
            step.tcp_header(tcp.clone()).write(&mut octets, &payload).expect("a vector takes everything");
            octets
        });
        let packet = Packet::parse(&octets, Trust::Verify).expect("etherparse builds valid packets");
        prop_assert_eq!((packet.source.octets(), packet.destination.octets()), expected);
        oracles_agree(&octets, &packet);

        let view = wire::ipv4::Ipv4::new(&octets[..]).expect("it parsed");
        let segment = Tcp::new(view.payload()).expect("it parsed");
        prop_assert_eq!((segment.seq().0, segment.window()), (seq, window));
        prop_assert_eq!((segment.ack().0, segment.urgent()), (ack.unwrap_or(0), urgent.unwrap_or(0)));
        prop_assert_eq!(segment.payload(), &payload[..]);
        let fin_and_syn = u32::from(marks[0]) + u32::from(marks[1]);
        prop_assert_eq!(segment.segment_len(), payload.len() as u32 + fin_and_syn);
        options_agree(&segment, &tcp);
    }

    #[test]
    fn udp_from_etherparse_parses_to_the_same(
        header in ipv4_header(), ports: [std::num::NonZeroU16; 2],
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let octets = written(header, |step| {
            let mut octets = vec![];
            step.udp(ports[0].get(), ports[1].get()).write(&mut octets, &payload).expect("a vector takes everything");
            octets
        });
        let packet = Packet::parse(&octets, Trust::Verify).expect("etherparse builds valid packets");
        oracles_agree(&octets, &packet);
        let view = wire::ipv4::Ipv4::new(&octets[..]).expect("it parsed");
        let datagram = wire::udp::Udp::new(view.payload()).expect("it parsed");
        prop_assert_eq!(datagram.payload(), &payload[..]);
    }

    // covers: B3
    #[test]
    fn fragments_from_etherparse_parse_to_the_same(
        mut header in ipv4_header(), offset in 2..7_000u16, more: bool, eights in 1..20usize,
    ) {
        header.fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
        header.more_fragments = more;
        header.protocol = IpNumber::UDP;
        header.set_payload_len(eights * 8).expect("it fits");
        header.header_checksum = header.calc_header_checksum();
        let mut octets = vec![];
        header.write(&mut octets).expect("a vector takes everything");
        octets.resize(octets.len() + eights * 8, 0xEE);
        let packet = Packet::parse(&octets, Trust::Verify).expect("it is valid");
        prop_assert_eq!(packet.fragment, Fragment::Later { offset: offset * 8, last: !more });
        oracles_agree(&octets, &packet);
    }

    // Our builders, their parsers.
    #[test]
    fn crafted_packets_are_accepted_by_both(
        source: [u8; 4], destination: [u8; 4], ttl: u8, identification: u16, dont_fragment: bool,
        ip_options in ipv4_options(), options in tcp_options(), ports: [std::num::NonZeroU16; 2],
        seq: u32, flags: u8, payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let header = craft::Header {
            ttl, identification, dont_fragment, options: &ip_options,
            ..craft::Header::new(source.into(), destination.into())
        };
        let [from, to] = ports.map(std::num::NonZeroU16::get);
        let segment = craft::Segment {
            seq: SeqNumber(seq), options: &options, ..craft::Segment::new(from, to, Flags(flags))
        };
        let tcp = common::made(|buffer| craft::tcp(buffer, &header, &segment, &payload));
        let udp = common::made(|buffer| craft::udp(buffer, &header, from, to, &payload));
        let echo = common::made(|buffer| craft::icmp_echo(buffer, &header, true, from, to, &payload));
        let error = common::made(|buffer| craft::icmp_error(buffer, &header, 3, 1, [0; 4], &tcp));
        let gre = common::made(|buffer| craft::other(buffer, &header, 47, &payload));
        for octets in [&tcp, &udp, &echo, &error, &gre] {
            let packet = Packet::parse(octets, Trust::Verify).expect("what is crafted is valid");
            prop_assert_eq!(packet.source, Ipv4Addr::from(source));
            oracles_agree(octets, &packet);
        }
    }

    // What is accepted here after random damage is accepted there.
    #[test]
    fn whatever_is_accepted_here_is_accepted_by_both(
        kind in 0..4usize, options in tcp_options(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut octets = match kind {
            0 => common::tcp(&options, b"payload"),
            1 => common::udp(b"payload"),
            2 => common::echo(b"payload"),
            _ => common::icmp_error(3, 3, &common::udp(b"payload")),
        };
        for (at, octet) in damage {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let mut octets = common::fill_ipv4(octets);
        if wire::ipv4::Ipv4::new(&octets[..]).is_ok_and(|view| view.payload().len() >= 20) {
            octets = common::fill_transport(octets);
        }
        if let Ok(packet) = Packet::parse(&octets, Trust::Verify) {
            oracles_agree(&octets, &packet);
        }
    }

    // Any octets at all as options: accepted as a structure here if etherparse's iterator gets through.
    #[test]
    fn option_structure_is_judged_as_etherparse_does(mut octets in prop::collection::vec(0..12u8, 4..40)) {
        octets.truncate(octets.len() / 4 * 4);
        let packet = common::tcp(&octets, b"");
        let theirs = etherparse::TcpOptionsIterator::from_slice(&octets);
        if theirs.clone().all(|option| option.is_ok()) {
            prop_assert!(Packet::parse(&packet, Trust::Verify).is_ok());
            prop_assert!(wire::tcp::OptionsIter::new(&octets).all(|option| option.is_ok()));
        }
    }
}

/// The typed options of both.
fn options_agree(segment: &Tcp<&[u8]>, theirs: &etherparse::TcpHeader) {
    use etherparse::TcpOptionElement as Theirs;
    let theirs: Vec<_> = theirs
        .options_iterator()
        .map(|option| option.expect("the options are sensible"))
        .filter(|option| *option != Theirs::Noop)
        .collect();
    let ours: Vec<_> = segment.options().map(|option| option.expect("the options are sensible")).collect();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let same = match (ours, theirs) {
            (TcpOption::MaximumSegmentSize(ours), Theirs::MaximumSegmentSize(theirs)) => ours == theirs,
            (TcpOption::WindowScale(ours), Theirs::WindowScale(theirs)) => ours == theirs,
            (TcpOption::SackPermitted, Theirs::SelectiveAcknowledgementPermitted) => true,
            (TcpOption::Timestamps { value, echo_reply }, Theirs::Timestamp(a, b)) => {
                (value, echo_reply) == (a, b)
            }
            (TcpOption::Sack(blocks), Theirs::SelectiveAcknowledgement(first, rest)) => {
                let theirs = core::iter::once(*first).chain(rest.iter().flatten().copied());
                blocks.map(|(left, right)| (left.0, right.0)).eq(theirs)
            }
            _ => false,
        };
        assert!(same, "{ours:?} is not {theirs:?}");
    }
}
