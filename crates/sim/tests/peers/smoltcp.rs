//! smoltcp 0.14 as a host of the network.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use hairpin_sim::{Host, Node, state_name};
use rules::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State as Theirs};
use smoltcp::time::Instant as Time;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};
use tcp::State;

const MTU: usize = 1_500;

/// A stack with one socket.
pub(crate) struct Smoltcp {
    interface: Interface,
    queues: Queues,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    /// A packet arrived, a timer went off or the application did something since the last poll.
    due: bool,
}

#[derive(Default)]
struct Queues {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

impl Smoltcp {
    pub(crate) fn new(address: Ipv4Addr, seed: u64, buffer: usize) -> Self {
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut queues, Time::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::Ipv4(address), 0)).expect("one address fits");
        });
        let (rx, tx) = (SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; 65_536]));
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(Socket::new(rx, tx));
        Self { interface, queues, sockets, socket, due: false }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.due = true;
        self.sockets.get_mut(self.socket)
    }
}

impl Node for Smoltcp {
    fn handle_packet(&mut self, packet: &[u8], _now: Instant) {
        self.queues.incoming.push_back(packet.to_vec());
        self.due = true;
    }

    fn poll_transmit(&mut self, buf: &mut [u8], now: Instant) -> Option<usize> {
        // One poll an event: a stack that would go on for ever within one instant is stopped by the network.
        while self.queues.outgoing.is_empty() && std::mem::take(&mut self.due) {
            let result = self.interface.poll(time(now), &mut self.queues, &mut self.sockets);
            self.due = result == PollResult::SocketStateChanged;
        }
        let packet = self.queues.outgoing.pop_front()?;
        buf[..packet.len()].copy_from_slice(&packet);
        Some(packet.len())
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(time(now), &self.sockets)?;
        Some(Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)))
    }

    fn handle_timeout(&mut self, _now: Instant) {
        self.due = true;
    }

    fn state(&self) -> &'static str {
        state_name(self.tcp_state())
    }
}

impl Host for Smoltcp {
    fn open(&mut self, local: SocketAddrV4, remote: SocketAddrV4, _now: Instant) {
        self.due = true;
        let socket = self.sockets.get_mut::<Socket<'_>>(self.socket);
        socket
            .connect(self.interface.context(), endpoint(remote), endpoint(local))
            .expect("a free socket connects");
    }

    fn listen(&mut self, local: SocketAddrV4, _now: Instant) {
        self.socket().listen(endpoint(local)).expect("a free socket listens");
    }

    fn write(&mut self, data: &[u8], _now: Instant) -> usize {
        self.socket().send_slice(data).unwrap_or(0)
    }

    fn read(&mut self, _now: Instant) -> Vec<u8> {
        let mut read = vec![0; 65_536];
        let len = self.socket().recv_slice(&mut read).unwrap_or(0);
        read.truncate(len);
        read
    }

    fn close(&mut self, _now: Instant) {
        self.socket().close();
    }

    fn receive_capacity(&self) -> usize {
        self.sockets.get::<Socket<'_>>(self.socket).recv_capacity()
    }

    fn tcp_state(&self) -> State {
        match self.sockets.get::<Socket<'_>>(self.socket).state() {
            Theirs::Closed | Theirs::Listen => State::Closed,
            Theirs::SynSent => State::SynSent,
            Theirs::SynReceived => State::SynReceived,
            Theirs::Established => State::Established,
            Theirs::FinWait1 => State::FinWait1,
            Theirs::FinWait2 => State::FinWait2,
            Theirs::CloseWait => State::CloseWait,
            Theirs::Closing => State::Closing,
            Theirs::LastAck => State::LastAck,
            Theirs::TimeWait => State::TimeWait,
        }
    }
}

fn time(now: Instant) -> Time {
    Time::from_micros(i64::try_from(now.as_nanos() / 1_000).expect("a simulation is shorter than that"))
}

fn endpoint(at: SocketAddrV4) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(*at.ip()), at.port())
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Time) -> Option<(Received, Sending<'_>)> {
        let packet = self.incoming.pop_front()?;
        Some((Received(packet), Sending(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Time) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}
