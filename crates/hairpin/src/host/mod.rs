//! `tcp listen` and `tcp connect`: our own TCP on a TUN device, in the manner of netcat.
//!
//! | file | what is in it |
//! |---|---|
//! | [`link`] | the TUN device that a host stands on, with the kernel at its other end |
//! | [`service`] | echo, discard, chargen, and the standard streams |
//! | [`reader`] | when and how an application reads, and what is written down of it |
//! | [`listen`], [`connect`] | the two commands |

pub mod connect;
pub mod link;
pub mod listen;
pub mod reader;
pub mod service;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use miette::{IntoDiagnostic, WrapErr, miette};
use rules::urgent::{Delivery, HostProfile, PROFILES};
use streams::Stack;
use tcp::{Config, EndpointConfig};

use self::link::Link;
use self::reader::{Journal, When};

/// Out-of-band octets that wait at most, with `--urgent queued` (U7).
const QUEUE: u16 = 16;

/// How long what was written may take to arrive when the program ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// Arguments of `tcp`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Listen on ports, each with a service.
    Listen(listen::Args),
    /// Open a connection; standard input goes out, what comes goes to standard output.
    Connect(connect::Args),
}

/// What both commands have in common.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Name of the TUN device that is made, and gone at the end.
    #[arg(long, value_name = "NAME", default_value = "hp-tcp", value_parser = device_name)]
    tun: String,
    /// Our own address, and the prefix of the device.
    #[arg(long, value_name = "ADDRESS/LENGTH", default_value = "10.9.0.2/24")]
    address: Ipv4Net,
    /// The kernel's address on the device [default: the first of the prefix that is not ours].
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<Ipv4Addr>,
    /// Largest packet, in octets.
    #[arg(long, value_name = "OCTETS", default_value_t = 1_500, value_parser = clap::value_parser!(u16).range(576..))]
    mtu: u16,
    /// No segmentation or checksum offload: every packet as it would be on a wire.
    #[arg(long)]
    no_offloads: bool,
    /// Send and take urgent data as this host does (RFC 6093 appendix A).
    #[arg(long, value_name = "HOST", default_value = "rfc6093", value_parser = profile_parser())]
    host_profile: String,
    /// How urgent data is taken [default: as the host profile does].
    #[arg(long, value_enum)]
    urgent: Option<Taken>,
    /// When the application reads.
    #[arg(long, value_enum, default_value_t = When::AtOnce)]
    read: When,
    /// With `--read late`: how long after the connection has opened, in milliseconds [default: 1000].
    #[arg(long, value_name = "MS")]
    late: Option<u64>,
    /// Write what each connection read to this file, as JSON lines: the octets, whether they were urgent, whether
    /// the reader stands at the mark, and news of urgent data.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// How urgent data is taken.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// With everything else, in order.
    InLine,
    /// The octet before the mark out of the stream (MSG_OOB).
    OutOfBand,
    /// The same, and up to sixteen of them wait: a newer mark costs none.
    Queued,
}

/// A name that the kernel takes for a device.
fn device_name(text: &str) -> Result<String, String> {
    let fits = (1..=15).contains(&text.len()) && text != "." && text != "..";
    let clean = text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'/' && octet != b':');
    (fits && clean).then(|| text.to_owned()).ok_or_else(|| {
        "a device has a name of 1 to 15 characters, without blanks, slashes and colons".to_owned()
    })
}

fn profile_parser() -> impl clap::builder::TypedValueParser<Value = String> {
    let names = PROFILES.iter().flat_map(|host| host.aliases.iter().chain([&host.name]));
    clap::builder::PossibleValuesParser::new(names.copied().collect::<Vec<_>>())
}

impl Options {
    fn profile(&self) -> &'static HostProfile {
        rules::urgent::profile(&self.host_profile).unwrap_or(&rules::urgent::profiles::RFC6093)
    }

    /// The settings of a connection.
    fn config(&self) -> Config {
        let config = Config { urgent: *self.profile(), ..Config::default() };
        match self.urgent {
            None => config,
            Some(Taken::InLine) => config.in_line(),
            Some(Taken::Queued) => config.out_of_band(QUEUE),
            Some(Taken::OutOfBand) => match self.profile().delivery {
                Delivery::OutOfBand { octets } => config.out_of_band(octets),
                Delivery::InLine => config.out_of_band(1),
            },
        }
    }

    fn endpoint(&self) -> EndpointConfig {
        EndpointConfig {
            addresses: vec![self.address.addr()],
            mtu: self.mtu,
            connection: self.config(),
            ..EndpointConfig::default()
        }
    }

    fn late(&self) -> Duration {
        Duration::from_millis(self.late.unwrap_or(1_000))
    }

    /// What clap cannot see: what the options mean together.
    fn check(&self) -> miette::Result<()> {
        let (net, ours) = (self.address.trunc(), self.address.addr());
        let is_host = |address: Ipv4Addr| {
            let inner = net.prefix_len() < 31;
            net.contains(&address)
                && !rules::address::is_martian(address)
                && !(inner && [net.network(), net.broadcast()].contains(&address))
        };
        let wrong = |what: String, help: &'static str| Err(miette!(help = help, "{what}"));
        if net.prefix_len() == 32 {
            let help = "give the prefix that both are in: --address 10.9.0.2/24";
            return wrong(
                format!("--address {}: it has no room for the kernel's address", self.address),
                help,
            );
        }
        if !is_host(ours) {
            let help = "give a host's address and its prefix: --address 10.9.0.2/24";
            return wrong(format!("--address {}: {ours} is no host's address", self.address), help);
        }
        match self.peer {
            Some(peer) if peer == ours => {
                return wrong(
                    format!("--peer {peer}: it is our own address"),
                    "leave --peer away, or name another",
                );
            }
            Some(peer) if !is_host(peer) => {
                let help = "leave --peer away, or name a host's address of the prefix of --address";
                return wrong(format!("--peer {peer}: it is no host's address of {net}"), help);
            }
            _ => {}
        }
        if self.late.is_some() && self.read != When::Late {
            return wrong(
                "--late: the reader is not a late one".to_owned(),
                "add --read late, or leave --late away",
            );
        }
        Ok(())
    }

    fn journal(&self) -> miette::Result<Arc<Journal>> {
        let journal = Journal::open(self.log.as_deref()).into_diagnostic();
        Ok(Arc::new(journal.wrap_err("the file of --log cannot be written")?))
    }

    /// The kernel's address.
    fn peer(&self) -> Option<Ipv4Addr> {
        self.peer.or_else(|| self.address.hosts().find(|&host| host != self.address.addr()))
    }

    /// Makes the device, and a stack on it, and runs `work` until it is done or somebody ends it.
    fn run<F: Future<Output = miette::Result<()>>>(
        &self,
        work: impl FnOnce(Stack) -> F,
    ) -> miette::Result<ExitCode> {
        self.check()?;
        let peer = self.peer().ok_or_else(|| miette!("{} has no second address", self.address))?;
        let link = Link { name: &self.tun, kernel: peer, prefix: self.address.prefix_len(), mtu: self.mtu };
        let queue = link.create(!self.no_offloads).into_diagnostic().wrap_err("there is no TUN device")?;
        eprintln!("{} is {} here, {peer} is the kernel", self.tun, self.address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
        runtime.block_on(async {
            let device = streams::Tun::new(queue, !self.no_offloads).into_diagnostic()?;
            let stack = Stack::new(device, self.endpoint()).into_diagnostic()?;
            let outcome = tokio::select! {
                outcome = work(stack.clone()) => outcome,
                signal = signal() => signal,
            };
            if !stack.drain(FAREWELL).await {
                eprintln!("{} connections were still open at the end", stack.connections());
            }
            outcome
        })?;
        // Reading standard input cannot be taken back; a runtime that is dropped would wait for it.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns when the program is asked to end.
async fn signal() -> miette::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome.into_diagnostic(),
        _ = terminate.recv() => Ok(()),
    }
}

/// `hairpin tcp`.
///
/// # Errors
/// What kept it from running, or ended the connection.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    match &args.command {
        Command::Listen(args) => listen::run(args),
        Command::Connect(args) => connect::run(args),
    }
}

fn over(what: &str, error: &io::Error) -> miette::Report {
    miette!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    /// What is said of the arguments: clap first, then us, with the remedy.
    fn said(arguments: &str) -> String {
        let words = std::iter::once("tcp").chain(arguments.split_whitespace());
        match Line::try_parse_from(words).map(|line| line.options.check()) {
            Err(error) => error.to_string(),
            Ok(Err(report)) => {
                let help = report.help().map(|help| help.to_string()).unwrap_or_default();
                assert!(!help.is_empty(), "{report}: and what to do?");
                format!("{report}: {help}")
            }
            Ok(Ok(())) => String::new(),
        }
    }

    // covers: O1
    #[test]
    fn wrong_options_are_told_with_their_name_and_what_to_write() {
        for (arguments, told) in [
            ("--tun averyveryverylongname", "1 to 15 characters"),
            ("--tun a/b", "without blanks"),
            ("--address 10.9.0.2/32", "--address 10.9.0.2/24"),
            ("--address 10.9.0.0/24", "10.9.0.0 is no host's address"),
            ("--address 10.9.0.255/24", "10.9.0.255 is no host's address"),
            ("--address 224.0.0.1/24", "224.0.0.1 is no host's address"),
            ("--peer 10.9.0.2", "our own address"),
            ("--peer 192.168.1.1", "of 10.9.0.0/24"),
            ("--late 5", "--read late"),
            ("--host-profile os2", "rfc6093"),
            ("--mtu 100", "576"),
        ] {
            let said = said(arguments);
            assert!(said.contains(told), "{arguments}: {said}");
        }
        for right in
            ["", "--address 10.9.0.0/31", "--peer 10.9.0.9", "--read late --late 5", "--host-profile linux"]
        {
            assert_eq!(said(right), "", "{right}");
        }
    }
}
