//! A gateway with a configuration of its own: hosts, links and a daemon for one check.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::checks::Scale;
use super::daemon::{Daemon, with_settings};
use super::process::{Process, find};
use super::world::{Host, World};

/// Makes gateways for checks that each want their own.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// For the files of daemons and programs.
    pub directory: &'a Path,
    /// How much a check does.
    pub scale: Scale,
}

/// Hosts, links and a daemon between.
#[derive(Debug)]
pub struct Gateway {
    /// The daemon. Before the hosts: it takes back what it did to them.
    daemon: Daemon,
    /// The hosts.
    pub world: World,
    /// For the files of programs in those hosts.
    pub directory: PathBuf,
}

impl Workshop<'_> {
    /// A gateway with these tables of the configuration file; it needs no `[inside]` and no `[live]`.
    ///
    /// # Errors
    /// The system's, or what the daemon says.
    pub fn gateway(&self, settings: &str) -> io::Result<Gateway> {
        self.gateway_with_inside(settings, "")
    }

    /// The same with lines for the table `[inside]`.
    ///
    /// # Errors
    /// As [`Self::gateway`].
    pub fn gateway_with_inside(&self, settings: &str, inside: &str) -> io::Result<Gateway> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let directory = self.directory.join(format!("gateway-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&directory)?;
        let world = World::create()?;
        let configuration = with_settings(settings, inside, &directory, true);
        let daemon = Daemon::start(&world.gateway, &directory, &configuration)?;
        Ok(Gateway { daemon, world, directory })
    }
}

impl Gateway {
    /// Ends the daemon and returns its last counters.
    ///
    /// # Errors
    /// How it ended, where that was not with success.
    pub fn counters(mut self) -> io::Result<Counters> {
        self.daemon.stop()?;
        self.daemon.stats().map(Counters)
    }

    /// The daemon's counters as they are once a second.
    ///
    /// # Errors
    /// The file is not there yet or not JSON.
    pub fn counters_so_far(&self) -> io::Result<Counters> {
        self.daemon.stats().map(Counters)
    }
}

/// What the daemon counted.
#[derive(Clone, Debug)]
pub struct Counters(serde_json::Value);

impl Counters {
    /// One of them, e.g. `sessions_created`; 0 where there is none of that name.
    pub fn get(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or(0)
    }

    /// Packets dropped for the reason of this name.
    pub fn dropped(&self, reason: &str) -> u64 {
        self.0["dropped"][reason].as_u64().unwrap_or(0)
    }

    /// Every reason for which packets were dropped, with their number.
    pub fn drops(&self) -> String {
        let reasons = self.0["dropped"].as_object();
        let listed: Vec<String> =
            reasons.into_iter().flatten().map(|(reason, count)| format!("{reason} {count}")).collect();
        if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
    }
}

/// Starts a program of the system in `host`.
///
/// # Errors
/// `NotFound` with the package to install where it is missing.
pub fn start(
    host: &Host,
    name: &'static str,
    package: &str,
    arguments: &[impl AsRef<std::ffi::OsStr>],
) -> io::Result<Process> {
    let missing = || {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{name} is not installed (on Debian: apt-get install {package})"),
        )
    };
    let program = find(name).ok_or_else(missing)?;
    Process::start(host, name, program.as_os_str(), arguments.iter().map(AsRef::as_ref))
}
