//! What several entries of one table say together: the blocks of a pool, a static mapping.

use nat::Protocol;
use nat::config::{Blocks, SharedPorts, StaticMapping};

use super::value::{Complaint, MaybeEndpoint};

/// What a pool with `block_size` has otherwise.
pub(crate) const DEFAULT_BLOCKS: Blocks =
    Blocks { size: 0, max_per_subscriber: 4, shared: SharedPorts::None, deterministic: false };

/// Entries of a `[[pool]]` or a `[[static]]` that make sense together only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) block_size: Option<u16>,
    pub(crate) max_blocks: Option<u16>,
    pub(crate) shared_ports: Option<SharedPorts>,
    pub(crate) deterministic: bool,
    pub(crate) internal: Option<MaybeEndpoint>,
    pub(crate) external: Option<MaybeEndpoint>,
    pub(crate) protocol: Option<Protocol>,
}

impl Parts {
    /// The blocks of a pool; else the entry that makes no sense without them, and what to do.
    pub(crate) fn blocks(&self) -> Result<Option<Blocks>, (&'static str, String)> {
        let Some(size) = self.block_size else {
            let without = [
                ("max_blocks", self.max_blocks.is_some()),
                ("shared_ports", self.shared_ports.is_some()),
                ("deterministic", self.deterministic),
            ];
            return match without.into_iter().find(|&(_, said)| said) {
                Some((name, _)) => Err((
                    name,
                    format!("write block_size as well, e.g. block_size = 512, or leave {name} out"),
                )),
                None => Ok(None),
            };
        };
        let usual = if self.deterministic { 1 } else { DEFAULT_BLOCKS.max_per_subscriber };
        Ok(Some(Blocks {
            size,
            max_per_subscriber: self.max_blocks.unwrap_or(usual),
            shared: self.shared_ports.unwrap_or_default(),
            deterministic: self.deterministic,
        }))
    }

    /// The static mapping.
    pub(crate) fn fixed(&self) -> Result<StaticMapping, Complaint> {
        let missing = |name: &str, example: &str| {
            (format!("it has no {name} endpoint"), format!("add a line {name} = \"{example}\""))
        };
        let internal = self.internal.ok_or_else(|| missing("internal", "100.64.0.2:8080"))?;
        let external = self.external.ok_or_else(|| missing("external", "192.0.2.16:80"))?;
        match (internal, external, self.protocol) {
            (MaybeEndpoint::Endpoint(internal), MaybeEndpoint::Endpoint(external), Some(protocol)) => {
                Ok(StaticMapping::Port { protocol, internal, external })
            }
            (MaybeEndpoint::Address(internal), MaybeEndpoint::Address(external), None) => {
                Ok(StaticMapping::Address { internal, external })
            }
            (MaybeEndpoint::Endpoint(_), MaybeEndpoint::Endpoint(_), None) => Err((
                "ports of which protocol?".into(),
                "add a line protocol = \"tcp\" or protocol = \"udp\"; for both write two tables".into(),
            )),
            (MaybeEndpoint::Address(_), MaybeEndpoint::Address(_), Some(_)) => Err((
                "addresses without ports are mapped for every protocol".into(),
                "leave the line with protocol out, or write both ports".into(),
            )),
            _ => Err((
                "one side has a port and the other has none".into(),
                "write both with a port, or both without".into(),
            )),
        }
    }
}
