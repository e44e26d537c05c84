//! RSTs of an attacker who is not on the path (RFC 7857 2.2, RFC 5961 9, N7), against a connection of two
//! kernels: what becomes of it, the two decide.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::tcp_segment::{ACK, RST, Segment, receive_all};
use super::{During, Failure, Finding, ensure, ensure_external};
use crate::lab::gateway::{Gateway, Workshop};
use crate::lab::sockets::{PATIENCE, RawSocket, at, patient, tcp_connect, tcp_listen};
use crate::lab::world::{CLIENT1, SERVER};
use crate::net::sysctl;

const PORT: u16 = 7022;
const LOCAL_PORT: u16 = 41_022;
/// The daemon writes its counters once a second.
const COUNTED: Duration = Duration::from_millis(1_300);

pub(super) fn hold(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(&settings("hold"))?;
    let mut pair = Pair::connect(&gateway)?;
    let survived = pair.survive_inexact()?;
    pair.exact()?;
    // The session is still there: what the server sends arrives, and the client's kernel answers it.
    pair.server.write_all(b"are you there?")?;
    let error = read_error(&mut pair.server).during("the server after the exact RST")?;
    ensure!(error == io::ErrorKind::ConnectionReset, "the server was told {error} instead of a reset");
    Ok(format!("{survived}; an exact one ended it at the client, whose own RST then told the server"))
}

pub(super) fn delete(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(&settings("delete"))?;
    let mut pair = Pair::connect(&gateway)?;
    let survived = pair.survive_inexact()?;
    thread::sleep(COUNTED);
    let before = gateway.counters_so_far()?.get("sessions");
    ensure!(before == 1, "{before} sessions instead of 1 after RSTs that were not exact");
    pair.exact()?;
    thread::sleep(COUNTED);
    let after = gateway.counters_so_far()?.get("sessions");
    ensure!(after == 0, "{after} sessions after the exact RST");
    Ok(format!("{survived}; an exact one ended it at the client, and the session at once"))
}

fn settings(rst: &str) -> String {
    format!("[[pool]]\naddresses = [\"192.0.2.16\"]\n[tcp]\nrst = \"{rst}\"\n")
}

/// A connection, and somebody who knows its numbers.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    at_server: RawSocket,
    attacker: RawSocket,
}

impl Pair {
    fn connect(gateway: &Gateway) -> Result<Self, Failure> {
        let world = &gateway.world;
        // The forged packets have the server's own address as their source, and pass it as a router.
        world.server.run(|| sysctl::set("net/ipv4/conf/all/accept_local", "1"))?;
        let at_server = RawSocket::tcp(&world.server)?;
        let attacker = RawSocket::with_header(&world.far)?;
        let listener = tcp_listen(&world.server, at(SERVER, PORT))?;
        let client = tcp_connect(&world.client1, at(CLIENT1, LOCAL_PORT), at(SERVER, PORT))?;
        let (server, _) = listener.accept()?;
        for stream in [&client, &server] {
            patient(stream, PATIENCE)?;
        }
        Ok(Self { client, server, at_server, attacker })
    }

    /// A round trip; what the server's host last saw of the client, which tells all numbers.
    fn round(&mut self) -> Result<Segment, Failure> {
        let mut buffer = [0; 5];
        self.client.write_all(b"still")?;
        self.server.read_exact(&mut buffer).during("at the server")?;
        self.server.write_all(b"alive")?;
        self.client.read_exact(&mut buffer).during("at the client")?;
        ensure!(&buffer == b"alive", "the client got {buffer:?}");
        let ours = |segment: &Segment| segment.destination == at(SERVER, PORT) && segment.flags & ACK != 0;
        let mut seen = receive_all(&self.at_server, Duration::from_millis(150), ours);
        let last = seen.pop().ok_or_else(|| Failure::new("the server saw no segment"))?;
        ensure_external(last.source)?;
        Ok(Segment { seq: last.seq.wrapping_add(last.len as u32), ..last })
    }

    /// A RST as if from the server, `off` above what the client expects next.
    fn forge(&mut self, off: u32) -> Result<(), Failure> {
        let last = self.round().during("before a RST")?;
        let forged = Segment {
            source: last.destination,
            destination: last.source,
            seq: last.ack.wrapping_add(off),
            ack: 0,
            flags: RST,
            len: 0,
        };
        Ok(self.attacker.send(&forged.packet(), *last.source.ip())?)
    }

    /// RSTs that no endpoint accepts: in the window but not at its edge, outside, and half a circle away.
    fn survive_inexact(&mut self) -> Result<String, Failure> {
        for off in [1, 1_000, 0_u32.wrapping_sub(1), 0_u32.wrapping_sub(100_000), 1 << 30, 1 << 31] {
            self.forge(off)?;
            self.round().during(&format!("after a RST {} off", off.cast_signed()))?;
        }
        Ok("6 RSTs in and out of the window changed nothing".to_owned())
    }

    /// The one that the client accepts.
    fn exact(&mut self) -> Result<(), Failure> {
        self.forge(0)?;
        let error = read_error(&mut self.client).during("the client after the exact RST")?;
        ensure!(error == io::ErrorKind::ConnectionReset, "the client was told {error} instead of a reset");
        Ok(())
    }
}

/// The error that the next read ends with.
fn read_error(stream: &mut TcpStream) -> Result<io::ErrorKind, Failure> {
    match stream.read(&mut [0; 16]) {
        Ok(len) => Err(Failure::new(format!("read {len} octets instead of an error"))),
        Err(error) => Ok(error.kind()),
    }
}
