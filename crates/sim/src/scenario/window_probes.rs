//! Both windows are closed, both hosts probe, and the probes cross (draft-gont-tcpm-tcp-seq-validation 3.4; S5).

use std::time::Duration;

use super::{Make, Played, Side, establish, pair};
use crate::ladder::Numbers;
use crate::{Ended, Host, Network, PacketId, war};

/// The receive buffer of both hosts: small, so that it is full soon.
const BUFFER: u32 = 1_024;

/// What a play of probes came to.
#[derive(Debug)]
pub struct Probed {
    /// What happened from the probes on.
    pub played: Played,
    /// Octets that A read, and B.
    pub read: [usize; 2],
    /// Octets that were written for A, and for B.
    pub expected: [usize; 2],
    /// The octets that were read are those that were written, each once and in order.
    pub intact: bool,
}

/// Both fill the other's buffer and have `beyond` octets more to send, one in the figure; the persist timers make both probe. Then both
/// applications read, and both window updates are lost; then the probes arrive, and their octets are taken.
///
/// # Errors
/// If the connection could not be opened, or the hosts did not probe.
pub fn play(make: Make<'_>, seed: u64, beyond: usize) -> Result<Probed, String> {
    let mut network = pair(make, seed, Some(BUFFER));
    establish(&mut network)?;
    let expected = [Side::A, Side::B].map(|side| fill(&mut network, side, beyond));
    network.begin_log();
    // Until nothing but probes and their answers is sent any more.
    network.run_for(Duration::from_secs(2));
    if war::count(network.log()).is_war() {
        // The windows need not even open: what SND.NXT counts and the peer has refused is enough.
        let read = [0; 2];
        let played = Played::of(network, Ended::Deadline, Numbers::Figures);
        return Ok(Probed { played, read, expected, intact: false });
    }
    network.settle();
    network.begin_log();
    let [from_a, from_b] = cross(&mut network)?;
    let mut got = [Vec::new(), Vec::new()];
    for side in [Side::A, Side::B] {
        got[side as usize] = open_window(&mut network, side, [from_a, from_b]);
    }
    for probe in [from_b, from_a] {
        network.pass(Duration::from_millis(5));
        network.deliver(probe);
    }
    network.release();
    let mut ended = network.run_for(Duration::from_secs(1));
    for _ in 0..20 {
        for side in [Side::A, Side::B] {
            let more = network.act(side.node(), |host, now| host.read(now));
            got[side as usize].extend(more);
        }
        ended = network.run_for(Duration::from_secs(1));
    }
    let intact = got.iter().all(|got| *got == octets(0, got.len()));
    let read = [got[0].len(), got[1].len()];
    Ok(Probed { played: Played::of(network, ended, Numbers::Figures), read, expected, intact })
}

/// The application of `side` reads everything; what its host says about that is lost, as it may be: that is what
/// probes are for.
fn open_window(network: &mut Network<dyn Host>, side: Side, probes: [PacketId; 2]) -> Vec<u8> {
    network.pass(Duration::from_millis(1));
    let read = network.act(side.node(), |host, now| host.read(now));
    for id in network.in_flight().to_vec() {
        if !probes.contains(&id) {
            network.lose(id);
        }
    }
    read
}

/// Writes what `side` can take without reading, and `beyond` octets more. How much that was.
fn fill(network: &mut Network<dyn Host>, side: Side, beyond: usize) -> usize {
    let total = network.node(side.node()).receive_capacity() + beyond;
    let mut written = 0;
    // A send buffer may take less at once than the peer's receive buffer.
    for _ in 0..100 {
        let data = octets(written, total);
        written += network.act(side.other().node(), |host, now| host.write(&data, now));
        if written == total {
            break;
        }
        network.run_for(Duration::from_millis(50));
    }
    written
}

/// Fires timers until a probe of each side is in flight, A's first.
fn cross(network: &mut Network<dyn Host>) -> Result<[PacketId; 2], String> {
    network.hold();
    for _ in 0..100 {
        let newest = |side: Side| {
            let mine = |id: &&PacketId| network.log().packet(**id).is_some_and(|it| it.from == side.node());
            network.in_flight().iter().rev().find(mine).copied()
        };
        let found = [newest(Side::A), newest(Side::B)];
        if let [Some(a), Some(b)] = found {
            for id in network.in_flight().to_vec() {
                if id != a && id != b {
                    network.lose(id);
                }
            }
            return Ok([a, b]);
        }
        if !network.fire_next_timer() {
            break;
        }
    }
    Err("the hosts do not probe".to_owned())
}

fn octets(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|octet| octet as u8).collect()
}
