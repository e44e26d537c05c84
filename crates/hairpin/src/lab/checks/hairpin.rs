//! Two subscribers meet at their external endpoints (RFC 4787 REQ-9, RFC 5382 REQ-8, N19).

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4};
use std::thread;
use std::time::Instant;

use super::bulk::join;
use super::icmp::{CODE_PORT, UNREACHABLE, error, received};
use super::pattern::Pattern;
use super::udp::external_of;
use super::{During, Failure, Finding, Scale, ensure, ensure_external};
use crate::lab::sockets::{
    PATIENCE, RawSocket, ask_peer, at, patient, tcp_connect, tcp_listen, tell_peers, udp as udp_socket, v4,
};
use crate::lab::world::{CLIENT1, CLIENT2, Host, SERVER, World};

const PORT: u16 = 7001;
const LOCAL_PORTS: [u16; 2] = [41_000, 41_001];
const OCTETS: u64 = 1 << 20;

pub(super) fn udp(world: &World, _: Scale) -> Finding {
    let one = udp_socket(&world.client1, at(CLIENT1, LOCAL_PORTS[0]))?;
    let other = udp_socket(&world.client2, at(CLIENT2, LOCAL_PORTS[1]))?;
    let one_outside = external_of(world, &one, at(SERVER, PORT))?;
    let other_outside = external_of(world, &other, at(SERVER, PORT))?;
    for endpoint in [one_outside, other_outside] {
        ensure_external(endpoint)?;
    }
    for (from, to, from_outside, to_outside) in
        [(&one, &other, one_outside, other_outside), (&other, &one, other_outside, one_outside)]
    {
        let mut buffer = [0; 64];
        from.send_to(b"are you there?", to_outside)?;
        let (len, seen) =
            to.recv_from(&mut buffer).during(&format!("{from_outside} sends to {to_outside}"))?;
        ensure!(v4(seen)? == from_outside, "{from_outside} sent, it came from {seen}");
        ensure!(&buffer[..len] == b"are you there?", "what arrived is not what was sent");
    }
    Ok(format!("{one_outside} and {other_outside} saw each other as such"))
}

pub(super) fn tcp(world: &World, _: Scale) -> Finding {
    let one_outside = tcp_external(world, &world.client1, at(CLIENT1, LOCAL_PORTS[0]))?;
    let other_outside = tcp_external(world, &world.client2, at(CLIENT2, LOCAL_PORTS[1]))?;
    let pattern = &Pattern::new(0x4a19);
    let listener = tcp_listen(&world.client2, at(CLIENT2, LOCAL_PORTS[1]))?;
    thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<SocketAddrV4, Failure> {
            let (mut stream, peer) = listener.accept().during("client2 waits for client1")?;
            patient(&stream, PATIENCE)?;
            pattern.receive(&mut stream, OCTETS).during("at client2")?;
            stream.write_all(b"received")?;
            Ok(v4(peer)?)
        });
        let one = tcp_connect(&world.client1, at(CLIENT1, LOCAL_PORTS[0]), other_outside)
            .map_err(Failure::from)
            .and_then(|mut stream| {
                pattern.send(&mut stream, OCTETS)?;
                stream.shutdown(Shutdown::Write)?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).during("at client1")?;
                ensure!(answer == "received", "client2 answered \"{answer}\"");
                Ok(())
            });
        let other = join(other);
        one?;
        let seen = other?;
        ensure!(seen == one_outside, "{one_outside} connected, {other_outside} saw {seen}");
        Ok(format!("{one_outside} connected to {other_outside}, 1 MiB as sent"))
    })
}

/// What `local` is outside: the server, asked from there, tells.
fn tcp_external(world: &World, client: &Host, local: SocketAddrV4) -> Result<SocketAddrV4, Failure> {
    let listener = tcp_listen(&world.server, at(SERVER, PORT))?;
    let seen = thread::scope(|scope| {
        let server = scope.spawn(|| tell_peers(&listener, 1));
        let seen = tcp_connect(client, local, at(SERVER, PORT)).and_then(|mut stream| ask_peer(&mut stream));
        let served = join(server);
        let seen = seen?;
        served.map(|()| seen)
    })
    .during("asking the server")?;
    ensure_external(seen)?;
    Ok(seen)
}

/// An ICMP error about a hairpinned packet (RFC 5508 REQ-4): it comes from the external endpoint
/// that was addressed, and quotes what the sender sent.
pub(super) fn icmp_error(world: &World, _: Scale) -> Finding {
    let one = udp_socket(&world.client1, at(CLIENT1, 0))?;
    let own = v4(one.local_addr()?)?;
    let closed = udp_socket(&world.client2, at(CLIENT2, 0))?;
    let target = external_of(world, &closed, at(SERVER, PORT))?;
    drop(closed);
    let errors = RawSocket::icmp(&world.client1)?;
    one.send_to(b"is this port open?", target)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let packet = errors.receive(deadline, "ICMP error from a closed port behind the gateway")?;
        let Some(error) = error(&received(&packet)?)? else { continue };
        ensure!((error.kind, error.code) == (UNREACHABLE, CODE_PORT), "ICMP {}/{}", error.kind, error.code);
        ensure!(error.source == *target.ip(), "{target} was addressed, the error is from {}", error.source);
        ensure!(
            (error.quoted_source, error.quoted_destination) == (own, target),
            "{own} -> {target} was sent, {} -> {} is quoted",
            error.quoted_source,
            error.quoted_destination
        );
        return Ok(format!("port unreachable from {target}, quoting the sender's own packet"));
    }
}
