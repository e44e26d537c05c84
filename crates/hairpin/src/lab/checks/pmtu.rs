//! Path MTU discovery (RFC 1191) over a link that the client does not see.

use std::io;
use std::net::Shutdown;
use std::thread;
use std::time::Instant;

use nix::sys::socket::{getsockopt, sockopt};

use super::bulk::join;
use super::icmp::{CODE_TOO_BIG, UNREACHABLE, error, received};
use super::pattern::Pattern;
use super::{During, Failure, Finding, Scale, ensure};
use crate::lab::sockets::{ANY, PATIENCE, RawSocket, at, patient, tcp_connect, tcp_listen, udp, v4};
use crate::lab::world::{CLIENT1, FAR, FAR_SECOND, NARROW_MTU, World};

const PORT: u16 = 5003;
/// Octets of UDP payload that fit the client's link and not the narrow one.
const TOO_BIG: usize = 1400;

pub(super) fn run(world: &World, scale: Scale) -> Finding {
    let reporter = datagram(world).during("UDP")?;
    stream(world, scale.bulk / 8).during("TCP")?;
    Ok(format!("ICMP 3/4 with {NARROW_MTU} from {reporter}; {} MiB of TCP got through", scale.bulk >> 23))
}

/// A datagram with DF set is refused, the sender told; fragmented by the sender, it arrives.
fn datagram(world: &World) -> Finding {
    let target = at(FAR_SECOND, PORT);
    let pattern = Pattern::new(0x1191);
    let far = udp(&world.far, target)?;
    let errors = RawSocket::icmp(&world.client1)?;
    let client = udp(&world.client1, at(CLIENT1, 0))?;
    client.connect(target)?;
    let own = v4(client.local_addr()?)?;

    client.send(pattern.datagram(TOO_BIG))?;
    let deadline = Instant::now() + PATIENCE;
    let report = loop {
        let packet = errors.receive(deadline, "ICMP error about a datagram that is too big")?;
        if let Some(error) = error(&received(&packet)?)?
            && error.quoted_destination == target
        {
            break error;
        }
    };
    ensure!(
        (report.kind, report.code) == (UNREACHABLE, CODE_TOO_BIG),
        "ICMP {}/{}",
        report.kind,
        report.code
    );
    ensure!(u32::from(report.mtu) == NARROW_MTU, "an MTU of {} is reported", report.mtu);
    ensure!(report.quoted_source == own, "{own} sent, {} is quoted", report.quoted_source);
    // The kernel believed it: this socket's error, and the path's MTU.
    let told = client.recv(&mut [0; 16]).map(|_| ()).map_err(|error| error.raw_os_error());
    ensure!(told == Err(Some(libc::EMSGSIZE)), "the socket's error is {told:?} instead of EMSGSIZE");
    let mtu = getsockopt(&client, sockopt::IpMtu).map_err(io::Error::from)?;
    ensure!(mtu == NARROW_MTU as i32, "the client's kernel takes the path's MTU for {mtu}");

    client.send(pattern.datagram(TOO_BIG))?;
    let mut buffer = [0; 2048];
    let (len, _) = far.recv_from(&mut buffer).during("the same again, in fragments")?;
    ensure!(&buffer[..len] == pattern.datagram(TOO_BIG), "what arrived is not what was sent");
    Ok(report.source.to_string())
}

/// A large upload, which begins with segments that are too big.
fn stream(world: &World, total: u64) -> Result<(), Failure> {
    let pattern = &Pattern::new(0x8899);
    let listener = tcp_listen(&world.far, at(FAR, PORT))?;
    thread::scope(|scope| {
        let far = scope.spawn(|| -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            patient(&stream, PATIENCE)?;
            pattern.receive(&mut stream, total)
        });
        let client = tcp_connect(&world.client1, ANY, at(FAR, PORT)).and_then(|mut stream| {
            pattern.send(&mut stream, total)?;
            stream.shutdown(Shutdown::Write)?;
            getsockopt(&stream, sockopt::IpMtu).map_err(io::Error::from)
        });
        let far = join(far);
        let mtu = client?;
        far.during("at the far end")?;
        ensure!(mtu == NARROW_MTU as i32, "the client's kernel takes the path's MTU for {mtu}");
        Ok(())
    })
}
