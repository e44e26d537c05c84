//! The configuration file: reading it, and saying what is wrong with it and what it means.
//!
//! | file | what is in it |
//! |---|---|
//! | `table` | the one table of all settings, with the requirements behind them |
//! | `value` | how times, addresses and ports are written |
//! | `words` | settings that are one word of a few |
//! | `read` | from text to settings |
//! | `store` | one value, into its place |
//! | `parts` | what several entries of one table say together |
//! | `fault` | what is wrong, with place and remedy |
//! | `live` | rules for the settings of `run` |
//! | `explain` | `hairpin explain` and `hairpin check` |
//! | `page` | `docs/configuration.md` |

mod explain;
mod fault;
mod live;
mod page;
mod parts;
mod read;
mod store;
mod table;
mod value;
mod words;

use core::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic as _, Report, WrapErr as _, miette};

pub use explain::{CheckArgs, ExplainArgs, check, explain};
pub use fault::{Fault, Faults};
pub use page::{page, sizing};
pub use read::Loaded;

/// Ports of a pool that does not say any: those above the well-known ones.
const DEFAULT_PORTS: RangeInclusive<u16> = 1_024..=65_535;

/// Files larger than this are no configuration: nothing is read into memory for them.
const MAX_FILE: u64 = 4 << 20;

/// Everything that a configuration file says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the program is.
    pub mode: Mode,
    /// For the engine (one shard of one; `live` splits it).
    pub engine: nat::Config,
    /// For the machine around it.
    pub live: LiveSettings,
}

/// What the program is (`mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It translates, and scrubs what it translates.
    #[default]
    Nat,
    /// It scrubs alone.
    Scrub,
}

impl Settings {
    /// Everything that is wrong with what the engine is to do.
    pub(crate) fn engine_problems(&self) -> Vec<nat::config::Problem> {
        match self.mode {
            Mode::Nat => self.engine.problems(),
            Mode::Scrub => self.engine.scrub_problems(),
        }
    }
}

/// How the gateway is attached to the machine (`run` only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// `inside.interfaces`: what arrives there from a subscriber goes to the gateway.
    pub inside_interfaces: Vec<String>,
    /// `outside.interfaces`: what arrives there for a subscriber goes to the scrubber, where there is no NAT.
    pub outside_interfaces: Vec<String>,
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

/// The document that decides the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// RFC 7857.
    #[default]
    Rfc7857,
    /// The draft that became it, to the letter.
    BehaveUpdate01,
}

impl Profile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rfc7857, Self::BehaveUpdate01];
    /// Their names, in the same order.
    const NAMES: [&'static str; 2] = ["rfc7857", "behave-update-01"];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The profile with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// The settings that a file without a line would give, under a profile.
pub(crate) fn defaults(profile: Profile) -> Settings {
    let engine = nat::Config::new(Vec::new(), Vec::new());
    let mut settings = Settings { mode: Mode::Nat, engine, live: LiveSettings::usual() };
    if profile == Profile::BehaveUpdate01 {
        read::apply_update_01(table::all_settings(), &mut settings);
    }
    settings
}

/// Reads a configuration file.
///
/// # Errors
/// A report that names the file, the line, and what to write.
pub fn load(path: &Path) -> miette::Result<Settings> {
    Ok(load_with_places(path)?.settings)
}

/// Reads a configuration file, and keeps where each setting was said.
///
/// # Errors
/// As [`load`].
pub fn load_with_places(path: &Path) -> miette::Result<Loaded> {
    let name = path.display().to_string();
    let remedy = "name a configuration file with -c; examples/lab.toml is one";
    let metadata = std::fs::metadata(path).map_err(|error| miette!(help = remedy, "{name}: {error}"))?;
    if !metadata.is_file() {
        return Err(miette!(help = remedy, "{name}: not a file"));
    }
    if metadata.len() > MAX_FILE {
        return Err(miette!(
            help = remedy,
            "{name}: {} octets are too many for a configuration file",
            metadata.len()
        ));
    }
    let octets = std::fs::read(path).into_diagnostic().wrap_err_with(|| format!("{name} cannot be read"))?;
    let text = String::from_utf8(octets).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        miette!(help = "save it as UTF-8 text", "{name}: octet {offset} is not part of a UTF-8 text")
    })?;
    parse(&name, &text).map_err(Report::new)
}

/// Reads the text of a configuration file; `name` is what errors call it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Faults> {
    read::read(name, text)
}
