//! The endpoint's errors as those of `std::io`, their text kept.

use std::io::{Error, ErrorKind};

use tcp::Reason;

/// `error` with the kind that a kernel's socket would have given it.
pub(crate) fn io_error(error: tcp::Error) -> Error {
    let kind = match error {
        tcp::Error::Closed(reason) => return over(reason),
        tcp::Error::Unknown => ErrorKind::NotConnected,
        tcp::Error::ShutDown => ErrorKind::BrokenPipe,
        tcp::Error::WouldBlock => ErrorKind::WouldBlock,
        tcp::Error::NoUrgent => ErrorKind::InvalidInput,
        tcp::Error::InUse | tcp::Error::NoPort => ErrorKind::AddrInUse,
        tcp::Error::Address => ErrorKind::AddrNotAvailable,
        tcp::Error::Limit => ErrorKind::Other,
    };
    Error::new(kind, error)
}

/// Why a connection is over, as an error.
pub(crate) fn over(reason: Reason) -> Error {
    let kind = match reason {
        Reason::Finished => ErrorKind::BrokenPipe,
        Reason::Reset => ErrorKind::ConnectionReset,
        Reason::Refused => ErrorKind::ConnectionRefused,
        Reason::TimedOut => ErrorKind::TimedOut,
        Reason::Unreachable => ErrorKind::HostUnreachable,
        Reason::Aborted => ErrorKind::ConnectionAborted,
    };
    Error::new(kind, reason)
}
