//! ICMP echo: several sizes, and several pings at once that only their identifiers tell apart.

use std::time::Instant;

use super::icmp::{echo_reply, echo_request, received};
use super::pattern::Pattern;
use super::{During, Failure, Finding, Scale, ensure};
use crate::lab::sockets::{PATIENCE, RawSocket};
use crate::lab::world::{Host, SERVER, SERVER_SECOND, World};

/// Nothing, the usual, a full packet, three fragments. (Octets of payload.)
const SIZES: [usize; 4] = [0, 56, 1472, 4000];
/// Both clients use the same ones on purpose.
const IDENTIFIERS: std::ops::Range<u16> = 0x4840..0x4844;

pub(super) fn run(world: &World, _: Scale) -> Finding {
    let pattern = Pattern::new(0x9196);
    let socket = RawSocket::icmp(&world.client1)?;
    for (sequence, size) in (1..).zip(SIZES) {
        socket.send(&echo_request(0x4242, sequence, pattern.datagram(size)), SERVER)?;
        await_reply(&socket, 0x4242, sequence, pattern.datagram(size)).during(&format!("{size} octets"))?;
    }
    let pings = several(&world.client1, &world.client2)?;
    Ok(format!("{SIZES:?} octets; {pings} at once, two clients with the same identifiers"))
}

fn await_reply(socket: &RawSocket, identifier: u16, sequence: u16, payload: &[u8]) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let packet = socket.receive(deadline, "echo reply")?;
        let message = received(&packet)?;
        let Some(reply) = echo_reply(&message) else { continue };
        if (reply.0, reply.1) == (identifier, sequence) {
            ensure!(message.source == SERVER, "{SERVER} was asked, {} answered", message.source);
            ensure!(reply.2 == payload, "the reply carries something else than the request");
            return Ok(());
        }
    }
}

/// Sends them all before the first reply is read; returns how many there were.
fn several(one: &Host, other: &Host) -> Result<usize, Failure> {
    let sockets = [(one, RawSocket::icmp(one)?), (other, RawSocket::icmp(other)?)];
    let targets = [SERVER, SERVER_SECOND];
    let payload = |host: &Host, target| format!("{} to {target}", host.name);
    for (host, socket) in &sockets {
        for identifier in IDENTIFIERS {
            for (sequence, target) in (1..).zip(targets) {
                socket.send(&echo_request(identifier, sequence, payload(host, target).as_bytes()), target)?;
            }
        }
    }
    let each = IDENTIFIERS.len() * targets.len();
    let deadline = Instant::now() + PATIENCE;
    for (host, socket) in &sockets {
        let mut seen = Vec::new();
        while seen.len() < each {
            let waiting_for = format!("more than {} of {each} replies at {}", seen.len(), host.name);
            let packet = socket.receive(deadline, &waiting_for)?;
            let message = received(&packet)?;
            let Some((identifier, sequence, octets)) = echo_reply(&message) else { continue };
            if !IDENTIFIERS.contains(&identifier) {
                continue;
            }
            let got = String::from_utf8_lossy(octets);
            ensure!(
                got == payload(host, message.source),
                "{} got \"{got}\" from {}",
                host.name,
                message.source
            );
            ensure!(
                !seen.contains(&(identifier, sequence)),
                "the reply {identifier:#x}/{sequence} came twice"
            );
            seen.push((identifier, sequence));
        }
    }
    Ok(each * sockets.len())
}
