//! The configuration file.

use std::path::PathBuf;
use std::process::ExitCode;

/// Everything that a configuration file says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For the engine (one shard of one; `live` splits it).
    pub engine: nat::Config,
    /// For the machine around it.
    pub live: LiveSettings,
}

/// How the gateway is attached to the machine (`run` only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// `inside.interfaces`: what arrives there from a subscriber goes to the gateway.
    pub inside_interfaces: Vec<String>,
    /// `outside.proxy_arp`: interfaces on which the gateway answers ARP for pool addresses.
    pub proxy_arp: Vec<String>,
    /// `live.workers`: threads, each one shard. Default 1; at most one for each pool address.
    pub workers: u16,
    /// `live.offloads`: super-segments and partial checksums through TUN. Default true.
    pub offloads: bool,
    /// `live.inside_device`, default `hp-in`.
    pub inside_device: String,
    /// `live.outside_device`, default `hp-out`.
    pub outside_device: String,
    /// `live.route_table`, default 6093: the routing table for what subscribers send.
    pub route_table: u32,
    /// `live.state_directory`, default `/run/hairpin`: where `run` notes what it changed.
    pub state_directory: PathBuf,
}

/// Arguments of `check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {}

/// Arguments of `explain`.
#[derive(clap::Args, Debug)]
pub struct ExplainArgs {}

/// Reads a configuration file.
///
/// # Errors
/// A report that names the file, the line, and what to write.
pub fn load(_path: &std::path::Path) -> miette::Result<Settings> {
    Err(miette::miette!("not built yet"))
}

/// `hairpin check`.
///
/// # Errors
/// The report of [`load`].
pub fn check(_args: &CheckArgs) -> miette::Result<ExitCode> {
    Err(miette::miette!("not built yet"))
}

/// `hairpin explain`.
///
/// # Errors
/// The report of [`load`].
pub fn explain(_args: &ExplainArgs) -> miette::Result<ExitCode> {
    Err(miette::miette!("not built yet"))
}
