//! TCP half-close from each side (RFC 7857 2: one FIN alone ends nothing).

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::bulk::join;
use super::pattern::Pattern;
use super::{During, Failure, Finding, Scale};
use crate::lab::sockets::{ANY, PATIENCE, at, patient, tcp_connect, tcp_listen};
use crate::lab::world::{SERVER, World};

const PORT: u16 = 5002;
const OCTETS: u64 = 1 << 20;

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let pattern = &Pattern::new(0x5afe);
    let listener = tcp_listen(&world.server, at(SERVER, PORT))?;
    for client_closes_first in [true, false] {
        let first = if client_closes_first { "client closes first" } else { "server closes first" };
        thread::scope(|scope| -> Result<(), Failure> {
            let server = scope.spawn(|| -> Result<(), Failure> {
                let (stream, _) = listener.accept()?;
                patient(&stream, PATIENCE)?;
                side(pattern, stream, !client_closes_first)
            });
            let client = tcp_connect(&world.client1, ANY, at(SERVER, PORT))
                .map_err(Failure::from)
                .and_then(|stream| side(pattern, stream, client_closes_first));
            let server = join(server);
            client.during(first)?;
            server.during(first)
        })?;
    }
    Ok("1 MiB arrived after the FIN of the other side, each way".to_owned())
}

/// Closes first and then receives, or waits for the other's end and then sends.
fn side(pattern: &Pattern, mut stream: TcpStream, closes_first: bool) -> Result<(), Failure> {
    if closes_first {
        stream.shutdown(Shutdown::Write)?;
        return pattern.receive(&mut stream, OCTETS).during("after its own FIN");
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).during("waiting for the FIN")?;
    pattern.send(&mut stream, OCTETS).during("sending after the other's FIN")?;
    Ok(())
}
