//! Two of smoltcp's interfaces with a socket each, and the same queues between them.

use std::cell::RefCell;
use std::rc::Rc;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::ours::Queue;

type Shared = Rc<RefCell<Queue>>;

struct Link {
    incoming: Shared,
    outgoing: Shared,
    /// Packets that may still be sent before the other side has its turn, as in `ours::Pair::pass`.
    budget: usize,
}

struct Arrived(Box<[u8]>, usize, Shared);
struct Leaving(Shared);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0[..self.1]);
        self.2.borrow_mut().give(self.0);
        result
    }
}

impl TxToken for Leaving {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut buffer = self.0.borrow_mut().buffer();
        let result = f(&mut buffer[..len]);
        self.0.borrow_mut().push(buffer, len);
        result
    }
}

impl Device for Link {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Leaving)> {
        let (buffer, len) = self.incoming.borrow_mut().pop()?;
        Some((Arrived(buffer, len, self.incoming.clone()), Leaving(self.outgoing.clone())))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving> {
        self.budget = self.budget.checked_sub(1)?;
        Some(Leaving(self.outgoing.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

struct Host {
    interface: Interface,
    link: Link,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

/// A connection from the first to the second, open.
pub(crate) struct Pair {
    a: Host,
    b: Host,
    micros: i64,
}

impl Pair {
    pub(crate) fn new(buffers: usize) -> Self {
        let to_a: Shared = Rc::new(RefCell::new(Queue::new(1_514)));
        let to_b: Shared = Rc::new(RefCell::new(Queue::new(1_514)));
        let mut pair = Self {
            a: host(1, buffers, to_a.clone(), to_b.clone()),
            b: host(2, buffers, to_b, to_a),
            micros: 1_000_000,
        };
        pair.b.sockets.get_mut::<Socket<'_>>(pair.b.socket).listen(80).expect("free");
        let remote = (IpAddress::v4(10, 0, 0, 2), 80);
        let socket = pair.a.sockets.get_mut::<Socket<'_>>(pair.a.socket);
        socket.connect(pair.a.interface.context(), remote, 49_152).expect("free");
        while !pair.a.sockets.get::<Socket<'_>>(pair.a.socket).may_send()
            || !pair.b.sockets.get::<Socket<'_>>(pair.b.socket).may_recv()
        {
            pair.pass(16);
            pair.micros += 10;
        }
        pair
    }

    /// Open, and what they send from now on stays in queues of their own: somebody else carries it.
    pub(crate) fn apart(buffers: usize) -> Self {
        let mut pair = Self::new(buffers);
        for host in [&mut pair.a, &mut pair.b] {
            host.link.outgoing = Rc::new(RefCell::new(Queue::new(1_514)));
        }
        pair
    }

    pub(crate) fn pass(&mut self, most: usize) {
        let now = Instant::from_micros(self.micros);
        for (host, budget) in [(&mut self.a, most), (&mut self.b, usize::MAX)] {
            host.link.budget = budget;
            host.interface.poll(now, &mut host.link, &mut host.sockets);
        }
    }

    pub(crate) fn send(&mut self, data: &[u8]) -> usize {
        self.a.sockets.get_mut::<Socket<'_>>(self.a.socket).send_slice(data).unwrap_or(0)
    }

    pub(crate) fn recv(&mut self, to: &mut [u8]) -> usize {
        self.b.sockets.get_mut::<Socket<'_>>(self.b.socket).recv_slice(to).unwrap_or(0)
    }

    pub(crate) fn tick(&mut self) {
        self.micros += 1;
    }
}

impl crate::grid::Stacks for Pair {
    fn write(&mut self, data: &[u8]) {
        while self.send(data) == data.len() {}
    }

    fn read(&mut self) -> usize {
        self.b.sockets.get_mut::<Socket<'_>>(self.b.socket).recv(|all| (all.len(), all.len())).unwrap_or(0)
    }

    fn advance(&mut self, nanos: u64) {
        self.micros = nanos.div_ceil(1_000) as i64;
    }

    fn arrive(&mut self, at_b: bool, packet: &[u8]) {
        let mut queue = if at_b { &self.b } else { &self.a }.link.incoming.borrow_mut();
        let mut buffer = queue.buffer();
        buffer[..packet.len()].copy_from_slice(packet);
        queue.push(buffer, packet.len());
    }

    fn poll(&mut self, sent: &mut dyn FnMut(bool, Vec<u8>)) {
        let now = Instant::from_micros(self.micros);
        for (from_a, host) in [(true, &mut self.a), (false, &mut self.b)] {
            host.link.budget = usize::MAX;
            host.interface.poll(now, &mut host.link, &mut host.sockets);
            let mut queue = host.link.outgoing.borrow_mut();
            while let Some((buffer, len)) = queue.pop() {
                sent(from_a, buffer[..len].to_vec());
                queue.give(buffer);
            }
        }
    }

    fn next(&mut self) -> Option<u64> {
        let now = Instant::from_micros(self.micros);
        let times = [&mut self.a, &mut self.b].map(|host| host.interface.poll_at(now, &host.sockets));
        // Never at once again: it has just been asked.
        let micros = times.into_iter().flatten().map(|at| at.total_micros().max(self.micros + 1)).min()?;
        Some(micros as u64 * 1_000)
    }
}

fn host(last: u8, buffers: usize, incoming: Shared, outgoing: Shared) -> Host {
    let mut link = Link { incoming, outgoing, budget: 0 };
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut link, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, last), 24)).expect("room");
    });
    let buffer = || SocketBuffer::new(vec![0; buffers]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_congestion_control(CongestionControl::Cubic);
    let mut sockets = SocketSet::new(Vec::new());
    let socket = sockets.add(socket);
    Host { interface, link, sockets, socket }
}
