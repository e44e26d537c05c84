//! A client played by hand: segments made one by one, for the live kernel behind a TUN device and for our endpoint.
//!
//! | file | what is in it |
//! |---|---|
//! | `cases` | the segments of each case |
//! | `client` | the client |
//! | `kernel` | the kernel's side: a TUN device and a socket |

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

pub(crate) mod cases;
pub(crate) mod client;
pub(crate) mod kernel;

use std::fmt;

use client::Packet;

/// What the application saw of one call.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Before a read: the reader stands at the mark.
    AtMark(bool),
    Read(Vec<u8>),
    /// The end of the stream.
    End,
    OutOfBand(u8),
    /// EINVAL; or 0 after the peer's FIN, which our interface does not tell from it: there is none either way.
    NoOutOfBand,
    /// EAGAIN.
    OutOfBandNotYet,
    /// What was acknowledged, counted from the first octet.
    Acknowledged(u32),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMark(true) => f.write_str("^"),
            Self::AtMark(false) => f.write_str("."),
            Self::Read(octets) if octets.len() > 40 => write!(f, "{} octets", octets.len()),
            Self::Read(octets) => write!(f, "{:?}", String::from_utf8_lossy(octets)),
            Self::End => f.write_str("end"),
            Self::OutOfBand(octet) => write!(f, "oob {:?}", char::from(*octet)),
            Self::NoOutOfBand => f.write_str("no oob"),
            Self::OutOfBandNotYet => f.write_str("oob EAGAIN"),
            Self::Acknowledged(octets) => write!(f, "ack {octets}"),
        }
    }
}

/// A host with an open connection that a [`client::Client`] plays the other end of.
pub(crate) trait Host {
    /// A packet of the client's.
    fn arrive(&mut self, packet: &Packet);
    /// What the host has sent since, oldest first.
    fn sent(&mut self) -> Vec<Packet>;
    /// SIOCATMARK.
    fn at_mark(&mut self) -> bool;
    /// A read that does not wait; `None` if there is nothing.
    fn read(&mut self, most: usize) -> Option<Seen>;
    /// A read with MSG_OOB.
    fn read_out_of_band(&mut self) -> Seen;
}

/// Reads `most` octets at a time until there is nothing more, or `reads` times.
pub(crate) fn read(host: &mut dyn Host, most: usize, reads: usize, seen: &mut Vec<Seen>) {
    for _ in 0..reads {
        seen.push(Seen::AtMark(host.at_mark()));
        match host.read(most) {
            None => return,
            Some(what) => {
                let end = what == Seen::End;
                seen.push(what);
                if end {
                    return;
                }
            }
        }
    }
}

/// More than there ever is.
pub(crate) const ALL: usize = 1 << 20;
