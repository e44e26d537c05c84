//! IPv4 headers (RFC 791 3.1).

use crate::packet::Options;

/// The set of the options in `octets`, which is the header behind its first 20 octets; `None` if one
/// runs beyond it or has an impossible length.
pub(crate) fn option_set(mut octets: &[u8]) -> Option<Options> {
    let mut set = Options::NONE;
    while let [kind, rest @ ..] = octets {
        let option = match *kind {
            0 => break,
            1 => {
                octets = rest;
                continue;
            }
            7 => Options::RECORD_ROUTE,
            68 => Options::TIMESTAMP,
            131 | 137 => Options::SOURCE_ROUTE,
            148 => Options::ROUTER_ALERT,
            _ => Options::OTHER,
        };
        set = set | option;
        let length = usize::from(*rest.first()?);
        octets = if length >= 2 { octets.get(length..)? } else { return None };
    }
    Some(set)
}
