//! The Identification of what may be fragmented (RFC 6864 5.3.1, N17): two subscribers use the same one
//! all the time, and the outside never sees it twice.

use std::collections::HashSet;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::inbound::datagram;
use super::{Failure, Finding, ensure};
use crate::lab::gateway::Workshop;
use crate::lab::sockets::{RawSocket, at};
use crate::lab::world::{CLIENT1, CLIENT2, SERVER, World};

const PORT: u16 = 4_300;
const LOCAL_PORT: u16 = 41_300;
const EACH: usize = 2_000;
/// What both subscribers write into every packet.
const SAME: u16 = 7;
const DONT_FRAGMENT: u16 = 0x4000;

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    // One address for both: what they send has the same source, destination and protocol.
    let gateway = workshop.gateway("[[pool]]\naddresses = [\"192.0.2.16\"]\n")?;
    let world = &gateway.world;
    let fragmentable = send(world, 0)?;
    ensure!(fragmentable.len() == 2 * EACH, "{} of {} arrived", fragmentable.len(), 2 * EACH);
    let distinct: HashSet<u16> = fragmentable.iter().copied().collect();
    ensure!(
        distinct.len() == fragmentable.len(),
        "{} packets have {} Identifications",
        fragmentable.len(),
        distinct.len()
    );
    let atomic = send(world, DONT_FRAGMENT)?;
    let untouched = atomic.iter().all(|&identification| identification == SAME);
    ensure!(untouched && !atomic.is_empty(), "packets that may not be fragmented were changed");
    Ok(format!("{} packets with the same Identification, all different outside; with DF untouched", 2 * EACH))
}

/// Both subscribers send; the Identifications that the server's host sees.
fn send(world: &World, flags: u16) -> Result<Vec<u16>, Failure> {
    let raw = [RawSocket::with_header(&world.client1)?, RawSocket::with_header(&world.client2)?];
    let server = RawSocket::udp(&world.server)?;
    let sources: [SocketAddrV4; 2] = [at(CLIENT1, LOCAL_PORT), at(CLIENT2, LOCAL_PORT)];
    let mut seen = Vec::new();
    for _ in 0..EACH / 20 {
        for _ in 0..20 {
            for (raw, source) in raw.iter().zip(sources) {
                raw.send(&datagram(source, at(SERVER, PORT), SAME, flags), SERVER)?;
            }
        }
        // In small groups: a socket's queue is short.
        let deadline = Instant::now() + Duration::from_secs(2);
        for _ in 0..40 {
            let packet = server.receive(deadline, "datagram of a subscriber")?;
            seen.push(u16::from_be_bytes([packet[4], packet[5]]));
        }
    }
    Ok(seen)
}
