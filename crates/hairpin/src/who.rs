//! `hairpin who`: whose an external address and port is, from the configuration alone.
//!
//! Where ports follow from the subscriber's address (RFC 7422), and for static mappings, the answer
//! holds for any time at which the file was in force, and nothing had to be logged for it. For every
//! other pool it says that only a log knows.

use core::fmt::Write as _;
use core::net::{AddrParseError, Ipv4Addr, SocketAddrV4};
use core::ops::RangeInclusive;
use core::str::FromStr;
use std::path::PathBuf;
use std::process::ExitCode;

use ipnet::Ipv4Net;
use miette::miette;
use nat::Endpoint;
use nat::config::{Config, Pool, SharedPorts, StaticMapping};
use nat::deterministic::Deterministic;

/// Arguments of `hairpin who`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration file that was in force at the time in question.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// An external address, with a port for one subscriber, without for all; or a subscriber's address.
    #[arg(value_name = "ADDRESS[:PORT]")]
    asked: Asked,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    address: Ipv4Addr,
    port: Option<u16>,
}

impl FromStr for Asked {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<SocketAddrV4>() {
            Ok(both) => Ok(Self { address: *both.ip(), port: Some(both.port()) }),
            Err(wrong) if text.contains(':') => Err(wrong),
            Err(_) => Ok(Self { address: text.parse()?, port: None }),
        }
    }
}

/// Prints who it is. The exit code tells whether it is anybody.
///
/// # Errors
/// A configuration that cannot be read, an address that is not of it, a pool that only its log knows.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    let config = crate::config::load(&args.config)?.engine;
    let rows = answer(&config, args.asked)?;
    crate::cli::print(&shown(&rows, args.asked))?;
    Ok(if rows.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One line of the answer.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    external: String,
    subscriber: String,
    why: &'static str,
}

fn answer(config: &Config, asked: Asked) -> miette::Result<Vec<Row>> {
    let address = asked.address;
    let pool =
        config.pools.iter().position(|pool| pool.addresses.iter().any(|range| range.contains(&address)));
    if let Some(pool) = pool {
        return external(config, pool, asked);
    }
    if config.inside.iter().any(|prefix| prefix.contains(&address)) {
        return match asked.port {
            None => subscriber(config, address),
            Some(_) => Err(miette!(
                help = format!("ask for {address} alone: any of its ports may get any port of its range"),
                "{address} is a subscriber, and what its own ports become does not follow from anything"
            )),
        };
    }
    Err(miette!(
        help = "`hairpin explain -c FILE` prints the prefixes inside and the addresses of every pool",
        "{address} is neither an external address nor a subscriber's"
    ))
}

/// Who is behind an external address, or one port of it.
fn external(config: &Config, index: usize, asked: Asked) -> miette::Result<Vec<Row>> {
    let is_asked = |endpoint: &Endpoint| {
        endpoint.address == asked.address && asked.port.is_none_or(|port| port == endpoint.port)
    };
    let mut rows = statics(config, |mapping| match mapping {
        StaticMapping::Port { external, .. } => is_asked(external),
        StaticMapping::Address { external, .. } => *external == asked.address,
    });
    let Some(pool) = config.pools.get(index) else { return Ok(rows) };
    let computed = match is_deterministic(pool) {
        true => holders(config, pool, asked),
        false => Vec::new(),
    };
    let known = is_deterministic(pool) && !is_shared(pool, asked.port);
    rows.extend(computed);
    match rows.is_empty() && !known {
        true => Err(only_a_log(&format!("pool[{index}]"), is_deterministic(pool))),
        false => Ok(rows),
    }
}

/// What a subscriber has.
fn subscriber(config: &Config, address: Ipv4Addr) -> miette::Result<Vec<Row>> {
    let mut rows = statics(config, |mapping| match mapping {
        StaticMapping::Port { internal, .. } => internal.address == address,
        StaticMapping::Address { internal, .. } => *internal == address,
    });
    if let Some((external, ports)) = Deterministic::new(config).of_subscriber(address) {
        rows.push(computed(config, external, &ports, address));
    }
    if rows.is_empty() {
        return Err(only_a_log(&format!("the pool that serves {address}"), false));
    }
    Ok(rows)
}

/// The static mappings that `wanted` takes.
fn statics(config: &Config, wanted: impl Fn(&StaticMapping) -> bool) -> Vec<Row> {
    let wanted = config.statics.iter().filter(|mapping| wanted(mapping));
    let row = |mapping: &StaticMapping| match mapping {
        StaticMapping::Port { protocol, internal, external } => Row {
            external: format!("{}:{} {protocol}", external.address, external.port),
            subscriber: format!("{}:{}", internal.address, internal.port),
            why: "static",
        },
        StaticMapping::Address { internal, external } => {
            Row { external: external.to_string(), subscriber: internal.to_string(), why: "static" }
        }
    };
    wanted.map(row).collect()
}

/// The subscribers of an address whose ports are computed, each with its whole range.
fn holders(config: &Config, pool: &Pool, asked: Asked) -> Vec<Row> {
    let deterministic = Deterministic::new(config);
    let mut rows = Vec::new();
    let (mut port, last) = match asked.port {
        Some(port) => (port, port),
        None => (*pool.ports.start(), *pool.ports.end()),
    };
    loop {
        let holder = deterministic.of_external(asked.address, port);
        let mut behind = port;
        if let Some(holder) = holder
            && let Some((external, ports)) = deterministic.of_subscriber(holder)
        {
            behind = *ports.end();
            rows.push(computed(config, external, &ports, holder));
        }
        match behind.checked_add(1) {
            Some(next) if next <= last => port = next,
            _ => return rows,
        }
    }
}

fn computed(config: &Config, external: Ipv4Addr, ports: &RangeInclusive<u16>, subscriber: Ipv4Addr) -> Row {
    let prefix = Ipv4Net::new(subscriber, config.subscriber_prefix.min(32));
    let subscriber = match prefix {
        Ok(prefix) if config.subscriber_prefix < 32 => prefix.trunc().to_string(),
        _ => subscriber.to_string(),
    };
    let external = format!("{external}:{}-{}", ports.start(), ports.end());
    Row { external, subscriber, why: "deterministic" }
}

fn is_deterministic(pool: &Pool) -> bool {
    pool.blocks.is_some_and(|blocks| blocks.deterministic)
}

/// Whether a port that is nobody's may be anybody's: one of the remainder that subscribers share.
fn is_shared(pool: &Pool, port: Option<u16>) -> bool {
    let shared = pool.blocks.is_some_and(|blocks| blocks.shared != SharedPorts::None);
    shared && port.is_some_and(|port| pool.ports.contains(&port))
}

fn only_a_log(whose: &str, shared: bool) -> miette::Report {
    let (what, help) = match shared {
        false => (
            "gives ports out as they are asked for",
            "write `deterministic = true`, `block_size` and `subscribers` in the [[pool]], and who it is follows \
             from the address and port (RFC 7422); what was before stays in the log alone",
        ),
        true => (
            "shares this port among subscribers that have none left",
            "leave `shared_ports` away, and every port of the [[pool]] is one subscriber's",
        ),
    };
    miette!(help = help, "{whose} {what}: only a log knows who had one at what time")
}

fn shown(rows: &[Row], asked: Asked) -> String {
    if rows.is_empty() {
        let port = asked.port.map(|port| format!(":{port}")).unwrap_or_default();
        return format!("{}{port}: nobody, at any time\n", asked.address);
    }
    let widest = |cell: fn(&Row) -> &str| rows.iter().map(|row| cell(row).len()).max().unwrap_or(0);
    let (external, subscriber) = (widest(|row| &row.external), widest(|row| &row.subscriber));
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(text, "{:<external$}  {:<subscriber$}  {}", row.external, row.subscriber, row.why);
    }
    text
}

#[cfg(test)]
mod tests;
