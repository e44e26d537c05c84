//! The lab: real kernels in network namespaces, the real daemon between them, real traffic through it.
//!
//! | file | what is in it |
//! |---|---|
//! | [`world`] | the hosts and the links between them |
//! | [`sockets`] | kernel sockets in those hosts |
//! | [`process`] | programs in those hosts |
//! | [`daemon`] | starting, asking and stopping the daemon |
//! | [`gateway`] | hosts and a daemon for one check alone |
//! | [`checks`] | what is driven through it, a file each |
//! | [`throughput`] | its speed beside that of the kernel with rules for the same |
//! | `offline` | the same kind of traffic as a capture, where there can be no namespaces |
//! | [`report`] | the table and the object at the end |

pub mod checks;
mod cleanup;
pub mod daemon;
pub mod gateway;
mod offline;
pub mod process;
mod progress;
pub mod report;
pub mod sockets;
pub mod throughput;
pub mod world;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, WrapErr};

use self::checks::{Check, Run, Scale};
use self::daemon::{Daemon, configuration};
use self::gateway::Workshop;
use self::progress::Progress;
use self::report::{Outcome, Report};
use self::throughput::{Comparison, Kernel, Setting};
use self::world::World;
use crate::net::namespace::{Privilege, acquire_privilege};

/// Arguments of `lab`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A tenth of the traffic, one short round of measurements.
    #[arg(long)]
    quick: bool,
    /// Also what needs a gateway of its own: STUN discovery, TIME-WAIT, RST, floods, FTP, Basic NAT and more.
    #[arg(long)]
    full: bool,
    /// Rounds of each measurement, 0 for none [default: 3, or 1 with --quick].
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Only this check; may be given several times.
    #[arg(long, value_name = "CHECK", value_parser = clap::builder::PossibleValuesParser::new(checks::ALL.iter().map(|check| check.name)))]
    only: Vec<String>,
    /// Print one JSON object to standard output, and everything else to standard error.
    #[arg(long)]
    json: bool,
    /// Leave hosts and daemon running until Ctrl-C, and say how to get a shell in each.
    #[arg(long)]
    keep: bool,
    /// No namespaces: a capture of the same kind of traffic instead, as where they are not possible.
    #[arg(long, conflicts_with_all = ["keep", "only", "rounds", "middle"])]
    offline: bool,
    /// What is between the hosts: the checks must tell one from the other.
    #[arg(long, value_enum, default_value_t = Middle::Hairpin, hide = true)]
    middle: Middle,
    /// Become another program (for the lab itself).
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_names = ["PROGRAM"], hide = true)]
    exec: Option<Vec<OsString>>,
}

/// What is between the hosts.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Middle {
    /// The daemon.
    Hairpin,
    /// The kernel's own address translation.
    Nftables,
    /// Nothing that forwards a packet.
    Nothing,
}

impl Middle {
    const fn name(self) -> &'static str {
        match self {
            Self::Hairpin => "hairpin",
            Self::Nftables => "nftables",
            Self::Nothing => "nothing",
        }
    }
}

impl Args {
    fn scale(&self) -> Scale {
        if self.quick { Scale::QUICK } else { Scale::FULL }
    }

    fn rounds(&self) -> usize {
        match self.rounds {
            // Only the daemon is measured.
            _ if self.middle != Middle::Hairpin => 0,
            Some(rounds) => rounds,
            None if !self.only.is_empty() => 0,
            None if self.quick => 1,
            None => 3,
        }
    }

    fn round(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 1_000 })
    }

    fn checks(&self) -> Vec<&'static Check> {
        let wanted = |check: &&Check| match self.only.as_slice() {
            [] => self.full || !check.run.has_own_gateway(),
            only => only.iter().any(|name| name == check.name),
        };
        checks::ALL.iter().filter(wanted).collect()
    }
}

/// `hairpin lab`.
///
/// # Errors
/// What kept it from running; a check that fails is not an error but the exit status.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    if let Some(program) = args.exec.as_deref() {
        return Err(process::exec(program)).into_diagnostic().wrap_err("a program cannot be started");
    }
    let start = Instant::now();
    // In this order: a user namespace is only for a process with one thread, and signals are only
    // left to the thread for them by threads made later.
    let possible = match args.offline {
        true => Err("asked for".to_owned()),
        false => acquire_privilege()
            .and_then(|privilege| tun_is_there(args.middle).map(|()| privilege))
            .map_err(|error| format!("no network namespaces with TUN devices here: {error}")),
    };
    let directory = cleanup::Directory::create().into_diagnostic()?;
    cleanup::on_signals(directory.path().to_owned()).into_diagnostic()?;
    let report = match possible {
        Ok(privilege) => in_namespaces(args, privilege, directory.path(), start),
        Err(reason) => offline(&reason, directory.path(), start),
    };
    let mut report = report.into_diagnostic().wrap_err("the lab cannot be set up")?;
    report.seconds = start.elapsed().as_secs_f64();
    show(args, &report)?;
    Ok(exit_code(&report))
}

fn exit_code(report: &Report) -> ExitCode {
    ExitCode::from(u8::from(report.failures() > 0))
}

fn show(args: &Args, report: &Report) -> miette::Result<()> {
    if args.json {
        eprint!("{}", report.text());
        crate::cli::print(&format!("{}\n", report.json()))
    } else {
        crate::cli::print(&report.text())
    }
}

/// Whether the daemon will be able to attach itself.
fn tun_is_there(middle: Middle) -> io::Result<()> {
    if middle != Middle::Hairpin {
        return Ok(());
    }
    let open = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    open.map(drop).map_err(|error| io::Error::new(error.kind(), format!("opening /dev/net/tun: {error}")))
}

/// Checks, measures, and leaves nothing behind.
fn in_namespaces(args: &Args, privilege: Privilege, directory: &Path, start: Instant) -> io::Result<Report> {
    let checks = args.checks();
    let progress = Progress::new(checks.len() as u64 + 1);
    progress.doing("making hosts and links");
    let world = World::create()?;
    progress.doing("starting what is in the middle");
    let mut daemon = put_in_the_middle(args.middle, &world, directory)?;

    let stage = Stage { world: &world, workshop: Workshop { directory, scale: args.scale() } };
    let outcomes = checks.iter().map(|check| check_one(check, &stage, &progress)).collect();
    let mut problems = Vec::new();
    let mut throughput = Vec::new();
    if args.rounds() > 0 {
        let mut measured = |outcome: io::Result<Vec<Comparison>>| match outcome {
            Ok(comparisons) => throughput.extend(comparisons),
            Err(error) => problems.push(error.to_string()),
        };
        measured(measure(args, &world, Setting::Translated, &progress));
        measured(measure_anew(args, directory, Setting::WithoutOffloads, &progress));
        measured(measure_anew(args, directory, Setting::Scrubbed, &progress));
    }
    progress.done();
    drop(progress);

    let mut report = Report {
        setting: match privilege {
            Privilege::Already => "network namespaces".to_owned(),
            Privilege::UserNamespace => "network namespaces in a user namespace".to_owned(),
        },
        middle: args.middle.name(),
        checks: outcomes,
        throughput_note: throughput_note(args, &world, &throughput),
        throughput,
        counters: serde_json::Value::Null,
        problems,
        seconds: start.elapsed().as_secs_f64(),
    };
    if args.keep {
        keep(args, privilege, &report, &world, daemon.as_mut());
    }
    if let Some(daemon) = &mut daemon {
        // The last counters are those that it writes when it ends.
        report.problems.extend(daemon.stop().err().map(|error| error.to_string()));
        match daemon.stats() {
            Ok(stats) => report.counters = stats,
            Err(error) => report.problems.push(format!("the daemon's counters: {error}")),
        }
    }
    Ok(report)
}

fn measure(args: &Args, world: &World, setting: Setting, progress: &Progress) -> io::Result<Vec<Comparison>> {
    throughput::compare(world, setting, args.rounds(), args.round(), &mut |what| progress.doing(what))
}

/// In a world of its own: the one that the checks were in stays as it was, for `--keep`.
fn measure_anew(
    args: &Args,
    directory: &Path,
    setting: Setting,
    progress: &Progress,
) -> io::Result<Vec<Comparison>> {
    progress.doing("making hosts and links to measure with");
    let world = World::create()?;
    let directory = directory.join(format!("{setting:?}"));
    std::fs::create_dir(&directory)?;
    let configuration = match setting {
        Setting::Translated => configuration(&directory, true),
        Setting::WithoutOffloads => {
            world.without_offloads()?;
            configuration(&directory, false)
        }
        Setting::Scrubbed => {
            world.routes_to_clients()?;
            daemon::scrubbing(&directory)
        }
    };
    let mut daemon = Daemon::start(&world.gateway, &directory, &configuration)?;
    let measured = measure(args, &world, setting, progress);
    measured.and_then(|comparisons| daemon.stop().map(|()| comparisons))
}

/// The same kind of traffic as a capture, through the same engine.
fn offline(reason: &str, directory: &Path, start: Instant) -> io::Result<Report> {
    let progress = Progress::new(0);
    progress.doing(&format!("offline: {reason}"));
    let (checks, counters) = offline::run(directory, |outcome| progress.checked(outcome))?;
    Ok(Report {
        setting: format!("offline: {reason}"),
        middle: Middle::Hairpin.name(),
        checks,
        throughput: Vec::new(),
        throughput_note: Some("Throughput is measured in namespaces only.".to_owned()),
        counters,
        problems: Vec::new(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn put_in_the_middle(middle: Middle, world: &World, directory: &Path) -> io::Result<Option<Daemon>> {
    match middle {
        Middle::Hairpin => {
            return Daemon::start(&world.gateway, directory, &configuration(directory, true)).map(Some);
        }
        Middle::Nftables => {
            let missing = || io::Error::new(io::ErrorKind::NotFound, "nft is not installed");
            Kernel::find(&world.gateway).ok_or_else(missing)?.replace_daemon()?;
            world.forward_in_kernel()?;
        }
        Middle::Nothing => {}
    }
    Ok(None)
}

/// Where checks run.
struct Stage<'a> {
    world: &'a World,
    workshop: Workshop<'a>,
}

fn check_one(check: &Check, stage: &Stage<'_>, progress: &Progress) -> Outcome {
    progress.doing(&format!("{}: {}", check.name, check.about));
    let start = Instant::now();
    let finding = match check.run {
        Run::Shared(run) => run(stage.world, stage.workshop.scale),
        Run::Own(run) => run(&stage.workshop),
    };
    let passed = finding.is_ok();
    let seen = finding.unwrap_or_else(|failure| failure.to_string());
    let seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome { name: check.name, about: check.about, passed, seen, seconds };
    progress.checked(&outcome);
    outcome
}

fn throughput_note(args: &Args, world: &World, measured: &[Comparison]) -> Option<String> {
    if args.rounds() == 0 || measured.is_empty() {
        return None;
    }
    let missing = Kernel::find(&world.gateway).is_none();
    missing.then(|| "for the kernel's own figures, install nftables and run again".to_owned())
}

/// Until somebody stops the process: that is what [`cleanup`] waits for.
fn keep(args: &Args, privilege: Privilege, report: &Report, world: &World, daemon: Option<&mut Daemon>) {
    // It is not over: what cannot be printed now is no reason to end.
    drop(show(args, report));
    cleanup::exit_status(u8::from(report.failures() > 0));
    eprintln!("\nEverything is left running until Ctrl-C. A shell in each host:");
    let pid = std::process::id();
    // Nobody can enter the user namespace that he is in already.
    let user = match privilege {
        Privilege::Already => String::new(),
        Privilege::UserNamespace => format!("--preserve-credentials --user=/proc/{pid}/ns/user "),
    };
    for host in world.hosts() {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(host.namespace()));
        eprintln!("  {:8} nsenter {user}--net=/proc/{pid}/fd/{fd} sh", host.name);
    }
    if let Some(daemon) = daemon {
        eprintln!("The daemon is process {}. What it said:", daemon.pid());
        for line in daemon.log() {
            eprintln!("  {line}");
        }
    }
    loop {
        std::thread::park();
    }
}
