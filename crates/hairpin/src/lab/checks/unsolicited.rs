//! A SYN from outside that nobody asked for: dropped, unless its port is mapped.

use std::io;
use std::thread;
use std::time::Duration;

use super::bulk::join;
use super::{During, Failure, Finding, Scale, ensure, ensure_external};
use crate::lab::sockets::{ask_peer, at, tcp_connect, tcp_connect_here, tcp_listen, tell_peers};
use crate::lab::world::{CLIENT1, SERVER, SERVER_THIRD, World};

const PORT: u16 = 7003;
const LOCAL_PORT: u16 = 41_003;
/// Below the ports that kernels and lab use for clients, hence mapped by nobody.
const UNMAPPED: u16 = 1_999;
const PATIENCE: Duration = Duration::from_millis(700);

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let server = tcp_listen(&world.server, at(SERVER, PORT))?;
    let inside = tcp_listen(&world.client1, at(CLIENT1, LOCAL_PORT))?;
    let external = thread::scope(|scope| {
        let server = scope.spawn(|| tell_peers(&server, 1));
        let seen = tcp_connect(&world.client1, at(CLIENT1, LOCAL_PORT), at(SERVER, PORT))
            .and_then(|mut stream| ask_peer(&mut stream));
        join(server)?;
        Ok::<_, Failure>(seen?)
    })
    .during("making a mapping")?;
    ensure_external(external)?;

    let knock = |port| {
        let target = at(*external.ip(), port);
        world.server.run(|| tcp_connect_here(at(SERVER_THIRD, 0), target, PATIENCE))
    };
    match knock(UNMAPPED) {
        Ok(_) => {
            return Err(Failure::new(format!("{}:{UNMAPPED} has no mapping, and answered", external.ip())));
        }
        Err(error) => {
            let refused = error.kind() == io::ErrorKind::ConnectionRefused;
            ensure!(!refused, "a SYN to {}:{UNMAPPED}, which has no mapping, met a RST", external.ip());
        }
    }
    thread::scope(|scope| {
        let inside = scope.spawn(|| tell_peers(&inside, 1));
        let seen = knock(external.port()).and_then(|mut stream| ask_peer(&mut stream));
        let inside = join(inside);
        let seen = seen.during("a third party connects to the mapped port")?;
        inside?;
        ensure!(*seen.ip() == SERVER_THIRD, "the inside host saw {seen} instead of {SERVER_THIRD}");
        Ok(format!("port {UNMAPPED} silent, mapped port {} open to a third party", external.port()))
    })
}
