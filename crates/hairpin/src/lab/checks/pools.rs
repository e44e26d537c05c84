//! Pools for some subscribers, and pools in blocks (N5, B5, RFC 6888 REQ-14).

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::Duration;

use super::bulk::join;
use super::udp::{ask_sender, external_of, tell_senders};
use super::{During, Failure, Finding, ensure};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{at, patient, udp};
use crate::lab::world::{CLIENT1, CLIENT2, Host, SERVER, World};

const PORT: u16 = 4_200;
const BLOCK: u16 = 8;

pub(super) fn several(workshop: &Workshop<'_>) -> Finding {
    let settings = "[[pool]]\naddresses = [\"192.0.2.16\", \"192.0.2.18\"]\nsubscribers = [\"100.64.0.2/32\"]\n\
                    [[pool]]\naddresses = [\"192.0.2.24-192.0.2.26\"]\n";
    let gateway = workshop.gateway(settings)?;
    let world = &gateway.world;
    let first: [Ipv4Addr; 2] = [[192, 0, 2, 16].into(), [192, 0, 2, 18].into()];
    let external = |host: &Host, address| -> Result<SocketAddrV4, Failure> {
        external_of(world, &udp(host, at(address, 0))?, at(SERVER, PORT))
    };
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (one, other) = (external(&world.client1, CLIENT1)?, external(&world.client2, CLIENT2)?);
        ensure!(first.contains(one.ip()), "{CLIENT1} is {one}, which is not of its pool");
        ensure!((24..=26).contains(&other.ip().octets()[3]), "{CLIENT2} is {other}, of another's pool");
        seen.push((*one.ip(), *other.ip()));
    }
    ensure!(seen.iter().all(|pair| *pair == seen[0]), "the addresses changed: {seen:?}");
    Ok(format!("{CLIENT1} is {}, of its own pool; {CLIENT2} is {}, of the common one", seen[0].0, seen[0].1))
}

pub(super) fn blocks(workshop: &Workshop<'_>) -> Finding {
    let settings = format!(
        "[[pool]]\naddresses = [\"192.0.2.16\"]\nports = \"10240-10303\"\nblock_size = {BLOCK}\nmax_blocks = 1\n"
    );
    let gateway = workshop.gateway(&settings)?;
    let world = &gateway.world;
    let one = all_of_a_block(world, &world.client1, CLIENT1)?;
    let other = all_of_a_block(world, &world.client2, CLIENT2)?;
    ensure!(one != other, "both subscribers have the block from {one}");
    let counters = gateway.counters()?;
    Ok(format!(
        "{BLOCK} ports each, from {one} and from {other}, and not one more; drops: {}",
        counters.drops()
    ))
}

/// Takes as many ports as a block has, and one more in vain; the first port of the block.
fn all_of_a_block(world: &World, client: &Host, address: Ipv4Addr) -> Result<u16, Failure> {
    let sockets = (0..BLOCK).map(|_| udp(client, at(address, 0))).collect::<io::Result<Vec<UdpSocket>>>()?;
    let server = udp(&world.server, at(SERVER, PORT))?;
    let ports = thread::scope(|scope| {
        let server = scope.spawn(|| tell_senders(&server, usize::from(BLOCK)));
        let seen: Result<Vec<u16>, Failure> = sockets
            .iter()
            .map(|socket| ask_sender(socket, at(SERVER, PORT)).map(|external| external.port()))
            .collect();
        let served = join(server);
        let seen = seen.during(&format!("{address} takes its block"))?;
        served?;
        Ok::<_, Failure>(seen)
    })?;
    let block = |port: &u16| (port - 10_240) / BLOCK;
    let first = ports.iter().map(block).next().unwrap_or_default();
    ensure!(
        ports.iter().all(|port| block(port) == first),
        "{address} has ports of several blocks: {ports:?}"
    );
    let more = udp(client, at(address, 0))?;
    patient(&more, Duration::from_millis(300))?;
    more.send_to(b"?", at(SERVER, PORT))?;
    patient(&server, Duration::from_millis(300))?;
    let beyond = server.recv_from(&mut [0; 16]);
    ensure!(beyond.is_err(), "{address} got a port beyond its block: {beyond:?}");
    Ok(10_240 + first * BLOCK)
}
