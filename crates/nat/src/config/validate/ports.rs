//! Which settings of pools and ports make sense together: blocks, their arithmetic, whose pool it is.

use ipnet::Ipv4Net;

use super::Findings;
use crate::config::{Blocks, Config, Pool, PoolKind, Pooling, SharedPorts};

impl Findings {
    pub(super) fn ports(&mut self, config: &Config) {
        if config.subscriber_prefix > 32 || config.subscriber_prefix == 0 {
            let wrong = config.subscriber_prefix;
            self.add(
                "inside.subscriber_prefix",
                format!("a prefix has 1 to 32 bits, not {wrong}"),
                "write 32 for one subscriber an address, 29 for eight addresses each",
            );
        }
        for (index, pool) in config.pools.iter().enumerate() {
            self.users(config, index, pool);
            if let Some(blocks) = &pool.blocks {
                self.blocks(config, index, pool, blocks);
            }
        }
    }

    /// Nobody is named by two pools.
    fn users(&mut self, config: &Config, index: usize, pool: &Pool) {
        let inside =
            |net: &Ipv4Net| config.inside.iter().any(|inside| inside.contains(net) || net.contains(inside));
        for (place, net) in pool.subscribers.iter().enumerate() {
            let setting = format!("pool[{index}].subscribers[{place}]");
            if !inside(net) {
                self.add(
                    setting.clone(),
                    format!("{net} has no address of an inside prefix"),
                    "name prefixes of subscribers, or add them to inside.prefixes",
                );
            }
            if net.prefix_len() > config.subscriber_prefix {
                let prefix = config.subscriber_prefix;
                self.clash(
                    setting.clone(),
                    format!("{net} is a part of one subscriber, whose prefix has {prefix} bits"),
                    "name whole subscribers, or make inside.subscriber_prefix longer",
                    "inside.subscriber_prefix".into(),
                    "what one subscriber is".into(),
                );
            }
            let earlier = config.pools[..index].iter().enumerate().find_map(|(other, pool)| {
                let clash =
                    pool.subscribers.iter().position(|named| named.contains(net) || net.contains(named));
                clash.map(|place| (other, place))
            });
            if let Some((other, at)) = earlier {
                self.clash(
                    setting,
                    format!("{net} is served by two pools"),
                    "name each subscriber in one pool",
                    format!("pool[{other}].subscribers[{at}]"),
                    "also here".into(),
                );
            }
        }
    }

    fn blocks(&mut self, config: &Config, index: usize, pool: &Pool, blocks: &Blocks) {
        let place = |name: &str| format!("pool[{index}].{name}");
        let ports = pool.ports.len() as u64;
        let shared = match blocks.shared {
            SharedPorts::None => 0,
            SharedPorts::Last(count) => u64::from(count),
        };
        if blocks.size == 0 || u64::from(blocks.size) + shared > ports {
            self.add(
                place("block_size"),
                format!("no block of {} ports fits into the pool's {ports} ports", blocks.size),
                "write a size from 1 to the number of ports, e.g. 512",
            );
            return;
        }
        if blocks.max_per_subscriber == 0 {
            self.add(place("max_blocks"), "nobody could have a port", "write 1 or more");
            return;
        }
        if pool.kind == PoolKind::Basic {
            self.add(
                place("block_size"),
                "of an address that is given whole there are no blocks to give",
                "leave block_size out, or kind = \"basic\"",
            );
        }
        if pool.pooling != Pooling::Paired {
            self.add(
                place("pooling"),
                "the blocks of a subscriber are of one address",
                "leave pooling out, or block_size",
            );
        }
        if config.mapping.port_overlap {
            self.add(
                "mapping.port_overlap",
                "a port of a block belongs to one subscriber",
                "leave port_overlap out, or block_size",
            );
        }
        if blocks.deterministic {
            self.deterministic(config, index, pool, blocks);
        }
    }

    fn deterministic(&mut self, config: &Config, index: usize, pool: &Pool, blocks: &Blocks) {
        if pool.subscribers.is_empty() {
            self.add(
                format!("pool[{index}].deterministic"),
                "whose ports follow from an address must be named",
                "add subscribers = [...] with the prefixes of this pool's subscribers",
            );
            return;
        }
        if blocks.shared != SharedPorts::None {
            self.add(
                format!("pool[{index}].shared_ports"),
                "a port that everybody shares follows from nobody's address",
                "leave shared_ports out, or deterministic",
            );
        }
        let shift = 32 - u32::from(config.subscriber_prefix.clamp(1, 32));
        let of = |net: &Ipv4Net| ((1_u64 << (32 - u32::from(net.prefix_len()))) >> shift).max(1);
        let subscribers: u64 = pool.subscribers.iter().map(of).sum();
        let width = u64::from(blocks.size) * u64::from(blocks.max_per_subscriber);
        let room = pool.size() * (pool.ports.len() as u64 / width);
        if room < subscribers {
            let fits = pool.size() * pool.ports.len() as u64 / subscribers;
            self.add(
                format!("pool[{index}].deterministic"),
                format!(
                    "{subscribers} subscribers need {width} ports each, and there is room for {room} of them"
                ),
                format!("write block_size and max_blocks with a product of {fits} or less, or add addresses"),
            );
        }
    }
}
