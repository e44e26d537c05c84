//! UDP datagrams (RFC 768).

/// The protocol number.
pub const PROTOCOL: u8 = 17;
