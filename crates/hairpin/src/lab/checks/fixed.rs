//! Static port forwards: strangers reach a kernel's server inside, and it answers as what they reached.

use std::thread;

use super::bulk::join;
use super::udp::external_of;
use super::{During, Failure, Finding, ensure};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{ask_peer, at, tcp_connect, tcp_listen, tell_peers, udp, v4};
use crate::lab::world::{CLIENT1, SERVER, SERVER_THIRD};
use std::net::Ipv4Addr;

const EXTERNAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
const SETTINGS: &str = "[[pool]]\naddresses = [\"192.0.2.16-192.0.2.31\"]\n[[static]]\ninternal = \
                        \"100.64.0.2:8080\"\nexternal = \"192.0.2.20:80\"\nprotocol = \"tcp\"\n[[static]]\n\
                        internal = \"100.64.0.2:5353\"\nexternal = \"192.0.2.20:53\"\nprotocol = \"udp\"\n";

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(SETTINGS)?;
    let world = &gateway.world;
    let inside = tcp_listen(&world.client1, at(CLIENT1, 8_080))?;
    let seen = thread::scope(|scope| {
        let inside = scope.spawn(|| tell_peers(&inside, 1));
        let seen = tcp_connect(&world.server, at(SERVER_THIRD, 0), at(EXTERNAL, 80))
            .and_then(|mut stream| ask_peer(&mut stream));
        let served = join(inside);
        let seen = seen.during("a stranger connects to the forwarded TCP port")?;
        served?;
        Ok::<_, Failure>(seen)
    })?;
    ensure!(*seen.ip() == SERVER_THIRD, "the server inside saw {seen} instead of {SERVER_THIRD}");

    let inside = udp(&world.client1, at(CLIENT1, 5_353))?;
    let stranger = udp(&world.server, at(SERVER, 4_000))?;
    stranger.send_to(b"question", at(EXTERNAL, 53))?;
    let (_, from) = inside.recv_from(&mut [0; 16]).during("a stranger sends to the forwarded UDP port")?;
    inside.send_to(b"answer", from)?;
    let (_, from) = stranger.recv_from(&mut [0; 16]).during("the answer")?;
    ensure!(v4(from)? == at(EXTERNAL, 53), "the answer came from {from}");
    drop(stranger);
    let own = external_of(world, &inside, at(SERVER, 4_001))?;
    ensure!(own == at(EXTERNAL, 53), "what the server inside sends comes from {own}");
    Ok(format!("TCP and UDP servers inside reached at {EXTERNAL}:80 and {EXTERNAL}:53, and seen as these"))
}
