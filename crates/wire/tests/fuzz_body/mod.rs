//! What must hold for any octets at all. Shared by `cargo test` (tests/fuzz.rs) and cargo-fuzz (fuzz/).

use wire::link::{self, LinkType};
use wire::{Fragment, Packet, Quote, Transport, Trust, icmpv4, ipv4, tcp, udp};

/// Feeds `data` to everything that reads octets and checks that the answers agree with one another.
pub(crate) fn one(data: &[u8]) {
    packet(data);
    let _ = Quote::parse(data, 28);
    for link in [LinkType::Ethernet, LinkType::RawIp, LinkType::LinuxSll, LinkType::LinuxSll2, LinkType::Null]
    {
        if let Ok(frame) = link::locate(link, data) {
            assert!(frame.network_offset <= data.len());
            if frame.network_offset > 0 {
                let _ = Packet::parse(&data[frame.network_offset..], Trust::Skip);
            }
        }
    }
}

fn packet(data: &[u8]) {
    let trusting = Packet::parse(data, Trust::Skip);
    let parsed = Packet::parse(data, Trust::Verify);
    let Ok(packet) = parsed else {
        return;
    };
    assert_eq!(trusting, parsed, "verifying refuses more, and changes nothing else");

    let view = ipv4::Ipv4::new(data).expect("what parses is a packet");
    assert!(view.checksum_is_valid());
    assert_eq!(view.header_len(), usize::from(packet.header_len));
    assert_eq!(view.source(), packet.source);
    assert_eq!(view.destination(), packet.destination);
    assert!(view.options().all(|option| option.is_ok()));
    assert_eq!(packet.options.is_empty(), view.options().next().is_none());
    assert_eq!(view.fragment().is_whole(), packet.fragment == Fragment::Whole);
    let padded = [&data[..usize::from(packet.total_len)], &[0xEE; 7]].concat();
    assert_eq!(Packet::parse(&padded, Trust::Verify), parsed, "what is behind the packet is not looked at");
    transport(&packet, &view);
}

fn transport(packet: &Packet, view: &ipv4::Ipv4<&[u8]>) {
    let whole = packet.fragment == Fragment::Whole;
    let payload = view.payload();
    match packet.transport {
        Transport::Tcp { source_port, destination_port, seq, flags, header_len } => {
            let segment = tcp::Tcp::new(payload).expect("a segment");
            assert_eq!((segment.source_port(), segment.destination_port()), (source_port, destination_port));
            assert_eq!((segment.seq(), segment.flags()), (seq, flags));
            assert_eq!(segment.header_len(), usize::from(header_len));
            assert!(!whole || segment.checksum_is_valid(packet.source, packet.destination));
            let mut options = segment.options();
            while let Some(option) = options.next() {
                assert!(options.offset() < 40);
                if let Ok(tcp::TcpOption::Sack(blocks)) = option {
                    assert!(blocks.count() <= 4);
                }
            }
        }
        Transport::Udp { source_port, destination_port, has_checksum } => {
            let datagram = udp::Udp::new(payload).expect("a datagram");
            assert_eq!(
                (datagram.source_port(), datagram.destination_port()),
                (source_port, destination_port)
            );
            assert_eq!(datagram.checksum() != 0, has_checksum);
            assert_eq!(whole, usize::from(datagram.length()) == payload.len());
            assert!(!whole || datagram.checksum_is_valid(packet.source, packet.destination));
        }
        Transport::IcmpQuery { identifier, .. } => {
            let message = icmpv4::Icmpv4::new(payload).expect("a message");
            assert_eq!(message.identifier(), identifier);
            assert!(!whole || message.checksum_is_valid());
        }
        Transport::IcmpError { quote } => {
            let message = icmpv4::Icmpv4::new(payload).expect("a message");
            let inner = message.quote().expect("the quoted packet was accepted").expect("an error");
            assert_eq!(Quote { offset: packet.header_len + inner.offset, ..inner }, quote);
            assert!(usize::from(inner.offset + quote.header_len) <= payload.len());
        }
        Transport::IcmpOther => assert_eq!(packet.protocol, icmpv4::PROTOCOL),
        Transport::None => assert!(matches!(packet.fragment, Fragment::Later { .. })),
        Transport::Other => assert!(!matches!(packet.protocol, 1 | 6 | 17)),
    }
}
