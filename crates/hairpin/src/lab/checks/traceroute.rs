//! Traceroute: UDP with a growing time to live. Every error must reach the client and quote the
//! client's own packet, not what the gateway made of it (RFC 5508 REQ-4, B7).

use std::net::Ipv4Addr;
use std::time::Instant;

use super::icmp::{CODE_PORT, IcmpError, TIME_EXCEEDED, UNREACHABLE, error, received};
use super::{During, Failure, Finding, Scale, ensure};
use crate::lab::sockets::{PATIENCE, RawSocket, at, udp, v4};
use crate::lab::world::{CLIENT1, FAR, SERVER, World};

const PORT: u16 = 33_434;
/// Server, narrow hop and gateway are fewer, however the gateway counts itself.
const MAX_HOPS: u32 = 10;

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let socket = udp(&world.client1, at(CLIENT1, 0))?;
    let own = v4(socket.local_addr()?)?;
    let errors = RawSocket::icmp(&world.client1)?;
    let mut path: Vec<Ipv4Addr> = Vec::new();
    for ttl in 1..=MAX_HOPS {
        let target = at(FAR, PORT + ttl as u16);
        socket.set_ttl(ttl)?;
        // An error of the last one, which the kernel tells here; the raw socket has it too.
        drop(socket.take_error()?);
        socket.send_to(b"how far is it?", target).during(&format!("sending with a TTL of {ttl}"))?;
        let answer = await_error(&errors, target.port()).during(&format!("TTL {ttl} (so far: {path:?})"))?;
        ensure!(
            answer.quoted_source == own && answer.quoted_destination == target,
            "{} sent {own} -> {target}; the error of {} quotes {} -> {}",
            world.client1.name,
            answer.source,
            answer.quoted_source,
            answer.quoted_destination
        );
        match (answer.kind, answer.code) {
            (TIME_EXCEEDED, 0) => path.push(answer.source),
            (UNREACHABLE, CODE_PORT) => return arrived(path, answer.source),
            (kind, code) => return Err(Failure::new(format!("{}: ICMP {kind}/{code}", answer.source))),
        }
    }
    Err(Failure::new(format!("not there after {MAX_HOPS} hops: {path:?}")))
}

fn arrived(path: Vec<Ipv4Addr>, at_last: Ipv4Addr) -> Finding {
    ensure!(at_last == FAR, "{FAR} was asked, {at_last} says that the port is closed");
    ensure!(path.contains(&SERVER), "no error from {SERVER}, which is on the way: {path:?}");
    ensure!(path.len() >= 3, "gateway, server and hop are on the way, and these answered: {path:?}");
    let path: Vec<_> = path.iter().map(Ipv4Addr::to_string).collect();
    Ok(format!("{} > {FAR}", path.join(" > ")))
}

/// The next error about a packet to `port`.
fn await_error(socket: &RawSocket, port: u16) -> Result<IcmpError, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let packet = socket.receive(deadline, "ICMP error")?;
        if let Some(error) = error(&received(&packet)?)?
            && error.quoted_destination.port() == port
        {
            return Ok(error);
        }
    }
}
