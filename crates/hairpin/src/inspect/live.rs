//! An interface in place of a capture: a packet socket, until a signal, a time or a number of packets ends it.
//!
//! `unsafe` is here for the address of a packet socket, which `nix` cannot make, and for its counters, which `nix` does
//! not have.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lens::Lens;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockType, SockaddrLike as _, bind, recvfrom, setsockopt, socket,
    sockopt,
};
use rules::Instant;

use super::Args;
use super::sink::Sink;

/// Larger than any packet that the kernel puts together of segments.
const PACKET: usize = 256 << 10;
/// What may wait in the socket.
const BUFFER: usize = 16 << 20;
/// Packets that are taken before the signals are looked at; and, once it is over, of what had arrived before.
const BATCH: usize = 1_024;
const LEFT: usize = 1 << 16;

/// Listens.
///
/// # Errors
/// There is no such interface, or it takes more rights.
pub(super) fn run(args: &Args, interface: &str) -> miette::Result<ExitCode> {
    let tap = Tap::open(interface)?;
    let signals = signals().into_diagnostic().wrap_err("setting up signals")?;
    let end =
        args.seconds.map(|seconds| std::time::Instant::now() + Duration::from_secs(seconds.min(1 << 30)));
    eprintln!("listening on {interface}; ^C ends it");
    let mut lens = args.lens()?;
    let mut sink = Sink::new(args, Path::new(interface), 0, |text| crate::cli::print(&text))?;
    let mut ear =
        Ear { tap: &tap, lens: &mut lens, sink: &mut sink, seen: 0, most: args.count, buf: vec![0; PACKET] };
    loop {
        let more = ear.listen(BATCH)?;
        let over = end.is_some_and(|end| std::time::Instant::now() >= end) || ear.is_full();
        if over || matches!(signals.read_signal(), Ok(Some(_))) {
            // What came before the end, and lies in the socket.
            ear.listen(LEFT)?;
            break;
        }
        if !more {
            wait(&tap, &signals, end).into_diagnostic().wrap_err("waiting for packets")?;
        }
    }
    sink.finish(&mut lens, true)?;
    let lost = tap.lost();
    if lost > 0 {
        eprintln!("{lost} packets were lost before they were looked at: the machine is too slow for them");
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes packets to the lens and reports to the sink.
struct Ear<'a, 'b> {
    tap: &'a Tap,
    lens: &'a mut Lens,
    sink: &'a mut Sink<'b>,
    seen: u64,
    most: Option<u64>,
    buf: Vec<u8>,
}

impl Ear<'_, '_> {
    fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.seen >= most)
    }

    /// At most `most` packets; whether there may be more.
    fn listen(&mut self, most: usize) -> miette::Result<bool> {
        for _ in 0..most {
            if self.is_full() {
                return Ok(false);
            }
            let heard = self.tap.take(&mut self.buf).into_diagnostic().wrap_err("listening")?;
            let Some(heard) = heard else { return Ok(false) };
            let Heard::Packet(len) = heard else { continue };
            self.seen += 1;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Instant::from_nanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
            self.lens.see(self.seen, at, self.buf.get(..len).unwrap_or_default());
            while let Some(report) = self.lens.poll_report() {
                self.sink.flow(&report)?;
            }
        }
        Ok(true)
    }
}

/// Until there is a packet or a signal, or it is over.
fn wait(tap: &Tap, signals: &SignalFd, end: Option<std::time::Instant>) -> io::Result<()> {
    let mut descriptors =
        [PollFd::new(tap.socket.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()).as_millis() as u64 + 1);
    let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::from(left.min(60_000) as u16));
    match poll(&mut descriptors, timeout) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

/// A packet socket.
struct Tap {
    socket: OwnedFd,
}

/// What was taken from it.
enum Heard {
    /// An IPv4 packet of so many octets.
    Packet(usize),
    /// Something else.
    Other,
}

impl Tap {
    fn open(interface: &str) -> miette::Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)
            .map_err(|error| miette!(help = "`ip link` lists them", "no interface {interface}: {error}"))?;
        let rights = "listening takes CAP_NET_RAW: run it as root, or give it a capture of tcpdump's";
        // Without the link's header, and deaf until it is bound: else it would hear every interface.
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, None)
            .map_err(|error| miette!(help = rights, "listening on {interface}: {error}"))?;
        // Beyond the system's bound where that is allowed.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
        }
        let address = address(index).ok_or_else(|| miette!("{interface}: it has no address of its kind"))?;
        bind(socket.as_raw_fd(), &address)
            .map_err(|error| miette!(help = rights, "listening on {interface}: {error}"))?;
        Ok(Self { socket })
    }

    /// The next thing heard; `None`: there is nothing at this moment.
    fn take(&self, buf: &mut [u8]) -> io::Result<Option<Heard>> {
        match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), buf) {
            Ok((len, Some(from))) => {
                let ours = from.protocol() == (libc::ETH_P_IP as u16).to_be();
                // A loopback shows every packet twice: as it leaves and as it arrives.
                let twice = from.hatype() == libc::ARPHRD_LOOPBACK && from.pkttype() == libc::PACKET_OUTGOING;
                Ok(Some(if ours && !twice { Heard::Packet(len) } else { Heard::Other }))
            }
            Ok((_, None)) | Err(nix::Error::EINTR) => Ok(Some(Heard::Other)),
            Err(nix::Error::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Packets that the socket had no room for.
    fn lost(&self) -> u32 {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: an open socket, and a structure of the length that is given, which outlives the call.
        let outcome = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        if outcome == 0 { statistics.tp_drops } else { 0 }
    }
}

/// Everything on interface `index`: what it sends is heard only by those who ask for all protocols.
fn address(index: u32) -> Option<LinkAddr> {
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: i32::try_from(index).ok()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: a whole `sockaddr_ll` with its family and its length, which is copied.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(length)) }
}
