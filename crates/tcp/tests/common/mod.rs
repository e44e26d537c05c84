//! Two endpoints and a wire between them, in virtual time.
#![allow(dead_code, unreachable_pub, clippy::panic)]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hairpin_tcp::{
    Checksum, Config, ConnectionId, Endpoint, EndpointConfig, Error, Event, ListenOptions, ListenerId,
};
use rules::Instant;
use wire::tcp::Tcp;

pub const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Flight {
    pub from_a: bool,
    pub arrives: Instant,
    pub octets: Vec<u8>,
}

pub type Lose = Box<dyn FnMut(usize, &Flight) -> bool>;

/// Two endpoints, the time, and what is between them.
pub struct Pair {
    pub a: Endpoint,
    pub b: Endpoint,
    pub now: Instant,
    pub delay: Duration,
    pub wire: VecDeque<Flight>,
    pub events_a: Vec<Event>,
    pub events_b: Vec<Event>,
    /// Every packet that was sent.
    pub log: Vec<Flight>,
    /// Says which packets are lost: by number, from 0.
    pub lose: Lose,
    sent: usize,
}

pub fn endpoint(address: Ipv4Addr, config: EndpointConfig) -> Endpoint {
    let seed = [address.octets()[3]; 32];
    Endpoint::new(EndpointConfig { addresses: vec![address], ..config }, seed)
}

impl Pair {
    pub fn new() -> Self {
        Self::with(EndpointConfig::default(), EndpointConfig::default())
    }

    pub fn with(a: EndpointConfig, b: EndpointConfig) -> Self {
        Self {
            a: endpoint(A, a),
            b: endpoint(B, b),
            now: Instant::from_secs(1_000),
            delay: Duration::from_millis(10),
            wire: VecDeque::new(),
            events_a: Vec::new(),
            events_b: Vec::new(),
            log: Vec::new(),
            lose: Box::new(|_, _| false),
            sent: 0,
        }
    }

    /// Sends what there is to send.
    pub fn transmit(&mut self) {
        let mut buf = vec![0; 70_000];
        for from_a in [true, false] {
            for packets in 0.. {
                assert!(packets < 10_000, "an endpoint does not stop sending");
                let endpoint = if from_a { &mut self.a } else { &mut self.b };
                let Some(transmit) = endpoint.poll_transmit(&mut buf, self.now) else { break };
                let octets = buf[..transmit.len].to_vec();
                let flight = Flight { from_a, arrives: self.now + self.delay, octets };
                self.log.push(flight.clone());
                let lost = (self.lose)(self.sent, &flight);
                self.sent += 1;
                if !lost {
                    self.wire.push_back(flight);
                }
            }
        }
        while let Some(event) = self.a.poll_event() {
            self.events_a.push(event);
        }
        while let Some(event) = self.b.poll_event() {
            self.events_b.push(event);
        }
    }

    /// Goes to the next thing that happens; false if nothing ever will, or not before `until`.
    pub fn step(&mut self, until: Instant) -> bool {
        self.transmit();
        let arrival = self.wire.iter().map(|flight| flight.arrives).min();
        let next = [arrival, self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
        let Some(next) = next.filter(|&next| next <= until) else { return false };
        assert!(next >= self.now || arrival != Some(next));
        self.now = self.now.max(next);
        for endpoint in [&mut self.a, &mut self.b] {
            if endpoint.poll_timeout().is_some_and(|time| time <= self.now) {
                endpoint.handle_timeout(self.now);
                assert!(
                    endpoint.poll_timeout().is_none_or(|time| time > self.now),
                    "a timer that has been handled is due again"
                );
            }
        }
        while let Some(at) = self.wire.iter().position(|flight| flight.arrives <= self.now) {
            let flight = self.wire.remove(at).expect("it is there");
            let to = if flight.from_a { &mut self.b } else { &mut self.a };
            to.handle_packet(&flight.octets, Checksum::Verify, self.now);
            self.transmit();
        }
        true
    }

    /// Lets `duration` pass.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 1_000_000, "nothing but packets");
        }
        self.transmit();
        self.now = self.now.max(until);
    }

    pub fn listen(&mut self, port: u16) -> ListenerId {
        self.b.listen(SocketAddrV4::new(B, port), ListenOptions::default()).expect("free")
    }

    /// A connection from A to a new listener of B.
    pub fn open(&mut self, config: Config) -> (ConnectionId, ConnectionId) {
        let port = 80 + self.b.connections() as u16;
        let listener = self.listen(port);
        let a = self.connect(port, config);
        self.run(Duration::from_millis(100));
        let b = self.b.accept(listener).expect("open");
        (a, b)
    }

    pub fn connect(&mut self, port: u16, config: Config) -> ConnectionId {
        let to = SocketAddrV4::new(B, port);
        self.a.connect(SocketAddrV4::new(A, 0), to, config, self.now).expect("a free port")
    }

    /// Writes all of `data` at A, reading at B, until it has arrived.
    pub fn transfer(&mut self, a: ConnectionId, b: ConnectionId, data: &[u8]) -> Vec<u8> {
        let (mut written, mut read) = (0, Vec::new());
        let mut buf = vec![0; 65_536];
        let deadline = self.now + Duration::from_secs(3_600);
        while read.len() < data.len() {
            if let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
                match self.a.send(a, rest, self.now) {
                    Ok(taken) => written += taken,
                    Err(Error::WouldBlock) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            while let Ok(got) = self.b.recv(b, &mut buf, self.now) {
                if got.len == 0 {
                    return read;
                }
                read.extend_from_slice(&buf[..got.len]);
            }
            if !self.step(deadline) && read.len() < data.len() {
                panic!("stuck at {} of {}: {:#?}", read.len(), data.len(), self.a.info(a));
            }
        }
        read
    }

    pub fn read_all(&mut self, id: ConnectionId, of_a: bool) -> Vec<u8> {
        let now = self.now;
        let endpoint = if of_a { &mut self.a } else { &mut self.b };
        let (mut read, mut buf) = (Vec::new(), vec![0; 65_536]);
        while let Ok(got) = endpoint.recv(id, &mut buf, now) {
            if got.len == 0 {
                break;
            }
            read.extend_from_slice(&buf[..got.len]);
        }
        read
    }
}

/// The segment of a packet, for people.
pub fn describe(flight: &Flight) -> String {
    let tcp = Tcp::new(&flight.octets[20..]).expect("a segment");
    format!(
        "{} {:?} seq {} ack {} win {} len {} urg {}",
        if flight.from_a { "A>B" } else { "B>A" },
        tcp.flags(),
        tcp.seq(),
        tcp.ack(),
        tcp.window(),
        tcp.payload().len(),
        tcp.urgent(),
    )
}

/// `len` octets that are not all the same.
pub fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + n / 251) as u8).collect()
}

/// A segment from one end of a connection to the other that the peer never sent. `seq` and `ack` are changed by
/// `change` from what the sender's next ACK would have.
pub fn forge(
    pair: &mut Pair,
    ids: (ConnectionId, ConnectionId),
    to_b: bool,
    payload: &[u8],
    change: impl FnOnce(&mut wire::craft::Segment<'_>),
) {
    let to = if to_b { pair.b.info(ids.1) } else { pair.a.info(ids.0) };
    let to = to.expect("it is held");
    let mut segment = wire::craft::Segment::new(to.remote.port(), to.local.port(), wire::tcp::Flags::ACK);
    (segment.seq, segment.ack) = (to.rcv_nxt, to.snd_una);
    change(&mut segment);
    let mut buf = vec![0; 2_000];
    let header = wire::craft::Header::new(*to.remote.ip(), *to.local.ip());
    let len = wire::craft::tcp(&mut buf, &header, &segment, payload).expect("it fits");
    let endpoint = if to_b { &mut pair.b } else { &mut pair.a };
    endpoint.handle_packet(&buf[..len], Checksum::Verify, pair.now);
}

/// What `endpoint` sends now, without a wire.
pub fn sent_by(endpoint: &mut Endpoint, now: Instant) -> Vec<Vec<u8>> {
    // What lay in the caller's buffer before is in no packet.
    let mut buf = vec![0xA5; 70_000];
    let mut packets = vec![];
    while let Some(transmit) = endpoint.poll_transmit(&mut buf, now) {
        packets.push(buf[..transmit.len].to_vec());
        buf.fill(0xA5);
    }
    packets
}

pub fn tcp_of(packet: &[u8]) -> Tcp<&[u8]> {
    wire::Packet::parse(packet, wire::Trust::Verify).expect("a right packet");
    Tcp::new(&packet[20..]).expect("a segment")
}

/// No timestamps: a forged segment need not have them.
pub fn plain() -> Config {
    Config { timestamps: false, ..Config::default() }
}
