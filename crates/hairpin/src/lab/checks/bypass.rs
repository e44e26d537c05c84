//! Destinations to which nothing is translated (RFC 6888 REQ-6).

use std::thread;

use super::bulk::join;
use super::udp::external_of;
use super::{During, Failure, Finding, ensure, ensure_external};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{ask_peer, at, tcp_connect, tcp_listen, tell_peers, udp};
use crate::lab::world::{CLIENT1, SERVER, SERVER_SECOND};

const PORT: u16 = 7031;

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    let settings = "[[pool]]\naddresses = [\"192.0.2.16-192.0.2.31\"]\n";
    let gateway = workshop.gateway_with_inside(settings, "bypass = [\"198.51.100.3/32\"]")?;
    let world = &gateway.world;
    world.route_to_inside()?;
    let server = tcp_listen(&world.server, at(SERVER_SECOND, PORT))?;
    let seen = thread::scope(|scope| {
        let server = scope.spawn(|| tell_peers(&server, 1));
        let seen = tcp_connect(&world.client1, at(CLIENT1, 0), at(SERVER_SECOND, PORT))
            .and_then(|mut stream| ask_peer(&mut stream));
        let served = join(server);
        let seen = seen.during("TCP to a destination that is not translated")?;
        served?;
        Ok::<_, Failure>(seen)
    })?;
    ensure!(*seen.ip() == CLIENT1, "{SERVER_SECOND} saw {seen} instead of {CLIENT1}");
    let socket = udp(&world.client1, at(CLIENT1, 0))?;
    let direct = external_of(world, &socket, at(SERVER_SECOND, PORT)).during("UDP to the same")?;
    ensure!(*direct.ip() == CLIENT1, "{SERVER_SECOND} saw {direct} instead of {CLIENT1}");
    let translated = external_of(world, &socket, at(SERVER, PORT)).during("UDP to another")?;
    ensure_external(translated)?;
    let counters = gateway.counters()?;
    let mappings = counters.get("mappings_created");
    ensure!(mappings == 1, "{mappings} mappings instead of the one that is needed");
    Ok(format!("{SERVER_SECOND} saw {CLIENT1} itself, {SERVER} saw {translated}"))
}
