//! The engine: one shard of the gateway, and what its callers see of it.

use std::io;

use ipnet::Ipv4Net;
use rules::Instant;
use rules::port_selection::Selector;
use rules::tracking::Timer;

use crate::basic::Basic;
use crate::blocks::Blocks;
use crate::config::{Config, ConfigError, TimeWaitPolicy};
use crate::event::{BlockId, EventKind, MappingId, SessionId};
use crate::filter::Permits;
use crate::fragment::Followed;
use crate::ftp::{Expected, controls};
use crate::hash::HashKey;
use crate::ip_id::Identifications;
use crate::kept::Kept;
use crate::mapping::Mappings;
use crate::output::Output;
use crate::overlap::Shares;
use crate::pool::Pool;
use crate::scrub::Scrubbing;
use crate::session::{ICMP_TIMER, OTHER_TIMER, PORT_TIMERS, Sessions, Timers, UDP_TIMER};
use crate::subscriber::Subscribers;
use crate::table::Table;
use crate::tcp::{Resting, Shifts, Tombstones};
use crate::timer::{Wheel, start_of, tick_of, ticks};
use crate::unsolicited::Unsolicited;
use crate::{Counters, Event, Transmit};

/// One shard of the gateway.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) inside: Prefixes,
    /// Of what agrees in these bits, all is one subscriber.
    pub(crate) subscriber_mask: u32,
    /// Destinations to which nothing is translated.
    pub(crate) bypass: Prefixes,
    pub(crate) timers: Timers,
    /// `limits.report_interval` in ticks.
    pub(crate) report_interval: u32,
    pub(crate) key: HashKey,
    pub(crate) selector: Selector,
    /// What `selector` was before the packet under way drew from it.
    pub(crate) undrawn: Option<Selector>,
    /// The time of the call under way.
    pub(crate) now: Instant,
    /// The tick that it lies in.
    pub(crate) tick: u32,
    /// Both directions of every session, by their tuples.
    pub(crate) flows: Table,
    pub(crate) sessions: Sessions,
    /// Some segment may be refused for its numbers.
    pub(crate) judges: bool,
    pub(crate) scrub: Scrubbing,
    /// The ends of connections are remembered.
    pub(crate) remembers: bool,
    pub(crate) tombstones: Tombstones,
    pub(crate) shifts: Shifts,
    /// Who may lose a port.
    pub(crate) resting: Resting,
    /// Sessions that the packet under way ends.
    pub(crate) resets: Vec<u32>,
    /// Mappings by protocol and internal endpoint.
    pub(crate) endpoints: Table,
    pub(crate) mappings: Mappings,
    /// Mappings that live without sessions, until when.
    pub(crate) kept: Kept,
    /// Subscribers by address.
    pub(crate) hosts: Table,
    pub(crate) subscribers: Subscribers,
    pub(crate) pool: Pool,
    pub(crate) basic: Basic,
    /// Who has the ports that nobody has alone.
    pub(crate) shares: Shares,
    pub(crate) wheel: Wheel,
    pub(crate) fragments: Followed,
    pub(crate) unsolicited: Unsolicited,
    pub(crate) ids: Identifications,
    /// When each limit was last reported for somebody who is no subscriber yet.
    pub(crate) reported: [u32; crate::subscriber::KINDS],
    /// Whom subscribers have written to, where filtering asks for it.
    pub(crate) permits: Permits,
    /// Who may use the mappings of data connections.
    pub(crate) expected: Expected,
    pub(crate) output: Output,
    pub(crate) stages: crate::batch::Stages,
}

/// Sessions that one call ends at most, so that no call takes long. What is left is due at once.
const EXPIRIES: usize = 4_096;

impl Engine {
    /// An engine with these settings. `seed` keys its hashes and its port selection; it comes from
    /// the operating system (or, where everything must repeat, from the test).
    ///
    /// # Errors
    /// The first setting that makes no sense, or for which there is no memory.
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        config.validate()?;
        let limits = &config.limits;
        let out_of_memory = |setting: &'static str| {
            move |error: io::Error| ConfigError {
                setting: setting.into(),
                problem: format!("no memory for tables of this size: {error}"),
                remedy: "a smaller number, or a machine with more memory".into(),
            }
        };
        let (sessions, mappings) = (out_of_memory("limits.sessions"), out_of_memory("limits.mappings"));
        let subscribers = out_of_memory("limits.subscribers");
        let tick = tick_of(now);
        let pool = Pool::new(config, ticks(config.ports.hold)).map_err(out_of_memory("pool"))?;
        let mut engine = Self {
            inside: Prefixes::new(&config.inside),
            subscriber_mask: config.subscriber_mask(),
            bypass: Prefixes::new(&config.bypass),
            timers: timers(config),
            report_interval: ticks(limits.report_interval),
            key: HashKey::new(seed),
            selector: Selector::new(config.ports.algorithm, seed),
            undrawn: None,
            now,
            tick,
            flows: Table::new(limits.sessions as usize * 2).map_err(sessions)?,
            sessions: Sessions::new(limits.sessions).map_err(sessions)?,
            judges: config.tcp_checks.paws || config.tcp_checks.time_wait == TimeWaitPolicy::Rfc6191,
            scrub: Scrubbing::new(&config.scrub),
            remembers: remembered(config) > 0,
            tombstones: Tombstones::new(remembered(config)).map_err(out_of_memory("limits.tombstones"))?,
            shifts: Shifts::new(shifted(config).saturating_add(controls(config)))
                .map_err(out_of_memory("limits.tombstones"))?,
            resting: Resting::new(shifted(config), pool.addresses()),
            resets: Vec::new(),
            endpoints: Table::new(limits.mappings as usize).map_err(mappings)?,
            mappings: Mappings::new(limits.mappings).map_err(mappings)?,
            kept: Kept::new(limits.mappings).map_err(mappings)?,
            hosts: Table::new(limits.subscribers as usize).map_err(subscribers)?,
            subscribers: Subscribers::new(limits.subscribers).map_err(subscribers)?,
            pool,
            basic: Basic::new(config),
            shares: Shares::new(config).map_err(mappings)?,
            wheel: Wheel::new(tick),
            fragments: Followed::new(config.fragments),
            ids: Identifications::new(HashKey::new(seed)),
            unsolicited: Unsolicited::new(config.unsolicited_syns.unwrap_or(0)),
            reported: [0; crate::subscriber::KINDS],
            permits: Permits::new(config).map_err(sessions)?,
            expected: Expected::default(),
            output: Output::new(config.icmp_errors_per_second, now),
            stages: Default::default(),
            config: config.clone(),
        };
        engine.make_statics()?;
        Ok(engine)
    }

    /// The next packet that the engine itself wants sent, written into `buffer`, which holds 65,535
    /// octets; one that does not fit is lost.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        self.output.poll_transmit(buffer)
    }

    /// When [`Self::handle_timeout`] wants to be called next. A moment in the past: at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = [
            self.wheel.next_tick(),
            self.kept.next_tick(),
            self.fragments.next_tick(),
            self.unsolicited.next_tick(),
            self.pool.next_release().filter(|_| self.pool.tells()),
        ];
        due.into_iter().flatten().min().map(start_of)
    }

    /// Ends what is due at `now`, a bounded number of sessions in one call.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The next thing that happened. To be drained after each call that takes `now`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.output.poll_event()
    }

    /// Totals since the engine was made.
    pub fn counters(&self) -> &Counters {
        &self.output.counters
    }

    /// The mappings there are, in no order.
    pub fn mappings(&self) -> impl Iterator<Item = MappingId> + '_ {
        self.mappings.iter().map(|mapping| mapping.id())
    }

    /// The sessions there are, in no order; one whose time is up counts until it was looked at.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.iter().map(|(session, ties)| session.id(self.mappings.get(ties.mapping).id()))
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> u32 {
        self.sessions.len()
    }

    /// New keys for port selection, for mappings made from now on (N16).
    pub fn rekey(&mut self, seed: [u8; 32]) {
        self.selector = Selector::new(self.config.ports.algorithm, seed);
    }

    /// The subscriber that an internal address belongs to: of a prefix, its first address (B5).
    pub(crate) fn subscriber_of(&self, address: core::net::Ipv4Addr) -> u32 {
        address.to_bits() & self.subscriber_mask
    }

    /// The subscriber whose address, as [`Self::subscriber_of`] has it, is `address`.
    pub(crate) fn find_subscriber(&self, address: u32) -> Option<u32> {
        let lines = self.subscribers.lines();
        self.hosts.find(self.key.address(address), |index| lines[index as usize].address == address)
    }

    /// Tells of the blocks that were given or have come back.
    pub(crate) fn tell_blocks(&mut self, tick: u32) {
        while let Some((external, change)) = self.pool.next_change() {
            let subscriber = core::net::Ipv4Addr::from_bits(change.subscriber);
            let id =
                BlockId { subscriber, external, first: *change.ports.start(), last: *change.ports.end() };
            let kind =
                if change.given { EventKind::BlockAllocated(id) } else { EventKind::BlockReleased(id) };
            self.output.event(tick, kind);
        }
    }

    /// Time goes on to `now`, never back, and what is due ends.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.tick = tick_of(self.now);
        self.expire(EXPIRIES);
        if !self.pool.tells() {
            self.pool.release(self.tick);
        }
        self.fragments.expire(self.tick, &mut self.output);
        self.answer_unsolicited();
    }
}

/// See [`Config::memory_bound`]. Every table is in here; tests/memory.rs compares it with what a full
/// engine takes.
pub(crate) fn memory_bound(config: &Config) -> u64 {
    /// Of each engine: its wheel and stages (0.1 MiB); what one call may leave to be polled, which are
    /// the events of so many ended sessions (1 MiB) and a batch of the longest packets cut into pieces
    /// (6 MiB); the unused part of the last huge page of each hot table (14 MiB).
    const FIXED: u64 = 22 << 20;
    let limits = &config.limits;
    let (sessions, mappings) = (u64::from(limits.sessions), u64::from(limits.mappings));
    let subscribers = u64::from(limits.subscribers);
    (FIXED + Identifications::OCTETS) * u64::from(config.shard.count.max(1))
        + sessions * Sessions::OCTETS
        + Table::octets(sessions * 2)
        + mappings * (Mappings::OCTETS + Kept::OCTETS)
        + Table::octets(mappings)
        + subscribers * Subscribers::OCTETS
        + Table::octets(subscribers)
        + config.external_addresses() * (Pool::OCTETS + Basic::OCTETS)
        + u64::from(config.ports.hold_max) * Pool::HELD_OCTETS
        + Followed::octets(&config.fragments)
        + u64::from(config.unsolicited_syns.unwrap_or(0)) * Unsolicited::OCTETS
        + Permits::octets(config)
        + blocks(config)
        + Shares::octets(config)
        + Tombstones::octets(remembered(config).into())
        + (u64::from(shifted(config)) + u64::from(controls(config))) * Shifts::OCTETS
        + crate::ftp::octets(config)
        + Scrubbing::octets(&config.scrub) * u64::from(config.shard.count.max(1))
        + match shifted(config) {
            0 => 0,
            tombstones => Resting::octets(tombstones.into(), config.external_addresses()),
        }
}

/// What port blocks take.
fn blocks(config: &Config) -> u64 {
    let of = |pool: &crate::config::Pool| {
        let dynamic = pool.blocks.filter(|blocks| !blocks.deterministic);
        dynamic.map_or(0, |blocks| pool.size() * Blocks::octets(&blocks, &pool.ports))
    };
    config.pools.iter().map(of).sum()
}

/// Connections whose end is remembered.
fn remembered(config: &Config) -> u32 {
    let checks = &config.tcp_checks;
    if checks.resend_last_ack || checks.monotonic_rewrite { config.limits.tombstones } else { 0 }
}

/// Connections whose numbers can be changed at one time.
fn shifted(config: &Config) -> u32 {
    if config.tcp_checks.monotonic_rewrite { config.limits.tombstones } else { 0 }
}

fn timers(config: &Config) -> Timers {
    let mut timers = Timers::default();
    timers[Timer::Opening as usize] = ticks(config.tcp.opening);
    timers[Timer::Established as usize] = ticks(config.tcp.established);
    timers[Timer::Closing as usize] = ticks(config.tcp.closing);
    timers[Timer::TimeWait as usize] = ticks(config.tcp.time_wait);
    timers[Timer::Transitory as usize] = ticks(config.tcp.transitory);
    timers[usize::from(UDP_TIMER)] = ticks(config.udp.timeout);
    timers[usize::from(ICMP_TIMER)] = ticks(config.icmp_timeout);
    timers[usize::from(OTHER_TIMER)] = ticks(config.other_timeout);
    for (timer, (_, timeout)) in timers[usize::from(PORT_TIMERS)..].iter_mut().zip(&config.udp.port_timeouts)
    {
        *timer = ticks(*timeout);
    }
    timers
}

/// The inside prefixes, as masks.
#[derive(Debug)]
pub(crate) struct Prefixes(Vec<(u32, u32)>);

impl Prefixes {
    fn new(nets: &[Ipv4Net]) -> Self {
        Self(nets.iter().map(|net| (net.network().to_bits(), net.netmask().to_bits())).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(always)]
    pub(crate) fn contain(&self, address: core::net::Ipv4Addr) -> bool {
        self.0.iter().any(|&(network, mask)| address.to_bits() & mask == network)
    }
}
