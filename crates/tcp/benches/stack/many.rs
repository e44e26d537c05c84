//! Many connections: what an idle one takes, what a segment costs among them, how fast they come and go.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant as Clock};

use hairpin_tcp::{
    Checksum, Config, ConnectionId, Endpoint, EndpointConfig, Event, Limits, ListenOptions, ListenerId,
};
use rules::Instant;

use crate::figures::alone;
use crate::memory;
use crate::ours::{B, config};

const PORT: u16 = 80;
/// Connections of one client address.
const EACH: usize = 40_000;
/// Packets between two readings of the clock.
const BATCH: usize = 64;
const MANY: usize = 100_000;
/// Octets of text in a segment whose cost is measured.
const TEXT: usize = 100;

/// A server under test, and the clients that keep it busy.
struct World {
    clients: Endpoint,
    server: Endpoint,
    listener: ListenerId,
    now: Instant,
    /// Client's and server's id of every connection.
    open: Vec<(ConnectionId, ConnectionId)>,
    packets: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    /// What the server allocated, and the time that it took.
    octets: i64,
    spent: Duration,
}

fn client(number: usize) -> SocketAddrV4 {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 1).to_bits() + (number / EACH) as u32);
    SocketAddrV4::new(address, 10_000 + (number % EACH) as u16)
}

fn connection() -> Config {
    // Every segment is answered at once: its cost has its ACK in it.
    Config { delayed_ack: Duration::ZERO, nagle: false, ..Config::default() }
}

impl World {
    fn new() -> Self {
        let limits = Limits { half_open: 4_096, ..Limits::default() };
        let before = memory::octets();
        let server = EndpointConfig { connection: connection(), limits: limits.clone(), ..config(B, false) };
        let mut server = Endpoint::new(server, [2; 32]);
        let listen = ListenOptions { backlog: 4_096, ..ListenOptions::default() };
        let listener = server.listen(SocketAddrV4::new(B, PORT), listen).expect("free");
        let octets = memory::octets() - before;
        let clients = EndpointConfig { any_address: true, limits, ..EndpointConfig::default() };
        Self {
            clients: Endpoint::new(clients, [1; 32]),
            server,
            listener,
            now: Instant::from_secs(1),
            open: Vec::new(),
            packets: vec![vec![0; 1_500]; 4 * BATCH],
            answers: vec![vec![0; 1_500]; 4 * BATCH],
            octets,
            spent: Duration::ZERO,
        }
    }

    /// The server does something: how long, and what it keeps of memory, is added up.
    fn serve<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let (before, start) = (memory::octets(), Clock::now());
        let result = act(self);
        self.spent += start.elapsed();
        self.octets += memory::octets() - before;
        result
    }

    /// What the clients have to send goes to the server, its answers to them, until nothing moves. `at_server` is
    /// called in the server's time after each round.
    fn exchange(&mut self, mut at_server: impl FnMut(&mut Self)) {
        loop {
            let sent = drain(&mut self.clients, &mut self.packets, self.now);
            let answered = self.serve(|world| {
                for packet in &world.packets[..sent] {
                    world.server.handle_packet(packet, Checksum::Verify, world.now);
                }
                at_server(world);
                drain(&mut world.server, &mut world.answers, world.now)
            });
            for answer in &self.answers[..answered] {
                self.clients.handle_packet(answer, Checksum::Verify, self.now);
            }
            while self.clients.poll_event().is_some() {}
            self.lengthen();
            if sent == 0 && answered == 0 {
                return;
            }
        }
    }

    fn connect(&mut self, numbers: std::ops::Range<usize>) {
        let to = SocketAddrV4::new(B, PORT);
        let mut ids: Vec<_> = numbers
            .map(|number| {
                self.clients.connect(client(number), to, connection(), self.now).expect("a free port")
            })
            .collect();
        self.exchange(|world| while world.server.poll_event().is_some() {});
        for client in ids.drain(..) {
            let server = self.serve(|world| world.server.accept(world.listener)).expect("open");
            self.open.push((client, server));
        }
    }

    fn fill(&mut self, connections: usize) {
        self.open.reserve(connections);
        while self.open.len() < connections {
            let first = self.open.len();
            self.connect(first..connections.min(first + BATCH));
        }
    }

    /// Segments on connections chosen at random, each of them taken, read and acknowledged before the next is handed
    /// over. `told`: those that came together are told ahead. How many there were.
    fn segments(&mut self, random: &mut u64, told: bool) -> usize {
        let mut sent = 0;
        for _ in 0..BATCH {
            let id = self.open[(next(random) % self.open.len() as u64) as usize].0;
            let _ = self.clients.send(id, &[7; TEXT], self.now);
            sent += drain(&mut self.clients, &mut self.packets[sent..], self.now);
        }
        let answered = self.serve(|world| {
            let mut answered = 0;
            for packets in world.packets[..sent].chunks(Endpoint::AHEAD) {
                if told {
                    world.server.anticipate(packets);
                }
                for packet in packets {
                    world.server.handle_packet(packet, Checksum::Verify, world.now);
                    read(&mut world.server, world.now);
                    answered += drain(&mut world.server, &mut world.answers[answered..], world.now);
                }
            }
            answered
        });
        assert_eq!(answered, sent, "every segment is answered");
        for answer in &self.answers[..answered] {
            self.clients.handle_packet(answer, Checksum::Verify, self.now);
        }
        while self.clients.poll_event().is_some() {}
        self.lengthen();
        self.now = self.now + Duration::from_micros(10);
        sent
    }

    fn lengthen(&mut self) {
        self.packets.iter_mut().chain(&mut self.answers).for_each(|packet| packet.resize(1_500, 0));
    }
}

/// The application reads what there is.
fn read(endpoint: &mut Endpoint, now: Instant) {
    let mut text = [0; TEXT];
    while let Some(event) = endpoint.poll_event() {
        if let Event::Readable(id) = event {
            while endpoint.recv(id, &mut text, now).is_ok() {}
        }
    }
}

fn drain(endpoint: &mut Endpoint, packets: &mut [Vec<u8>], now: Instant) -> usize {
    let mut count = 0;
    for packet in packets {
        let Some(transmit) = endpoint.poll_transmit(packet, now) else { break };
        packet.truncate(transmit.len);
        count += 1;
    }
    count
}

/// SplitMix64.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

pub(crate) fn idle() {
    let (mut few, mut many) = (World::new(), World::new());
    few.fill(10);
    many.fill(MANY);
    let mut random = 7;
    // Every connection has carried text once: what that leaves behind counts.
    for _ in 0..3 * MANY / BATCH {
        many.segments(&mut random, false);
    }
    let note = "100,000 open, 95 % of them after text; slab, demultiplexing, timers and free buffers in it";
    let each = many.octets as f64 / MANY as f64;
    alone("memory of an idle connection", "octets", vec![each], Some(1_024.0), true, note);

    let (mut told, mut single) = (Costs::default(), Costs::default());
    for _ in 0..7 {
        for (costs, told) in [(&mut told, true), (&mut single, false)] {
            let [few, many] = [&mut few, &mut many].map(|world| {
                world.spent = Duration::ZERO;
                let segments: usize = (0..2_000).map(|_| world.segments(&mut random, told)).sum();
                world.spent.as_secs_f64() * 1e9 / segments as f64
            });
            costs.ratios.push(many / few);
            costs.many.push(many);
        }
    }
    let note = "100 octets taken, read and acknowledged, the connection chosen at random";
    let batch =
        "told ahead by 16, as they lie in the ring of a network card; each read and acknowledged by itself";
    let one = "told one by one; each read and acknowledged before the next one comes";
    alone("a segment among 100,000 connections", "ns", told.many, None, true, &format!("{note}; {batch}"));
    let name = "a segment among 100,000 connections, untold";
    alone(name, "ns", single.many, None, true, &format!("{note}; {one}"));
    let name = "cost of a segment, 100,000 connections to 10";
    alone(name, "times", told.ratios, Some(3.0), true, batch);
    let name = "cost of a segment, 100,000 connections to 10, untold";
    alone(name, "times", single.ratios, Some(3.0), true, one);
}

/// What rounds have cost.
#[derive(Default)]
struct Costs {
    /// A segment among many connections, in nanoseconds.
    many: Vec<f64>,
    /// To one among few.
    ratios: Vec<f64>,
}

/// Connections that are opened and closed by both sides, client first, with no text.
pub(crate) fn set_up() {
    let (mut server_rates, mut rates) = (Vec::new(), Vec::new());
    let mut world = World::new();
    let mut number = 0;
    for round in 0..8 {
        world.spent = Duration::ZERO;
        let start = Clock::now();
        let mut done = 0;
        while done < 100_000 {
            world.connect(number..number + BATCH);
            let open = std::mem::take(&mut world.open);
            open.iter().for_each(|&(client, _)| world.clients.close(client, world.now));
            world.exchange(|world| {
                while let Some(event) = world.server.poll_event() {
                    if let Event::Readable(id) = event {
                        world.server.close(id, world.now);
                    }
                }
            });
            // TIME-WAIT is the clients': nobody comes again before it is over.
            world.now = world.now + Duration::from_millis(200);
            world.clients.handle_timeout(world.now);
            world.serve(|world| world.server.handle_timeout(world.now));
            number = (number + BATCH) % (100 * EACH / BATCH * BATCH);
            done += BATCH;
        }
        assert_eq!(world.server.connections(), 0);
        if round > 0 {
            rates.push(done as f64 / start.elapsed().as_secs_f64());
            server_rates.push(done as f64 / world.spent.as_secs_f64());
        }
    }
    let name = "connections set up and torn down a second, one endpoint";
    alone(
        name,
        "/s",
        server_rates,
        Some(300_000.0),
        false,
        "the server's time: SYN to the last ACK, accept and close",
    );
    let name = "connections set up and torn down a second, both ends";
    alone(
        name,
        "/s",
        rates,
        None,
        false,
        "one core does the clients' part, TIME-WAIT included, and the network's too",
    );
}
