//! LAND: a SYN that says it came from the very endpoint that it is sent to (CERT CA-1996-21 told of the kin; S3).
//!
//! An attacker sends it to a listener. A host that answers sends the answer to itself, and may answer that.

use std::time::Duration;

use wire::craft;
use wire::tcp::Flags;

use super::{Make, Played, Side, pair};
use crate::ladder::Numbers;

/// What LAND did.
#[derive(Debug)]
pub struct Landed {
    /// What happened.
    pub played: Played,
    /// Packets that the host sent because of it.
    pub answers: usize,
}

/// Sends `count` LAND segments, SYNs and SYN-ACKs in turn, to a listener.
pub fn play(make: Make<'_>, seed: u64, count: usize) -> Landed {
    let mut network = pair(make, seed, None);
    let (here, attacker, endpoint) = (Side::A.node(), Side::B.node(), Side::A.endpoint());
    network.rename(attacker, "attacker");
    network.act(here, |host, now| host.listen(endpoint, now));
    let header = craft::Header::new(*endpoint.ip(), *endpoint.ip());
    let mut buffer = [0; 128];
    for index in 0..count {
        let flags = if index % 2 == 0 { Flags::SYN } else { Flags::SYN | Flags::ACK };
        let segment = craft::Segment::new(endpoint.port(), endpoint.port(), flags);
        if let Some(len) = craft::tcp(&mut buffer, &header, &segment, b"") {
            network.inject(attacker, &buffer[..len]);
        }
        network.run_for(Duration::from_millis(100));
    }
    let ended = network.run_for(Duration::from_secs(3));
    let played = Played::of(network, ended, Numbers::Absolute);
    Landed { answers: played.count.segments.saturating_sub(count), played }
}
