//! A small test language for the engine: a world with one gateway, packets by their two ends, and
//! what is expected of them. Every expected packet is built from nothing, checksums included, so
//! each comparison is one with a full recomputation.
//!
//! ```text
//! world.inside(udp(A, S)).expect_out(udp(X, S));
//! world.outside(udp(S, X)).expect_in(udp(S, A));
//! ```
// Each test program uses a part of it, and what is wrong in a test is a panic.
#![allow(dead_code, unreachable_pub, clippy::panic)]

mod packet;

use std::time::Duration;

use nat::event::{EventKind, MappingId, SessionId};
use nat::{Checksum, Config, Counters, Engine, Event, Offload, Packet, Protocol, Realm, Reason, Verdict};
pub use nat::{Endpoint, Realm::Inside, Realm::Outside};
pub use packet::*;
use rules::Instant;

/// A subscriber and one of its ports.
pub const A: &str = "100.64.0.1:4001";
/// Another subscriber.
pub const B: &str = "100.64.0.2:5001";
/// A server outside.
pub const S: &str = "203.0.113.80:80";
/// Another server.
pub const T: &str = "198.51.100.7:7";
/// What [`A`] is outside, in a world with one external address where its port is preserved.
pub const XA: &str = "192.0.2.1:4001";
/// What [`B`] is there.
pub const XB: &str = "192.0.2.1:5001";

/// The length of the engine's tick: sessions end with the tick after their idle time is over.
pub const TICK: Duration = Duration::from_millis(100);

/// One inside prefix, one external address, ports from 1024 on, the defaults otherwise.
pub fn config() -> Config {
    config_with(&["192.0.2.1"], 1024..=65_535)
}

/// One pool of these addresses and ports.
pub fn config_with(addresses: &[&str], ports: std::ops::RangeInclusive<u16>) -> Config {
    let addresses = addresses.iter().map(|a| addr(a)..=addr(a)).collect();
    let mut config = Config::new(
        vec!["100.64.0.0/10".parse().expect("a prefix")],
        vec![nat::config::Pool::new(addresses, ports)],
    );
    config.limits.sessions = 1 << 12;
    config.limits.mappings = 1 << 12;
    config.limits.subscribers = 1 << 10;
    // Packets are compared whole, and a refused one changes nothing: both have tests of their own.
    config.rewrite_ip_id = false;
    config.unsolicited_syns = None;
    config
}

/// One engine and the time.
pub struct World {
    /// The engine.
    pub engine: Engine,
    /// The time.
    pub now: Instant,
}

/// What became of a packet.
#[derive(Debug)]
pub struct Outcome {
    /// What the engine said.
    pub verdict: Verdict,
    /// The octets that were given to it.
    pub before: Vec<u8>,
    /// The same octets afterwards.
    pub after: Vec<u8>,
    /// The packet's offloads afterwards.
    pub offload: Offload,
    /// What the engine sent because of it.
    pub sent: Vec<Sent>,
}

/// A packet that the engine made.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where to.
    pub to: Realm,
    /// To another shard.
    pub shard: Option<u16>,
    /// Its octets.
    pub data: Vec<u8>,
}

/// Everything about the engine that can be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Sorted.
    pub mappings: Vec<MappingId>,
    /// Sorted.
    pub sessions: Vec<SessionId>,
    /// When the engine wants to be woken.
    pub timeout: Option<Instant>,
    /// All of them.
    pub counters: Counters,
}

impl Default for World {
    fn default() -> Self {
        Self::new(&config())
    }
}

impl World {
    /// A world with these settings, at time 0.
    pub fn new(config: &Config) -> Self {
        Self::seeded(config, [7; 32])
    }

    /// The same with another seed.
    pub fn seeded(config: &Config, seed: [u8; 32]) -> Self {
        let engine = Engine::new(config, seed, Instant::ZERO).expect("these settings make sense");
        Self { engine, now: Instant::ZERO }
    }

    /// A world with the settings that `change` made of the defaults.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self::new(&config)
    }

    /// Time goes on, and the engine hears of it.
    pub fn wait(&mut self, time: Duration) -> &mut Self {
        self.now = self.now + time;
        self.engine.handle_timeout(self.now);
        self
    }

    /// The same in seconds.
    pub fn wait_secs(&mut self, secs: u64) -> &mut Self {
        self.wait(Duration::from_secs(secs))
    }

    /// A packet comes from inside.
    pub fn inside(&mut self, packet: impl Into<Octets>) -> Outcome {
        self.send(Inside, packet)
    }

    /// A packet comes from outside.
    pub fn outside(&mut self, packet: impl Into<Octets>) -> Outcome {
        self.send(Outside, packet)
    }

    /// A packet comes from `from`.
    pub fn send(&mut self, from: Realm, packet: impl Into<Octets>) -> Outcome {
        let Octets { data: before, offload } = packet.into();
        let mut after = before.clone();
        let mut packets = [Packet { data: &mut after, from, offload }];
        let mut verdicts = [Verdict::Held];
        self.engine.handle_batch(&mut packets, &mut verdicts, self.now);
        let offload = packets[0].offload;
        let sent = self.sent();
        Outcome { verdict: verdicts[0], before, after, offload, sent }
    }

    /// Another shard hands over a packet.
    pub fn hairpin(&mut self, packet: impl Into<Octets>) -> Outcome {
        let Octets { data: before, offload } = packet.into();
        let mut after = before.clone();
        let mut packet = Packet { data: &mut after, from: Inside, offload };
        let verdict = self.engine.handle_hairpin(&mut packet, self.now);
        let offload = packet.offload;
        let sent = self.sent();
        Outcome { verdict, before, after, offload, sent }
    }

    /// What the engine wants sent.
    pub fn sent(&mut self) -> Vec<Sent> {
        let mut buffer = vec![0; 65_535];
        std::iter::from_fn(|| {
            let transmit = self.engine.poll_transmit(&mut buffer)?;
            let data = buffer[..transmit.len].to_vec();
            Some(Sent { to: transmit.to, shard: transmit.shard, data })
        })
        .collect()
    }

    /// What has happened since this was last asked.
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.engine.poll_event()).collect()
    }

    /// The moments at which sessions of `protocol` ended, since events were last asked for.
    pub fn ends(&mut self, protocol: Protocol) -> Vec<Instant> {
        let ended = |event: Event| match event.kind {
            EventKind::SessionDeleted(id, _) if id.mapping.protocol == protocol => Some(event.at),
            _ => None,
        };
        self.events().into_iter().filter_map(ended).collect()
    }

    /// What can be seen now.
    pub fn snapshot(&self) -> Snapshot {
        let mut mappings: Vec<_> = self.engine.mappings().collect();
        let mut sessions: Vec<_> = self.engine.sessions().collect();
        mappings.sort_unstable();
        sessions.sort_unstable();
        assert_eq!(sessions.len(), self.engine.session_count() as usize);
        Snapshot {
            mappings,
            sessions,
            timeout: self.engine.poll_timeout(),
            counters: self.engine.counters().clone(),
        }
    }

    /// The external endpoint of `internal`.
    pub fn external(&self, protocol: Protocol, internal: impl End) -> Endpoint {
        let internal = internal.end();
        let found = self.engine.mappings().find(|m| m.protocol == protocol && m.internal == internal);
        found.unwrap_or_else(|| panic!("{internal} has no mapping")).external
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> u32 {
        self.engine.session_count()
    }

    /// Packets refused for `reason` so far.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.engine.counters().dropped(reason)
    }

    /// A packet that must be refused for `reason`, and change nothing but its counter. ICMP errors
    /// about it and reports of limits are given back, for whoever expects them.
    pub fn refuses(
        &mut self,
        from: Realm,
        packet: impl Into<Octets>,
        reason: Reason,
    ) -> (Vec<Sent>, Vec<Event>) {
        self.engine.handle_timeout(self.now);
        self.events();
        let before = self.snapshot();
        let outcome = self.send(from, packet);
        outcome.expect_refused(reason);
        self.assert_unchanged(before, reason, &outcome);
        let events = self.events();
        let limits = events.iter().all(|event| matches!(event.kind, EventKind::LimitHit { .. }));
        assert!(limits, "{reason}: a refused packet made {events:?}");
        (outcome.sent, events)
    }

    fn assert_unchanged(&self, before: Snapshot, reason: Reason, outcome: &Outcome) {
        let mut expected = before;
        let now = self.snapshot();
        expected.counters.dropped[reason.index()] += 1;
        expected.counters.icmp_errors_sent += outcome.sent.len() as u64;
        expected.counters.icmp_errors_limited = now.counters.icmp_errors_limited;
        assert_eq!(now, expected, "{reason}: a refused packet changed something");
    }

    /// A connection is opened by `client` inside and is established.
    pub fn establish(&mut self, client: impl End + Copy, server: impl End + Copy) -> Endpoint {
        self.inside(tcp(client, server).syn()).out();
        let external = self.external(Protocol::Tcp, client);
        self.outside(tcp(server, external).syn_ack()).expect_in(tcp(server, client).syn_ack());
        self.inside(tcp(client, server).ack()).expect_out(tcp(external, server).ack());
        external
    }
}

impl World {
    /// An established connection is closed by `client` and comes to TIME-WAIT: its octets end at 1,001.
    pub fn close(&mut self, client: impl End + Copy, server: impl End + Copy) -> Endpoint {
        let external = self.external(Protocol::Tcp, client);
        self.inside(tcp(client, server).fin()).expect_out(tcp(external, server).fin());
        let fin = |to| tcp(server, to).fin().acks(1_001);
        self.outside(fin(external)).expect_in(fin(client.end()));
        let last = |from| tcp(from, server).seq(1_001).acks(1_001);
        self.inside(last(client.end())).expect_out(last(external));
        external
    }

    /// How many last ACKs, shifts there were.
    pub fn counters(&self) -> &Counters {
        self.engine.counters()
    }
}

impl Outcome {
    /// It goes out as `expected`, with one hop less to live.
    pub fn expect_out(&self, expected: Pkt) -> &Self {
        self.expect(Verdict::Forward(Outside), expected)
    }

    /// It goes in as `expected`, with one hop less to live.
    pub fn expect_in(&self, expected: Pkt) -> &Self {
        self.expect(Verdict::Forward(Inside), expected)
    }

    /// It goes where `verdict` says, as `expected`, with one hop less to live.
    pub fn expect(&self, verdict: Verdict, expected: Pkt) -> &Self {
        assert_eq!(self.verdict, verdict, "{}", show(&self.before));
        let expected = expected.one_hop_less().octets();
        assert_eq!(show(&self.after), show(&expected));
        assert_eq!(self.after, expected, "{}", show(&expected));
        self
    }

    /// It is refused for `reason`, and its octets are as they were.
    pub fn expect_refused(&self, reason: impl Into<Reason>) -> &Self {
        let reason = reason.into();
        assert_eq!(self.verdict, Verdict::Drop(reason), "{}", show(&self.before));
        assert_eq!(self.before, self.after, "{reason}: the octets of a refused packet changed");
        self
    }

    /// It waits, or went out in pieces.
    pub fn expect_held(&self) -> &Self {
        assert_eq!(self.verdict, Verdict::Held, "{}", show(&self.before));
        self
    }

    /// It goes out, and from where: its source as the outside sees it. Checksums are verified.
    pub fn out(&self) -> Endpoint {
        assert_eq!(self.verdict, Verdict::Forward(Outside), "{}", show(&self.before));
        assert_sound(&self.after);
        ends_of(&self.after).0
    }

    /// It goes in, and where to. Checksums are verified.
    pub fn inward(&self) -> Endpoint {
        assert_eq!(self.verdict, Verdict::Forward(Inside), "{}", show(&self.before));
        assert_sound(&self.after);
        ends_of(&self.after).1
    }
}

/// A packet with offloads is trusted to have been verified or is partial.
pub fn partial() -> Offload {
    Offload { checksum: Checksum::Partial, gso_size: 0 }
}
