//! Throughput of the daemon beside that of the kernel with rules for the same work, in the same run and
//! between the same two hosts: `client1` reaches one server address through the daemon and another past it.
//!
//! Rounds of both alternate, so that what else the machine does meanwhile meets both alike; only
//! ratios of neighbours are worth comparing between machines. The kernel's rules are loaded for
//! its own turns only: connection tracking would cost the daemon's packets too.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt};
use serde::Serialize;
use wire::tcp::Flags;

use super::sockets::{ANY, PATIENCE, at, patient, tcp_connect, tcp_listen, udp};
use super::world::{CLIENT1_BESIDE, Host, SERVER, SERVER_BESIDE, World};

const PORT: u16 = 5201;
/// The kernel's rules.
const TABLE: &str = "hairpin-lab";
/// Datagrams handed to the kernel at one time.
const BURST: usize = 32;
/// Octets of UDP payload: a frame of 64 octets with its check sequence.
const SMALL: usize = 18;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Load {
    Download,
    Upload,
    SmallUdp,
}

/// The daemon's work, and with what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Translation; packets go as super-segments and with unfinished checksums where they can.
    Translated,
    /// Translation of frames of their MTU with finished checksums.
    WithoutOffloads,
    /// Scrubbing alone; nothing is translated.
    Scrubbed,
}

impl Setting {
    /// The loads, what they are called, and the unit of their figures.
    const fn loads(self) -> &'static [(Load, &'static str, &'static str)] {
        match self {
            Self::Translated => &[
                (Load::Download, "TCP download", "Gbit/s"),
                (Load::Upload, "TCP upload", "Gbit/s"),
                (Load::SmallUdp, "UDP, 64-octet frames", "kpps"),
            ],
            Self::WithoutOffloads => &[
                (Load::Download, "TCP download without offloads", "Gbit/s"),
                (Load::Upload, "TCP upload without offloads", "Gbit/s"),
                (Load::SmallUdp, "UDP, 64-octet frames without offloads", "kpps"),
            ],
            Self::Scrubbed => &[
                (Load::Download, "TCP download, scrubbed", "Gbit/s"),
                (Load::Upload, "TCP upload, scrubbed", "Gbit/s"),
            ],
        }
    }

    /// What does the same in the kernel: a masquerade, or a rule for each combination of flags with URG, for
    /// nftables cannot take a single one off.
    fn rules(self) -> String {
        let chains = match self {
            Self::Translated | Self::WithoutOffloads => format!(
                "chain out {{ type nat hook postrouting priority srcnat; \
                 ip saddr {CLIENT1_BESIDE} oifname \"out\" masquerade; }}"
            ),
            Self::Scrubbed => {
                let combinations: String = (0..=u8::MAX)
                    .filter(|flags| flags & Flags::URG.0 != 0)
                    .map(|flags| {
                        format!("tcp flags == {flags} tcp flags set {} return; ", flags & !Flags::URG.0)
                    })
                    .collect();
                format!(
                    "chain clear {{ {combinations} }}\nchain forward {{ type filter hook forward priority 0; \
                     tcp urgptr != 0 tcp urgptr set 0; tcp flags & urg == urg jump clear; }}"
                )
            }
        };
        format!("table ip {TABLE} {{\n{chains}\n}}\n")
    }
}

/// One load through both.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The load.
    pub name: &'static str,
    /// Of the figures.
    pub unit: &'static str,
    /// Whether packets went as super-segments and with unfinished checksums where they could.
    pub offloads: bool,
    /// The daemon's, round by round.
    pub hairpin: Vec<f64>,
    /// The kernel's in the same rounds; empty where there is no `nft`.
    pub nftables: Vec<f64>,
}

impl Comparison {
    /// Least, median and greatest ratio of a round.
    pub fn ratios(&self) -> Option<[f64; 3]> {
        let pairs = self.hairpin.iter().zip(&self.nftables);
        spread(pairs.filter(|(_, kernel)| **kernel > 0.0).map(|(ours, kernel)| ours / kernel).collect())
    }
}

/// Least, median and greatest of some figures.
pub fn spread(mut figures: Vec<f64>) -> Option<[f64; 3]> {
    figures.sort_by(f64::total_cmp);
    Some([*figures.first()?, figures[figures.len() / 2], *figures.last()?])
}

/// Measures all loads of a setting, `rounds` times each, and tells `progress` what it is at. World and daemon are
/// as the setting says.
///
/// # Errors
/// The system's, with the load.
pub fn compare(
    world: &World,
    setting: Setting,
    rounds: usize,
    each: Duration,
    progress: &mut dyn FnMut(&str),
) -> io::Result<Vec<Comparison>> {
    if rounds == 0 {
        return Ok(Vec::new());
    }
    let (kernel, rules) = (Kernel::find(&world.gateway), setting.rules());
    let offloads = setting != Setting::WithoutOffloads;
    let loads = setting.loads().iter();
    loads
        .map(|&(load, name, unit)| {
            let mut comparison =
                Comparison { name, unit, offloads, hairpin: Vec::new(), nftables: Vec::new() };
            for round in 1..=rounds {
                progress(&format!("{name}, round {round} of {rounds}"));
                comparison.hairpin.push(measure(world, load, SERVER, each)?);
                if let Some(kernel) = &kernel {
                    let _loaded = kernel.load(&rules)?;
                    comparison.nftables.push(measure(world, load, SERVER_BESIDE, each)?);
                }
            }
            Ok(comparison)
        })
        .collect()
}

fn measure(world: &World, load: Load, server: Ipv4Addr, each: Duration) -> io::Result<f64> {
    let remote = at(server, PORT);
    match load {
        Load::Download => bulk(world, remote, each, true),
        Load::Upload => bulk(world, remote, each, false),
        Load::SmallUdp => small_udp(world, remote, each),
    }
    .map_err(|error| io::Error::new(error.kind(), format!("measuring {load:?} to {server}: {error}")))
}

/// Gbit/s of one TCP connection, as its receiver counts them.
fn bulk(world: &World, remote: SocketAddrV4, each: Duration, down: bool) -> io::Result<f64> {
    let listener = tcp_listen(&world.server, remote)?;
    let client = tcp_connect(&world.client1, ANY, remote)?;
    let (server, _) = listener.accept()?;
    patient(&server, PATIENCE)?;
    let (mut sender, mut receiver) = if down { (server, client) } else { (client, server) };
    thread::scope(|scope| {
        let sending = scope.spawn(move || -> io::Result<()> {
            let block = vec![0x5a; 256 << 10];
            let start = Instant::now();
            while start.elapsed() < each {
                sender.write_all(&block)?;
            }
            Ok(())
        });
        let mut buffer = vec![0; 256 << 10];
        let (mut octets, start) = (0_u64, Instant::now());
        loop {
            match receiver.read(&mut buffer)? {
                0 => break,
                len => octets += len as u64,
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(octets as f64 * 8e-9 / seconds)
    })
}

/// Thousands of datagrams a second that arrive while the sender sends as fast as it can.
fn small_udp(world: &World, remote: SocketAddrV4, each: Duration) -> io::Result<f64> {
    let server = udp(&world.server, remote)?;
    let client = udp(&world.client1, ANY)?;
    // Beyond the limit for everybody, which a user namespace's root has to respect.
    if setsockopt(&server, sockopt::RcvBufForce, &(4 << 20)).is_err() {
        setsockopt(&server, sockopt::RcvBuf, &(4 << 20))?;
    }
    patient(&server, Duration::from_millis(20))?;
    client.connect(remote)?;
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let receiving = scope.spawn(move || count_datagrams(&server, done));
        let start = Instant::now();
        let sent = flood(&client, each);
        let seconds = start.elapsed().as_secs_f64();
        done.store(true, Ordering::Relaxed);
        let received = receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        sent?;
        Ok(received as f64 / seconds / 1e3)
    })
}

fn flood(socket: &std::net::UdpSocket, each: Duration) -> io::Result<()> {
    let payload = [0x5a; SMALL];
    let slices = [[IoSlice::new(&payload)]; BURST];
    let connected: [Option<SockaddrIn>; BURST] = [None; BURST];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BURST, None);
    let start = Instant::now();
    while start.elapsed() < each {
        let sent = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, connected, [], MsgFlags::empty());
        match sent {
            Ok(_) | Err(nix::Error::ENOBUFS | nix::Error::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn count_datagrams(socket: &std::net::UdpSocket, done: &AtomicBool) -> io::Result<u64> {
    let mut buffers = vec![[0_u8; 64]; BURST];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BURST, None);
    let mut count = 0;
    loop {
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        match recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None) {
            Ok(received) => count += received.count() as u64,
            Err(nix::Error::EAGAIN) if done.load(Ordering::Relaxed) => return Ok(count),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The gateway's kernel, to do the daemon's work itself.
#[derive(Debug)]
pub struct Kernel<'a> {
    gateway: &'a Host,
    nft: PathBuf,
}

/// Loaded rules; dropped, they are gone.
#[derive(Debug)]
pub struct Loaded<'a, 'b>(&'a Kernel<'b>);

impl<'a> Kernel<'a> {
    /// It, if `nft` is installed.
    pub fn find(gateway: &'a Host) -> Option<Self> {
        Some(Self { gateway, nft: super::process::find("nft")? })
    }

    fn load(&self, rules: &str) -> io::Result<Loaded<'_, 'a>> {
        self.rules(rules)?;
        Ok(Loaded(self))
    }

    /// Translates the subscribers with the kernel instead of the daemon: something that works, and
    /// fails what a gateway with endpoint-independent behaviour passes.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn replace_daemon(&self) -> io::Result<()> {
        self.rules(&format!(
            "table ip hairpin-stand-in {{ chain out {{ type nat hook postrouting priority srcnat; \
             ip saddr {} oifname \"out\" snat to {} persistent; }}\n}}\n",
            super::world::INSIDE,
            super::world::POOL
        ))
    }

    fn rules(&self, rules: &str) -> io::Result<()> {
        let said = self.gateway.run(|| {
            let mut nft = Command::new(&self.nft)
                .args(["-f", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = nft.stdin.take() {
                stdin.write_all(rules.as_bytes())?;
            }
            nft.wait_with_output()
        })?;
        if said.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said.stderr);
        Err(io::Error::other(format!("nft refuses the rules: {}", said.trim())))
    }
}

impl Drop for Loaded<'_, '_> {
    fn drop(&mut self) {
        // With the last rule the kernel takes its hooks out of the path again.
        drop(self.0.rules(&format!("delete table ip {TABLE}\n")));
    }
}
