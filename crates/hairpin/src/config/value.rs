//! How values are written in the file: times, ranges of addresses and ports, and back to text.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use core::time::Duration;

use ipnet::Ipv4Net;
use nat::Endpoint;
use nat::config::{Pool, SharedPorts, StaticMapping};
use rules::port_selection::Algorithm;

use super::parts::DEFAULT_BLOCKS;
use super::table::{PoolSlot, Slot, StaticSlot};
use super::{Settings, words};

/// What is wrong with a text, and what to write instead.
pub(crate) type Complaint = (String, String);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A time: numbers with units, the larger unit first.
pub(crate) fn duration(text: &str) -> Result<Duration, Complaint> {
    let remedy =
        || "write numbers with units, the larger one first: \"2h4m\", \"240s\", \"500ms\"".to_owned();
    let fail = |problem: String| Err((problem, remedy()));
    let mut rest = text.trim();
    if rest.is_empty() {
        return fail("an empty text is no time".into());
    }
    let (mut total, mut units) = (0_u64, UNITS.as_slice());
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, behind) = behind.split_at(letters);
        if number.is_empty() {
            return fail(format!("\"{text}\" is no time: a number is missing at \"{rest}\""));
        }
        if unit.is_empty() {
            return fail(format!("\"{text}\" is no time: {number} of what?"));
        }
        let Some(place) = units.iter().position(|&(name, _)| name == unit) else {
            return fail(match UNITS.iter().any(|&(name, _)| name == unit) {
                true => format!("\"{text}\" is no time: \"{unit}\" comes too late or twice"),
                false => format!("\"{text}\" is no time: there is no unit \"{unit}\" (d, h, m, s, ms)"),
            });
        };
        let millis = number.parse::<u64>().ok().and_then(|n| n.checked_mul(units[place].1));
        let Some(sum) = millis.and_then(|millis| total.checked_add(millis)) else {
            return fail(format!("\"{text}\" is longer than can be counted"));
        };
        (total, units, rest) = (sum, &units[place + 1..], behind);
    }
    Ok(Duration::from_millis(total))
}

/// An address, a range `a-b`, or a prefix `a/28`.
pub(crate) fn addresses(text: &str) -> Result<RangeInclusive<Ipv4Addr>, Complaint> {
    let text = text.trim();
    if let Some((first, last)) = text.split_once('-') {
        return Ok(address(first.trim())?..=address(last.trim())?);
    }
    if text.contains('/') {
        let net = prefix(text)?;
        if net.trunc() != net {
            let remedy = format!("write {}, or {}-{}", net.trunc(), net.addr(), net.broadcast());
            return Err((format!("{text} has bits set behind its prefix length"), remedy));
        }
        return Ok(net.network()..=net.broadcast());
    }
    let one = address(text)?;
    Ok(one..=one)
}

/// An IPv4 address.
pub(crate) fn address(text: &str) -> Result<Ipv4Addr, Complaint> {
    text.parse().map_err(|_| match text.contains(':') {
        true => (
            format!("\"{text}\" is an IPv6 address"),
            "write an IPv4 address: this gateway translates IPv4 to IPv4".to_owned(),
        ),
        false => (
            format!("\"{text}\" is not an IPv4 address"),
            "write four numbers from 0 to 255 with dots, e.g. 192.0.2.16".to_owned(),
        ),
    })
}

/// A prefix. Bits behind its length are left for `nat::Config::problems` to find.
pub(crate) fn prefix(text: &str) -> Result<Ipv4Net, Complaint> {
    let text = text.trim();
    let Some((network, length)) = text.split_once('/') else {
        let network = address(text)?;
        return Err((
            format!("\"{text}\" has no prefix length"),
            format!("write {network}/32 for the one address, or a prefix such as 10.0.0.0/8"),
        ));
    };
    let network = address(network)?;
    let length = length.parse().ok().filter(|&length: &u8| length <= 32);
    length.and_then(|length| Ipv4Net::new(network, length).ok()).ok_or_else(|| {
        let remedy = format!("write a length from 0 to 32, e.g. {network}/24");
        (format!("\"{text}\" has an impossible prefix length"), remedy)
    })
}

/// A range of ports `a-b`, or one port.
pub(crate) fn ports(text: &str) -> Result<RangeInclusive<u16>, Complaint> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Ok(port(first)?..=port(last)?)
}

/// One port.
pub(crate) fn port(text: &str) -> Result<u16, Complaint> {
    let text = text.trim();
    text.parse::<u16>().map_err(|_| {
        let remedy = "write numbers from 1 to 65535, e.g. \"1024-65535\"".to_owned();
        (format!("\"{text}\" is not a port"), remedy)
    })
}

/// A port and a time: `53 10s`.
pub(crate) fn port_time(text: &str) -> Result<(u16, Duration), Complaint> {
    let Some((number, time)) = text.trim().split_once(char::is_whitespace) else {
        let remedy = "write the port and the time with a blank between them, e.g. \"53 10s\"".to_owned();
        return Err((format!("\"{text}\" is not a port with a time"), remedy));
    };
    Ok((port(number)?, duration(time)?))
}

/// An endpoint, or an address without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaybeEndpoint {
    /// `a:port`.
    Endpoint(Endpoint),
    /// `a`.
    Address(Ipv4Addr),
}

/// `address:port`, or an address alone.
pub(crate) fn endpoint(text: &str) -> Result<MaybeEndpoint, Complaint> {
    let text = text.trim();
    match text.split_once(':') {
        // A second colon: IPv6, which `address` knows how to refuse.
        Some((_, rest)) if rest.contains(':') => address(text).map(MaybeEndpoint::Address),
        Some((host, number)) => {
            Ok(MaybeEndpoint::Endpoint(Endpoint { address: address(host)?, port: port(number)? }))
        }
        None => address(text).map(MaybeEndpoint::Address),
    }
}

/// The kind of a TCP option.
pub(crate) fn kind(text: &str) -> Result<u8, Complaint> {
    text.trim().parse().map_err(|_| {
        let remedy = "write numbers from 2 to 255, e.g. 8 for timestamps".to_owned();
        (format!("\"{text}\" is no kind of a TCP option"), remedy)
    })
}

/// A number of RFC 6056 section 3.3.
pub(crate) fn algorithm(number: i64) -> Option<Algorithm> {
    Some(match number {
        1 => Algorithm::SimpleRandom,
        2 => Algorithm::RandomAgain,
        3 => Algorithm::SimpleHash,
        4 => Algorithm::DoubleHash,
        5 => Algorithm::RandomIncrements,
        _ => return None,
    })
}

fn algorithm_number(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::SimpleRandom => 1,
        Algorithm::RandomAgain => 2,
        Algorithm::SimpleHash => 3,
        Algorithm::DoubleHash => 4,
        Algorithm::RandomIncrements => 5,
    }
}

/// The value of a setting as the file would write it; `None` for what is not in `Settings`.
pub(crate) fn show(slot: Slot, settings: &Settings) -> Option<String> {
    // The places are borrowed mutably because reading the file writes through them.
    let mut settings = settings.clone();
    let settings = &mut settings;
    Some(match slot {
        Slot::Profile | Slot::Pool(_) | Slot::Static(_) => return None,
        Slot::Duration(at) => quoted(&show_duration(*at(settings))),
        Slot::Count32(at) => at(settings).to_string(),
        Slot::Count16(at) => at(settings).to_string(),
        Slot::Count8(at) => at(settings).to_string(),
        Slot::Maybe32(at) => or_off(at(settings).as_ref()),
        Slot::Maybe16(at) => or_off(at(settings).as_ref()),
        Slot::Flag(at) => at(settings).to_string(),
        Slot::Address(at) => quoted(&at(settings).to_string()),
        Slot::Prefixes(at) => list(at(settings).iter().map(|net| quoted(&net.to_string()))),
        Slot::Ports(at) => list(at(settings).iter().map(ToString::to_string)),
        Slot::PortRanges(at) => list(at(settings).iter().map(|range| quoted(&show_ports(range)))),
        Slot::PortTimes(at) => {
            list(at(settings).iter().map(|&(port, time)| quoted(&format!("{port} {}", show_duration(time)))))
        }
        Slot::Names(at) => list(at(settings).iter().map(|name| quoted(name))),
        Slot::Name(at) => quoted(at(settings)),
        Slot::Path(at) => quoted(&at(settings).display().to_string()),
        Slot::Algorithm(at) => algorithm_number(*at(settings)).to_string(),
        Slot::Behaviour(at) => quoted(words::show(*at(settings))),
        Slot::Urgent(at) => quoted(words::show(*at(settings))),
        Slot::Action(at) => quoted(words::show(*at(settings))),
        Slot::Watch(at) => quoted(words::show(*at(settings))),
        Slot::Mode(at) => quoted(words::show(*at(settings))),
        Slot::Kinds(at) => list(at(settings).iter().map(ToString::to_string)),
        Slot::Rst(at) => quoted(words::show(*at(settings))),
        Slot::TimeWait(at) => quoted(words::show(*at(settings))),
    })
}

/// A time in the units that [`duration`] reads.
pub(crate) fn show_duration(time: Duration) -> String {
    let mut rest = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    // No days: the RFCs speak of hours and minutes.
    for (unit, millis) in &UNITS[1..] {
        if rest >= *millis {
            text += &format!("{}{unit}", rest / millis);
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// A setting of a pool as the file writes it.
pub(crate) fn show_pool(slot: PoolSlot, pool: &Pool) -> String {
    let blocks = pool.blocks.unwrap_or(DEFAULT_BLOCKS);
    match slot {
        PoolSlot::Addresses => list(pool.addresses.iter().map(|range| {
            let (first, last) = (range.start(), range.end());
            if first == last { quoted(&first.to_string()) } else { quoted(&format!("{first}-{last}")) }
        })),
        PoolSlot::Ports => quoted(&format!("{}-{}", pool.ports.start(), pool.ports.end())),
        PoolSlot::Kind => quoted(words::show(pool.kind)),
        PoolSlot::Subscribers => list(pool.subscribers.iter().map(|net| quoted(&net.to_string()))),
        PoolSlot::Pooling => quoted(words::show(pool.pooling)),
        PoolSlot::BlockSize => or_off(pool.blocks.map(|blocks| blocks.size).as_ref()),
        PoolSlot::MaxBlocks => blocks.max_per_subscriber.to_string(),
        PoolSlot::SharedPorts => match blocks.shared {
            SharedPorts::None => quoted("off"),
            SharedPorts::Last(ports) => ports.to_string(),
        },
        PoolSlot::Deterministic => blocks.deterministic.to_string(),
    }
}

/// A setting of a static mapping as the file writes it; `None` where it has none.
pub(crate) fn show_static(slot: StaticSlot, mapping: &StaticMapping) -> Option<String> {
    let endpoint = |endpoint: &Endpoint| quoted(&format!("{}:{}", endpoint.address, endpoint.port));
    Some(match (slot, mapping) {
        (StaticSlot::Internal, StaticMapping::Port { internal, .. }) => endpoint(internal),
        (StaticSlot::External, StaticMapping::Port { external, .. }) => endpoint(external),
        (StaticSlot::Protocol, StaticMapping::Port { protocol, .. }) => quoted(words::show(*protocol)),
        (StaticSlot::Internal, StaticMapping::Address { internal, .. }) => quoted(&internal.to_string()),
        (StaticSlot::External, StaticMapping::Address { external, .. }) => quoted(&external.to_string()),
        (StaticSlot::Protocol, StaticMapping::Address { .. }) => return None,
    })
}

fn show_ports(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn or_off(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| quoted("off"), ToString::to_string)
}

/// A text in TOML's quotes, whatever is in it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn times_are_numbers_with_units() {
        assert_eq!(duration("2h4m"), Ok(Duration::from_secs(7_440)));
        assert_eq!(duration("240s"), Ok(Duration::from_secs(240)));
        assert_eq!(duration("1d1h1m1s1ms"), Ok(Duration::from_millis(90_061_001)));
        for wrong in
            ["", "240", "h", "4m2h", "4m4m", "4 m", "-4m", "4M", "99999999999999999999s", "1.5h", "4mé"]
        {
            assert!(duration(wrong).is_err(), "{wrong} is no time");
        }
    }

    // covers: O1
    #[test]
    fn what_is_shown_reads_back() {
        for millis in [0, 1, 999, 1_000, 60_000, 7_440_000, 90_061_001] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(time)), Ok(time));
        }
    }

    // covers: O1, B5
    #[test]
    fn addresses_come_alone_as_ranges_and_as_prefixes() {
        let range = |first: &str, last: &str| Ok(address(first)?..=address(last)?);
        assert_eq!(addresses("192.0.2.1"), range("192.0.2.1", "192.0.2.1"));
        assert_eq!(addresses("192.0.2.1 - 192.0.2.9"), range("192.0.2.1", "192.0.2.9"));
        assert_eq!(addresses("192.0.2.16/28"), range("192.0.2.16", "192.0.2.31"));
        for wrong in ["", "192.0.2", "192.0.2.1-", "192.0.2.17/28", "192.0.2.0/33", "2001:db8::1", "a/b"] {
            assert!(addresses(wrong).is_err(), "{wrong} is no range");
        }
    }

    // covers: O1, B5, B1.4787-5a
    #[test]
    fn endpoints_and_ports_with_times_are_read() {
        let reached = Endpoint { address: Ipv4Addr::new(192, 0, 2, 1), port: 80 };
        assert_eq!(endpoint("192.0.2.1:80"), Ok(MaybeEndpoint::Endpoint(reached)));
        assert_eq!(endpoint("192.0.2.1"), Ok(MaybeEndpoint::Address(reached.address)));
        assert_eq!(port_time("53 10s"), Ok((53, Duration::from_secs(10))));
        assert_eq!(ports("53"), Ok(53..=53));
        for wrong in ["", "192.0.2.1:", ":80", "192.0.2.1:65536", "2001:db8::1", "192.0.2.1:80:1"] {
            assert!(endpoint(wrong).is_err(), "{wrong} is no endpoint");
        }
        for wrong in ["", "53", "10s", "53 ", "x 10s", "53 10"] {
            assert!(port_time(wrong).is_err(), "{wrong} is no port with a time");
        }
    }
}
