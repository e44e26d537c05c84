//! Mappings of the configuration: there from the start and for ever (B5).
//!
//! They hold their port whether the pool would give it out or not, they are no matter of filtering, for reaching
//! a server behind the gateway is what they are for, and their subscriber is paired with their external address.

use crate::config::{Config, ConfigError, StaticMapping};
use crate::engine::Engine;
use crate::mapping::MappingKey;
use crate::pool::{Owner, Port};
use crate::{Endpoint, Protocol};

/// The static mappings of single ports, with their place in the configuration.
pub(crate) fn ports(config: &Config) -> impl Iterator<Item = (usize, Protocol, Endpoint, Endpoint)> + '_ {
    config.statics.iter().enumerate().filter_map(|(index, mapping)| match *mapping {
        StaticMapping::Port { protocol, internal, external } => Some((index, protocol, internal, external)),
        StaticMapping::Address { .. } => None,
    })
}

impl Engine {
    /// Makes those whose external address is this shard's.
    pub(crate) fn make_statics(&mut self) -> Result<(), ConfigError> {
        let statics: Vec<_> = ports(&self.config).collect();
        for (index, protocol, internal, external) in statics {
            let Some(Owner::Here(address)) = self.pool.owner(external.address) else { continue };
            let key = MappingKey::independent(protocol, internal);
            let bits = self.subscriber_of(internal.address);
            let subscriber = self.find_subscriber(bits);
            let room =
                self.endpoints.has_room(self.key.mapping(key)) && self.hosts.has_room(self.key.address(bits));
            let port = Port { address, protocol, port: external.port };
            let made = if room { self.create_mapping(key, subscriber, port) } else { None };
            let mapping = made.ok_or_else(|| ConfigError {
                setting: format!("static[{index}]"),
                problem: "there is no room for it in the tables".into(),
                remedy: "write more for limits.mappings and limits.subscribers".into(),
            })?;
            self.mappings.get_mut(mapping).set_static();
        }
        Ok(())
    }
}
