//! The lab without a network: a capture of the same kind of traffic, through `translate`.
//!
//! What the outside answers depends on the external endpoints that the gateway gives out. So there
//! are two passes: what the inside sends tells the endpoints; then the same again, with the answers
//! between. The same seed and the same beginning give the same endpoints.

mod packets;

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Instant;

use self::packets::{
    ACK, ICMP, SYN, Seen, Segment, TCP, UDP, URG, fragment, icmp, read_capture, tcp, udp, udp_datagram,
    write_capture,
};
use super::checks::icmp::{CODE_TOO_BIG, ECHO_REPLY, ECHO_REQUEST, TIME_EXCEEDED, UNREACHABLE};
use super::checks::pattern::Pattern;
use super::checks::{Failure, Finding, ensure, ensure_external};
use super::daemon::configuration;
use super::report::Outcome;
use super::sockets::at;
use super::world::{CLIENT1, CLIENT2, SERVER, SERVER_SECOND, SERVER_THIRD};

/// The inside endpoints.
const UDP1: SocketAddrV4 = at(CLIENT1, 41_000);
const UDP2: SocketAddrV4 = at(CLIENT2, 41_001);
const TCP1: SocketAddrV4 = at(CLIENT1, 41_002);
const PING1: SocketAddrV4 = at(CLIENT1, 0x4242);
/// The outside ones.
const DNS: SocketAddrV4 = at(SERVER, 3478);
const DNS_SECOND: SocketAddrV4 = at(SERVER_SECOND, 3478);
const STRANGER: SocketAddrV4 = at(SERVER_THIRD, 9);
const TELNET: SocketAddrV4 = at(SERVER, 23);

const SEED: u64 = 6093;
/// Segments of the bulk transfer, each way.
const SEGMENTS: usize = 500;
const SEGMENT: usize = 1_400;
/// Octets of a datagram in three fragments, and of a fragment's payload.
const DATAGRAM: usize = 4_000;
const PIECE: usize = 1_480;

/// Runs all of it in `directory`; returns what was found, and the summary of the second pass.
///
/// # Errors
/// Where a file cannot be written or read, or the capture cannot be translated.
pub(super) fn run(
    directory: &Path,
    mut checked: impl FnMut(&Outcome),
) -> io::Result<(Vec<Outcome>, serde_json::Value)> {
    let first = outbound();
    let (seen, _) = translate(directory, "outbound", &first)?;
    let story = match External::learn(&seen) {
        Ok(external) => {
            let (seen, summary) = translate(directory, "both", &[first, external.answers()].concat())?;
            Ok((Story { external, seen }, summary))
        }
        Err(failure) => Err(failure),
    };
    let (story, summary) = match story {
        Ok((story, summary)) => (Ok(story), summary),
        Err(failure) => (Err(failure.to_string()), serde_json::Value::Null),
    };
    let outcomes = CHECKS.iter().map(|&(name, about, check)| {
        let start = Instant::now();
        let finding = story.as_ref().map_err(Failure::new).and_then(check);
        let (passed, seconds) = (finding.is_ok(), start.elapsed().as_secs_f64());
        let seen = finding.unwrap_or_else(|failure| failure.to_string());
        let outcome = Outcome { name, about, passed, seen, seconds };
        checked(&outcome);
        outcome
    });
    Ok((outcomes.collect(), summary))
}

/// What went in and came out of the second pass.
struct Story {
    external: External,
    seen: Vec<Seen>,
}

type OfflineCheck = fn(&Story) -> Finding;

const CHECKS: &[(&str, &str, OfflineCheck)] = &[
    ("offline-udp-mapping", "endpoint-independent mapping", Story::mapping),
    ("offline-udp-filtering", "an answer and a stranger's datagram", Story::filtering),
    ("offline-unsolicited", "datagram and SYN to ports without a mapping", Story::unsolicited),
    ("offline-tcp", "a connection with bulk data both ways", Story::bulk),
    ("offline-urgent", "an urgent pointer each way", Story::urgent),
    ("offline-ping", "echo request and reply", Story::ping),
    ("offline-ttl", "time to live used up at the gateway", Story::ttl),
    ("offline-icmp-error", "a router's error about a translated packet", Story::icmp_error),
    ("offline-fragments", "three fragments, the last first", Story::fragments),
    ("offline-hairpin", "two subscribers meet at their external endpoints", Story::hairpin),
];

fn translate(
    directory: &Path,
    name: &str,
    packets: &[Vec<u8>],
) -> io::Result<(Vec<Seen>, serde_json::Value)> {
    let path = |suffix: &str| directory.join(format!("{name}{suffix}"));
    let (input, output, config) = (path(".pcap"), path("-translated.pcap"), path(".toml"));
    write_capture(&input, packets)?;
    fs::write(&config, configuration(directory, true))?;
    let other = |report: miette::Report| io::Error::other(format!("{report:?}"));
    let settings = crate::config::load(&config).map_err(other)?;
    let sides = crate::translate::Sides::default();
    let checksums = crate::translate::Checksums::Verify;
    let (summary, trouble) =
        crate::translate::translate(&input, &output, &settings.engine, &sides, checksums, SEED)
            .map_err(other)?;
    if let Some(report) = trouble {
        return Err(other(report));
    }
    let seen = read_capture(&output)?
        .iter()
        .map(|packet| Seen::parse(packet).map_err(|failure| io::Error::other(failure.to_string())))
        .collect::<io::Result<_>>()?;
    Ok((seen, serde_json::to_value(summary)?))
}

/// What the inside sends unasked.
fn outbound() -> Vec<Vec<u8>> {
    let syn = Segment { flags: SYN, sequence: 1_000, acknowledgment: 0, urgent: 0 };
    vec![
        udp(UDP1, DNS, 64, "first"),
        udp(UDP1, DNS_SECOND, 64, "second"),
        udp(UDP2, DNS, 64, "other client"),
        tcp(TCP1, TELNET, syn, b""),
        icmp(PING1, at(SERVER, 0), (ECHO_REQUEST, 0), [0x42, 0x42, 0, 1], b"ping"),
    ]
}

/// The external endpoints, and the translated first datagram (for somebody to quote).
struct External {
    udp1: SocketAddrV4,
    udp2: SocketAddrV4,
    tcp1: SocketAddrV4,
    ping1: SocketAddrV4,
    first: Vec<u8>,
}

impl External {
    fn learn(seen: &[Seen]) -> Result<Self, Failure> {
        let first = find(seen, "the first datagram", |seen| seen.payload == b"first")?;
        let other = find(seen, "the other client's datagram", |seen| seen.payload == b"other client")?;
        let syn = find(seen, "the SYN", |seen| seen.protocol == TCP && seen.to == TELNET)?;
        let ping = find(seen, "the echo request", |seen| seen.protocol == ICMP && seen.payload == b"ping")?;
        for endpoint in [first.from, other.from, syn.from, ping.from] {
            ensure_external(endpoint)?;
        }
        let packet = first.packet.clone();
        Ok(Self { udp1: first.from, udp2: other.from, tcp1: syn.from, ping1: ping.from, first: packet })
    }

    /// What the outside answers, and what the inside says to that.
    fn answers(&self) -> Vec<Vec<u8>> {
        let identifier = self.ping1.port().to_be_bytes();
        let syn = Segment { flags: SYN, sequence: 7_000, acknowledgment: 0, urgent: 0 };
        let mtu = 1_280_u16.to_be_bytes();
        let mut packets = vec![
            udp(DNS, self.udp1, 64, "answer"),
            udp(STRANGER, self.udp1, 64, "stranger"),
            udp(STRANGER, at(*self.udp1.ip(), 1_999), 64, "unsolicited"),
            tcp(TELNET, at(*self.tcp1.ip(), 1_999), syn, b""),
            icmp(at(SERVER, 0), self.ping1, (ECHO_REPLY, 0), [identifier[0], identifier[1], 0, 1], b"pong"),
            udp(UDP1, DNS, 1, "no further"),
            icmp(STRANGER, self.udp1, (UNREACHABLE, CODE_TOO_BIG), [0, 0, mtu[0], mtu[1]], &self.first),
            udp(UDP1, self.udp2, 64, "to the other"),
            udp(UDP2, self.udp1, 64, "and back"),
        ];
        packets.extend(self.connection());
        packets.extend(datagram_in_fragments());
        packets
    }

    /// The rest of the connection: handshake, an urgent octet each way, data each way.
    fn connection(&self) -> Vec<Vec<u8>> {
        let up = |flags, sequence, urgent, payload: &[u8]| {
            let segment = Segment { flags: flags | ACK, sequence, acknowledgment: 5_001, urgent };
            tcp(TCP1, TELNET, segment, payload)
        };
        let down = |flags, sequence, urgent, payload: &[u8]| {
            let segment = Segment { flags: flags | ACK, sequence, acknowledgment: 1_001, urgent };
            tcp(TELNET, self.tcp1, segment, payload)
        };
        let mut packets = vec![
            down(SYN, 5_000, 0, b""),
            up(0, 1_001, 0, b""),
            up(URG, 1_001, 4, b"up !"),
            down(URG, 5_001, 6, b"down !"),
        ];
        let pattern = Pattern::new(SEED);
        for (number, piece) in pattern.datagram(SEGMENTS * SEGMENT).chunks(SEGMENT).enumerate() {
            let offset = (number * SEGMENT) as u32;
            packets.push(up(0, 1_005 + offset, 0, piece));
            packets.push(down(0, 5_007 + offset, 0, piece));
        }
        packets
    }
}

fn datagram_in_fragments() -> Vec<Vec<u8>> {
    let datagram = udp_datagram(UDP1, DNS, Pattern::new(SEED).datagram(DATAGRAM));
    let pieces = datagram.chunks(PIECE).enumerate().map(|(number, piece)| {
        let more = u16::from((number + 1) * PIECE < datagram.len()) << 13;
        fragment(UDP, UDP1, DNS, 64, (0x5eed, more | (number * PIECE / 8) as u16), piece)
    });
    let mut packets: Vec<_> = pieces.collect();
    packets.reverse();
    packets
}

/// The one packet like this.
fn find<'a>(seen: &'a [Seen], what: &str, like: impl Fn(&Seen) -> bool) -> Result<&'a Seen, Failure> {
    let mut found = seen.iter().filter(|seen| like(seen));
    let one = found.next().ok_or_else(|| Failure::new(format!("{what} did not come through")))?;
    ensure!(found.next().is_none(), "{what} came through twice");
    Ok(one)
}

fn ensure_ends(what: &str, seen: &Seen, from: SocketAddrV4, to: SocketAddrV4) -> Result<(), Failure> {
    ensure!(
        (seen.from, seen.to) == (from, to),
        "{what}: {} -> {} instead of {from} -> {to}",
        seen.from,
        seen.to
    );
    Ok(())
}

impl Story {
    fn find(&self, payload: &str) -> Result<&Seen, Failure> {
        find(&self.seen, &format!("\"{payload}\""), |seen| seen.payload == payload.as_bytes())
    }

    fn mapping(&self) -> Finding {
        let External { udp1, udp2, .. } = self.external;
        ensure_ends("first", self.find("first")?, udp1, DNS)?;
        ensure_ends("second", self.find("second")?, udp1, DNS_SECOND)?;
        ensure!(udp1 != udp2, "two subscribers share {udp1}");
        Ok(format!("{UDP1} is {udp1} towards two servers"))
    }

    fn filtering(&self) -> Finding {
        ensure_ends("answer", self.find("answer")?, DNS, UDP1)?;
        ensure_ends("stranger", self.find("stranger")?, STRANGER, UDP1)?;
        Ok(format!("{DNS} and {STRANGER} reached {UDP1}"))
    }

    fn unsolicited(&self) -> Finding {
        let passed = self.seen.iter().find(|seen| {
            seen.payload == b"unsolicited" || seen.segment.is_some_and(|segment| segment.sequence == 7_000)
        });
        match passed {
            Some(seen) => Err(Failure::new(format!("{} -> {} came through", seen.from, seen.to))),
            None => Ok("both dropped".to_owned()),
        }
    }

    fn bulk(&self) -> Finding {
        let pattern = Pattern::new(SEED);
        let content = pattern.datagram(SEGMENTS * SEGMENT);
        for (from, to, first) in [(self.external.tcp1, TELNET, 1_005), (TELNET, TCP1, 5_007)] {
            let mut octets: Vec<u8> = Vec::new();
            for seen in &self.seen {
                let Some(segment) = seen.segment else { continue };
                if (seen.from, seen.to) == (from, to) && seen.payload.len() == SEGMENT {
                    let expected = first + octets.len() as u32;
                    ensure!(segment.sequence == expected, "SEQ {} instead of {expected}", segment.sequence);
                    octets.extend(&seen.payload);
                }
            }
            ensure!(octets == content, "{from} -> {to}: {} octets, not those that were sent", octets.len());
        }
        Ok(format!("{SEGMENTS} segments as sent, each way, checksums right"))
    }

    fn urgent(&self) -> Finding {
        for (payload, urgent) in [("up !", 4), ("down !", 6)] {
            let segment = self.find(payload)?.segment;
            let right = segment.is_some_and(|segment| segment.flags & URG != 0 && segment.urgent == urgent);
            ensure!(right, "\"{payload}\" was sent with an urgent pointer of {urgent}: {segment:?}");
        }
        Ok("flag and pointer as sent, both ways".to_owned())
    }

    fn ping(&self) -> Finding {
        let pong = self.find("pong")?;
        ensure_ends("pong", pong, at(SERVER, PING1.port()), PING1)?;
        Ok(format!("identifier {:#x} is {:#x} outside", PING1.port(), self.external.ping1.port()))
    }

    fn ttl(&self) -> Finding {
        self.error(TIME_EXCEEDED, 0, DNS)
            .map(|from| format!("ICMP 11/0 from {from}, quoting {UDP1} -> {DNS}"))
    }

    fn icmp_error(&self) -> Finding {
        let from = self.error(UNREACHABLE, CODE_TOO_BIG, DNS)?;
        ensure!(from == SERVER_THIRD.to_string(), "{SERVER_THIRD} sent the error, it came from {from}");
        Ok(format!("ICMP 3/4 from {from}, quoting {UDP1} -> {DNS}"))
    }

    /// Who sent the error of this kind that quotes a packet of [`UDP1`] to `destination`.
    fn error(&self, kind: u8, code: u8, destination: SocketAddrV4) -> Finding {
        let error = find(&self.seen, &format!("ICMP {kind}/{code}"), |seen| {
            seen.protocol == ICMP && seen.packet.get(20..22) == Some(&[kind, code][..])
        })?;
        ensure!(*error.to.ip() == CLIENT1, "ICMP {kind}/{code} went to {}", error.to.ip());
        // What is quoted may be cut; the whole of these small packets is not.
        let quoted = Seen::parse(&error.payload)?;
        ensure_ends("quoted", &quoted, UDP1, destination)?;
        Ok(error.from.ip().to_string())
    }

    fn fragments(&self) -> Finding {
        let External { udp1, .. } = self.external;
        let mut pieces: Vec<_> = self.seen.iter().filter(|seen| seen.fragment != 0).collect();
        pieces.sort_by_key(|piece| piece.fragment & 0x1fff);
        let addressed = |piece: &&Seen| (piece.from.ip(), piece.to.ip()) == (udp1.ip(), DNS.ip());
        ensure!(
            pieces.iter().all(addressed),
            "a fragment went between other addresses than {udp1} and {DNS}"
        );
        let datagram: Vec<u8> = pieces.iter().flat_map(|piece| piece.payload.clone()).collect();
        let expected = udp_datagram(udp1, DNS, Pattern::new(SEED).datagram(DATAGRAM));
        ensure!(
            datagram == expected,
            "{} fragments with {} octets do not make the datagram",
            pieces.len(),
            datagram.len()
        );
        Ok(format!("{} fragments make the datagram of {udp1}, checksum right", pieces.len()))
    }

    fn hairpin(&self) -> Finding {
        let External { udp1, udp2, .. } = self.external;
        ensure_ends("there", self.find("to the other")?, udp1, UDP2)?;
        ensure_ends("back", self.find("and back")?, udp2, UDP1)?;
        Ok(format!("{udp1} and {udp2} saw each other as such"))
    }
}
