//! One endpoint, the peers that it meets, the application that holds its connections, and the time.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hairpin_tcp::{
    Checksum, Config, ConnectionId, Endpoint, EndpointConfig, Event, KeepAlive, Limits, ListenOptions,
    ListenerId, State, WindowProbe,
};
use rules::Instant;
use rules::acceptability::Edge;
use wire::tcp::{Flags, Tcp};
use wire::{Fragment, Packet, SeqNumber, Transport, Trust, craft};

use crate::held::Held;
use crate::peer::{Draft, Peer, octet, text};
use crate::rng::Rng;

const LOCAL: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9)];
const REMOTE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 3, 4)];
const PORTS: [u16; 2] = [80, 81];
/// Tuples that are remembered.
const PEERS: usize = 24;
/// Packets that may come again.
const OLD: usize = 16;

pub struct World {
    rng: Rng,
    endpoint: Endpoint,
    limits: Limits,
    mtu: u16,
    now: Instant,
    peers: Vec<Peer>,
    held: Vec<Held>,
    /// Ids that are void.
    gone: Vec<ConnectionId>,
    listeners: Vec<(ListenerId, SocketAddrV4, Config)>,
    arrived: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
    /// Packets of the endpoint to itself.
    loops: VecDeque<Vec<u8>>,
    buf: Vec<u8>,
    packet: Vec<u8>,
    /// Of a hundred segments, how many are not an honest TCP's.
    wild: u64,
    /// Packets and calls since the last time that all was polled.
    inputs: u32,
    pub segments: u64,
    /// How often a connection with text was seen in each state.
    pub busy: [u64; 10],
    trace: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let limits = Limits {
            connections: 1 + rng.below(10) as u32,
            half_open: rng.below(5) as u32,
            time_wait: rng.below(4) as u32,
            buffer_octets: rng.pick(&[0, 8_192, 30_000, 100_000, 1 << 30]),
            out_of_order_ranges: rng.pick(&[0, 1, 3, 64]),
            challenge_acks: rng.below(4) as u8,
            stateless_replies: rng.pick(&[0, 5, 1_000]),
            reply_queue: rng.pick(&[0, 1, 8]),
            ..Limits::default()
        };
        let mtu = rng.pick(&[104, 576, 1_500, 1_500, 9_000]);
        let config = EndpointConfig {
            addresses: LOCAL.to_vec(),
            any_address: rng.percent(10),
            mtu,
            segmentation_offload: rng.percent(20).then_some(65_535),
            checksum_offload: rng.percent(10),
            reset_closed_ports: rng.percent(80),
            connection: config(&mut rng),
            limits: limits.clone(),
            ephemeral_ports: (40_000, 40_003),
            ..EndpointConfig::default()
        };
        let key = [rng.u32() as u8; 32];
        let now = near_wrap(&config, key, &mut rng);
        let (wild, trace) = (rng.pick(&[3, 20, 60]), std::env::var_os("HAIRPIN_FUZZ_TRACE").is_some());
        let mut world = Self {
            endpoint: Endpoint::new(config.clone(), key),
            rng,
            limits,
            mtu,
            now,
            peers: vec![],
            held: vec![],
            gone: vec![],
            listeners: vec![],
            arrived: VecDeque::new(),
            sent: VecDeque::new(),
            loops: VecDeque::new(),
            buf: vec![0xA5; 66_000],
            packet: vec![0; 66_000],
            wild,
            inputs: 0,
            segments: 0,
            busy: [0; 10],
            trace,
        };
        world.listen(SocketAddrV4::new(LOCAL[0], PORTS[0]), config.connection);
        let other = self::config(&mut world.rng);
        world.listen(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORTS[1]), other);
        for at in 0..3 {
            let local = SocketAddrV4::new(LOCAL[0], PORTS[at % 2]);
            let remote = SocketAddrV4::new(REMOTE[0], 1_000 + at as u16);
            let peer = Peer::new(local, remote, &mut world.rng);
            world.peers.push(peer);
        }
        world
    }

    fn listen(&mut self, at: SocketAddrV4, config: Config) {
        let backlog = self.rng.below(4) as u32;
        let options = ListenOptions { backlog, connection: Some(config.clone()) };
        if let Ok(id) = self.endpoint.listen(at, options) {
            self.listeners.push((id, at, config));
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:?} {}", self.now.as_nanos(), what());
        }
    }

    /// Something happens.
    pub fn step(&mut self) {
        match self.rng.below(100) {
            0..62 => self.segment(),
            62..66 => self.replay(),
            66..69 => self.icmp(),
            69 => self.rubbish(),
            70 => self.flood(),
            71..85 => self.application(),
            _ => self.time(),
        }
        self.inputs += 1;
        if self.rng.percent(85) {
            self.poll();
        }
    }

    fn segment(&mut self) {
        if let Some(packet) = self.loops.pop_front() {
            if self.rng.percent(90) {
                self.feed(packet);
            }
            return;
        }
        let at = self.rng.index(self.peers.len());
        let wild = self.rng.percent(self.wild);
        let Self { peers, rng, .. } = self;
        let Some(peer) = peers.get_mut(at) else { return };
        let draft = if wild { peer.wild(rng) } else { peer.honest(rng) };
        if rng.percent(1) {
            peer.reboot(rng);
        }
        let (local, remote) = (peer.local, peer.remote);
        self.feed_draft(local, remote, &draft);
    }

    fn feed_draft(&mut self, local: SocketAddrV4, remote: SocketAddrV4, draft: &Draft) {
        let first = draft.seq.plus(u32::from(draft.flags.contains(Flags::SYN)));
        let payload = text(remote, local, first, draft.len);
        let header = craft::Header {
            tos: if self.rng.percent(5) { 3 } else { 0 },
            ..craft::Header::new(*remote.ip(), *local.ip())
        };
        let segment = craft::Segment {
            seq: draft.seq,
            ack: draft.ack,
            window: draft.window,
            urgent: draft.urgent,
            options: &draft.options,
            ..craft::Segment::new(remote.port(), local.port(), draft.flags)
        };
        let len = craft::tcp(&mut self.packet, &header, &segment, &payload).expect("it fits");
        self.feed(self.packet[..len].to_vec());
    }

    fn feed(&mut self, packet: Vec<u8>) {
        self.say(|| format!("> {}", describe(&packet)));
        self.segments += 1;
        self.endpoint.handle_packet(&packet, Checksum::Trusted, self.now);
        if self.arrived.len() == OLD {
            self.arrived.pop_front();
        }
        self.arrived.push_back(packet);
    }

    /// What came before comes again, perhaps cut or with other bits.
    fn replay(&mut self) {
        let at = self.rng.index(self.arrived.len());
        let Some(mut packet) = self.arrived.get(at).cloned() else { return };
        if self.rng.percent(60) {
            self.say(|| format!("> again {}", describe(&packet)));
        } else {
            // Text stays what it is: what is delivered is compared with it.
            let headers = packet.len().min(40);
            for _ in 0..=self.rng.below(3) {
                let at = self.rng.index(headers);
                packet[at] = self.rng.u32() as u8;
            }
            packet[12..20].copy_from_slice(&self.arrived[at][12..20]);
            packet[20..24.min(headers)].copy_from_slice(&self.arrived[at][20..24.min(headers)]);
            packet[24..28.min(headers)].copy_from_slice(&self.arrived[at][24..28.min(headers)]);
            // A SYN and a data offset say where the text begins.
            packet[32] = self.arrived[at][32];
            packet[33] = (packet[33] & !2) | (self.arrived[at][33] & 2);
            packet[0] = self.arrived[at][0];
            if self.rng.percent(30) {
                packet.truncate(self.rng.index(packet.len() + 1));
            }
        }
        self.segments += 1;
        let checksum = if self.rng.percent(50) { Checksum::Trusted } else { Checksum::Verify };
        self.endpoint.handle_packet(&packet, checksum, self.now);
    }

    fn icmp(&mut self) {
        let at = self.rng.index(self.sent.len());
        let Some(mut quoted) = self.sent.get(at).cloned() else { return };
        let source = REMOTE[0];
        let header = craft::Header::new(source, Ipv4Addr::from(*quoted[12..16].first_chunk().expect("4")));
        if self.rng.percent(30) {
            let at = 24 + self.rng.index(4);
            quoted[at] = self.rng.u32() as u8;
        }
        quoted.truncate(self.rng.pick(&[20, 24, 27, 28, 40, 1_500]));
        let (kind, code) =
            self.rng.pick(&[(3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 4), (11, 0), (12, 0), (4, 0)]);
        let mtu = self.rng.pick(&[0, 1, 67, 68, 296, 576, 1_400, 1_500, 65_535]);
        let rest = wire::icmpv4::next_hop_mtu(mtu);
        let Some(len) = craft::icmp_error(&mut self.packet, &header, kind, code, rest, &quoted) else {
            return;
        };
        self.segments += 1;
        self.say(|| format!("> icmp {kind}/{code} {mtu}"));
        let checksum = if self.rng.percent(90) { Checksum::Verify } else { Checksum::Trusted };
        self.endpoint.handle_packet(&self.packet[..len], checksum, self.now);
    }

    /// No packet at all, or a whole one of which bits are wrong.
    fn rubbish(&mut self) {
        self.segments += 1;
        let mut packet: Vec<u8> = (0..self.rng.index(90)).map(|_| self.rng.u32() as u8).collect();
        if let Some(first) = packet.first_mut() {
            *first = 0x45;
        }
        // Text of nobody: it must not be taken for a peer's.
        if packet.len() >= 16 {
            packet[12] = 9;
        }
        self.endpoint.handle_packet(&packet, Checksum::Trusted, self.now);
    }

    fn flood(&mut self) {
        for _ in 0..self.rng.below(12) {
            let local = SocketAddrV4::new(self.rng.pick(&LOCAL), self.rng.pick(&PORTS));
            let address = Ipv4Addr::from_bits(0x0a00_0300 | self.rng.u32() & 0xff);
            let remote = SocketAddrV4::new(address, self.rng.below(65_536) as u16);
            let options = vec![2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
            let draft = Draft {
                seq: SeqNumber(self.rng.brink()),
                ack: SeqNumber(self.rng.u32()),
                flags: if self.rng.percent(80) { Flags::SYN } else { Flags::ACK },
                window: 1_000,
                urgent: 0,
                options: if self.rng.percent(50) { options } else { vec![] },
                len: 0,
            };
            self.feed_draft(local, remote, &draft);
        }
    }

    fn time(&mut self) {
        // What was not polled has no time of its own: the endpoint asks to be polled after each call.
        self.poll();
        let due = self.endpoint.poll_timeout();
        self.now = match self.rng.below(20) {
            0..8 => self.now + Duration::from_micros(self.rng.below(3_000)),
            8..10 => self.now + Duration::from_millis(self.rng.below(300)),
            10 => self.now + Duration::from_secs(self.rng.below(100)),
            11 if self.rng.percent(20) => self.now + Duration::from_secs(self.rng.below(40 * 86_400)),
            12 => due.map_or(self.now, |due| self.now.max(due - Duration::from_nanos(1))),
            _ => due.map_or(self.now, |due| self.now.max(due)),
        };
        if self.rng.percent(95) || due.is_some_and(|due| due <= self.now) {
            self.timeout();
        }
    }

    /// A timer that was handled is over: it may not be due again, or the caller turns for ever.
    fn timeout(&mut self) {
        self.say(|| "timeout".into());
        self.endpoint.handle_timeout(self.now);
        self.inputs += 1;
        self.poll();
        let due = self.endpoint.poll_timeout();
        assert!(due.is_none_or(|due| due > self.now), "due again: {due:?} at {:?}", self.now);
    }

    fn application(&mut self) {
        let now = self.now;
        match self.rng.below(30) {
            0..2 => self.connect(),
            2..7 => self.accept(),
            7 if self.rng.percent(10) && !self.listeners.is_empty() => {
                let at = self.rng.index(self.listeners.len());
                let (id, local, config) = self.listeners.swap_remove(at);
                self.say(|| "close_listener".into());
                self.endpoint.close_listener(id, now);
                self.listen(local, config);
            }
            8 => self.void(),
            _ if self.held.is_empty() => {}
            _ => {
                let at = self.rng.index(self.held.len());
                self.use_connection(at);
            }
        }
    }

    fn connect(&mut self) {
        let config = config(&mut self.rng);
        let itself = self.rng.percent(10);
        let port = if itself { 7 } else { self.rng.pick(&[0, 0, 5, 6]) };
        let local = SocketAddrV4::new(self.rng.pick(&LOCAL), port);
        let other = self.rng.pick(&[Ipv4Addr::UNSPECIFIED, LOCAL[0], REMOTE[0], REMOTE[0], REMOTE[1]]);
        let remote = SocketAddrV4::new(other, self.rng.pick(&[0, 80, 1_000, 1_001, 1_001]));
        let remote = if itself { local } else { remote };
        let (in_line, buffers) = traits(&config);
        self.say(|| format!("connect {local} {remote} {config:?}"));
        if let Ok(id) = self.endpoint.connect(local, remote, config, self.now) {
            self.held.push(Held::new(id, &self.endpoint, in_line, buffers));
        }
    }

    fn accept(&mut self) {
        let at = self.rng.index(self.listeners.len());
        let Some((listener, _, config)) = self.listeners.get(at) else { return };
        let (in_line, buffers) = traits(config);
        if let Some(id) = self.endpoint.accept(*listener) {
            self.say(|| format!("accept {id:?}"));
            self.held.push(Held::new(id, &self.endpoint, in_line, buffers));
        }
    }

    /// Calls with ids that are void change nothing.
    fn void(&mut self) {
        let at = self.rng.index(self.gone.len());
        let Some(&id) = self.gone.get(at) else { return };
        let connections = self.endpoint.connections();
        assert!(self.endpoint.info(id).is_none());
        assert!(self.endpoint.send(id, b"x", self.now).is_err());
        assert!(self.endpoint.recv(id, &mut [0], self.now).is_err());
        self.endpoint.close(id, self.now);
        self.endpoint.abort(id, self.now);
        assert_eq!(self.endpoint.connections(), connections);
    }

    fn use_connection(&mut self, at: usize) {
        let Self { endpoint, rng, now, .. } = self;
        let (held, now) = (&mut self.held[at], *now);
        let over = held.info().state == State::Closed && rng.percent(50);
        let what = if over { 20 } else { rng.below(24) };
        if self.trace {
            println!("{:?} call {what} on {:?} ({:?})", now.as_nanos(), held.id, held.info().state);
        }
        match what {
            0..7 => {
                let len = rng.len(4_000);
                let urgent = rng.percent(25);
                held.write(endpoint, now, len, urgent);
            }
            7..15 => held.read(endpoint, now, rng),
            15 => {
                let _ = endpoint.recv_urgent(held.id, rng.percent(50));
                let _ = endpoint.at_mark(held.id);
            }
            16 => {
                let _ = endpoint.shutdown(held.id, now);
            }
            17 if rng.percent(30) => {
                held.deaf = true;
                let _ = endpoint.shutdown_read(held.id, now);
            }
            18..20 => {
                let new = config(rng);
                let (in_line, buffers) = traits(&new);
                held.most_sent = held.most_sent.max(buffers.0);
                held.most_received = held.most_received.max(buffers.1);
                if !in_line {
                    held.reads_out_of_band();
                }
                endpoint.configure(held.id, now, |config| *config = new).expect("it is held");
            }
            20 => {
                let id = self.held.swap_remove(at).id;
                match self.rng.percent(70) {
                    true => self.endpoint.close(id, now),
                    false => self.endpoint.abort(id, now),
                }
                self.gone.push(id);
                if self.gone.len() > 8 {
                    self.gone.remove(0);
                }
            }
            _ => {}
        }
    }

    /// Takes all that the endpoint has to send and to tell, and looks at it.
    fn poll(&mut self) {
        let queued: usize = self.held.iter().map(|held| held.info().unacknowledged).sum();
        let bound = 64 + self.limits.reply_queue + queued + 8 * self.endpoint.connections();
        let mut packets: Vec<Vec<u8>> = vec![];
        loop {
            self.buf[..256].fill(0xA5);
            let Some(transmit) = self.endpoint.poll_transmit(&mut self.buf, self.now) else { break };
            let packet = self.buf[..transmit.len].to_vec();
            self.say(|| format!("< {}", describe(&packet)));
            assert!(packets.len() < bound, "no end of packets: {}", describe(&packet));
            let largest = if transmit.segment.is_some() { 65_535 } else { usize::from(self.mtu) };
            assert!(packet.len() <= largest, "{} octets", packet.len());
            self.look_at(&packet, transmit.checksum_partial);
            let again = self.inputs <= 1 && packets.iter().any(|old| old[20..] == packet[20..]);
            assert!(!again, "nothing happened, and it is sent again: {}", describe(&packet));
            packets.push(packet);
        }
        for told in 0.. {
            assert!(told < 8 * (self.held.len() + 4), "no end of events");
            match self.endpoint.poll_event() {
                Some(Event::Incoming(_)) => {}
                Some(event) => self.say(|| format!("{event:?}")),
                None => break,
            }
        }
        self.inputs = 0;
        self.check();
    }

    fn look_at(&mut self, packet: &[u8], partial: bool) {
        let trust = if partial { Trust::Skip } else { Trust::Verify };
        let header =
            Packet::parse(packet, trust).unwrap_or_else(|error| panic!("{error:?}: {}", describe(packet)));
        assert!(header.fragment == Fragment::Whole && usize::from(header.total_len) == packet.len());
        assert!(matches!(header.transport, Transport::Tcp { .. }));
        let tcp = Tcp::new(&packet[20..]).expect("parsed before");
        assert!(tcp.options().all(|option| option.is_ok()), "{}", describe(packet));
        let flags = tcp.flags();
        assert!(!flags.contains(Flags::SYN) || !flags.intersects(Flags::FIN | Flags::RST | Flags::URG));
        assert!(flags.intersects(Flags::ACK | Flags::SYN | Flags::RST));
        assert!(flags.contains(Flags::URG) || tcp.urgent() == 0);
        assert!(flags.contains(Flags::ACK) || tcp.ack() == SeqNumber(0));
        let local = SocketAddrV4::new(header.source, tcp.source_port());
        let remote = SocketAddrV4::new(header.destination, tcp.destination_port());
        // One octet of nothing is how some probe (S5); it may only be one that was acknowledged.
        let mut held = self.held.iter().filter_map(|held| self.endpoint.info(held.id));
        let held = held.find(|info| info.local == local && info.remote == remote);
        let old = held.is_none_or(|info| tcp.seq().plus(1) == info.snd_una || info.state == State::Closed);
        let probe = tcp.payload() == [0] && old;
        for (at, &sent) in (0..).zip(tcp.payload()) {
            let right = octet(local, remote, tcp.seq().plus(at));
            assert!(sent == right || probe, "octet {at} is not what was written: {}", describe(packet));
        }
        self.hear(local, remote, &tcp);
        if self.endpoint.is_local(header.destination) {
            if self.loops.len() < 64 {
                self.loops.push_back(packet.to_vec());
            }
            return;
        }
        if self.sent.len() == OLD {
            self.sent.pop_front();
        }
        self.sent.push_back(packet.to_vec());
    }

    fn hear(&mut self, local: SocketAddrV4, remote: SocketAddrV4, tcp: &Tcp<&[u8]>) {
        let known = self.peers.iter().position(|peer| peer.local == local && peer.remote == remote);
        let at = known.unwrap_or_else(|| {
            let peer = Peer::new(local, remote, &mut self.rng);
            if self.peers.len() < PEERS {
                self.peers.push(peer);
                return self.peers.len() - 1;
            }
            let at = 3 + self.rng.index(PEERS - 3);
            self.peers[at] = peer;
            at
        });
        self.peers[at].hear(tcp, &mut self.rng);
    }

    fn check(&mut self) {
        for held in &mut self.held {
            held.check(&self.endpoint);
            if held.info().unread > 0 || held.info().unacknowledged > 0 {
                self.busy[held.info().state as usize] += 1;
            }
        }
        assert!(self.endpoint.connections() <= self.limits.connections as usize);
        assert!(self.endpoint.time_waits() <= self.limits.time_wait as usize);
        assert!(self.endpoint.buffer_octets() <= self.limits.buffer_octets);
    }

    /// The application goes, and so do all peers: whatever there was comes to an end.
    pub fn end(&mut self) {
        let abort = self.rng.percent(50);
        while let Some(held) = self.held.pop() {
            // Some wait for a peer's FIN for ever, because they were told to.
            self.endpoint
                .configure(held.id, self.now, |config| config.fin_wait_2 = Some(Duration::from_secs(9)))
                .expect("it is held");
            match abort {
                true => self.endpoint.abort(held.id, self.now),
                false => self.endpoint.close(held.id, self.now),
            }
        }
        while let Some((listener, ..)) = self.listeners.pop() {
            self.endpoint.close_listener(listener, self.now);
        }
        self.inputs = 2;
        self.poll();
        for steps in 0.. {
            let Some(due) = self.endpoint.poll_timeout() else { break };
            assert!(steps < 5_000, "no end of timeouts: {}", self.endpoint.connections());
            self.now = self.now.max(due);
            self.timeout();
        }
        // Those that were closed before, with `fin_wait_2: None`, stay: nobody can reach them any more.
        if abort && self.gone.is_empty() {
            assert_eq!((self.endpoint.connections(), self.endpoint.time_waits()), (0, 0));
            assert_eq!(self.endpoint.buffer_octets(), 0);
        }
    }
}

/// Delivered in line only; send and receive buffer.
fn traits(config: &Config) -> (bool, (u32, u32)) {
    let in_line = config.urgent.delivery == rules::urgent::Delivery::InLine;
    (in_line, (config.send_buffer, config.receive_buffer))
}

fn config(rng: &mut Rng) -> Config {
    let millis = |rng: &mut Rng, of: &[u64]| Duration::from_millis(rng.pick(of));
    let mut config = Config {
        send_buffer: rng.pick(&[1, 100, 3_000, 20_000]),
        receive_buffer: rng.pick(&[1, 100, 3_000, 20_000, 200_000]),
        mss: rng.pick(&[None, None, Some(64), Some(536), Some(0), Some(u16::MAX)]),
        window_scaling: rng.percent(60),
        timestamps: rng.percent(60),
        sack: rng.percent(60),
        ecn: rng.percent(40),
        nagle: rng.percent(60),
        cork: rng.percent(10),
        delayed_ack: millis(rng, &[0, 40, 200]),
        syn_retries: rng.below(4) as u8,
        retries: rng.below(6) as u8,
        user_timeout: rng.percent(20).then(|| Duration::from_secs(5)),
        keep_alive: None,
        time_wait: millis(rng, &[0, 1, 60_000]),
        fin_wait_2: rng.pick(&[None, Some(Duration::ZERO), Some(Duration::from_secs(9))]),
        pacing: rng.percent(30),
        initial_window: rng.pick(&[0, 1, 10]),
        path_mtu_discovery: rng.percent(70),
        seq_validation: rng.pick(&[Edge::Seqval, Edge::Seqval, Edge::Rfc793]),
        window_probe: rng.pick(&[
            WindowProbe::NextOctet,
            WindowProbe::OctetAtUna,
            WindowProbe::OldOctet,
            WindowProbe::Empty,
        ]),
        protect_time_wait: rng.percent(50),
        ..Config::default()
    };
    // Not drawn: the episodes of the corpus must stay the ones that they were.
    config.told_user_timeout = config.cork.then_some(Duration::from_secs(200));
    if rng.percent(20) {
        let (idle, interval) = (millis(rng, &[0, 10, 7_000]), millis(rng, &[0, 75]));
        let (probes, garbage_octet) = (rng.below(3) as u8, rng.percent(50));
        config.keep_alive = Some(KeepAlive { idle, interval, probes, garbage_octet });
    }
    if rng.percent(30) {
        config.congestion = hairpin_tcp::CongestionControl::NewReno;
    }
    match rng.below(10) {
        0..6 => config,
        6 | 7 => config.out_of_band(rng.pick(&[0, 1, 3, 99])),
        8 => config.pointer(rules::urgent::Pointer::Last),
        _ => {
            config.urgent = rules::urgent::PROFILES[rng.index(rules::urgent::PROFILES.len())];
            config
        }
    }
}

/// A time at which the ISN of the first tuple is about to wrap: found with an endpoint of the same keys.
fn near_wrap(config: &EndpointConfig, key: [u8; 32], rng: &mut Rng) -> Instant {
    let now = Instant::from_secs(1_000);
    let mut scout = Endpoint::new(
        EndpointConfig {
            limits: Limits::default(),
            any_address: false,
            checksum_offload: false,
            ..config.clone()
        },
        key,
    );
    let listened = scout.listen(SocketAddrV4::new(LOCAL[0], PORTS[0]), ListenOptions::default());
    assert!(listened.is_ok());
    let mut packet = [0; 100];
    let segment = craft::Segment::new(1_000, PORTS[0], Flags::SYN);
    let len = craft::tcp(&mut packet, &craft::Header::new(REMOTE[0], LOCAL[0]), &segment, &[]).expect("fits");
    scout.handle_packet(&packet[..len], Checksum::Verify, now);
    let mut buf = vec![0; 2_000];
    let Some(transmit) = scout.poll_transmit(&mut buf, now) else { return now };
    let isn = Tcp::new(&buf[20..transmit.len]).expect("a SYN-ACK").seq();
    let wanted = rng.brink();
    now + Duration::from_micros(4 * u64::from(wanted.wrapping_sub(isn.0)))
}

fn describe(packet: &[u8]) -> String {
    let Some(Ok(tcp)) = packet.get(20..).map(Tcp::new) else { return format!("{packet:?}") };
    format!(
        "{} > {} {:?} seq {} ack {} win {} len {} urg {} {:02x?}",
        tcp.source_port(),
        tcp.destination_port(),
        tcp.flags(),
        tcp.seq(),
        tcp.ack(),
        tcp.window(),
        tcp.payload().len(),
        tcp.urgent(),
        &tcp.octets()[20..tcp.header_len()],
    )
}
