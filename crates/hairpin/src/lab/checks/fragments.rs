//! Datagrams that travel in fragments (RFC 4787 REQ-14): both ways, and in any order.

use std::thread;

use super::bulk::join;
use super::icmp::checksum;
use super::pattern::Pattern;
use super::{During, Failure, Finding, Scale, ensure, ensure_external};
use crate::lab::sockets::{RawSocket, at, udp, v4};
use crate::lab::world::{CLIENT1, SERVER, World};

const PORT: u16 = 4000;
const OCTETS: usize = 4000;
/// Payload octets of a fragment made by hand; a multiple of 8.
const PIECE: usize = 1480;
/// The orders in which three fragments are sent.
const ORDERS: [[usize; 3]; 3] = [[0, 1, 2], [2, 1, 0], [1, 2, 0]];

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let pattern = Pattern::new(0xf4a6);
    let content = pattern.datagram(OCTETS);
    let client = udp(&world.client1, at(CLIENT1, 0))?;
    let server = udp(&world.server, at(SERVER, PORT))?;
    let raw = RawSocket::with_header(&world.client1)?;
    let own = v4(client.local_addr()?)?;

    let echo = |send: &dyn Fn() -> Result<(), Failure>| -> Result<(), Failure> {
        thread::scope(|scope| {
            let server = scope.spawn(|| -> Result<(), Failure> {
                let mut buffer = vec![0; 65_535];
                let (len, from) = server.recv_from(&mut buffer).during("at the server")?;
                ensure_external(v4(from)?)?;
                ensure!(&buffer[..len] == content, "the server got {len} octets, not what was sent");
                server.send_to(&buffer[..len], from)?;
                Ok(())
            });
            let sent = send();
            join(server)?;
            sent?;
            let mut buffer = vec![0; 65_535];
            let (len, from) = client.recv_from(&mut buffer).during("at the client")?;
            ensure!(v4(from)? == at(SERVER, PORT), "the answer came from {from}");
            ensure!(&buffer[..len] == content, "the client got {len} octets, not what was sent");
            Ok(())
        })
    };
    echo(&|| Ok(client.send_to(content, at(SERVER, PORT)).map(drop)?)).during("in order")?;
    for (identification, order) in (0x5eed..).zip(ORDERS) {
        let pieces = fragments(own.port(), content, identification);
        echo(&|| Ok(order.iter().try_for_each(|&piece| raw.send(&pieces[piece], SERVER))?))
            .during(&format!("fragments in the order {order:?}"))?;
    }
    Ok(format!("{OCTETS} octets both ways, from the client in {} orders", ORDERS.len()))
}

/// A UDP datagram from the client's `port` in fragments of [`PIECE`] octets, IP headers included.
fn fragments(port: u16, content: &[u8], identification: u16) -> Vec<Vec<u8>> {
    let mut datagram = Vec::with_capacity(8 + content.len());
    let length = (8 + content.len()) as u16;
    for field in [port, PORT, length, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend(content);
    let sum = udp_checksum(&datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    let last = datagram.len().div_ceil(PIECE) - 1;
    let piece = |(number, piece): (usize, &[u8])| {
        let more = u16::from(number < last) << 13;
        ip_packet(identification, more | (number * PIECE / 8) as u16, piece)
    };
    datagram.chunks(PIECE).enumerate().map(piece).collect()
}

fn udp_checksum(datagram: &[u8]) -> u16 {
    let mut covered = [CLIENT1.octets(), SERVER.octets()].concat();
    covered.extend([0, 17]);
    covered.extend((datagram.len() as u16).to_be_bytes());
    covered.extend(datagram);
    match checksum(&covered) {
        // 0 says "no checksum" (RFC 768).
        0 => 0xffff,
        sum => sum,
    }
}

/// An IPv4 packet with UDP inside; the kernel fills in the header checksum of a raw packet.
fn ip_packet(identification: u16, flags_and_offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    for field in [20 + payload.len() as u16, identification, flags_and_offset] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend([64, 17, 0, 0]);
    packet.extend(CLIENT1.octets());
    packet.extend(SERVER.octets());
    packet.extend(payload);
    packet
}
