//! What lies behind the lock: the endpoint, who waits for what, and the frame that everything is sent from.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::task::{Context, Waker};

use rules::Instant;
use tcp::{Checksum, ConnectionId, Counters, Endpoint, Event, ListenerId, Urgent};

use crate::{Arrived, Device};

/// Octets of the largest IPv4 packet.
const LARGEST: usize = 65_535;

/// Packets that one call of an application sends; the stack's task goes on with the rest.
const AT_ONCE: usize = 64;

/// News of urgent data that nobody has asked for; then the last one stands for those behind it.
const NEWS: usize = 16;

pub(crate) struct Core {
    pub(crate) endpoint: Endpoint,
    device: Arc<dyn Device>,
    /// Packets from outside that bore an address of ours.
    forged: u64,
    frame: Box<[u8]>,
    connections: HashMap<ConnectionId, Waiting>,
    listeners: HashMap<ListenerId, Waker>,
    /// What the stack's task waits for.
    pub(crate) armed: Option<Instant>,
    /// The device is gone.
    pub(crate) ended: bool,
}

/// Where the addresses of an IPv4 header are.
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

fn address_at(packet: &[u8], place: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = *packet.get(place..)?.first_chunk()?;
    Some(Ipv4Addr::from(octets))
}

/// Who waits for a connection.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    pub(crate) urgent: Option<Waker>,
    pub(crate) news: VecDeque<Urgent>,
}

/// What is left for the stack's task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    Nothing,
    /// More packets than one call sends, or a time nearer than the one it waits for.
    Something,
}

impl Core {
    pub(crate) fn new(endpoint: Endpoint, device: Arc<dyn Device>) -> Self {
        let frame = vec![0; device.headroom() + LARGEST].into_boxed_slice();
        let (connections, listeners) = (HashMap::new(), HashMap::new());
        Self { endpoint, device, forged: 0, frame, connections, listeners, armed: None, ended: false }
    }

    /// A packet from the device. One that bears an address of ours was not sent by us, for such packets never
    /// leave (RFC 1122 3.2.1.3).
    pub(crate) fn take(&mut self, frame: &[u8], arrived: Arrived, now: Instant) {
        let packet = frame.get(arrived.packet).unwrap_or_default();
        if address_at(packet, SOURCE).is_some_and(|source| self.endpoint.is_local(source)) {
            self.forged += 1;
            return;
        }
        self.endpoint.handle_packet(packet, arrived.checksum, now);
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = *self.endpoint.counters();
        counters.martian += self.forged;
        counters
    }

    /// What follows from whatever was done: packets, news, another time to wait for.
    pub(crate) fn follow_up(&mut self, now: Instant) -> Left {
        let all_sent = self.transmit(now);
        while let Some(event) = self.endpoint.poll_event() {
            self.tell(event);
        }
        let nearer = match (self.endpoint.poll_timeout(), self.armed) {
            (Some(wanted), Some(armed)) => wanted < armed,
            (wanted, None) => wanted.is_some(),
            (None, Some(_)) => false,
        };
        if all_sent && !nearer { Left::Nothing } else { Left::Something }
    }

    /// False: there is more.
    fn transmit(&mut self, now: Instant) -> bool {
        let headroom = self.device.headroom();
        for _ in 0..AT_ONCE {
            let Some(room) = self.frame.get_mut(headroom..) else { return true };
            let Some(transmit) = self.endpoint.poll_transmit(room, now) else { return true };
            let Some(frame) = self.frame.get_mut(..headroom + transmit.len) else { return true };
            let packet = frame.get(headroom..).unwrap_or_default();
            if address_at(packet, DESTINATION).is_some_and(|to| self.endpoint.is_local(to)) {
                // To ourselves (S3). It never leaves this memory.
                self.endpoint.handle_packet(packet, Checksum::Trusted, now);
            } else if let Err(error) = self.device.send(frame, &transmit) {
                tracing::debug!("a packet of {} octets was not sent: {error}", transmit.len);
            }
        }
        false
    }

    fn tell(&mut self, event: Event) {
        let (id, wake) = match event {
            Event::Incoming(listener) => {
                if let Some(waker) = self.listeners.remove(&listener) {
                    waker.wake();
                }
                return;
            }
            Event::Connected(id) | Event::Writable(id) => (id, [false, true, false]),
            Event::Readable(id) => (id, [true, false, false]),
            Event::Urgent(id, _) => (id, [true, false, true]),
            Event::Closed(id, _) => (id, [true, true, true]),
        };
        let Some(waiting) = self.connections.get_mut(&id) else { return };
        if let Event::Urgent(_, news) = event {
            if waiting.news.len() >= NEWS {
                waiting.news.pop_back();
            }
            waiting.news.push_back(news);
        }
        let wakers = [&mut waiting.reader, &mut waiting.writer, &mut waiting.urgent];
        for waker in wakers.into_iter().zip(wake).filter_map(|(waker, wake)| waker.take_if(|_| wake)) {
            waker.wake();
        }
    }

    pub(crate) fn add(&mut self, id: ConnectionId) {
        self.connections.insert(id, Waiting::default());
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    pub(crate) fn waiting(&mut self, id: ConnectionId) -> &mut Waiting {
        self.connections.entry(id).or_default()
    }

    pub(crate) fn await_incoming(&mut self, listener: ListenerId, cx: &Context<'_>) {
        self.listeners.insert(listener, cx.waker().clone());
    }

    pub(crate) fn remove_listener(&mut self, listener: ListenerId) {
        self.listeners.remove(&listener);
    }

    /// The device is gone: everybody has to look.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        for waiting in self.connections.values_mut() {
            let wakers = [waiting.reader.take(), waiting.writer.take(), waiting.urgent.take()];
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
        self.listeners.drain().for_each(|(_, waker)| waker.wake());
    }
}
