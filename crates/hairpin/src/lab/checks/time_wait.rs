//! Two kernel clients share four external ports towards one server port, connection after connection
//! (update-01 2.2.1, N3, N4): each re-uses a tuple that is in TIME-WAIT, here or at the server.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::bulk::join;
use super::{Finding, ensure};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{ANY, at, patient, tcp_connect_here, tcp_listen};
use crate::lab::world::{Host, SERVER, World};

const PORT: u16 = 7020;
const PORTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(3);
/// Connections of each client where all but the first few are expected to fail.
const KEPT: usize = 10;

fn settings(reuse: bool) -> String {
    let (time_wait, rewrite) = if reuse { ("rfc6191", true) } else { ("keep", false) };
    format!(
        "[[pool]]\naddresses = [\"192.0.2.16\"]\nports = \"50000-5000{}\"\n[tcp]\ntime_wait = \"{time_wait}\"\n\
         monotonic_rewrite = {rewrite}\npaws = {reuse}\nresend_last_ack = {reuse}\n",
        PORTS - 1
    )
}

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(&settings(true))?;
    let each = workshop.scale.reuses / 2;
    let start = Instant::now();
    let [one, other] = drive(&gateway.world, each)?;
    let rate = (2 * each) as f64 / start.elapsed().as_secs_f64();
    for (client, outcome) in [("client1", &one), ("client2", &other)] {
        let first = outcome.failures.first();
        ensure!(
            outcome.failures.is_empty(),
            "{client}: {} of {each} failed, the first as number {}: {}",
            outcome.failures.len(),
            first.map_or(0, |failure| failure.0),
            first.map_or("", |failure| failure.1.as_str())
        );
    }
    let counters = gateway.counters()?;
    Ok(format!(
        "{} connections of two clients through {PORTS} ports, each its own token back, {rate:.0} a second; numbers \
         of {} shifted; drops: {}",
        2 * each,
        counters.get("sessions_shifted"),
        counters.drops()
    ))
}

pub(super) fn kept(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(&settings(false))?;
    let outcomes = drive(&gateway.world, KEPT)?;
    let answered: usize = outcomes.iter().map(|outcome| outcome.answered).sum();
    let why = outcomes.iter().flat_map(|outcome| &outcome.failures).next().map_or("", |(_, why)| why);
    ensure!(answered <= PORTS, "{answered} connections succeeded through {PORTS} ports in TIME-WAIT");
    ensure!(answered > 0, "not even one connection succeeded: {why}");
    Ok(format!(
        "{answered} of {} connections succeed, then all {PORTS} ports are in TIME-WAIT for 4 minutes: {why}",
        2 * KEPT
    ))
}

/// How a client fared.
#[derive(Debug, Default)]
struct Outcome {
    answered: usize,
    /// Which connections failed, and why.
    failures: Vec<(usize, String)>,
}

/// Both clients at once, each `each` connections in a row.
fn drive(world: &World, each: usize) -> io::Result<[Outcome; 2]> {
    let listener = &tcp_listen(&world.server, at(SERVER, PORT))?;
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let servers: Vec<_> = (0..PORTS).map(|_| scope.spawn(|| serve(listener, done))).collect();
        let one = scope.spawn(|| ask_all(&world.client1, "one", each));
        let other = scope.spawn(|| ask_all(&world.client2, "other", each));
        let outcomes = (join(one), join(other));
        done.store(true, Ordering::Relaxed);
        servers.into_iter().try_for_each(join)?;
        Ok([outcomes.0?, outcomes.1?])
    })
}

/// Sends each connection its own line back, and closes first where the line asks for that.
fn serve(listener: &TcpListener, done: &AtomicBool) -> io::Result<()> {
    // How soon the end is noticed.
    patient(listener, Duration::from_millis(50))?;
    while !done.load(Ordering::Relaxed) {
        match listener.accept() {
            // A connection that breaks is the client's to count.
            Ok((stream, _)) => drop(echo(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    patient(&stream, PATIENCE)?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut line)?;
    stream.write_all(line.as_bytes())?;
    if !line.starts_with("server") {
        // The client closes first, and the TIME-WAIT is its.
        reader.read_to_string(&mut String::new())?;
    }
    Ok(())
}

fn ask_all(host: &Host, name: &str, count: usize) -> io::Result<Outcome> {
    host.run(|| {
        let mut outcome = Outcome::default();
        for number in 0..count {
            match ask(name, number) {
                Ok(()) => outcome.answered += 1,
                Err(error) => outcome.failures.push((number, error.to_string())),
            }
            // Hopeless: a failure costs seconds.
            if outcome.failures.len() > KEPT {
                break;
            }
        }
        Ok(outcome)
    })
}

/// One connection; the two sides take turns in closing first.
fn ask(name: &str, number: usize) -> io::Result<()> {
    let mut stream = tcp_connect_here(ANY, at(SERVER, PORT), PATIENCE)?;
    let first = if number.is_multiple_of(2) { "server" } else { "client" };
    let token = format!("{first} closes, {name} {number}\n");
    stream.write_all(token.as_bytes())?;
    if first == "client" {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer != token {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("sent {token:?}, got {answer:?}")));
    }
    Ok(())
}
