//! A TCP urgent octet both ways, on the telnet port: there no scrubber of any profile clears it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

use super::bulk::join;
use super::{During, Failure, Finding, Scale, ensure};
use crate::lab::sockets::{ANY, PATIENCE, at, patient, tcp_connect, tcp_listen};
use crate::lab::world::{SERVER, World};

const TELNET: u16 = 23;

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let listener = tcp_listen(&world.server, at(SERVER, TELNET))?;
    thread::scope(|scope| {
        let server = scope.spawn(|| -> Result<(), Failure> {
            let (mut stream, _) = listener.accept()?;
            patient(&stream, PATIENCE)?;
            receive(&mut stream).during("at the server")?;
            speak(&mut stream)?;
            // Until the client has read its own.
            stream.read_to_end(&mut Vec::new())?;
            Ok(())
        });
        let client = tcp_connect(&world.client1, ANY, at(SERVER, TELNET)).map_err(Failure::from).and_then(
            |mut stream| {
                speak(&mut stream)?;
                receive(&mut stream).during("at the client")
            },
        );
        let server = join(server);
        client?;
        server?;
        Ok("the octet came out of band and its mark in the right place, both ways".to_owned())
    })
}

/// Three octets, an urgent one, three more.
fn speak(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"abc")?;
    send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB)?;
    stream.write_all(b"xyz")
}

fn receive(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLPRI)];
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
    let ready = poll(&mut fds, patience).map_err(io::Error::from)?;
    ensure!(ready == 1, "no urgent pointer arrived");
    let urgent = receive_urgent(stream)?;
    ensure!(urgent == b'!', "the urgent octet is {urgent:#04x}");
    // The kernel ends a read at the mark, and skips the octet that was read out of band.
    let (before, after) = (read_three(stream)?, read_three(stream)?);
    ensure!(before == *b"abc", "before the mark: {:?}", String::from_utf8_lossy(&before));
    ensure!(after == *b"xyz", "after the mark: {:?}", String::from_utf8_lossy(&after));
    Ok(())
}

/// The octet out of band. The pointer may arrive before it: then the kernel says "not yet".
fn receive_urgent(stream: &TcpStream) -> Result<u8, Failure> {
    let mut octet = [0];
    for _ in 0..100 {
        match recv(stream.as_raw_fd(), &mut octet, MsgFlags::MSG_OOB) {
            Ok(1) => return Ok(octet[0]),
            Ok(_) => return Err(Failure::new("the connection ended before the urgent octet")),
            Err(nix::Error::EAGAIN) => thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    Err(Failure::new("the urgent pointer arrived, its octet did not"))
}

/// One read for each side of the mark: more than three octets at once would mean that it is not there.
fn read_three(stream: &mut TcpStream) -> Result<[u8; 3], Failure> {
    let (mut octets, mut have) = ([0; 16], 0);
    while have < 3 {
        let len = stream.read(&mut octets[have..])?;
        ensure!(len > 0, "the connection ended");
        have += len;
    }
    ensure!(have == 3, "the mark is not where it was set: one read gave {have} octets");
    Ok([octets[0], octets[1], octets[2]])
}
