//! Many short connections: connect, ask, be answered, close.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::bulk::join;
use super::{Finding, Scale, ensure, ensure_external};
use crate::lab::sockets::{ANY, at, parse_endpoint, patient, tcp_connect_here, tcp_listen, v4};
use crate::lab::world::{Host, SERVER, World};

const PORT: u16 = 8080;
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections each client has open at one time.
const WORKERS: usize = 2;
/// A worker that failed this often in a row sees no point in going on.
const HOPELESS: usize = 2;

pub(super) fn run(world: &World, scale: Scale) -> Finding {
    let listener = &tcp_listen(&world.server, at(SERVER, PORT))?;
    let (done, failed) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let each = scale.connections / (2 * WORKERS);
    let start = Instant::now();
    let seen = thread::scope(|scope| -> io::Result<Vec<SocketAddrV4>> {
        let servers: Vec<_> = (0..2 * WORKERS).map(|_| scope.spawn(|| serve(listener, done))).collect();
        let clients: Vec<_> = (0..2 * WORKERS)
            .map(|worker| {
                let host = if worker < WORKERS { &world.client1 } else { &world.client2 };
                scope.spawn(move || ask_all(host, worker * each..(worker + 1) * each, failed))
            })
            .collect();
        let seen = clients.into_iter().map(join).collect::<io::Result<Vec<_>>>();
        done.store(true, Ordering::Relaxed);
        servers.into_iter().try_for_each(join)?;
        Ok(seen?.concat())
    })?;
    let (failed, wanted) = (failed.load(Ordering::Relaxed), each * 2 * WORKERS);
    ensure!(seen.len() == wanted, "{} of {wanted} answered, {failed} failed", seen.len());
    for &endpoint in &seen {
        ensure_external(endpoint)?;
    }
    let rate = wanted as f64 / start.elapsed().as_secs_f64();
    Ok(format!("{wanted} of {wanted} answered, {rate:.0} a second"))
}

/// Answers until `done`.
fn serve(listener: &TcpListener, done: &AtomicBool) -> io::Result<()> {
    // How soon the end is noticed.
    patient(listener, Duration::from_millis(50))?;
    while !done.load(Ordering::Relaxed) {
        match listener.accept() {
            // One connection that breaks is the client's to count.
            Ok((stream, peer)) => drop(answer(stream, v4(peer)?)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn answer(mut stream: std::net::TcpStream, peer: SocketAddrV4) -> io::Result<()> {
    patient(&stream, PATIENCE)?;
    let mut request = String::new();
    stream.read_to_string(&mut request)?;
    write!(stream, "{request} {peer}")
}

/// Asks once for each number, and returns the endpoints that the server saw.
fn ask_all(
    host: &Host,
    numbers: std::ops::Range<usize>,
    failed: &AtomicUsize,
) -> io::Result<Vec<SocketAddrV4>> {
    host.run(|| {
        let (mut seen, mut in_a_row) = (Vec::new(), 0);
        for number in numbers {
            match ask(number) {
                Ok(endpoint) => {
                    in_a_row = 0;
                    seen.push(endpoint);
                }
                Err(_) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    in_a_row += 1;
                    if in_a_row == HOPELESS {
                        break;
                    }
                }
            }
        }
        Ok(seen)
    })
}

fn ask(number: usize) -> io::Result<SocketAddrV4> {
    let mut stream = tcp_connect_here(ANY, at(SERVER, PORT), PATIENCE)?;
    let request = format!("request-{number}");
    stream.write_all(request.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once(' ') {
        Some((echo, endpoint)) if echo == request => parse_endpoint(endpoint),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is to another request")),
    }
}
