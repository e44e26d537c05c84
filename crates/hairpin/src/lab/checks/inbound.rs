//! What strangers can do to a subscriber (RFC 7857 5 to 7, N10 to N13): a flood over one mapping, packets
//! that a filter refuses, and segments that open nothing.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::bulk::join;
use super::tcp_segment::{ACK, FIN, PSH, RST, SYN, Segment, receive_all};
use super::udp::{ask_sender, external_of, tell_senders};
use super::{During, Failure, Finding, ensure, ensure_external};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{RawSocket, ask_peer, at, patient, tcp_connect, tcp_listen, tell_peers, udp};
use crate::lab::world::{CLIENT1, FAR, SERVER};

const PORT: u16 = 4100;
const POOL: &str = "[[pool]]\naddresses = [\"192.0.2.16\"]\n";
/// Sessions that the outside may open over one mapping.
const PER_MAPPING: u64 = 100;
/// New sessions of the subscriber after the flood.
const OWN: usize = 50;

/// Many strangers send over one mapping; afterwards the subscriber has what it had.
pub(super) fn flood(workshop: &Workshop<'_>) -> Finding {
    let settings = format!(
        "{POOL}[limits]\nsessions_per_subscriber = 300\ninbound_sessions_per_mapping = {PER_MAPPING}\n\
         inbound_sessions_per_subscriber = 200\n"
    );
    let gateway = workshop.gateway(&settings)?;
    let world = &gateway.world;
    let client = udp(&world.client1, at(CLIENT1, 0))?;
    let external = external_of(world, &client, at(SERVER, PORT))?;
    ensure_external(external)?;
    let attacker = RawSocket::with_header(&world.far)?;
    let (count, start) = (workshop.scale.flood, Instant::now());
    let mut delivered = 0;
    for number in 0..count {
        // Another source each time: 64 addresses, then ports.
        let source =
            at(Ipv4Addr::new(203, 0, 113, 64 + (number % 64) as u8), 1_024 + (number / 64 % 60_000) as u16);
        let packet = datagram(source, external, 0, 0);
        // What the kernel's queue does not take is not on the wire.
        while attacker.send(&packet, *external.ip()).is_err_and(|error| error.raw_os_error() == Some(105)) {
            thread::sleep(Duration::from_millis(1));
        }
        if number % 256 == 255 {
            delivered += waiting(&client)?;
        }
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    thread::sleep(Duration::from_millis(200));
    delivered += waiting(&client)?;
    ensure!(delivered <= PER_MAPPING, "{delivered} strangers came through, {PER_MAPPING} were allowed");
    ensure!(delivered > 0, "no stranger came through, although filtering is endpoint-independent");

    let server = udp(&world.server, at(SERVER, PORT))?;
    thread::scope(|scope| {
        let server = scope.spawn(|| tell_senders(&server, OWN));
        let asked = (0..OWN).try_for_each(|number| -> Result<(), Failure> {
            let socket = udp(&world.client1, at(CLIENT1, 0))?;
            ask_sender(&socket, at(SERVER, PORT)).during(&format!("own session {number}")).map(drop)
        });
        let served = join(server);
        asked?;
        Ok::<_, Failure>(served?)
    })?;
    let counters = gateway.counters()?;
    let refused = counters.get("dropped_total");
    ensure!(refused > 0, "the daemon counted no refused packet");
    Ok(format!(
        "{count} strangers at {rate:.0} a second, {delivered} let in, {OWN} own sessions after it; drops: {}",
        counters.drops()
    ))
}

/// What has arrived at a socket so far.
fn waiting(socket: &UdpSocket) -> io::Result<u64> {
    socket.set_nonblocking(true)?;
    let mut count = 0;
    while socket.recv(&mut [0; 64]).is_ok() {
        count += 1;
    }
    socket.set_nonblocking(false)?;
    Ok(count)
}

/// A UDP datagram without data and without a checksum, as an IP packet.
pub(super) fn datagram(
    source: std::net::SocketAddrV4,
    destination: std::net::SocketAddrV4,
    identification: u16,
    flags: u16,
) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28];
    packet.extend(identification.to_be_bytes());
    packet.extend(flags.to_be_bytes());
    packet.extend([64, 17, 0, 0]);
    packet.extend(source.ip().octets());
    packet.extend(destination.ip().octets());
    packet.extend(source.port().to_be_bytes());
    packet.extend(destination.port().to_be_bytes());
    packet.extend([0, 8, 0, 0]);
    packet
}

/// A mapping of two seconds: packets that the filter refuses do not lengthen it, others do.
pub(super) fn refresh(workshop: &Workshop<'_>) -> Finding {
    let settings = format!(
        "{POOL}[filtering]\nudp = \"address-and-port-dependent\"\n[udp]\nport_timeouts = [\"53 2s\", \"54 2s\"]\n"
    );
    let gateway = workshop.gateway(&settings)?;
    let world = &gateway.world;
    let refused = udp(&world.client1, at(CLIENT1, 0))?;
    let refused_outside = external_of(world, &refused, at(SERVER, 53))?;
    let accepted = udp(&world.client1, at(CLIENT1, 0))?;
    let accepted_outside = external_of(world, &accepted, at(SERVER, 54))?;
    let stranger = udp(&world.far, at(FAR, 5353))?;
    let known = udp(&world.server, at(SERVER, 54))?;
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_millis(3_600) {
        stranger.send_to(b"?", refused_outside)?;
        known.send_to(b"!", accepted_outside)?;
        sent += 1;
        thread::sleep(Duration::from_millis(200));
    }
    // The one whose mapping was only ever hit by refused packets: it is gone, even for the server.
    let server = udp(&world.server, at(SERVER, 53))?;
    server.send_to(b"late", refused_outside)?;
    patient(&refused, Duration::from_millis(300))?;
    let late = refused.recv(&mut [0; 64]);
    ensure!(late.is_err(), "a mapping of 2 s was still there after {sent} refused packets in 3.6 s");
    let kept = waiting(&accepted)?;
    ensure!(kept == sent, "{kept} of {sent} packets of the server itself came through");
    let counters = gateway.counters()?;
    Ok(format!(
        "{sent} refused packets in 3.6 s, gone after 2 s; {kept} accepted ones kept another alive; drops: {}",
        counters.drops()
    ))
}

/// A mapped TCP port: no segment but a SYN gets in.
pub(super) fn opening(workshop: &Workshop<'_>) -> Finding {
    const LOCAL_PORT: u16 = 41_100;
    let gateway = workshop.gateway(POOL)?;
    let world = &gateway.world;
    let server = tcp_listen(&world.server, at(SERVER, PORT))?;
    let external = thread::scope(|scope| {
        let server = scope.spawn(|| tell_peers(&server, 1));
        let seen = tcp_connect(&world.client1, at(CLIENT1, LOCAL_PORT), at(SERVER, PORT))
            .and_then(|mut stream| ask_peer(&mut stream));
        join(server)?;
        Ok::<_, Failure>(seen?)
    })?;
    let at_client = RawSocket::tcp(&world.client1)?;
    let attacker = RawSocket::with_header(&world.far)?;
    let send = |number: u16, flags| {
        let (source, seq) = (at(FAR, 2_000 + number), 1_000_000);
        let segment = Segment { source, destination: external, seq, ack: 1, flags, len: 0 };
        attacker.send(&segment.packet(), *external.ip())
    };
    let others =
        [ACK, RST, RST | ACK, FIN | ACK, SYN | ACK, PSH | ACK, 0, FIN, SYN | FIN, SYN | RST, SYN | FIN | ACK];
    for (number, flags) in (0..).zip(others) {
        send(number, flags)?;
    }
    let from_far = |segment: &Segment| *segment.source.ip() == FAR;
    let through = receive_all(&at_client, Duration::from_millis(300), from_far);
    ensure!(through.is_empty(), "these came through: {through:?}");
    send(100, SYN)?;
    let syn = receive_all(&at_client, Duration::from_millis(300), from_far);
    ensure!(syn.iter().any(|segment| segment.flags == SYN), "a SYN did not come through: {syn:?}");
    let counters = gateway.counters()?;
    let created = counters.get("sessions_created");
    ensure!(created == 2, "{created} sessions instead of the subscriber's and that of the SYN");
    Ok(format!(
        "{} kinds of segments stayed outside, a SYN came in; drops: {}",
        others.len(),
        counters.drops()
    ))
}
