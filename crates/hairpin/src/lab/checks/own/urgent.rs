//! Urgent data both ways, out of band and in line on the kernel's side and on ours.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use streams::TcpStream as OwnStream;
use tcp::Urgent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{dial, listen, play};
use crate::lab::checks::{During, Failure, Finding, Scale, ensure};
use crate::lab::sockets::PATIENCE;
use crate::lab::world::World;

const PORT: u16 = 5_103;

pub(in crate::lab::checks) fn run(world: &World, _: Scale) -> Finding {
    play(
        world,
        async |stack, begin| {
            let mut listener = listen(&stack, PORT)?;
            begin.now();
            for (kernel_in_line, in_line) in ALL {
                let (mut stream, _) = listener.accept().await?;
                stream.configure(|config| {
                    let own = config.clone();
                    *config = if in_line { own.in_line() } else { own.out_of_band(1) };
                })?;
                let what = describe(kernel_in_line, in_line);
                talk(&mut stream, in_line).await.during(&what)?;
            }
            Ok(())
        },
        || {
            ALL.into_iter().try_for_each(|(kernel_in_line, in_line)| {
                let mut stream = dial(world, PORT)?;
                setsockopt(&stream, sockopt::OobInline, &kernel_in_line).map_err(io::Error::from)?;
                kernel_talk(&mut stream, kernel_in_line).during(&describe(kernel_in_line, in_line))
            })
        },
    )?;
    Ok("the mark in its place both ways, out of band and in line on either side".to_owned())
}

/// The kernel's side is in line, ours is in line.
const ALL: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn describe(kernel_in_line: bool, in_line: bool) -> String {
    let how = |in_line| if in_line { "in line" } else { "out of band" };
    format!("{} at the kernel, {} at ours", how(kernel_in_line), how(in_line))
}

/// Waits for the kernel's go, so that its settings are made; speaks; then listens.
async fn talk(stream: &mut OwnStream, in_line: bool) -> Result<(), Failure> {
    stream.write_all(b"?").await?;
    stream.read_exact(&mut [0]).await?;
    stream.write_all(b"abc").await?;
    ensure!(stream.send_urgent(b"!").await? == 1, "an octet has room");
    stream.write_all(b"xyz").await?;

    let news = stream.urgent_event().await?;
    ensure!(news == Urgent::Entered, "the first news of urgent data was {news:?}");
    let before = if in_line { b"abc!".as_slice() } else { b"abc" };
    let read = read_to_mark(stream, before.len()).await?;
    ensure!(read == before, "before the mark: {:?}", String::from_utf8_lossy(&read));
    if !in_line {
        let octet = await_urgent(stream).await?;
        ensure!(octet == b'!', "the octet out of band is {octet:#04x}");
    }
    let mut after = [0; 3];
    stream.read_exact(&mut after).await?;
    ensure!(after == *b"xyz", "after the mark: {:?}", String::from_utf8_lossy(&after));
    stream.shutdown().await?;
    ensure!(stream.read(&mut [0]).await? == 0, "something came after the last octet");
    Ok(())
}

/// Reads `expected` octets; more at once would mean that the mark is not there.
async fn read_to_mark(stream: &OwnStream, expected: usize) -> Result<Vec<u8>, Failure> {
    let (mut buf, mut have) = ([0; 16], 0);
    while have < expected {
        let read = stream.read_marked(&mut buf[have..]).await?;
        ensure!(read.len > 0, "the connection ended");
        have += read.len;
    }
    Ok(buf[..have].to_vec())
}

/// The octet out of band. Its pointer may have come before it.
async fn await_urgent(stream: &OwnStream) -> Result<u8, Failure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match stream.recv_urgent(false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return Ok(outcome?),
        }
        ensure!(tokio::time::Instant::now() < deadline, "the pointer came, its octet did not");
        tokio::task::yield_now().await;
    }
}

fn kernel_talk(stream: &mut TcpStream, in_line: bool) -> Result<(), Failure> {
    stream.read_exact(&mut [0])?;
    stream.write_all(b"?")?;
    let urgent = poll_once(stream, PollFlags::POLLPRI)?;
    ensure!(urgent, "no urgent pointer arrived");
    let expected = if in_line { (b"abc".as_slice(), b"!xyz".as_slice()) } else { (b"abc".as_slice(), b"xyz".as_slice()) };
    let before = read_some(stream, expected.0.len())?;
    ensure!(before == expected.0, "before the mark: {:?}", String::from_utf8_lossy(&before));
    if !in_line {
        let mut octet = [0];
        poll_once(stream, PollFlags::POLLPRI)?;
        recv(stream.as_raw_fd(), &mut octet, MsgFlags::MSG_OOB).map_err(io::Error::from)?;
        ensure!(octet == *b"!", "the octet out of band is {:#04x}", octet[0]);
    }
    let after = read_some(stream, expected.1.len())?;
    ensure!(after == expected.1, "after the mark: {:?}", String::from_utf8_lossy(&after));

    stream.write_all(b"abc")?;
    send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).map_err(io::Error::from)?;
    stream.write_all(b"xyz")?;
    ensure!(stream.read(&mut [0])? == 0, "something came after the last octet");
    Ok(())
}

fn poll_once(stream: &TcpStream, flags: PollFlags) -> io::Result<bool> {
    let mut fds = [PollFd::new(stream.as_fd(), flags)];
    Ok(poll(&mut fds, PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO))? == 1)
}

/// Exactly `expected` octets, with room for more: a read that goes beyond has missed the mark.
fn read_some(stream: &mut TcpStream, expected: usize) -> Result<Vec<u8>, Failure> {
    let (mut buf, mut have) = ([0; 16], 0);
    while have < expected {
        let len = stream.read(&mut buf[have..])?;
        ensure!(len > 0, "the connection ended");
        have += len;
    }
    Ok(buf[..have].to_vec())
}
