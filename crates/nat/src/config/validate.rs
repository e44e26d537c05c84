//! Which settings make sense together: the rules behind [`Config::validate`].
//!
//! Nothing here knows of a file. Each finding names the setting by its path
//! (`pool[1].addresses[0]`), and whoever read the file turns that into a line.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use rules::address::NOT_UNICAST;

use super::{Config, ConfigError, Pool, PoolKind, StaticMapping, TimeWaitPolicy, Watch};

mod mapping;
mod ports;
#[cfg(test)]
mod tests;

/// External addresses of one gateway, all pools together. A /16: port bitmaps for more would take
/// gigabytes before the first packet.
pub const MAX_EXTERNAL_ADDRESSES: u64 = 65_536;

/// Sessions or mappings of one engine: indices have 32 bits, and a flow table has two entries for each
/// session. So many sessions are 25 GiB.
const MAX_ENTRIES: u32 = 1 << 28;

/// UDP ports that may have a time of their own.
const PORT_TIMEOUTS: usize = 8;

/// The longest time that any timer may be set to: the clock of the timers is a coarse 32-bit one.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A finding of [`Config::problems`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, where, and what to write.
    pub error: ConfigError,
    /// The other setting that it clashes with, and what that one is; by its path.
    pub clashes_with: Option<(String, String)>,
}

impl Config {
    /// Whether these settings make sense: what each RFC sets as a least value, and what would
    /// contradict something else.
    ///
    /// # Errors
    /// The first of [`Self::problems`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.problems().into_iter().next() {
            Some(problem) => Err(problem.error),
            None => Ok(()),
        }
    }

    /// Everything that [`Self::validate`] would complain about, in the order of the settings.
    pub fn problems(&self) -> Vec<Problem> {
        let mut findings = Findings::default();
        findings.inside(&self.inside);
        findings.pools(&self.pools);
        findings.overlaps(&self.inside, &self.pools);
        findings.bypass(self);
        findings.basic(self);
        findings.statics(self);
        findings.mapping(self);
        findings.ports(self);
        findings.gateway("inside.address", self.gateway.inside);
        findings.gateway("outside.address", self.gateway.outside);
        findings.timers(self);
        findings.tcp_checks(self);
        findings.limits(self);
        findings.fragments(self);
        findings.packets(self);
        findings.scrub(self);
        findings.shard(self);
        findings.0
    }

    /// The same for a [`Scrubber`](crate::Scrubber) alone, which translates nothing.
    pub fn scrub_problems(&self) -> Vec<Problem> {
        let mut findings = Findings::default();
        findings.timers(self);
        findings.packets(self);
        findings.scrub(self);
        let scrub = &self.scrub;
        let follows = [
            ("scrub.out_of_window", scrub.out_of_window != Watch::Off),
            ("scrub.war_limit", scrub.war_limit.is_some()),
        ];
        for (setting, _) in follows.into_iter().filter(|(_, wanted)| *wanted && scrub.flows.is_none()) {
            let problem = "a scrubber that remembers no connection cannot know";
            findings.add(setting, problem, "write scrub.flows as well, e.g. flows = 65536, or \"off\" here");
        }
        findings.0
    }
}

#[derive(Default)]
struct Findings(Vec<Problem>);

impl Findings {
    fn add(&mut self, setting: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) {
        let error = ConfigError { setting: setting.into(), problem: problem.into(), remedy: remedy.into() };
        self.0.push(Problem { error, clashes_with: None });
    }

    fn clash(&mut self, setting: String, problem: String, remedy: &str, other: String, label: String) {
        self.add(setting, problem, remedy);
        if let Some(last) = self.0.last_mut() {
            last.clashes_with = Some((other, label));
        }
    }

    fn inside(&mut self, prefixes: &[Ipv4Net]) {
        if prefixes.is_empty() {
            self.add(
                "inside.prefixes",
                "no subscribers: there is no inside prefix",
                "write the subscribers' prefixes, e.g. prefixes = [\"100.64.0.0/10\"]",
            );
        }
        for (index, prefix) in prefixes.iter().enumerate() {
            let place = format!("inside.prefixes[{index}]");
            if prefix.trunc() != *prefix {
                self.add(
                    place.clone(),
                    format!("{prefix} has bits set behind its prefix length"),
                    format!("write {}, or {}/32 for the one address", prefix.trunc(), prefix.addr()),
                );
            }
            if let Some(what) = not_unicast(prefix.network(), prefix.broadcast()) {
                self.add(
                    place.clone(),
                    format!("{prefix} has addresses that no subscriber can have ({what})"),
                    "write prefixes of unicast addresses, e.g. 10.0.0.0/8 or 100.64.0.0/10",
                );
            }
            let earlier = prefixes[..index].iter().position(|other| nets_overlap(prefix, other));
            if let Some(other) = earlier {
                self.clash(
                    place,
                    format!("{prefix} and {} have addresses in common", prefixes[other]),
                    "keep the larger one of the two",
                    format!("inside.prefixes[{other}]"),
                    "also here".into(),
                );
            }
        }
    }

    fn pools(&mut self, pools: &[Pool]) {
        if pools.is_empty() {
            self.add(
                "pool",
                "no pool: there is no external address to translate to",
                "add a table [[pool]] with addresses = [\"192.0.2.16-192.0.2.31\"]",
            );
        }
        let mut total = 0;
        for (index, pool) in pools.iter().enumerate() {
            self.pool(index, pool);
            let before = total;
            total += pool.size();
            if before <= MAX_EXTERNAL_ADDRESSES && total > MAX_EXTERNAL_ADDRESSES {
                self.add(
                    format!("pool[{index}].addresses"),
                    format!(
                        "{total} external addresses up to here, at most {MAX_EXTERNAL_ADDRESSES} are possible"
                    ),
                    "give fewer addresses here, or split the subscribers over several gateways",
                );
            }
        }
    }

    fn pool(&mut self, index: usize, pool: &Pool) {
        if pool.addresses.is_empty() {
            self.add(
                format!("pool[{index}].addresses"),
                "this pool has no addresses",
                "write its addresses, e.g. addresses = [\"192.0.2.16-192.0.2.31\", \"192.0.2.77\"]",
            );
        }
        for (part, range) in pool.addresses.iter().enumerate() {
            let place = format!("pool[{index}].addresses[{part}]");
            if range.start() > range.end() {
                self.add(
                    place,
                    format!("the range {}-{} runs backwards", range.start(), range.end()),
                    format!("write the lower address first: {}-{}", range.end(), range.start()),
                );
            } else if let Some(what) = not_unicast(*range.start(), *range.end()) {
                self.add(
                    place,
                    format!("{} has addresses that no host can have ({what})", show(range)),
                    "write unicast addresses that are routed to this gateway",
                );
            }
        }
        let (first, last) = (*pool.ports.start(), *pool.ports.end());
        let place = format!("pool[{index}].ports");
        if first > last {
            self.add(
                place,
                format!("the range {first}-{last} runs backwards"),
                format!("write the lower port first: {last}-{first}"),
            );
        } else if first == 0 {
            self.add(place, "port 0 is no port that can be given out", "start at 1 or higher; 1024 is usual");
        }
    }

    /// Pool against pool, and pool against inside: each pair once, at the later place.
    fn overlaps(&mut self, inside: &[Ipv4Net], pools: &[Pool]) {
        let ranges: Vec<_> = ranges_of(pools).collect();
        for (first, last) in overlapping_pairs(&ranges) {
            let ((pool, part, range), (other_pool, other_part, other)) = (ranges[last], ranges[first]);
            self.clash(
                format!("pool[{pool}].addresses[{part}]"),
                format!("{} and {} have addresses in common", show(range), show(other)),
                "give each external address to one pool only, once",
                format!("pool[{other_pool}].addresses[{other_part}]"),
                "also here".into(),
            );
        }
        for &(pool, part, range) in &ranges {
            let found = inside
                .iter()
                .position(|net| net.network() <= *range.end() && *range.start() <= net.broadcast());
            if let Some(prefix) = found {
                self.clash(
                    format!("pool[{pool}].addresses[{part}]"),
                    format!("{} lies in the inside prefix {}", show(range), inside[prefix]),
                    "an address is either a subscriber's or an external one: take it out of one of the two",
                    format!("inside.prefixes[{prefix}]"),
                    "the inside prefix".into(),
                );
            }
        }
    }

    /// What is not translated is neither a subscriber nor an external address.
    fn bypass(&mut self, config: &Config) {
        for (index, prefix) in config.bypass.iter().enumerate() {
            let place = format!("inside.bypass[{index}]");
            if prefix.trunc() != *prefix {
                self.add(
                    place.clone(),
                    format!("{prefix} has bits set behind its prefix length"),
                    format!("write {}, or {}/32 for the one address", prefix.trunc(), prefix.addr()),
                );
            }
            if let Some(what) = not_unicast(prefix.network(), prefix.broadcast()) {
                self.add(
                    place.clone(),
                    format!("{prefix} has addresses that no host can have ({what})"),
                    "write prefixes of unicast addresses",
                );
            }
            if let Some(inside) = config.inside.iter().position(|net| nets_overlap(prefix, net)) {
                self.clash(
                    place.clone(),
                    format!(
                        "{prefix} and the inside prefix {} have addresses in common",
                        config.inside[inside]
                    ),
                    "packets between subscribers are not for this gateway: name destinations outside",
                    format!("inside.prefixes[{inside}]"),
                    "the inside prefix".into(),
                );
            }
            let (first, last) = (prefix.network(), prefix.broadcast());
            for (pool, part, range) in ranges_of(&config.pools) {
                if first <= *range.end() && *range.start() <= last {
                    self.clash(
                        place.clone(),
                        format!("{prefix} and the external addresses {} overlap", show(range)),
                        "an external address is always translated: take it out of one of the two",
                        format!("pool[{pool}].addresses[{part}]"),
                        "the external addresses".into(),
                    );
                    break;
                }
            }
        }
    }

    /// Addresses that are translated whole: what they cannot have, and whose they are for ever.
    fn basic(&mut self, config: &Config) {
        let is_basic = |pool: &Pool| pool.kind == PoolKind::Basic;
        let everybody = |pool: &&Pool| pool.subscribers.is_empty();
        let all = config.pools.iter().filter(everybody).count();
        for (index, pool) in config.pools.iter().enumerate().filter(|(_, pool)| is_basic(pool)) {
            let place = format!("pool[{index}]");
            if pool.blocks.is_some() {
                let problem = "a basic pool has no ports to give out in blocks";
                self.add(
                    format!("{place}.block_size"),
                    problem,
                    "leave block_size out, or write kind = \"napt\"",
                );
            }
            if pool.subscribers.is_empty() && all > 1 {
                let problem = "which subscribers have a whole address and which have not is not said";
                self.add(format!("{place}.subscribers"), problem, "name the subscribers of the basic pool");
            }
            if config.subscriber_prefix != 32 {
                let problem =
                    "hosts that are one subscriber cannot share an address whose ports stay as they are";
                self.add("inside.subscriber_prefix", problem, "write 32, or kind = \"napt\" for every pool");
            }
        }
        let wholes: Vec<_> = config
            .statics
            .iter()
            .enumerate()
            .filter_map(|(index, mapping)| match *mapping {
                StaticMapping::Address { internal, external } => Some((index, internal, external)),
                StaticMapping::Port { .. } => None,
            })
            .collect();
        let mut partners = std::collections::BTreeMap::new();
        for &(index, internal, external) in &wholes {
            let place = format!("static[{index}]");
            if !config.inside.iter().any(|net| net.contains(&internal)) {
                let problem = format!("{internal} is in no inside prefix");
                self.add(format!("{place}.internal"), problem, "name a subscriber's address");
            }
            let has =
                |pool: &Pool| is_basic(pool) && pool.addresses.iter().any(|range| range.contains(&external));
            if !config.pools.iter().any(has) {
                let problem = format!("{external} is in no pool with kind = \"basic\"");
                self.add(format!("{place}.external"), problem, "name an address of a basic pool");
            }
            for address in [internal, external] {
                if let Some(other) = partners.insert(address, index) {
                    self.clash(
                        place.clone(),
                        format!("{address} has a partner already"),
                        "give each address one partner",
                        format!("static[{other}]"),
                        "also here".into(),
                    );
                }
            }
        }
    }

    fn scrub(&mut self, config: &Config) {
        for (setting, problem, remedy) in config.scrub.problems() {
            self.add(setting, problem, remedy);
        }
    }

    fn gateway(&mut self, setting: &str, address: Ipv4Addr) {
        if let Some(what) = not_unicast(address, address) {
            self.add(
                setting,
                format!("{address} cannot be the source of a packet ({what})"),
                "write an address of this gateway, or leave the line out for 192.0.0.8 (RFC 7600)",
            );
        }
    }

    fn timers(&mut self, config: &Config) {
        let tcp = &config.tcp;
        let second = Duration::from_secs(1);
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let established = Some("RFC 5382 REQ-5");
        self.time("tcp.opening", tcp.opening, second, None);
        self.time("tcp.established", tcp.established, minutes(124), established);
        self.time("tcp.closing", tcp.closing, second, None);
        self.time("tcp.time_wait", tcp.time_wait, second, None);
        self.time(
            "tcp.transitory",
            tcp.transitory,
            minutes(4),
            Some("RFC 5382 REQ-5 and RFC 7857 section 2.2"),
        );
        self.time("udp.timeout", config.udp.timeout, minutes(2), Some("RFC 4787 REQ-5"));
        self.time("icmp.timeout", config.icmp_timeout, minutes(1), Some("RFC 5508 REQ-2"));
        self.time("other.timeout", config.other_timeout, second, None);
        self.port_timeouts(&config.udp.port_timeouts);
        self.time("ports.hold", config.ports.hold, Duration::ZERO, None);
        self.time("limits.report_interval", config.limits.report_interval, second, None);
    }

    /// RFC 4787 REQ-5a speaks of single well-known ports alone.
    fn port_timeouts(&mut self, timeouts: &[(u16, Duration)]) {
        let setting = "udp.port_timeouts";
        if timeouts.len() > PORT_TIMEOUTS {
            let problem = format!("{} ports have a time of their own", timeouts.len());
            self.add(setting, problem, format!("name {PORT_TIMEOUTS} ports or less"));
        }
        for (index, &(port, timeout)) in timeouts.iter().enumerate() {
            let place = format!("{setting}[{index}]");
            if port == 0 || port > 1_023 {
                let problem = format!("{port} is no well-known port (RFC 4787 REQ-5a)");
                self.add(place.clone(), problem, "name ports from 1 to 1023");
            }
            if timeouts[..index].iter().any(|&(other, _)| other == port) {
                self.add(place.clone(), format!("port {port} has two times"), "name each port once");
            }
            self.time(&place, timeout, Duration::from_secs(1), None);
        }
    }

    /// A time from `least` (set by `rfc`, or by sense) to a month.
    fn time(&mut self, setting: &str, time: Duration, least: Duration, rfc: Option<&str>) {
        if time < least {
            let limit = spoken(least);
            match rfc {
                Some(rfc) => self.add(
                    setting,
                    format!("{} is less than the {limit} that {rfc} asks for at least", spoken(time)),
                    format!("write \"{limit}\" or more"),
                ),
                None => self.add(
                    setting,
                    format!("{} is too short", spoken(time)),
                    format!("write \"{limit}\" or more"),
                ),
            }
        } else if time > LONGEST {
            self.add(setting, format!("{} is too long", spoken(time)), "write \"720h\" or less");
        }
    }

    fn tcp_checks(&mut self, config: &Config) {
        let checks = &config.tcp_checks;
        if checks.monotonic_rewrite && checks.time_wait != TimeWaitPolicy::Rfc6191 {
            self.add(
                "tcp.monotonic_rewrite",
                "without tcp.time_wait = \"rfc6191\" nothing asks for numbers that go on",
                "write tcp.time_wait = \"rfc6191\", or monotonic_rewrite = false",
            );
        }
        if checks.monotonic_rewrite || checks.resend_last_ack {
            self.count("limits.tombstones", config.limits.tombstones, 1, MAX_ENTRIES);
        }
    }

    fn limits(&mut self, config: &Config) {
        let limits = &config.limits;
        self.count("limits.sessions", limits.sessions, 1, MAX_ENTRIES);
        self.count("limits.mappings", limits.mappings, 1, MAX_ENTRIES);
        self.count("limits.subscribers", limits.subscribers, 1, MAX_ENTRIES);
        self.count("limits.ports_per_subscriber", limits.ports_per_subscriber, 1, 65_535);
        self.count("limits.sessions_per_subscriber", limits.sessions_per_subscriber, 1, MAX_ENTRIES);
        // A mapping counts them in 16 bits.
        self.count("limits.inbound_sessions_per_mapping", limits.inbound_sessions_per_mapping, 0, 65_535);
        self.count("icmp.errors_per_second", config.icmp_errors_per_second, 1, 1_000_000);
        if let Some(syns) = config.unsolicited_syns {
            self.count("tcp.unsolicited_syns", syns, 1, 1 << 20);
        }
    }

    fn fragments(&mut self, config: &Config) {
        let fragments = &config.fragments;
        self.count("fragments.datagrams", fragments.datagrams, 1, 1 << 24);
        self.count("fragments.waiting_per_source", fragments.waiting_per_source, 1, 65_535);
        // Less than one link's worth of octets would refuse every datagram that is out of order.
        self.count("fragments.waiting_octets", fragments.waiting_octets, 1_500, 1 << 30);
        let timeout = fragments.timeout;
        self.time("fragments.timeout", timeout, Duration::from_secs(1), None);
        if timeout > Duration::from_secs(120) && timeout <= LONGEST {
            self.add(
                "fragments.timeout",
                format!("{} is more than any host waits to reassemble (RFC 1122 3.3.2)", spoken(timeout)),
                "write \"2m\" or less",
            );
        }
    }

    fn packets(&mut self, config: &Config) {
        for (setting, mtu) in [("mtu.inside", config.mtu.inside), ("mtu.outside", config.mtu.outside)] {
            if mtu < 576 {
                self.add(
                    setting,
                    format!("{mtu} octets are less than the 576 that every host must accept (RFC 791 3.1)"),
                    "write the MTU of the link, from 576 to 65535",
                );
            }
        }
        if let Some(mss) = config.mss_clamp {
            self.count("tcp.mss_clamp", u32::from(mss), 536, 65_495);
        }
    }

    fn shard(&mut self, config: &Config) {
        let (index, count) = (config.shard.index, config.shard.count);
        if count == 0 || index >= count {
            self.add(
                "live.workers",
                format!("shard {index} of {count} does not exist"),
                "have at least one worker, and number the shards from 0",
            );
        }
        let addresses = config.external_addresses();
        if u64::from(count) > addresses && addresses > 0 {
            self.add(
                "live.workers",
                format!("{count} workers share {addresses} external address(es); each needs at least one of its own"),
                format!("write {addresses} or less, or add addresses to a pool"),
            );
        } else if count > 1 {
            self.shares(config);
        }
    }

    /// Addresses go to workers in turn, subscribers by a hash: whoever uses a pool needs some of it at every
    /// worker, unless its address follows from its own.
    fn shares(&mut self, config: &Config) {
        let is_computed = |pool: &Pool| pool.blocks.is_some_and(|blocks| blocks.deterministic);
        let count = usize::from(config.shard.count);
        let (mut next, mut everybodys) = (0, BTreeSet::new());
        for (index, pool) in config.pools.iter().enumerate() {
            let size = pool.size() as usize;
            let first = next;
            next += size;
            if is_computed(pool) {
                continue;
            }
            if pool.subscribers.is_empty() {
                everybodys.extend((first..next).take(count).map(|number| number % count));
            } else if size < count {
                self.clash(
                    "live.workers".into(),
                    format!(
                        "{count} workers share the {size} address(es) of a pool with subscribers of its own"
                    ),
                    "have no more workers than addresses in each such pool",
                    format!("pool[{index}].addresses"),
                    "the pool".into(),
                );
            }
        }
        if !everybodys.is_empty() && everybodys.len() < count {
            let has = everybodys.len();
            self.add(
                "live.workers",
                format!("of {count} workers only {has} have an address for subscribers that no pool names"),
                "write fewer, put the pools without subscribers together, or add addresses to them",
            );
        }
    }

    fn count(&mut self, setting: &str, value: u32, least: u32, most: u32) {
        if value < least {
            self.add(setting, format!("{value} is too small"), format!("write {least} or more"));
        } else if value > most {
            self.add(setting, format!("{value} is too large"), format!("write {most} or less"));
        }
    }
}

/// All ranges that do not run backwards, with their pool and their place in it.
fn ranges_of(pools: &[Pool]) -> impl Iterator<Item = (usize, usize, &RangeInclusive<Ipv4Addr>)> {
    pools
        .iter()
        .enumerate()
        .flat_map(|(pool, p)| p.addresses.iter().enumerate().map(move |(part, range)| (pool, part, range)))
        .filter(|(_, _, range)| range.start() <= range.end())
}

/// Indices of ranges that overlap, the earlier first. Each range is compared with the one that
/// reaches furthest of those that start before it: n log n, and every clash shows at least once.
fn overlapping_pairs(ranges: &[(usize, usize, &RangeInclusive<Ipv4Addr>)]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&index| (ranges[index].2.start(), index));
    let mut pairs = Vec::new();
    let mut furthest: Option<usize> = None;
    for index in order {
        match furthest {
            Some(other) if ranges[other].2.end() >= ranges[index].2.start() => {
                pairs.push((index.min(other), index.max(other)));
                if ranges[index].2.end() > ranges[other].2.end() {
                    furthest = Some(index);
                }
            }
            _ => furthest = Some(index),
        }
    }
    pairs.sort_unstable_by_key(|&(first, last)| (last, first));
    pairs
}

fn nets_overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.network() <= other.broadcast() && other.network() <= one.broadcast()
}

fn not_unicast(first: Ipv4Addr, last: Ipv4Addr) -> Option<&'static str> {
    NOT_UNICAST.iter().find_map(|&(network, length, what)| {
        let start = network.to_bits();
        let end = start | (u32::MAX >> length);
        (first.to_bits() <= end && last.to_bits() >= start).then_some(what)
    })
}

fn show(range: &RangeInclusive<Ipv4Addr>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    }
}

/// A duration as the configuration file writes it.
fn spoken(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let mut text = String::new();
    for (count, unit) in [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")] {
        if count > 0 {
            text += &format!("{count}{unit}");
        }
    }
    if millis > 0 {
        text += &format!("{millis}ms");
    }
    if text.is_empty() {
        text = "0s".into();
    }
    text
}
