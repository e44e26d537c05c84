//! Kernel sockets in the hosts of a [`World`](super::world::World), none of which waits for ever.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, bind, connect, listen,
    recvfrom, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::world::Host;

/// How long a socket waits before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Any port of any address.
pub const ANY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// `address` and `port` as one value.
pub const fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

/// A listener; its `accept` gives up after [`PATIENCE`].
///
/// # Errors
/// The system's, with the address.
pub fn tcp_listen(host: &Host, local: SocketAddrV4) -> io::Result<TcpListener> {
    host.run(|| {
        let socket = tcp_socket(PATIENCE)?;
        bind(socket.as_raw_fd(), &SockaddrIn::from(local))?;
        listen(&socket, Backlog::MAXCONN)?;
        Ok(TcpListener::from(socket))
    })
    .map_err(|error| tried(&format!("listening on {local}"), error))
}

/// A connection from `local`, which other sockets may be using too.
///
/// # Errors
/// `TimedOut` after [`PATIENCE`] without an answer, otherwise the system's.
pub fn tcp_connect(host: &Host, local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<TcpStream> {
    host.run(|| tcp_connect_here(local, remote, PATIENCE))
}

/// As [`tcp_connect`], in the calling thread's namespace and with another patience.
///
/// # Errors
/// See [`tcp_connect`].
pub fn tcp_connect_here(
    local: SocketAddrV4,
    remote: SocketAddrV4,
    patience: Duration,
) -> io::Result<TcpStream> {
    let socket = tcp_socket(patience)?;
    if local != ANY {
        bind(socket.as_raw_fd(), &SockaddrIn::from(local))?;
    }
    let error = |error: nix::Error| match error {
        // The send timeout is the connect timeout, told in this way.
        nix::Error::EINPROGRESS => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {remote}"))
        }
        error => tried(&format!("connecting to {remote}"), error.into()),
    };
    connect(socket.as_raw_fd(), &SockaddrIn::from(remote)).map_err(error)?;
    Ok(TcpStream::from(socket))
}

/// A TCP socket whose local endpoint may be shared with a listener.
///
/// # Errors
/// The system's.
pub fn tcp_socket(patience: Duration) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::ReusePort, &true)?;
    patient(&socket, patience)?;
    Ok(socket)
}

/// A UDP socket.
///
/// # Errors
/// The system's, with the address.
pub fn udp(host: &Host, local: SocketAddrV4) -> io::Result<UdpSocket> {
    host.run(|| {
        let socket = UdpSocket::bind(local)?;
        patient(&socket, PATIENCE)?;
        Ok(socket)
    })
    .map_err(|error| tried(&format!("binding UDP {local}"), error))
}

/// Gives a socket's blocking calls, `accept` and `connect` included, a limit.
///
/// # Errors
/// The system's.
pub fn patient(socket: &impl AsFd, patience: Duration) -> io::Result<()> {
    let limit = TimeVal::new(patience.as_secs().cast_signed(), patience.subsec_micros().into());
    setsockopt(socket, sockopt::ReceiveTimeout, &limit)?;
    setsockopt(socket, sockopt::SendTimeout, &limit)?;
    Ok(())
}

/// The IPv4 endpoint of a socket address.
///
/// # Errors
/// `InvalidData` for IPv6, which these sockets never meet.
pub fn v4(address: SocketAddr) -> io::Result<SocketAddrV4> {
    match address {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "an IPv6 address")),
    }
}

/// Answers each connection's first line with the endpoint that the peer is seen as, as often as
/// `count`; a STUN of one line.
///
/// # Errors
/// The system's.
pub fn tell_peers(listener: &TcpListener, count: usize) -> io::Result<()> {
    for _ in 0..count {
        let (mut stream, peer) = listener.accept()?;
        patient(&stream, PATIENCE)?;
        writeln!(stream, "{peer}")?;
    }
    Ok(())
}

/// What [`tell_peers`] says at the other end of `stream`.
///
/// # Errors
/// The system's; `InvalidData` for anything but an endpoint.
pub fn ask_peer(stream: &mut TcpStream) -> io::Result<SocketAddrV4> {
    let mut line = String::new();
    stream.read_to_string(&mut line)?;
    parse_endpoint(line.trim_end())
}

/// An endpoint that somebody wrote as text.
///
/// # Errors
/// `InvalidData` with the text.
pub fn parse_endpoint(text: &str) -> io::Result<SocketAddrV4> {
    text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("\"{text}\" is no endpoint")))
}

/// The time that is left until `deadline`, or the error that there is none.
///
/// # Errors
/// `TimedOut`.
pub fn left(deadline: Instant, waiting_for: &str) -> io::Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, format!("no {waiting_for}")))
}

/// A raw socket: what it receives begins with the IP header.
#[derive(Debug)]
pub struct RawSocket(OwnedFd);

impl RawSocket {
    /// One that receives every ICMP message to `host`, and sends ICMP messages.
    ///
    /// # Errors
    /// The system's.
    pub fn icmp(host: &Host) -> io::Result<Self> {
        Self::open(host, SockProtocol::Icmp)
    }

    /// One that receives every TCP segment to `host`, beside the kernel's TCP.
    ///
    /// # Errors
    /// The system's.
    pub fn tcp(host: &Host) -> io::Result<Self> {
        Self::open(host, SockProtocol::Tcp)
    }

    /// One that receives every UDP datagram to `host`, beside the kernel's UDP.
    ///
    /// # Errors
    /// The system's.
    pub fn udp(host: &Host) -> io::Result<Self> {
        Self::open(host, SockProtocol::Udp)
    }

    /// One that sends packets with the IP header that they are given.
    ///
    /// # Errors
    /// The system's.
    pub fn with_header(host: &Host) -> io::Result<Self> {
        Self::open(host, SockProtocol::Raw)
    }

    fn open(host: &Host, protocol: SockProtocol) -> io::Result<Self> {
        let open = || Ok(socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?);
        let socket = host.run(open).map_err(|error| tried("opening a raw socket", error))?;
        patient(&socket, PATIENCE)?;
        Ok(Self(socket))
    }

    /// Sends `message` to `destination`.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&self, message: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        sendto(self.0.as_raw_fd(), message, &SockaddrIn::from(at(destination, 0)), MsgFlags::empty())?;
        Ok(())
    }

    /// The next packet, IP header first.
    ///
    /// # Errors
    /// `TimedOut` at `deadline`.
    pub fn receive(&self, deadline: Instant, waiting_for: &str) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        loop {
            patient(&self.0, left(deadline, waiting_for)?.max(Duration::from_millis(1)))?;
            match recvfrom::<SockaddrIn>(self.0.as_raw_fd(), &mut buffer) {
                Ok((len, _)) => {
                    buffer.truncate(len);
                    return Ok(buffer);
                }
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn tried(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
