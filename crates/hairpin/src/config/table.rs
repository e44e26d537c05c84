//! The table of all settings: key, place, bounds, requirements, meaning.
//!
//! Reading a file, `explain` and `docs/configuration.md` all follow it, so that a setting cannot
//! exist in one and be missing in another. Defaults are not repeated here: they are those of
//! [`nat::Config`] and [`LiveSettings`](super::LiveSettings); a row only says where a profile differs.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use nat::Protocol;
use nat::config::{Action, Behaviour, PoolKind, Pooling, RstPolicy, TimeWaitPolicy, Urgent, Watch};
use rules::port_selection::Algorithm;

use super::{Mode, Settings, words};

mod addresses;
mod bounds;
mod protocols;
mod scrub;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its path in the file, e.g. `tcp.established`; `pool.…` means each `[[pool]]`.
    pub(crate) key: &'static str,
    /// Where its value lives, and thereby its type.
    pub(crate) slot: Slot,
    /// The least and the greatest value, as the file writes them; `nat::Config::problems` enforces them.
    pub(crate) allowed: Option<(&'static str, &'static str)>,
    /// What a number counts; empty for everything else.
    pub(crate) unit: &'static str,
    /// The default under `behave-update-01`, as the file writes it, where it is not the usual one.
    pub(crate) update_01: Option<&'static str>,
    /// Requirements behind it (`conformance/requirements.toml`).
    pub(crate) requirements: &'static [&'static str],
    /// What it means, in one line.
    pub(crate) meaning: &'static str,
}

/// Where a value lives.
type Place<T> = fn(&mut Settings) -> &mut T;

/// Where a value lives, and its type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// The profile: no place of its own, it decides the defaults.
    Profile,
    /// A time, e.g. `"2h4m"`.
    Duration(Place<Duration>),
    /// A number.
    Count32(Place<u32>),
    /// A small number.
    Count16(Place<u16>),
    /// A very small number.
    Count8(Place<u8>),
    /// A number, or `"off"`.
    Maybe32(Place<Option<u32>>),
    /// A small number, or `"off"`.
    Maybe16(Place<Option<u16>>),
    /// `true` or `false`.
    Flag(Place<bool>),
    /// An IPv4 address.
    Address(Place<Ipv4Addr>),
    /// A list of prefixes.
    Prefixes(Place<Vec<Ipv4Net>>),
    /// A list of ports.
    Ports(Place<Vec<u16>>),
    /// A list of ports and ranges of ports.
    PortRanges(Place<Vec<RangeInclusive<u16>>>),
    /// A list of ports, each with a time: `"53 10s"`.
    PortTimes(Place<Vec<(u16, Duration)>>),
    /// A list of interface names.
    Names(Place<Vec<String>>),
    /// An interface name.
    Name(Place<String>),
    /// A directory.
    Path(Place<PathBuf>),
    /// An algorithm of RFC 6056, by its number.
    Algorithm(Place<Algorithm>),
    /// What a mapping or a filter depends on.
    Behaviour(Place<Behaviour>),
    /// What becomes of urgent indications.
    Urgent(Place<Urgent>),
    /// What becomes of what should not be.
    Action(Place<Action>),
    /// What becomes of what no receiver takes.
    Watch(Place<Watch>),
    /// What the program is.
    Mode(Place<Mode>),
    /// A list of kinds of TCP options.
    Kinds(Place<Vec<u8>>),
    /// What a RST does.
    Rst(Place<RstPolicy>),
    /// What a SYN does to TIME-WAIT.
    TimeWait(Place<TimeWaitPolicy>),
    /// A setting of each `[[pool]]`.
    Pool(PoolSlot),
    /// A setting of each `[[static]]`.
    Static(StaticSlot),
}

/// The settings of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolSlot {
    /// A list of addresses, ranges, prefixes.
    Addresses,
    /// A range of ports.
    Ports,
    /// `"napt"` or `"basic"`.
    Kind,
    /// A list of prefixes.
    Subscribers,
    /// `"paired"`, `"paired-soft"` or `"arbitrary"`.
    Pooling,
    /// A number, or `"off"`.
    BlockSize,
    /// A number.
    MaxBlocks,
    /// A number, or `"off"`.
    SharedPorts,
    /// `true` or `false`.
    Deterministic,
}

/// The settings of a static mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StaticSlot {
    /// An endpoint or an address.
    Internal,
    /// An endpoint or an address.
    External,
    /// `"tcp"` or `"udp"`.
    Protocol,
}

impl Slot {
    /// The words that it can be, where it is a word.
    pub(crate) fn words(self) -> Option<Vec<&'static str>> {
        Some(match self {
            Self::Behaviour(_) => words::all::<Behaviour>(),
            Self::Urgent(_) => words::all::<Urgent>(),
            Self::Action(_) => words::all::<Action>(),
            Self::Watch(_) => words::all::<Watch>(),
            Self::Mode(_) => words::all::<Mode>(),
            Self::Rst(_) => words::all::<RstPolicy>(),
            Self::TimeWait(_) => words::all::<TimeWaitPolicy>(),
            Self::Pool(PoolSlot::Kind) => words::all::<PoolKind>(),
            Self::Pool(PoolSlot::Pooling) => words::all::<Pooling>(),
            Self::Static(StaticSlot::Protocol) => words::all::<Protocol>(),
            _ => return None,
        })
    }
}

impl Setting {
    /// The same with another default under `behave-update-01`.
    const fn under_update_01(self, literal: &'static str) -> Self {
        Self { update_01: Some(literal), ..self }
    }
}

/// The longest time; see `nat::Config::problems`.
const MONTH: &str = "\"720h\"";

const fn time(
    key: &'static str,
    place: Place<Duration>,
    least: &'static str,
    most: &'static str,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    let slot = Slot::Duration(place);
    Setting { key, slot, allowed: Some((least, most)), unit: "", update_01: None, requirements, meaning }
}

const fn count(
    key: &'static str,
    place: Place<u32>,
    allowed: (&'static str, &'static str),
    unit: &'static str,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    let slot = Slot::Count32(place);
    Setting { key, slot, allowed: Some(allowed), unit, update_01: None, requirements, meaning }
}

const fn other(
    key: &'static str,
    slot: Slot,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    Setting { key, slot, allowed: None, unit: "", update_01: None, requirements, meaning }
}

const fn bounded(
    key: &'static str,
    slot: Slot,
    allowed: (&'static str, &'static str),
    unit: &'static str,
    requirements: &'static [&'static str],
    meaning: &'static str,
) -> Setting {
    Setting { key, slot, allowed: Some(allowed), unit, update_01: None, requirements, meaning }
}

/// All settings, in the order of the documentation.
pub(crate) fn all_settings() -> impl Iterator<Item = &'static Setting> {
    [addresses::ROWS, protocols::ROWS, scrub::ROWS, bounds::ROWS].into_iter().flatten()
}

/// The names directly below a table of the file; below the file itself for `""`.
pub(crate) fn names_below(table: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for setting in all_settings() {
        let rest = match table {
            "" => Some(setting.key),
            _ => setting.key.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    names
}

/// The setting with this key, list indices left out (`pool.ports`).
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    all_settings().find(|setting| setting.key == key)
}
