//! TCP simultaneous open (RFC 5382 REQ-2) between two kernels.
//!
//! For the SYNs to cross for certain, the server has no route back while the client's first SYN
//! arrives: its RST gets lost, and the client stays in SYN-SENT. Then the server opens from its side.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrIn, bind, connect, getsockopt, sockopt};

use super::bulk::join;
use super::{During, Failure, Finding, Scale, ensure, ensure_external};
use crate::lab::sockets::{
    PATIENCE, RawSocket, ask_peer, at, left, patient, tcp_connect, tcp_listen, tcp_socket, tell_peers,
};
use crate::lab::world::{CLIENT1, SERVER, SERVER_SECOND, World};

const LOCAL_PORT: u16 = 41_002;
const REMOTE_PORT: u16 = 7002;

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let external = learn_external(world).during("learning the external endpoint")?;
    ensure_external(external)?;
    let pool = world.server.netlink();
    pool.delete_route(&world.pool_route())?;
    let opened = open_unanswered(world);
    // Back in any case: the checks after this one need it.
    pool.add_route(&world.pool_route())?;
    let client = opened?;

    let server = world.server.run(|| {
        let socket = tcp_socket(PATIENCE)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(at(SERVER, REMOTE_PORT)))?;
        connect(socket.as_raw_fd(), &SockaddrIn::from(external)).map_err(|error| match error {
            nix::Error::EINPROGRESS => {
                io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {external}"))
            }
            error => error.into(),
        })?;
        Ok(TcpStream::from(socket))
    })?;
    wait_connected(&client).during("the client's side")?;
    fcntl(&client, FcntlArg::F_SETFL(OFlag::empty())).map_err(io::Error::from)?;
    exchange(TcpStream::from(client), server)?;
    Ok(format!("{external} and {SERVER}:{REMOTE_PORT} opened to one another, no listener"))
}

/// The external endpoint of the client's port, from another server: mapping is endpoint-independent.
fn learn_external(world: &World) -> Result<SocketAddrV4, Failure> {
    let remote = at(SERVER_SECOND, REMOTE_PORT);
    let listener = tcp_listen(&world.server, remote)?;
    thread::scope(|scope| {
        let server = scope.spawn(|| tell_peers(&listener, 1));
        let seen = tcp_connect(&world.client1, at(CLIENT1, LOCAL_PORT), remote)
            .and_then(|mut stream| ask_peer(&mut stream));
        join(server)?;
        Ok(seen?)
    })
}

/// The client's SYN is at the server, which could not answer it.
fn open_unanswered(world: &World) -> Result<OwnedFd, Failure> {
    let watch = RawSocket::tcp(&world.server)?;
    let client = world.client1.run(|| {
        let socket = tcp_socket(PATIENCE)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(at(CLIENT1, LOCAL_PORT)))?;
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        match connect(socket.as_raw_fd(), &SockaddrIn::from(at(SERVER, REMOTE_PORT))) {
            Err(nix::Error::EINPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
            Ok(()) => Err(io::Error::other("connected to a port without a listener")),
        }
    })?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let packet = watch.receive(deadline, "SYN at the server")?;
        let header = usize::from(packet[0] & 15) * 4;
        if packet.get(header + 2..header + 4) == Some(&REMOTE_PORT.to_be_bytes()[..]) {
            return Ok(client);
        }
    }
}

fn wait_connected(socket: &OwnedFd) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(left(deadline, "answer")?.max(Duration::from_millis(1)));
    let ready = poll(&mut fds, timeout.unwrap_or(PollTimeout::ZERO)).map_err(io::Error::from)?;
    ensure!(ready == 1, "no connection in time");
    let error = getsockopt(socket, sockopt::SocketError).map_err(io::Error::from)?;
    ensure!(error == 0, "{}", io::Error::from_raw_os_error(error));
    Ok(())
}

/// A line each way.
fn exchange(mut client: TcpStream, mut server: TcpStream) -> Result<(), Failure> {
    for socket in [&client, &server] {
        patient(socket, PATIENCE)?;
    }
    let (mut at_server, mut at_client) = (String::new(), String::new());
    client.write_all(b"from inside")?;
    client.shutdown(Shutdown::Write)?;
    server.read_to_string(&mut at_server).during("at the server")?;
    server.write_all(b"from outside")?;
    server.shutdown(Shutdown::Write)?;
    client.read_to_string(&mut at_client).during("at the client")?;
    ensure!(at_server == "from inside", "the server read \"{at_server}\"");
    ensure!(at_client == "from outside", "the client read \"{at_client}\"");
    Ok(())
}
