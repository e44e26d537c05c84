//! Two of our endpoints, and queues of packets between them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hairpin_tcp::{Checksum, Config, ConnectionId, Endpoint, EndpointConfig, ListenOptions, Transmit};
use rules::Instant;

pub(crate) const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Packets on their way, and buffers that are used again: no allocation is measured.
pub(crate) struct Queue {
    packets: VecDeque<(Box<[u8]>, usize)>,
    free: Vec<Box<[u8]>>,
    size: usize,
}

impl Queue {
    pub(crate) fn new(size: usize) -> Self {
        Self { packets: VecDeque::new(), free: Vec::new(), size }
    }

    pub(crate) fn buffer(&mut self) -> Box<[u8]> {
        self.free.pop().unwrap_or_else(|| vec![0; self.size].into())
    }

    pub(crate) fn push(&mut self, buffer: Box<[u8]>, len: usize) {
        self.packets.push_back((buffer, len));
    }

    pub(crate) fn pop(&mut self) -> Option<(Box<[u8]>, usize)> {
        self.packets.pop_front()
    }

    pub(crate) fn give(&mut self, buffer: Box<[u8]>) {
        self.free.push(buffer);
    }
}

pub(crate) struct Pair {
    pub(crate) a: Endpoint,
    pub(crate) b: Endpoint,
    to_a: Queue,
    to_b: Queue,
    pub(crate) now: Instant,
}

pub(crate) fn config(address: Ipv4Addr, super_segments: bool) -> EndpointConfig {
    EndpointConfig {
        addresses: vec![address],
        segmentation_offload: super_segments.then_some(65_535),
        ..EndpointConfig::default()
    }
}

impl Pair {
    pub(crate) fn new(super_segments: bool) -> Self {
        let size = if super_segments { 65_536 } else { 1_514 };
        Self {
            a: Endpoint::new(config(A, super_segments), [1; 32]),
            b: Endpoint::new(config(B, super_segments), [2; 32]),
            to_a: Queue::new(size),
            to_b: Queue::new(size),
            now: Instant::from_secs(1),
        }
    }

    /// For a long path: `buffers` octets both ways.
    pub(crate) fn with_buffers(buffers: u32) -> Self {
        let connection = Config { send_buffer: buffers, receive_buffer: buffers, ..Config::default() };
        let host = |address| EndpointConfig { connection: connection.clone(), ..config(address, false) };
        let mut pair = Self::new(false);
        (pair.a, pair.b) = (Endpoint::new(host(A), [1; 32]), Endpoint::new(host(B), [2; 32]));
        pair
    }

    /// Everything that both have to send goes to the other, until nothing moves.
    pub(crate) fn exchange(&mut self) {
        loop {
            let sent =
                send(&mut self.a, &mut self.to_b, self.now) + send(&mut self.b, &mut self.to_a, self.now);
            receive(&mut self.b, &mut self.to_b, self.now);
            receive(&mut self.a, &mut self.to_a, self.now);
            if sent == 0 {
                return;
            }
        }
    }

    /// One packet each way at a time, so that what is in flight stays in the cache as long as it can.
    pub(crate) fn pass(&mut self, most: usize) -> usize {
        let mut sent = 0;
        for _ in 0..most {
            if !transmit(&mut self.a, &mut self.to_b, self.now) {
                break;
            }
            sent += 1;
        }
        receive(&mut self.b, &mut self.to_b, self.now);
        sent += send(&mut self.b, &mut self.to_a, self.now);
        receive(&mut self.a, &mut self.to_a, self.now);
        sent
    }

    /// Time goes on to the next timer.
    pub(crate) fn wait(&mut self) {
        let next = [self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
        self.now = next.unwrap_or(self.now + Duration::from_millis(1)).max(self.now);
        self.a.handle_timeout(self.now);
        self.b.handle_timeout(self.now);
    }

    pub(crate) fn open(&mut self, config: Config) -> (ConnectionId, ConnectionId) {
        let listener = self.b.listen(SocketAddrV4::new(B, 80), ListenOptions::default()).expect("free");
        let to = SocketAddrV4::new(B, 80);
        let a = self.a.connect(SocketAddrV4::new(A, 0), to, config, self.now).expect("a port");
        self.exchange();
        (a, self.b.accept(listener).expect("open"))
    }
}

fn transmit(endpoint: &mut Endpoint, queue: &mut Queue, now: Instant) -> bool {
    let mut buffer = queue.buffer();
    match endpoint.poll_transmit(&mut buffer, now) {
        Some(Transmit { len, .. }) => {
            queue.push(buffer, len);
            true
        }
        None => {
            queue.give(buffer);
            false
        }
    }
}

fn send(endpoint: &mut Endpoint, queue: &mut Queue, now: Instant) -> usize {
    (0..).take_while(|_| transmit(endpoint, queue, now)).count()
}

fn receive(endpoint: &mut Endpoint, queue: &mut Queue, now: Instant) {
    while let Some((buffer, len)) = queue.pop() {
        endpoint.handle_packet(&buffer[..len], Checksum::Verify, now);
        queue.give(buffer);
    }
}
