//! `run`: the gateway on this machine.
//!
//! | file | what is in it |
//! |---|---|
//! | `network` | what the machine needs: devices, routes, rules, sysctls |
//! | `journal` | what was changed, so that it can be taken back |
//! | `tun` | a worker's queues of the TUN devices |
//! | `team` | the workers, one for each shard |
//! | `worker`, `arena` | one thread, its batches |
//! | `handover` | packets between workers |
//! | `stats` | totals |

pub mod arena;
pub mod handover;
pub mod journal;
pub mod network;
pub mod stats;
pub mod team;
pub mod tun;
pub mod worker;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use miette::{IntoDiagnostic, WrapErr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::config::{self, Mode, Settings};
use crate::net::failure;
use network::Network;
use stats::Totals;
use team::Team;

/// Arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Keep the counters in this file, as JSON: every second and at the end.
    #[arg(long, value_name = "FILE")]
    stats_json: Option<PathBuf>,
    /// Say more: -v each limit that is hit, -vv each session.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Runs the gateway until SIGTERM, SIGINT or SIGHUP; SIGUSR1 prints the counters.
///
/// # Errors
/// What is wrong with the configuration, or what could not be done on this machine.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    log(args.verbose);
    let settings = config::load(&args.config)?;
    serve(&settings, args.stats_json.as_deref()).into_diagnostic().wrap_err("hairpin cannot run")?;
    Ok(ExitCode::SUCCESS)
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    // A second one in the same process (a test) is no reason to stop.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}

/// Sets up, works, takes back.
fn serve(settings: &Settings, stats: Option<&Path>) -> io::Result<()> {
    let started = Instant::now();
    // Before any thread is made, so that all inherit it and the signals come here only.
    let signals = signals()?;
    let workers = settings.live.workers.max(1);
    if let Some(path) = stats {
        // A wrong path is told now, while nothing has been changed; later it would stop nothing.
        Totals::default().write(path, started.elapsed())?;
    }
    let (network, devices) = Network::set_up(settings, workers, print)?;
    let team = Team::start(settings, devices, started)?;
    match settings.mode {
        Mode::Nat => {
            print(&format!("ready: subscribers appear as {}; {workers} worker(s)", network::pools(settings)));
        }
        Mode::Scrub => {
            let subscribers = network::list(&settings.engine.inside);
            print(&format!("ready: scrubbing what {subscribers} send and are sent; {workers} worker(s)"));
        }
    }
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
    let mut complained = false;
    loop {
        let mut descriptors =
            [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(team.ended(), PollFlags::POLLIN)];
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
            let written = team.totals().write(path, started.elapsed());
            // A full disk is no reason to cut the subscribers off, nor to fill the log.
            if let (Err(error), false) = (&written, complained) {
                tracing::error!("{error}; the gateway goes on, and tries again every second");
            }
            complained = written.is_err();
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

/// A line on stdout; that nobody reads it is no reason to stop.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{}", line.trim_end()).and_then(|()| stdout.flush());
}
