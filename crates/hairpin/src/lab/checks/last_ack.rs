//! A FIN that comes again after the gateway has forgotten its session (update-01 2.2.1.3, N6).

use std::io::Read;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use super::tcp_segment::{ACK, FIN, Segment, receive, receive_all};
use super::{During, Finding, ensure};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{RawSocket, at, tcp_connect, tcp_listen};
use crate::lab::world::{CLIENT1, SERVER};

const PORT: u16 = 7021;
const LOCAL_PORT: u16 = 41_021;
const SETTINGS: &str = "[[pool]]\naddresses = [\"192.0.2.16\"]\n[tcp]\ntime_wait = \"rfc6191\"\n\
                        time_wait_timeout = \"2s\"\nresend_last_ack = true\n";
/// After this the session is gone; its end is remembered as long again.
const GONE: Duration = Duration::from_millis(2_800);

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(SETTINGS)?;
    let world = &gateway.world;
    let at_server = RawSocket::tcp(&world.server)?;
    let listener = tcp_listen(&world.server, at(SERVER, PORT))?;
    let mut client = tcp_connect(&world.client1, at(CLIENT1, LOCAL_PORT), at(SERVER, PORT))?;
    let (mut server, _) = listener.accept()?;
    // The client closes first and is in TIME-WAIT; of the server's socket nothing is left.
    client.shutdown(Shutdown::Write)?;
    server.read_to_string(&mut String::new())?;
    drop(server);
    client.read_to_string(&mut String::new())?;
    drop(client);
    let ours = |segment: &Segment| segment.destination == at(SERVER, PORT);
    let seen = receive_all(&at_server, GONE, ours);
    let last = *seen.last().ok_or_else(|| super::Failure::new("the server saw nothing of the client"))?;
    ensure!(last.flags & ACK != 0, "the client's last segment was {last:?}");

    let at_client = RawSocket::tcp(&world.client1)?;
    let again = Segment {
        source: last.destination,
        destination: last.source,
        seq: last.ack.wrapping_sub(1),
        ack: last.seq,
        flags: FIN | ACK,
        len: 0,
    };
    RawSocket::with_header(&world.server)?.send(&again.packet(), *last.source.ip())?;
    let answer = receive(&at_server, "answer to a FIN that came again", ours)
        .during("after the session had gone the FIN came again")?;
    ensure!(
        (answer.flags, answer.seq, answer.ack) == (ACK, last.seq, last.ack),
        "the last ACK was {last:?}, the answer {answer:?}"
    );
    thread::sleep(Duration::from_millis(100));
    let reached = receive_all(&at_client, Duration::from_millis(100), |segment| segment.flags & FIN != 0);
    ensure!(reached.is_empty(), "the FIN reached the client: {reached:?}");
    Ok(format!("the gateway itself answered with the last ACK, {} of {}", answer.ack, last.source))
}
