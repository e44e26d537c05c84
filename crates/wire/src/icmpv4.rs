//! ICMP messages (RFC 792).

/// The protocol number.
pub const PROTOCOL: u8 = 1;

/// What a message is to a translator (RFC 5508 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A query: echo, timestamp, information, address mask.
    Request,
    /// The response to a query.
    Reply,
    /// An error: quotes a packet.
    Error,
    /// Anything else.
    Other,
}

impl Class {
    /// That of messages of type `kind`.
    pub const fn of(kind: u8) -> Self {
        match kind {
            8 | 13 | 15 | 17 => Self::Request,
            0 | 14 | 16 | 18 => Self::Reply,
            3 | 4 | 5 | 11 | 12 => Self::Error,
            _ => Self::Other,
        }
    }
}
