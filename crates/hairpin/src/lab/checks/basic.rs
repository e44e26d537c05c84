//! Basic NAT: an external address for each subscriber, ports untouched, every protocol (RFC 2663 4.1.1).

use std::thread;
use std::time::{Duration, Instant};

use super::bulk::join;
use super::icmp::{UNREACHABLE, received};
use super::{During, Failure, Finding, ensure, ensure_external};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{RawSocket, ask_peer, at, tcp_connect, tcp_listen, tell_peers, udp, v4};
use crate::lab::world::{CLIENT1, CLIENT2, SERVER, SERVER_SECOND};

const PORT: u16 = 7030;
const LOCAL_PORT: u16 = 41_030;
/// Ports that nobody has mapped: with a whole address they are reachable all the same.
const UNMAPPED: u16 = 777;
/// A protocol number for experiments (RFC 3692), which no kernel knows.
const STRANGE_PROTOCOL: u8 = 253;
/// Unreachable: the protocol (RFC 792).
const CODE_PROTOCOL: u8 = 2;

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    let settings = "[[pool]]\nkind = \"basic\"\naddresses = [\"192.0.2.16-192.0.2.31\"]\n";
    let gateway = workshop.gateway(settings)?;
    let world = &gateway.world;
    let server = tcp_listen(&world.server, at(SERVER, PORT))?;
    let seen = thread::scope(|scope| {
        let server = scope.spawn(|| tell_peers(&server, 2));
        let seen = [(&world.client1, CLIENT1), (&world.client2, CLIENT2)].map(|(client, address)| {
            tcp_connect(client, at(address, LOCAL_PORT), at(SERVER, PORT))
                .and_then(|mut stream| ask_peer(&mut stream))
        });
        let served = join(server);
        let [one, other] = seen;
        let seen = [one?, other?];
        served?;
        Ok::<_, Failure>(seen)
    })?;
    for endpoint in seen {
        ensure_external(endpoint)?;
        ensure!(endpoint.port() == LOCAL_PORT, "port {LOCAL_PORT} was translated: {endpoint}");
    }
    ensure!(seen[0].ip() != seen[1].ip(), "both subscribers have {}", seen[0].ip());

    // Inwards to any port, from anybody.
    let inside = udp(&world.client1, at(CLIENT1, UNMAPPED))?;
    let stranger = udp(&world.server, at(SERVER_SECOND, PORT))?;
    stranger.send_to(b"hello", at(*seen[0].ip(), UNMAPPED))?;
    let (_, from) = inside.recv_from(&mut [0; 16]).during("a stranger sends to another port")?;
    ensure!(v4(from)? == at(SERVER_SECOND, PORT), "it came from {from}");

    // A protocol of its own: the server's kernel says that it has none, about the packet as sent.
    let icmp = RawSocket::icmp(&world.client1)?;
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, STRANGE_PROTOCOL, 0, 0];
    packet.extend(CLIENT1.octets());
    packet.extend(SERVER.octets());
    packet.extend(b"anything");
    RawSocket::with_header(&world.client1)?.send(&packet, SERVER)?;
    let error = icmp.receive(Instant::now() + Duration::from_secs(2), "answer to another protocol")?;
    let error = received(&error)?;
    ensure!(error.message[..2] == [UNREACHABLE, CODE_PROTOCOL], "ICMP {:?} came", &error.message[..2]);
    let quoted = &error.message[8..];
    ensure!(quoted.len() >= 20 && quoted[12..16] == CLIENT1.octets(), "another packet is quoted");
    Ok(format!(
        "{} and {}, ports untouched, inbound to port {UNMAPPED}, protocol {STRANGE_PROTOCOL} both ways",
        seen[0].ip(),
        seen[1].ip()
    ))
}
