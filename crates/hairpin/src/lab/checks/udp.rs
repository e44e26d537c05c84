//! UDP: which external endpoints are given out, and who may send to them (RFC 4787 4, 5).

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::thread;

use super::bulk::join;
use super::{During, Failure, Finding, Scale, ensure, ensure_external};
use crate::lab::sockets::{at, parse_endpoint, udp, v4};
use crate::lab::world::{CLIENT1, SERVER, SERVER_SECOND, SERVER_THIRD, World};

const PORT: u16 = 3478;
const OTHER_PORT: u16 = 3479;
const CLIENT_SOCKETS: u16 = 5;

/// Answers the next `count` datagrams with the endpoint that each came from.
pub(super) fn tell_senders(socket: &UdpSocket, count: usize) -> io::Result<()> {
    let mut buffer = [0; 2048];
    for _ in 0..count {
        let (_, sender) = socket.recv_from(&mut buffer)?;
        socket.send_to(sender.to_string().as_bytes(), sender)?;
    }
    Ok(())
}

/// What the server at `remote` sees `socket` as.
pub(super) fn ask_sender(socket: &UdpSocket, remote: SocketAddrV4) -> Result<SocketAddrV4, Failure> {
    socket.send_to(b"who am I?", remote)?;
    let mut buffer = [0; 64];
    let (len, from) = socket.recv_from(&mut buffer).during(&format!("waiting for the answer of {remote}"))?;
    ensure!(v4(from)? == remote, "asked {remote}, answered by {from}");
    Ok(parse_endpoint(&String::from_utf8_lossy(&buffer[..len]))?)
}

/// Asks the server at `remote` once, with a server that is there just for this.
pub(super) fn external_of(
    world: &World,
    socket: &UdpSocket,
    remote: SocketAddrV4,
) -> Result<SocketAddrV4, Failure> {
    let server = udp(&world.server, remote)?;
    thread::scope(|scope| {
        let server = scope.spawn(|| tell_senders(&server, 1));
        let seen = ask_sender(socket, remote);
        let served = join(server);
        let seen = seen?;
        served?;
        Ok(seen)
    })
}

pub(super) fn mapping(world: &World, _: Scale) -> Finding {
    let remotes = [at(SERVER, PORT), at(SERVER, OTHER_PORT), at(SERVER_SECOND, PORT)];
    let servers = remotes.iter().map(|&remote| udp(&world.server, remote)).collect::<io::Result<Vec<_>>>()?;
    let sockets =
        (0..CLIENT_SOCKETS).map(|_| udp(&world.client1, at(CLIENT1, 0))).collect::<io::Result<Vec<_>>>()?;
    let mut externals: Vec<SocketAddrV4> = Vec::new();
    thread::scope(|scope| {
        let servers: Vec<_> = servers
            .iter()
            .map(|server| scope.spawn(|| tell_senders(server, CLIENT_SOCKETS.into())))
            .collect();
        let asked = sockets.iter().try_for_each(|socket| {
            let first = ask_sender(socket, remotes[0])?;
            ensure_external(first)?;
            for &remote in &remotes[1..] {
                let seen = ask_sender(socket, remote)?;
                ensure!(seen == first, "{} saw {first}, {remote} saw {seen}", remotes[0]);
            }
            ensure!(!externals.contains(&first), "two sockets are both {first} outside");
            externals.push(first);
            Ok(())
        });
        let served = servers.into_iter().try_for_each(join);
        asked?;
        Ok::<_, Failure>(served?)
    })?;
    let address = externals[0].ip();
    ensure!(
        externals.iter().all(|external| external.ip() == address),
        "one subscriber on several addresses: {externals:?}"
    );
    Ok(format!("{CLIENT_SOCKETS} sockets, each one port of {address} towards {} servers", remotes.len()))
}

pub(super) fn filtering(world: &World, _: Scale) -> Finding {
    let client = udp(&world.client1, at(CLIENT1, 0))?;
    let external = external_of(world, &client, at(SERVER, PORT))?;
    ensure_external(external)?;
    for stranger in [at(SERVER_THIRD, PORT), at(SERVER, OTHER_PORT)] {
        let socket = udp(&world.server, stranger)?;
        let greeting = format!("from {stranger}");
        socket.send_to(greeting.as_bytes(), external)?;
        let mut buffer = [0; 64];
        let (len, from) = client.recv_from(&mut buffer).during(&format!("{stranger} sends to {external}"))?;
        ensure!(v4(from)? == stranger, "{stranger} sent, it came from {from}");
        ensure!(&buffer[..len] == greeting.as_bytes(), "what came from {stranger} is not what it sent");
    }
    Ok(format!("two strangers, another address and another port, reached {external}"))
}
