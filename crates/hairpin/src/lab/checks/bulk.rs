//! Bulk TCP: every octet is compared with what was sent.

use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use super::pattern::Pattern;
use super::{During, Failure, Finding, Scale, ensure_external};
use crate::lab::sockets::{ANY, PATIENCE, at, patient, tcp_connect, tcp_listen, v4};
use crate::lab::world::{SERVER, World};

const PORT: u16 = 5001;

pub(super) fn download(world: &World, scale: Scale) -> Finding {
    transfer(world, scale.bulk, true)
}

pub(super) fn upload(world: &World, scale: Scale) -> Finding {
    transfer(world, scale.bulk, false)
}

fn transfer(world: &World, total: u64, down: bool) -> Finding {
    let pattern = &Pattern::new(total ^ u64::from(down));
    let listener = tcp_listen(&world.server, at(SERVER, PORT))?;
    let start = Instant::now();
    thread::scope(|scope| {
        let server = scope.spawn(|| -> Finding {
            let (stream, peer) = listener.accept().during("the server waits for a connection")?;
            patient(&stream, PATIENCE)?;
            ensure_external(v4(peer)?)?;
            half(pattern, stream, total, down).during("at the server")?;
            Ok(peer.to_string())
        });
        let client = tcp_connect(&world.client1, ANY, at(SERVER, PORT))
            .map_err(Failure::from)
            .and_then(|stream| half(pattern, stream, total, !down).during("at the client"));
        let served = join(server);
        client?;
        let peer = served?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(format!("{} MiB as sent, {:.2} Gbit/s, from {peer}", total >> 20, total as f64 * 8e-9 / seconds))
    })
}

/// One side of the transfer: all out and then the end, or all in up to the end.
fn half(pattern: &Pattern, mut stream: TcpStream, total: u64, sends: bool) -> std::io::Result<()> {
    if sends {
        pattern.send(&mut stream, total)?;
        stream.shutdown(Shutdown::Write)
    } else {
        pattern.receive(&mut stream, total)
    }
}

/// What a thread returned; its panic goes on here.
pub(super) fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
