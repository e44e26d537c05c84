//! Static mappings, and what mappings may depend on and share.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use super::Findings;
use crate::basic::has_whole;
use crate::config::{Behaviour, Config, PoolKind};
use crate::deterministic::Deterministic;
use crate::{Protocol, statics};

impl Findings {
    pub(super) fn statics(&mut self, config: &Config) {
        let (mut externals, mut internals) = (BTreeMap::new(), BTreeMap::new());
        let mut pairs = BTreeMap::new();
        let computed = Deterministic::new(config);
        for (index, protocol, internal, external) in statics::ports(config) {
            let place = format!("static[{index}]");
            if protocol != Protocol::Tcp && protocol != Protocol::Udp {
                let problem = format!("{protocol} has no ports that could be mapped for ever");
                self.add(format!("{place}.protocol"), problem, "write \"tcp\" or \"udp\"");
            }
            if !config.inside.iter().any(|net| net.contains(&internal.address)) || internal.port == 0 {
                self.add(
                    format!("{place}.internal"),
                    format!("{internal} is no subscriber's endpoint"),
                    "write an address of inside.prefixes, and a port from 1 on",
                );
            }
            let in_pool = config.pools.iter().any(|pool| {
                pool.kind == PoolKind::Napt
                    && pool.addresses.iter().any(|range| range.contains(&external.address))
            });
            if !in_pool || external.port == 0 {
                self.add(
                    format!("{place}.external"),
                    format!("{external} is in no pool whose ports are translated"),
                    "write an address of a pool, and a port from 1 on, also one outside of pool.ports",
                );
            }
            if has_whole(config, internal.address) {
                self.add(
                    format!("{place}.internal"),
                    format!(
                        "every port of {} is mapped already: its address is translated whole",
                        internal.address
                    ),
                    "leave this mapping out, or give the subscriber a pool with kind = \"napt\"",
                );
            }
            for (name, taken) in [
                (external, externals.insert((protocol, external), index)),
                (internal, internals.insert((protocol, internal), index)),
            ] {
                if let Some(other) = taken {
                    self.clash(
                        place.clone(),
                        format!("{protocol} {name} is mapped already"),
                        "map each endpoint once",
                        format!("static[{other}]"),
                        "also here".into(),
                    );
                }
            }
            let subscriber = Ipv4Addr::from_bits(internal.address.to_bits() & config.subscriber_mask());
            let owner = computed.of_external(external.address, external.port);
            let home = computed.of_subscriber(internal.address).map(|(home, _)| home);
            let in_computed = computed.has(external.address);
            if (in_computed || home.is_some()) && home != Some(external.address) {
                let problem = match home {
                    Some(home) => {
                        format!("the ports of {subscriber} follow from its address, and are at {home}")
                    }
                    None => format!("every port of {} follows from a subscriber's address", external.address),
                };
                self.add(
                    format!("{place}.external"),
                    problem,
                    "write the address that `who` names, or leave it out",
                );
            } else if owner.is_some_and(|owner| owner != subscriber) {
                let problem = format!("{external} is one of the ports of another subscriber");
                self.add(
                    format!("{place}.external"),
                    problem,
                    "write a port that `who` names, or one of nobody's",
                );
            }
            let &mut (other, address) = pairs.entry(subscriber).or_insert((index, external.address));
            if address != external.address {
                self.clash(
                    place,
                    format!("{subscriber} has the external address {address} already"),
                    "give all mappings of a subscriber one external address (RFC 4787 REQ-2)",
                    format!("static[{other}]"),
                    "here".into(),
                );
            }
        }
        let counts = [
            ("limits.mappings", externals.len(), config.limits.mappings),
            ("limits.subscribers", pairs.len(), config.limits.subscribers),
        ];
        for (setting, count, limit) in counts {
            if count as u64 > u64::from(limit) {
                let problem = format!("{limit} are less than the {count} that static mappings take");
                self.add(setting, problem, format!("write {count} or more"));
            }
        }
    }

    pub(super) fn mapping(&mut self, config: &Config) {
        let mapping = &config.mapping;
        if mapping.port_overlap && mapping.behaviour == Behaviour::EndpointIndependent {
            self.add(
                "mapping.port_overlap",
                "endpoint-independent mappings cannot be told apart by the remote address",
                "write mapping.behaviour = \"address-dependent\", or port_overlap = false",
            );
        }
        if mapping.port_overlap && mapping.protocol_independent {
            self.add(
                "mapping.protocol_independent",
                "a port that several internal endpoints share cannot be kept for both protocols of one",
                "leave out one of mapping.port_overlap and mapping.protocol_independent",
            );
        }
    }
}
