//! Random settings: small pools, tiny limits, short timers.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use hairpin_nat::config::{
    Action, Behaviour, Blocks, Filtering, Fragments, Gateway, Limits, MappingBehaviour, Mtu, Pool, PoolKind,
    Pooling, PortSelection, RstPolicy, Scrub, Shard, SharedPorts, StaticMapping, TcpChecks, TcpTimeouts,
    TimeWaitPolicy, Udp, Urgent, Watch,
};
use hairpin_nat::{Config, Endpoint, Protocol};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rules::port_selection::Algorithm;

use crate::traffic::{PORTS, host};

/// The first external address; there are up to three.
pub(crate) const EXTERNAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// A limit: mostly one that is not met, now and then one that is.
fn limit(small: &'static [u32]) -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(100), 1 => select(small)]
}

fn time(millis: &'static [u64]) -> impl Strategy<Value = Duration> {
    select(millis).prop_map(Duration::from_millis)
}

fn pools() -> impl Strategy<Value = Vec<Pool>> {
    let ports: &[RangeInclusive<u16>] =
        &[1_020..=1_027, 5_000..=5_002, 1_024..=65_535, 1..=1_030, 1_022..=1_025];
    use Pooling::{Arbitrary, Paired, PairedSoft};
    let pooling = prop_oneof![3 => Just(Paired), 1 => Just(PairedSoft), 1 => Just(Arbitrary)];
    // Which pool names subscribers, if one does: both of two, and of one everybody else has none.
    let named = prop_oneof![3 => Just(None), 2 => (0usize..2).prop_map(Some)];
    (1u32..=3, select(ports), any::<bool>(), pooling, named).prop_map(
        |(count, ports, split, pooling, named)| {
            let at = |n: u32| Ipv4Addr::from(EXTERNAL.to_bits() + n);
            let mut pools = vec![Pool::new(vec![at(0)..=at(count - 1)], ports)];
            if split && count > 1 {
                pools[0].addresses = vec![at(0)..=at(count - 2)];
                pools.push(Pool::new(vec![at(count - 1)..=at(count - 1)], 2_000..=2_003));
            }
            pools.iter_mut().for_each(|pool| pool.pooling = pooling);
            if let Some(pool) = named.and_then(|named| pools.get_mut(named)) {
                pool.subscribers = vec![ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 4), 30)];
            }
            pools
        },
    )
}

fn ports() -> impl Strategy<Value = PortSelection> {
    let hold = prop_oneof![time(&[120_000]), time(&[0, 50, 10_000])];
    let kind =
        (prop_oneof![2 => Just(false), 1 => Just(true)], prop_oneof![1 => Just(false), 3 => Just(true)]);
    (any::<bool>(), kind, 1u8..=5, hold, select(&[1_000u32, 1_000, 0, 1, 3][..])).prop_map(
        |(preserve, (preserve_parity, preserve_range), algorithm, hold, hold_max)| PortSelection {
            preserve,
            preserve_parity,
            preserve_range,
            algorithm: Algorithm::from_number(algorithm).unwrap_or_default(),
            hold,
            hold_max,
        },
    )
}

fn tcp() -> impl Strategy<Value = TcpTimeouts> {
    let short: &[u64] = &[240_000, 1_000, 6_050];
    let established = time(&[7_440_000, 7_440_050]);
    (time(short), established, time(short), time(short), time(&[240_000, 300_000])).prop_map(
        |(opening, established, closing, time_wait, transitory)| TcpTimeouts {
            opening,
            established,
            closing,
            time_wait,
            transitory,
        },
    )
}

fn checks() -> impl Strategy<Value = TcpChecks> {
    let policies = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    policies.prop_map(|(delete, rfc6191, paws, resend_last_ack, rewrite)| TcpChecks {
        rst: if delete { RstPolicy::Delete } else { RstPolicy::Hold },
        time_wait: if rfc6191 { TimeWaitPolicy::Rfc6191 } else { TimeWaitPolicy::Keep },
        paws,
        resend_last_ack,
        monotonic_rewrite: rfc6191 && rewrite,
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = prop_oneof![3 => Just(0), 1 => select(&[1u32, 2, 3][..])];
    let of_engine = (limit(&[2, 5, 8]), limit(&[2, 5, 8]), limit(&[1, 2]));
    let few = || prop_oneof![4 => Just(0u32), 1 => select(&[1u32, 2, 3][..])];
    let own = || prop_oneof![4 => Just(None), 1 => select(&[1u32, 2][..]).prop_map(Some)];
    let inbound = (few(), few(), few(), (own(), own(), own()));
    let rest = (time(&[1_000, 60_000]), limit(&[1, 2]));
    (of_engine, limit(&[1, 2, 3]), limit(&[1, 2, 3, 5]), rate, inbound, rest).prop_map(
        |(
            (sessions, mappings, subscribers),
            ports,
            of_subscriber,
            rate,
            inbound,
            (report_interval, tombstones),
        )| Limits {
            sessions,
            mappings,
            subscribers,
            ports_per_subscriber: ports,
            sessions_per_subscriber: of_subscriber,
            session_rate_per_subscriber: rate,
            report_interval,
            inbound_sessions_per_mapping: inbound.0,
            inbound_sessions_per_subscriber: inbound.1,
            inbound_rate_per_subscriber: inbound.2,
            ports_by_protocol: inbound.3.into(),
            tombstones,
        },
    )
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    use Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    prop_oneof![3 => Just(EndpointIndependent), 1 => Just(AddressDependent), 1 => Just(AddressAndPortDependent)]
}

fn filtering() -> impl Strategy<Value = Filtering> {
    let ports: &[Vec<RangeInclusive<u16>>] = &[vec![], vec![], vec![1_000..=1_023, 1_026..=1_026]];
    (behaviour(), behaviour(), select(ports.to_vec()), select(ports.to_vec()), any::<bool>()).prop_map(
        |(tcp, udp, tcp_ports, udp_ports, protocol_independent)| Filtering {
            tcp,
            udp,
            tcp_ports,
            udp_ports,
            protocol_independent,
        },
    )
}

fn fragments() -> impl Strategy<Value = Fragments> {
    let waiting = select(&[100u32, 1, 3][..]);
    (limit(&[1, 2]), waiting, select(&[1_500u32, 8_000][..]), time(&[15_000, 1_000, 120_000])).prop_map(
        |(datagrams, waiting_per_source, waiting_octets, timeout)| Fragments {
            datagrams,
            waiting_per_source,
            waiting_octets,
            timeout,
        },
    )
}

/// One port for both protocols, or for several internal endpoints.
fn shared() -> impl Strategy<Value = (bool, bool)> {
    prop_oneof![2 => Just((false, false)), 1 => Just((true, false)), 2 => Just((false, true))]
}

fn statics() -> impl Strategy<Value = Vec<StaticMapping>> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp]);
    let one = (protocol, 0u8..5, 0usize..9, 0u32..3, select(vec![80u16, 1_022, 1_023, 1_024, 5_000, 2_001]));
    let one = one.prop_map(|(protocol, of, port, address, external)| StaticMapping::Port {
        protocol,
        internal: Endpoint::new(host(of), PORTS[port]),
        external: Endpoint::new(Ipv4Addr::from(EXTERNAL.to_bits() + address), external),
    });
    let whole = (0u8..5, 0u32..3).prop_map(|(of, address)| StaticMapping::Address {
        internal: host(of),
        external: Ipv4Addr::from(EXTERNAL.to_bits() + address),
    });
    prop_oneof![2 => Just(Vec::new()), 2 => vec(prop_oneof![2 => one, 1 => whole], 1..5)]
}

/// Leaves those out that cannot be.
fn settle_statics(config: &mut Config) {
    for mapping in std::mem::take(&mut config.statics) {
        config.statics.push(mapping);
        if config.validate().is_err() {
            config.statics.pop();
        }
    }
}

/// Gives the ports of pools in blocks, where that may be.
fn settle_blocks(config: &mut Config, settings: Option<Blocks>) {
    let Some(blocks) = settings else { return };
    for index in 0..config.pools.len() {
        let mut other = config.clone();
        let pool = &mut other.pools[index];
        (pool.pooling, pool.blocks) = (Pooling::Paired, Some(blocks));
        if blocks.deterministic && pool.subscribers.is_empty() {
            continue;
        }
        if other.validate().is_ok() {
            *config = other;
        }
    }
}

fn blocks() -> impl Strategy<Value = Option<Blocks>> {
    let sizes = select(&[(1u16, 1u16), (1, 2), (2, 1), (2, 2), (3, 1), (100, 2)][..]);
    let shared =
        select(&[SharedPorts::None, SharedPorts::None, SharedPorts::Last(0), SharedPorts::Last(2)][..]);
    let all =
        (sizes, shared, any::<bool>()).prop_map(|((size, max_per_subscriber), shared, deterministic)| {
            let shared = if deterministic { SharedPorts::None } else { shared };
            Blocks { size, max_per_subscriber, shared, deterministic }
        });
    proptest::option::of(all)
}

/// Makes some pools those of whole addresses, if they may be.
fn settle_kinds(config: &mut Config, basic: [bool; 2]) {
    for (index, _) in basic.into_iter().enumerate().filter(|(_, basic)| *basic) {
        let mut other = config.clone();
        let Some(pool) = other.pools.get_mut(index) else { continue };
        (pool.kind, pool.blocks) = (PoolKind::Basic, None);
        other.subscriber_prefix = 32;
        if other.validate().is_ok() {
            *config = other;
        }
    }
}

/// The settings of one case.
pub(crate) fn config() -> impl Strategy<Value = Config> {
    let mtu = || select(&[1_500u16, 576, 700][..]);
    let udp = (time(&[120_000, 300_000]), any::<bool>());
    let errors = select(&[1_000u32, 1, 5][..]);
    let shard = prop_oneof![3 => Just((0u16, 1u16)), 1 => (0u16..2).prop_map(|index| (index, 2))];
    let rest = (
        udp,
        (time(&[60_000, 90_000]), time(&[1_000, 60_000, 300_000])),
        mtu(),
        mtu(),
        select(&[None, Some(536), Some(1_200)][..]),
        errors,
        shard,
    );
    let basic = prop_oneof![3 => Just([false; 2]), 2 => any::<[bool; 2]>()];
    let outside = ((behaviour(), scrub()), filtering(), edge(), (statics(), blocks(), basic), shared());
    (pools(), ports(), (tcp(), checks()), limits(), fragments(), rest, outside).prop_map(
        |(
            pools,
            ports,
            (tcp, tcp_checks),
            limits,
            fragments,
            (udp, (icmp_timeout, other_timeout), inside, outside, mss_clamp, errors, shard),
            ((behaviour, scrub), filtering, edge, (statics, blocks, basic), (together, port_overlap)),
        )| {
            let prefix = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 24);
            let mut config = Config::new(vec![prefix], pools);
            let (index, count) = if config.external_addresses() > 1 { shard } else { (0, 1) };
            config.gateway =
                Gateway { inside: Ipv4Addr::new(10, 0, 0, 254), outside: Ipv4Addr::new(198, 51, 100, 200) };
            config.ports = ports;
            let port_overlap = port_overlap && behaviour != Behaviour::EndpointIndependent;
            config.mapping = MappingBehaviour { behaviour, protocol_independent: together, port_overlap };
            config.filtering = filtering;
            config.tcp = tcp;
            config.tcp_checks = tcp_checks;
            config.udp = Udp { timeout: udp.0, inbound_refresh: udp.1, ..Udp::default() };
            config.icmp_timeout = icmp_timeout;
            config.other_timeout = other_timeout;
            config.limits = limits;
            config.fragments = fragments;
            config.mtu = Mtu { inside, outside };
            config.mss_clamp = mss_clamp;
            config.icmp_errors_per_second = errors;
            config.shard = Shard { index, count };
            config.scrub = scrub;
            edge.apply(&mut config);
            if config.validate().is_err() {
                // A pool with subscribers of its own has fewer addresses than there are shards.
                config.shard = Shard { index: 0, count: 1 };
            }
            settle_kinds(&mut config, basic);
            settle_blocks(&mut config, blocks);
            config.statics = statics;
            settle_statics(&mut config);
            config
        },
    )
}

/// What is scrubbed.
fn scrub() -> impl Strategy<Value = Scrub> {
    let urgent = select(
        &[Urgent::Clear, Urgent::Clear, Urgent::Pass, Urgent::ClearInbound, Urgent::ClearOutbound][..],
    );
    let ports = select(vec![vec![], vec![80u16], vec![5_000, 53], vec![1_023, 1_024, 21]]);
    let only = select(vec![vec![], vec![], vec![1..=1_023], vec![53..=53, 5_000..=6_000]]);
    let prefix = || {
        let one = (0u8..4).prop_map(|n| {
            let address = if n == 3 { Ipv4Addr::new(10, 0, 0, 2) } else { Ipv4Addr::new(203, 0, 113, n + 1) };
            vec![ipnet::Ipv4Net::new_assert(address, 32)]
        });
        prop_oneof![4 => Just(Vec::new()), 1 => one]
    };
    let action = || select(&[Action::Pass, Action::Clear, Action::Clear, Action::Drop][..]);
    let no_flags = select(&[Action::Pass, Action::Drop][..]);
    let strip = select(vec![vec![], vec![], vec![8u8], vec![3, 4, 5], vec![2, 8]]);
    let watch = select(&[Watch::Off, Watch::Count, Watch::Drop][..]);
    let war = select(&[None, Some(4), Some(5), Some(8)][..]);
    let sample = select(&[None, Some(1), Some(3)][..]);
    // What a scrubber alone remembers and hides, the NAT does not ask.
    let alone = (select(&[None, Some(16)][..]), any::<bool>());
    let floor = select(&[0u8, 0, 0, 3, 64, 255][..]);
    let where_ = (ports, only, prefix(), prefix());
    let flags = (action(), action(), action(), action(), no_flags);
    (urgent, where_, flags, strip, floor, watch, war, (sample, alone)).prop_map(
        |(
            urgent,
            (except_ports, only_ports, except, only),
            flags,
            strip_options,
            ttl_floor,
            watch,
            war,
            (sample, alone),
        )| {
            Scrub {
                urgent,
                except_ports,
                only_ports,
                except_prefixes: except,
                only_prefixes: only,
                urgent_pointer: flags.0,
                reserved_bits: flags.1,
                syn_fin: flags.2,
                syn_rst: flags.3,
                no_flags: flags.4,
                strip_options,
                ttl_floor,
                out_of_window: watch,
                war_limit: war,
                sample,
                flows: alone.0,
                hide_ip_id: alone.1,
            }
        },
    )
}

/// What is decided before a packet is translated, or instead.
#[derive(Clone, Debug)]
struct Edge {
    rewrite_ip_id: bool,
    unsolicited_syns: Option<u32>,
    icmp_errors_to: [bool; 2],
    bypass: Option<u8>,
    subscriber_prefix: u8,
    port_timeout: Option<Duration>,
    ftp: Vec<u16>,
    /// Its prefixes are two, its gateway has the dummy address.
    others: (bool, bool),
}

fn edge() -> impl Strategy<Value = Edge> {
    let syns = select(&[None, Some(1), Some(2), Some(100)][..]);
    let errors = prop_oneof![3 => Just([true; 2]), 1 => any::<[bool; 2]>()];
    // One of the remotes.
    let bypass = proptest::option::weighted(0.3, 1u8..=3);
    let port_timeout = proptest::option::of(time(&[10_000, 1_000, 150_000]));
    let ftp =
        select(vec![vec![21], vec![21], vec![], vec![80], vec![1_022, 5_000, 80], vec![1_023, 1_024, 21]]);
    let others = any::<(bool, bool)>();
    let subscriber_prefix = prop_oneof![4 => Just(32u8), 1 => Just(31), 1 => Just(30)];
    (any::<bool>(), syns, errors, bypass, port_timeout, subscriber_prefix, ftp, others).prop_map(
        |(
            rewrite_ip_id,
            unsolicited_syns,
            icmp_errors_to,
            bypass,
            port_timeout,
            subscriber_prefix,
            ftp,
            others,
        )| {
            Edge {
                others,
                ftp,
                subscriber_prefix,
                rewrite_ip_id,
                unsolicited_syns,
                icmp_errors_to,
                bypass,
                port_timeout,
            }
        },
    )
}

impl Edge {
    fn apply(&self, config: &mut Config) {
        config.subscriber_prefix = self.subscriber_prefix;
        config.algs.ftp = self.ftp.clone();
        let (two, dummy) = self.others;
        if two {
            let half = |last| ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, last), 30);
            config.inside = vec![half(0), half(4)];
        }
        if dummy {
            config.gateway = Gateway::default();
        }
        config.rewrite_ip_id = self.rewrite_ip_id;
        config.unsolicited_syns = self.unsolicited_syns;
        config.icmp_errors_to = self.icmp_errors_to;
        let prefix = |last| ipnet::Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, last), 32);
        config.bypass = self.bypass.into_iter().map(prefix).collect();
        config.udp.port_timeouts = self.port_timeout.into_iter().map(|timeout| (53, timeout)).collect();
    }
}
