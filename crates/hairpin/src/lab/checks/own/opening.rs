//! Two SYNs that cross, and connections that are aborted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::channel;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{SockaddrIn, bind, connect, setsockopt, sockopt};
use tcp::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{KERNEL, OURS, dial, listen, play};
use crate::lab::checks::{During, Finding, ensure};
use crate::lab::checks::{Failure, Scale};
use crate::lab::sockets::{PATIENCE, at, tcp_socket};
use crate::lab::world::World;

const PORT: u16 = 5_101;
const KERNELS_PORT: u16 = 5_102;

/// Nobody listens. The kernel's SYN lies in the device, and is not looked at before ours has gone out.
pub(in crate::lab::checks) fn simultaneous(world: &World, _: Scale) -> Finding {
    let (send, sent) = channel();
    play(
        world,
        async |stack, begin| {
            begin.now();
            // Waits without giving way to the stack's task: that is the point.
            let waited = sent.recv_timeout(PATIENCE);
            ensure!(waited.is_ok(), "the kernel sent no SYN");
            let (local, remote) = (at(OURS, PORT), at(KERNEL, KERNELS_PORT));
            let mut stream = stack.connect_from(local, remote, Config::default()).await?;
            stream.write_all(b"from ours").await?;
            let mut octets = [0; 11];
            stream.read_exact(&mut octets).await?;
            ensure!(octets == *b"from kernel", "the wrong octets");
            Ok(())
        },
        || {
            let socket = open_without_waiting(world)?;
            // Where nobody waits any more, the other side says why.
            let _ = send.send(());
            fcntl(&socket, FcntlArg::F_SETFL(OFlag::empty())).map_err(io::Error::from)?;
            let mut stream = TcpStream::from(socket);
            wait_writable(&stream)?;
            stream.write_all(b"from kernel")?;
            let mut octets = [0; 9];
            stream.read_exact(&mut octets)?;
            ensure!(octets == *b"from ours", "the wrong octets");
            Ok(())
        },
    )?;
    Ok("two SYNs crossed, no listener, octets both ways".to_owned())
}

fn open_without_waiting(world: &World) -> io::Result<OwnedFd> {
    world.server.run(|| {
        let socket = tcp_socket(PATIENCE)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(at(KERNEL, KERNELS_PORT)))?;
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        match connect(socket.as_raw_fd(), &SockaddrIn::from(at(OURS, PORT))) {
            Err(nix::Error::EINPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
            Ok(()) => Err(io::Error::other("opened before anybody could have answered")),
        }
    })
}

fn wait_writable(stream: &TcpStream) -> Result<(), Failure> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
    let ready = poll(&mut fds, patience).map_err(io::Error::from)?;
    ensure!(ready == 1, "the kernel's side did not open");
    stream.take_error()?.map_or(Ok(()), |error| Err(error.into()))
}

/// Each side resets a connection in the middle, and the other is told so.
pub(in crate::lab::checks) fn abort(world: &World, _: Scale) -> Finding {
    play(
        world,
        async |stack, begin| {
            let mut listener = listen(&stack, PORT)?;
            begin.now();
            let (mut stream, _) = listener.accept().await?;
            stream.read_exact(&mut [0; 2]).await.during("before its abort")?;
            stream.abort();

            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"go").await?;
            let error = stream.read(&mut [0]).await.err().map(|error| error.kind());
            ensure!(error == Some(ErrorKind::ConnectionReset), "the kernel's reset came as {error:?}");
            Ok(())
        },
        || {
            let mut stream = dial(world, PORT)?;
            stream.write_all(b"go")?;
            let error = stream.read(&mut [0]).err().map(|error| error.kind());
            ensure!(error == Some(ErrorKind::ConnectionReset), "our reset came as {error:?}");

            let mut stream = dial(world, PORT)?;
            stream.read_exact(&mut [0; 2])?;
            let linger = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &linger).map_err(io::Error::from)?;
            Ok(())
        },
    )?;
    Ok("a reset from either side is told as one".to_owned())
}
