//! What the endpoint tells its application, and what it refuses.

use crate::{ConnectionId, ListenerId};

/// Something happened. Events are edges: one says that a look is worth while, not how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A connection is ready for [`accept`](crate::Endpoint::accept).
    Incoming(ListenerId),
    /// The connection is established: data may flow.
    Connected(ConnectionId),
    /// There is data to read, or the end of the stream.
    Readable(ConnectionId),
    /// There is room to write again after a write was cut short.
    Writable(ConnectionId),
    /// An urgent pointer arrived (U4).
    Urgent(ConnectionId, Urgent),
    /// The connection is over; its id is valid until it is released by `close` or `abort`.
    Closed(ConnectionId, Reason),
}

/// News of urgent mode (RFC 9293 3.8.5; RFC 6093 section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgent {
    /// There was no pending urgent data, now there is.
    Entered,
    /// The pointer moved forward.
    Advanced,
    /// The application has read up to the pointer: normal mode again.
    Left,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// Both sides closed.
    #[error("closed by both sides")]
    Finished,
    /// The peer reset it.
    #[error("reset by peer")]
    Reset,
    /// The peer refused it.
    #[error("connection refused")]
    Refused,
    /// Nothing acknowledged in time.
    #[error("timed out")]
    TimedOut,
    /// The network says that there is no way there (ICMP 3/0, 3/1, 3/2, 3/3 while opening; RFC 5461).
    #[error("unreachable")]
    Unreachable,
    /// The application aborted it.
    #[error("aborted")]
    Aborted,
}

/// Why a call was refused. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// The id names no connection (any more).
    #[error("no such connection: it was closed or aborted before")]
    Unknown,
    /// The connection is over.
    #[error("the connection is over: {0}")]
    Closed(Reason),
    /// The direction was shut down by the application.
    #[error("this direction was shut down before")]
    ShutDown,
    /// Nothing now; wait for an event.
    #[error("nothing now: wait for an event")]
    WouldBlock,
    /// There is no out-of-band octet, or data is delivered in line.
    #[error("there is no out-of-band octet")]
    NoUrgent,
    /// The address and port are taken.
    #[error("the address and port are in use: choose others")]
    InUse,
    /// All ephemeral ports to that destination are taken.
    #[error("no free ephemeral port to this destination")]
    NoPort,
    /// Not an address of this endpoint, or not one that TCP can talk to.
    #[error("not a unicast address of this endpoint")]
    Address,
    /// The limit of connections is reached.
    #[error("the limit of connections is reached: raise limits.connections")]
    Limit,
}
