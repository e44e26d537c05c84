//! What offloads say of a packet beyond its octets.

/// What the transport checksum field of a packet holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksum {
    /// The checksum, to be verified.
    #[default]
    Full,
    /// The checksum; somebody trusted has verified it (a network card, the kernel).
    Verified,
    /// The folded, un-complemented sum of the pseudo-header: addresses, protocol and length
    /// (`VIRTIO_NET_HDR_F_NEEDS_CSUM`): whoever sends the packet will complete it.
    Partial,
}

/// What offloads say of a packet beyond its octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// State of the transport checksum field.
    pub checksum: Checksum,
    /// Payload octets of each segment that this super-segment will be split into; 0: it is not one.
    pub gso_size: u16,
}
