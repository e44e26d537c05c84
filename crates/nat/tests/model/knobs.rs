//! Every setting of the engine is drawn somewhere: a new one does not compile here until it is named, and
//! fails the test until it varies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use hairpin_nat::Config;
use hairpin_nat::config::{
    Algs, Blocks, Filtering, Fragments, Gateway, Limits, MappingBehaviour, Mtu, Pool, PortSelection, Scrub,
    Shard, TcpChecks, TcpTimeouts, Udp,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestRng, TestRunner};

use crate::settings;

/// What each setting was, by name.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<String>>);

/// Notes fields that are in scope under their own names.
macro_rules! note {
    ($seen:ident, $of:literal, $($field:ident),+ $(,)?) => {
        $($seen.note($of, stringify!($field), $field);)+
    };
}

impl Seen {
    fn note(&mut self, of: &str, field: &str, value: &dyn Debug) {
        self.0.entry(format!("{of}.{field}")).or_default().insert(format!("{value:?}"));
    }

    /// No `..` in here: that is what this is for.
    fn config(&mut self, config: &Config) {
        let Config {
            inside,
            subscriber_prefix,
            bypass,
            pools,
            statics,
            mapping,
            filtering,
            gateway,
            ports,
            tcp,
            tcp_checks,
            udp,
            icmp_timeout,
            other_timeout,
            limits,
            fragments,
            mtu,
            mss_clamp,
            icmp_errors_per_second,
            icmp_errors_to,
            unsolicited_syns,
            rewrite_ip_id,
            algs: Algs { ftp },
            scrub,
            shard: Shard { index, count },
        } = config;
        note!(self, "config", inside, subscriber_prefix, bypass, statics, icmp_timeout, other_timeout);
        note!(self, "config", mss_clamp, icmp_errors_per_second, icmp_errors_to, unsolicited_syns);
        note!(self, "config", rewrite_ip_id, ftp, index, count);
        pools.iter().for_each(|pool| self.pool(pool));
        let MappingBehaviour { behaviour, port_overlap, protocol_independent } = mapping;
        note!(self, "mapping", behaviour, port_overlap, protocol_independent);
        self.behaviour(filtering, gateway, mtu);
        self.times(tcp, udp, fragments);
        self.checks(tcp_checks, ports);
        self.limits(limits);
        self.scrub(scrub);
    }

    fn pool(&mut self, pool: &Pool) {
        let Pool { addresses, ports, kind, subscribers, pooling, blocks } = pool;
        note!(self, "pool", addresses, ports, kind, subscribers, pooling);
        if let Some(Blocks { size, max_per_subscriber, shared, deterministic }) = blocks {
            note!(self, "blocks", size, max_per_subscriber, shared, deterministic);
        }
    }

    fn behaviour(&mut self, filtering: &Filtering, gateway: &Gateway, mtu: &Mtu) {
        let Filtering { tcp, udp, tcp_ports, udp_ports, protocol_independent } = filtering;
        note!(self, "filtering", tcp, udp, tcp_ports, udp_ports, protocol_independent);
        let Gateway { inside, outside } = gateway;
        note!(self, "gateway", inside, outside);
        let Mtu { inside, outside } = mtu;
        note!(self, "mtu", inside, outside);
    }

    fn times(&mut self, tcp: &TcpTimeouts, udp: &Udp, fragments: &Fragments) {
        let TcpTimeouts { opening, established, closing, time_wait, transitory } = tcp;
        note!(self, "tcp", opening, established, closing, time_wait, transitory);
        let Udp { timeout, inbound_refresh, port_timeouts } = udp;
        note!(self, "udp", timeout, inbound_refresh, port_timeouts);
        let Fragments { datagrams, waiting_per_source, waiting_octets, timeout } = fragments;
        note!(self, "fragments", datagrams, waiting_per_source, waiting_octets, timeout);
    }

    fn checks(&mut self, checks: &TcpChecks, ports: &PortSelection) {
        let TcpChecks { rst, time_wait, paws, monotonic_rewrite, resend_last_ack } = checks;
        note!(self, "tcp_checks", rst, time_wait, paws, monotonic_rewrite, resend_last_ack);
        let PortSelection { preserve, algorithm, preserve_parity, preserve_range, hold, hold_max } = ports;
        note!(self, "ports", preserve, algorithm, preserve_parity, preserve_range, hold, hold_max);
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits {
            sessions,
            mappings,
            subscribers,
            ports_per_subscriber,
            ports_by_protocol,
            sessions_per_subscriber,
            session_rate_per_subscriber,
            inbound_sessions_per_mapping,
            inbound_sessions_per_subscriber,
            inbound_rate_per_subscriber,
            tombstones,
            report_interval,
        } = limits;
        note!(self, "limits", sessions, mappings, subscribers, ports_per_subscriber, ports_by_protocol);
        note!(self, "limits", sessions_per_subscriber, session_rate_per_subscriber);
        note!(self, "limits", inbound_sessions_per_mapping, inbound_sessions_per_subscriber);
        note!(self, "limits", inbound_rate_per_subscriber, tombstones, report_interval);
    }

    fn scrub(&mut self, scrub: &Scrub) {
        let Scrub {
            urgent,
            except_ports,
            except_prefixes,
            only_ports,
            only_prefixes,
            urgent_pointer,
            reserved_bits,
            syn_fin,
            syn_rst,
            no_flags,
            strip_options,
            ttl_floor,
            out_of_window,
            war_limit,
            sample,
            flows,
            hide_ip_id,
        } = scrub;
        note!(
            self,
            "scrub",
            urgent,
            except_ports,
            except_prefixes,
            only_ports,
            only_prefixes,
            urgent_pointer
        );
        note!(self, "scrub", reserved_bits, syn_fin, syn_rst, no_flags, strip_options, ttl_floor);
        note!(self, "scrub", out_of_window, war_limit, sample, flows, hide_ip_id);
    }
}

// covers: O1
#[test]
fn every_setting_is_drawn_at_random() {
    let mut runner =
        TestRunner::new_with_rng(Runs::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]));
    let mut seen = Seen::default();
    for _ in 0..2_000 {
        let config = settings::config().new_tree(&mut runner).expect("nothing is filtered out").current();
        assert_eq!(config.validate(), Ok(()));
        seen.config(&config);
    }
    let same: Vec<_> = seen.0.iter().filter(|(_, values)| values.len() < 2).collect();
    assert!(same.is_empty(), "always the same: {same:?}");
}
