//! `run`: the gateway on this machine.
//!
//! | file | what is in it |
//! |---|---|
//! | `network` | what the machine needs: devices, routes, rules, sysctls |
//! | `journal` | what was changed, so that it can be taken back |
//! | `tun`, `vnet` | TUN queues, and what offloads say of a packet |
//! | `worker`, `arena` | one thread for each shard, its batches |
//! | `handover` | packets between workers |
//! | `stats` | totals |

mod arena;
mod dummy;
mod handover;
mod journal;
mod network;
mod stats;
mod tun;
mod vnet;
mod worker;

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, WrapErr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::config::{self, Settings};
use crate::net::failure;
use handover::{Exchange, Steering};
use network::{Devices, Network};
use stats::Totals;
use worker::{Control, Worker};

/// Arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Keep the counters in this file, as JSON: every second and at the end.
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
    /// Say more: -v each change to the machine and each limit, -vv each session.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Runs the gateway until SIGTERM, SIGINT or SIGHUP; SIGUSR1 prints the counters.
///
/// # Errors
/// What is wrong with the configuration, or what could not be done on this machine.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    log(args.verbose);
    let settings =
        if args.config.as_os_str() == "dummy" { dummy_settings() } else { config::load(&args.config)? };
    serve(&settings, args.stats_json.as_deref()).into_diagnostic().wrap_err("hairpin cannot run")?;
    Ok(ExitCode::SUCCESS)
}

fn dummy_settings() -> Settings {
    let external = Ipv4Addr::new(192, 0, 2, 16);
    let inside = "10.0.0.0/8".parse().expect("");
    let mut live = config::LiveSettings {
        inside_interfaces: vec!["gin".into()],
        proxy_arp: vec!["gout".into()],
        workers: 1,
        offloads: std::env::var_os("NO_OFFLOADS").is_none(),
        inside_device: "hp-in".into(),
        outside_device: "hp-out".into(),
        route_table: 6093,
        state_directory: "/run/hairpin".into(),
    };
    live.workers = std::env::var("WORKERS").ok().and_then(|w| w.parse().ok()).unwrap_or(1);
    Settings {
        engine: nat::Config::new(
            vec![inside],
            vec![nat::config::Pool { addresses: vec![external..=external], ports: 1..=65535 }],
        ),
        live,
    }
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    // A second one in the same process (a test) is no reason to stop.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
}

/// Sets up, works, takes back.
fn serve(settings: &Settings, stats: Option<&Path>) -> io::Result<()> {
    let started = Instant::now();
    // Before any thread is made, so that all inherit it and the signals come here only.
    let signals = signals()?;
    let workers = settings.live.workers.max(1);
    let (network, devices) = Network::set_up(settings, workers, |line| {
        tracing::info!("{line}");
        print(line);
    })?;
    let team = Team::start(settings, devices, started)?;
    print(&format!("ready: subscribers appear as {}; {workers} worker(s)", network::pools(settings)));
    let outcome = attend(&signals, &team, stats, started);
    let totals = team.stop();
    if let Some(path) = stats {
        totals.write(path, started.elapsed()).unwrap_or_else(|error| tracing::error!("{error}"));
    }
    print(&format!("totals:\n{totals}"));
    let taken_back = network.take_back();
    outcome.and(taken_back)?;
    print("ended: the machine is as it was before");
    Ok(())
}

/// Waits for signals until one says to end, or until a worker ends by itself.
fn attend(signals: &SignalFd, team: &Team, stats: Option<&Path>, started: Instant) -> io::Result<()> {
    loop {
        let mut descriptors = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(team.ended.as_fd(), PollFlags::POLLIN),
        ];
        let timeout = if stats.is_some() { PollTimeout::from(1_000_u16) } else { PollTimeout::NONE };
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(failure("waiting for signals", error.into())),
        }
        if descriptors[1].any() == Some(true) {
            return Err(io::Error::other("a worker has ended: see the message above"));
        }
        while let Ok(Some(signal)) = signals.read_signal() {
            if Ok(Signal::SIGUSR1) != Signal::try_from(signal.ssi_signo as i32) {
                return Ok(());
            }
            print(&format!("totals:\n{}", team.totals()));
        }
        if let Some(path) = stats {
            team.totals().write(path, started.elapsed())?;
        }
    }
}

fn signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        set.add(signal);
    }
    let tried = |error: nix::Error| failure("setting up signals", error.into());
    set.thread_block().map_err(tried)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(tried)
}

/// The running workers.
struct Team {
    members: Vec<Member>,
    /// Written when a worker ends.
    ended: Arc<EventFd>,
}

struct Member {
    thread: JoinHandle<()>,
    control: Arc<Control>,
    wake: Arc<EventFd>,
}

impl Team {
    fn start(settings: &Settings, devices: Devices, origin: Instant) -> io::Result<Self> {
        let count = devices.inside.len();
        let eventfd = || {
            EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .map(Arc::new)
                .map_err(|error| failure("making an eventfd", error.into()))
        };
        let wakes = (0..count).map(|_| eventfd()).collect::<io::Result<Vec<_>>>()?;
        let ended = eventfd()?;
        let steering: Arc<dyn Steering> = Arc::new(Stub);
        let exchanges = Exchange::between(&wakes, &steering);
        let mut members = Vec::new();
        let _ = settings;
        for (((inside, outside), wake), exchange) in
            devices.inside.into_iter().zip(devices.outside).zip(wakes).zip(exchanges)
        {
            let control = Arc::new(Control::default());
            let queues = tun::Queues { inside, outside, wake: Arc::clone(&wake) };
            let shard = dummy::Dummy::new(Ipv4Addr::new(192, 0, 2, 16));
            let worker = Worker::new(shard, queues, exchange, Arc::clone(&control), origin);
            let end = End(Arc::clone(&ended));
            let thread = std::thread::Builder::new()
                .name(format!("worker-{}", members.len()))
                .spawn(move || {
                    let _end = end;
                    if let Err(error) = worker.run() {
                        tracing::error!("{error}");
                    }
                })
                .map_err(|error| failure("starting a worker", error))?;
            members.push(Member { thread, control, wake });
        }
        Ok(Self { members, ended })
    }

    fn totals(&self) -> Totals {
        Totals::of(self.members.iter().map(|member| member.control.totals()))
    }

    fn stop(self) -> Totals {
        for member in &self.members {
            member.control.stop();
            // It fails only if its counter is full, and then it is awake.
            let _ = member.wake.write(1);
        }
        Totals::of(self.members.into_iter().map(|member| {
            // A panic was told by the panic hook; its last totals still count.
            let _ = member.thread.join();
            member.control.totals()
        }))
    }
}

/// Tells the main thread that a worker has ended, also if it panicked.
struct End(Arc<EventFd>);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.write(1);
    }
}

struct Stub;
impl Steering for Stub {
    fn inside(&self, _: Ipv4Addr) -> u16 {
        0
    }
    fn outside(&self, _: Ipv4Addr) -> u16 {
        0
    }
}

/// A line on stdout; that nobody reads it is no reason to stop.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{}", line.trim_end()).and_then(|()| stdout.flush());
}
