//! A host connects to its own endpoint: a simultaneous open with itself (draft-gont-tcpm-tcp-seq-validation 3.2,
//! 4.2; S3).

use std::time::Duration;

use super::{Make, Played, Side, single};
use crate::ladder::Numbers;

/// What a self-connection came to.
#[derive(Debug)]
pub struct Piped {
    /// What happened.
    pub played: Played,
    /// The octets came back as they were written, each once.
    pub intact: bool,
    /// Octets that went round.
    pub octets: usize,
}

/// Opens, sends `octets` round, and closes.
pub fn play(make: Make<'_>, seed: u64, octets: usize) -> Piped {
    let mut network = single(make, seed);
    let (here, endpoint) = (Side::A.node(), Side::A.endpoint());
    network.act(here, |host, now| host.open(endpoint, endpoint, now));
    network.run_for(Duration::from_secs(1));
    let data: Vec<_> = (0..octets).map(|octet| octet as u8).collect();
    let (mut written, mut read) = (0, Vec::new());
    for _ in 0..100 {
        let rest = data.get(written..).unwrap_or_default();
        if !rest.is_empty() {
            written += network.act(here, |host, now| host.write(rest, now));
        }
        network.run_for(Duration::from_millis(200));
        read.extend(network.act(here, |host, now| host.read(now)));
        if written == octets && read.len() >= octets {
            break;
        }
    }
    network.act(here, |host, now| host.close(now));
    let ended = network.run_for(Duration::from_secs(2));
    Piped { played: Played::of(network, ended, Numbers::Figures), intact: read == data, octets: read.len() }
}
