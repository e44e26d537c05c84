//! The kernel's side: a TUN device that the client's packets are put into, and a socket behind it.
//!
//! `unsafe` is here for one `ioctl` with a pointer to an `int`, as `linux/sockios.h` asks for.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use hairpin::host::link::Link;
use hairpin::net::sysctl;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use tun::vnet;
use wire::SeqNumber;

use super::client::{CLIENT, Client, HOST, PORT, Packet, tcp};
use super::{Host, Seen};

/// How long the kernel may take for an answer, in milliseconds.
const PATIENCE: u16 = 5_000;

/// `SIOCATMARK` of `asm/sockios.h`; libc has it for some targets only.
const SIOCATMARK: libc::c_int = 0x8905;

nix::ioctl_read_bad!(at_mark, SIOCATMARK, libc::c_int);

/// The device: what is put into it, and what comes out of it, is written down.
struct Wire {
    queue: File,
    seen: RefCell<Vec<Packet>>,
}

/// The device and the listener behind it.
pub(crate) struct Machine {
    wire: Wire,
    listener: TcpListener,
    next_port: u16,
}

impl Machine {
    pub(crate) fn new() -> Self {
        // Else it would answer only one segment left of the window in half a second.
        sysctl::set("net/ipv4/tcp_invalid_ratelimit", "0").expect("the setting is there");
        let link = Link { name: "urgent", kernel: HOST, prefix: 24, mtu: 1_500 };
        let queue = link.create(false).expect("a TUN device");
        let listener = TcpListener::bind(SocketAddrV4::new(HOST, PORT)).expect("a listener");
        listener.set_nonblocking(true).expect("a socket");
        let wire = Wire { queue, seen: RefCell::default() };
        Self { wire, listener, next_port: 1_024 }
    }

    /// Every packet since the last call, in order: a capture of the device, but for what others sent.
    pub(crate) fn capture(&mut self) -> Vec<Packet> {
        self.wire.seen.take()
    }

    pub(crate) fn connect(&mut self, start: SeqNumber, in_line: bool) -> (Client, Kernel<'_>) {
        let mut client = Client::new(self.next_port, start);
        self.next_port += 1;
        self.wire.put(&client.syn());
        // The reset of the connection before may come only now.
        let to_this =
            |answer: &Packet| tcp(answer).is_some_and(|tcp| tcp.destination_port() == client.port());
        let answer = std::iter::from_fn(|| self.wire.next()).find(to_this).expect("the answer to a SYN");
        self.wire.put(&client.open(&answer));
        let stream = accept(&self.listener);
        stream.set_nonblocking(true).expect("a socket");
        setsockopt(&stream, sockopt::OobInline, &in_line).expect("SO_OOBINLINE");
        // Closing is a reset: nothing of this connection is left for the next.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &linger).expect("SO_LINGER");
        let port = client.port();
        (client, Kernel { wire: &self.wire, port, stream: Some(stream) })
    }
}

/// An open connection of the kernel's.
pub(crate) struct Kernel<'a> {
    wire: &'a Wire,
    /// The client's.
    port: u16,
    stream: Option<TcpStream>,
}

impl Kernel<'_> {
    /// A packet that is in the capture, and is lost behind the place where that was made.
    pub(crate) fn lose(&self, packet: &Packet) {
        self.wire.seen.borrow_mut().push(packet.clone());
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("it is open")
    }
}

impl Drop for Kernel<'_> {
    fn drop(&mut self) {
        self.stream = None;
        // Its reset, and what else was not looked at.
        while self.wire.take().is_some() {}
    }
}

impl Host for Kernel<'_> {
    fn arrive(&mut self, packet: &Packet) {
        self.wire.put(packet);
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        // The reset of the connection before may come only now: the device's queue may have been another processor's.
        let is_own = |packet: &Packet| tcp(packet).is_some_and(|tcp| tcp.destination_port() == self.port);
        let first = std::iter::from_fn(|| self.wire.next()).find(is_own);
        first.into_iter().chain(std::iter::from_fn(|| self.wire.take()).filter(is_own)).collect()
    }

    fn at_mark(&mut self) -> bool {
        let mut answer = 0;
        // SAFETY: an open socket and a pointer to an `int` that outlives the call.
        unsafe { at_mark(self.stream().as_raw_fd(), &raw mut answer) }.expect("SIOCATMARK");
        answer != 0
    }

    fn read(&mut self, most: usize) -> Option<Seen> {
        let mut buf = vec![0; most.min(100_000)];
        match self.stream().read(&mut buf) {
            Ok(0) => Some(Seen::End),
            Ok(len) => Some(Seen::Read(buf[..len].to_vec())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn read_out_of_band(&mut self) -> Seen {
        let mut octet = [0];
        match recv(self.stream().as_raw_fd(), &mut octet, MsgFlags::MSG_OOB) {
            Ok(0) | Err(nix::Error::EINVAL) => Seen::NoOutOfBand,
            Ok(_) => Seen::OutOfBand(octet[0]),
            Err(nix::Error::EAGAIN) => Seen::OutOfBandNotYet,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Wire {
    fn put(&self, packet: &[u8]) {
        self.seen.borrow_mut().push(packet.to_vec());
        // No flag: the checksum is complete, and the kernel verifies it.
        let mut frame = vec![0; vnet::LENGTH];
        frame.extend(packet);
        assert_eq!((&self.queue).write(&frame).expect("the device is up"), frame.len());
    }

    /// The next TCP packet to the client that is there already.
    fn take(&self) -> Option<Packet> {
        let mut frame = vec![0; 65_536 + vnet::LENGTH];
        loop {
            match (&self.queue).read(&mut frame) {
                Ok(len) => {
                    let packet = frame.get(vnet::LENGTH..len).unwrap_or_default();
                    if tcp(packet).is_some() && packet.get(16..20) == Some(&CLIENT.octets()) {
                        self.seen.borrow_mut().push(packet.to_vec());
                        return Some(packet.to_vec());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The same, waiting for it.
    fn next(&self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.take() {
                return Some(packet);
            }
            let mut fds = [PollFd::new(self.queue.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(PATIENCE)).expect("poll") == 0 {
                return None;
            }
        }
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                assert_eq!(poll(&mut fds, PollTimeout::from(PATIENCE)).expect("poll"), 1, "it opens");
            }
            Err(error) => panic!("{error}"),
        }
    }
}
