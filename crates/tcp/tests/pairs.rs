//! Two endpoints, a wire that loses, doubles and re-orders, and applications that do what they like: both streams
//! arrive to the octet, both ends come to an end, and nobody answers nobody for ever.
#![allow(clippy::panic)]

mod common;

use std::time::Duration;

use common::{A, B, endpoint};
use hairpin_tcp::{
    Checksum, Config, CongestionControl, ConnectionId, Endpoint, EndpointConfig, Error, Event, Limits,
    ListenOptions, Reason, State, Urgent, WindowProbe,
};
use rules::Instant;
use wire::tcp::Tcp;
use wire::{Packet, Trust};

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// One end, with its application.
struct Side {
    endpoint: Endpoint,
    id: Option<ConnectionId>,
    to_write: Vec<u8>,
    written: usize,
    read: Vec<u8>,
    shut: bool,
    finished: bool,
    closed: Option<Reason>,
    /// In urgent mode by what was told.
    urgent: bool,
    /// Highest right edge of the window that was announced, and the shift that goes with it.
    edge: Option<wire::SeqNumber>,
    shift: u8,
}

fn config(rng: &mut Rng) -> Config {
    Config {
        send_buffer: rng.pick(&[1, 700, 5_000, 100_000]),
        receive_buffer: rng.pick(&[1, 300, 4_000, 100_000, 300_000]),
        mss: rng.pick(&[None, Some(88), Some(536)]),
        window_scaling: rng.percent(60),
        timestamps: rng.percent(60),
        sack: rng.percent(60),
        ecn: rng.percent(40),
        nagle: rng.percent(50),
        cork: rng.percent(10),
        delayed_ack: Duration::from_millis(rng.pick(&[0, 40, 200])),
        congestion: rng.pick(&[CongestionControl::Cubic, CongestionControl::NewReno]),
        pacing: rng.percent(30),
        initial_window: rng.pick(&[1, 10]),
        path_mtu_discovery: rng.percent(70),
        retries: 100,
        syn_retries: 100,
        window_probe: rng.pick(&[
            WindowProbe::NextOctet,
            WindowProbe::OctetAtUna,
            WindowProbe::OldOctet,
            WindowProbe::Empty,
        ]),
        ..Config::default()
    }
}

impl Side {
    fn new(mut endpoint: Endpoint, len: usize, salt: u8) -> Self {
        let to_write = common::octets(len).iter().map(|octet| octet ^ salt).collect();
        assert!(endpoint.poll_event().is_none());
        Self {
            endpoint,
            id: None,
            to_write,
            written: 0,
            read: vec![],
            shut: false,
            finished: false,
            closed: None,
            urgent: false,
            edge: None,
            shift: 0,
        }
    }

    /// The application does something, or nothing. `lazy`: how often it is nothing.
    fn act(&mut self, now: Instant, rng: &mut Rng, lazy: u64) {
        let Some(id) = self.id else { return };
        if rng.percent(lazy) {
            return;
        }
        let rest = self.to_write.len() - self.written;
        if rest > 0 {
            let len = 1 + rng.below(rest.min(6_000) as u64) as usize;
            let data = &self.to_write[self.written..self.written + len];
            let taken = match rng.percent(15) {
                true => self.endpoint.send_urgent(id, data, now),
                false => self.endpoint.send(id, data, now),
            };
            match taken {
                Ok(taken) => self.written += taken,
                Err(Error::WouldBlock) => {}
                Err(error) => panic!("{error}"),
            }
        } else if !self.shut && self.info().is_some_and(|info| info.state != State::SynSent) {
            // Before that a close takes the attempt back.
            self.shut = true;
            self.endpoint.shutdown(id, now).expect("it was open");
        }
        let mut buf = vec![0; 1 + rng.below(5_000) as usize];
        while !self.finished {
            match self.endpoint.recv(id, &mut buf, now) {
                Ok(got) if got.len == 0 => self.finished = true,
                Ok(got) => self.read.extend_from_slice(&buf[..got.len]),
                Err(_) => break,
            }
            if rng.percent(30) {
                break;
            }
        }
    }

    fn hear(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Closed(_, reason) => self.closed = Some(reason),
                Event::Urgent(_, Urgent::Entered) => {
                    assert!(!self.urgent, "entered twice");
                    self.urgent = true;
                }
                Event::Urgent(_, Urgent::Left) => self.urgent = false,
                _ => {}
            }
        }
    }

    /// What it sends keeps the promises of a sender and a receiver.
    fn look_at(&mut self, packet: &[u8], scaled: bool) {
        Packet::parse(packet, Trust::Verify).expect("a right packet");
        let tcp = Tcp::new(&packet[20..]).expect("a right segment");
        let flags = tcp.flags();
        if flags.contains(wire::tcp::Flags::SYN) {
            for option in tcp.options().map_while(Result::ok) {
                if let wire::tcp::TcpOption::WindowScale(shift) = option {
                    self.shift = shift;
                }
            }
            return;
        }
        if !flags.contains(wire::tcp::Flags::RST) {
            let shift = if scaled { self.shift } else { 0 };
            let edge = tcp.ack().plus(u32::from(tcp.window()) << shift);
            assert!(self.edge.is_none_or(|old| !edge.before(old)), "the window shrank");
            self.edge = Some(edge);
        }
    }

    fn info(&self) -> Option<hairpin_tcp::Info> {
        self.endpoint.info(self.id?)
    }

    fn is_over(&self) -> bool {
        let state = self.id.and_then(|id| self.endpoint.info(id)).map(|info| info.state);
        matches!(state, Some(State::TimeWait | State::Closed))
    }
}

struct Flight {
    to_b: bool,
    arrives: Instant,
    octets: Vec<u8>,
}

/// One run; says how many packets it took.
fn run(seed: u64) -> usize {
    let rng = &mut Rng(seed);
    let (config_a, config_b) = (config(rng), config(rng));
    let scaled = config_a.window_scaling && config_b.window_scaling;
    let limits = Limits { buffer_octets: rng.pick(&[200_000, 1 << 30]), ..Limits::default() };
    let offload = |rng: &mut Rng| EndpointConfig {
        mtu: rng.pick(&[576, 1_500]),
        limits: limits.clone(),
        ..EndpointConfig::default()
    };
    let len = |rng: &mut Rng| rng.pick(&[0, 1, 2_000, 20_000]) + rng.below(3_000) as usize;
    let small = config_a
        .receive_buffer
        .min(config_b.receive_buffer)
        .min(config_a.send_buffer)
        .min(config_b.send_buffer)
        < 50;
    let len = |rng: &mut Rng| if small { rng.below(60) as usize } else { len(rng) };
    let mut a = Side::new(endpoint(A, offload(rng)), len(rng), 0);
    let mut b = Side::new(endpoint(B, offload(rng)), len(rng), 0x55);
    let mut now = Instant::from_secs(1_000);
    let to = std::net::SocketAddrV4::new(B, 80);
    let options = ListenOptions { backlog: 1, connection: Some(config_b.clone()) };
    let listener = b.endpoint.listen(to, options).expect("free");
    let from = std::net::SocketAddrV4::new(A, 0);
    a.id = Some(a.endpoint.connect(from, to, config_a.clone(), now).expect("free"));
    let (lost, doubled, late) = (rng.pick(&[0, 1, 10, 25]), rng.pick(&[0, 5]), rng.pick(&[0, 20]));
    let lazy = rng.pick(&[0, 50, 95]);
    let mut wire: Vec<Flight> = vec![];
    let (mut packets, mut fruitless, mut progress) = (0, 0, (0, 0, 0, 0));
    let mut buf = vec![0; 70_000];
    while !(a.is_over() && b.is_over() && a.finished && b.finished) {
        a.act(now, rng, lazy);
        b.act(now, rng, lazy);
        if b.id.is_none() {
            b.id = b.endpoint.accept(listener);
        }
        for (side, to_b) in [(&mut a, true), (&mut b, false)] {
            while let Some(transmit) = side.endpoint.poll_transmit(&mut buf, now) {
                let octets = buf[..transmit.len].to_vec();
                side.look_at(&octets, scaled);
                packets += 1;
                fruitless += 1;
                if rng.percent(lost) {
                    continue;
                }
                let delay = 5_000 + if rng.percent(late) { rng.below(30_000) } else { 0 };
                for _ in 0..=u8::from(rng.percent(doubled)) {
                    let arrives = now + Duration::from_micros(delay);
                    wire.push(Flight { to_b, arrives, octets: octets.clone() });
                }
            }
            side.hear();
        }
        let made = (a.written, b.written, a.read.len(), b.read.len());
        if made != progress {
            (progress, fruitless) = (made, 0);
        }
        assert!(fruitless < 2_000, "seed {seed}: packets, and nothing comes of them: {made:?}");
        let times = [
            a.endpoint.poll_timeout(),
            b.endpoint.poll_timeout(),
            wire.iter().map(|flight| flight.arrives).min(),
        ];
        let Some(next) = times.into_iter().flatten().min() else {
            // Nobody waits for the wire or a timer: then it must be for an application that is slow.
            assert!(lazy > 0, "seed {seed}: nobody waits for anything: {:#?} {:#?}", a.info(), b.info());
            now = now + Duration::from_secs(1);
            continue;
        };
        let next = next.max(now);
        // An application that is slow acts between, not only when a packet comes.
        now = next.min(now + Duration::from_secs(5));
        for side in [&mut a, &mut b] {
            if side.endpoint.poll_timeout().is_some_and(|time| time <= now) {
                side.endpoint.handle_timeout(now);
            }
        }
        while let Some(at) = wire.iter().position(|flight| flight.arrives <= now) {
            let flight = wire.remove(at);
            let side = if flight.to_b { &mut b } else { &mut a };
            side.endpoint.handle_packet(&flight.octets, Checksum::Verify, now);
        }
        assert!(
            now < Instant::from_secs(200_000),
            "seed {seed}: no end in sight: {made:?} {config_a:?} {config_b:?}"
        );
    }
    assert!(a.read == b.to_write && b.read == a.to_write, "seed {seed}: what was written was read");
    assert!(!a.urgent && !b.urgent, "seed {seed}: all was read, and urgent mode goes on");
    for side in [&mut a, &mut b] {
        side.hear();
        assert!(matches!(side.closed, None | Some(Reason::Finished)), "seed {seed}: {:?}", side.closed);
        let id = side.id.expect("it was open");
        side.endpoint.close(id, now);
        while side.endpoint.poll_transmit(&mut buf, now).is_some() {}
        assert_eq!(side.endpoint.connections(), 0, "seed {seed}");
        assert_eq!(side.endpoint.buffer_octets(), 0, "seed {seed}");
    }
    packets
}

// covers: T6, T8, S4, S5, U10, T12
#[test]
fn both_streams_arrive_and_both_ends_end_whatever_the_wire_and_the_settings() {
    let runs = std::env::var("HAIRPIN_PAIRS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1_500);
    let first = std::env::var("HAIRPIN_PAIRS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let packets: usize = (first..first + runs).map(run).sum();
    println!("{packets} packets");
}
