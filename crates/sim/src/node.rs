//! What can be attached to the network.

use std::net::SocketAddrV4;

use rules::Instant;
use tcp::State;

/// A node of a network, in the order in which it was added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub usize);

/// Something that takes packets and sends packets.
pub trait Node {
    /// A packet arrived.
    fn handle_packet(&mut self, packet: &[u8], now: Instant);

    /// The next packet to be sent, written to the start of `buf`; its length in octets.
    fn poll_transmit(&mut self, buf: &mut [u8], now: Instant) -> Option<usize>;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant>;

    /// Time has passed.
    fn handle_timeout(&mut self, now: Instant);

    /// What a ladder shows beside it, in the words of RFC 9293 3.3.2. Empty: nothing.
    fn state(&self) -> &'static str {
        ""
    }
}

/// A node with one TCP connection and an application that does what it is told: any stack can be one, so that
/// a scenario is written once.
pub trait Host: Node {
    /// Active open.
    fn open(&mut self, local: SocketAddrV4, remote: SocketAddrV4, now: Instant);

    /// Passive open: the first connection to come in is the host's.
    fn listen(&mut self, local: SocketAddrV4, now: Instant);

    /// Writes as much as is taken; how many octets that were.
    fn write(&mut self, data: &[u8], now: Instant) -> usize;

    /// Reads everything there is.
    fn read(&mut self, now: Instant) -> Vec<u8>;

    /// No more will be written: FIN.
    fn close(&mut self, now: Instant);

    /// Octets that its receive buffer takes: what makes it close its window.
    fn receive_capacity(&self) -> usize;

    /// The connection's state.
    fn tcp_state(&self) -> State;
}

/// The words of RFC 9293 3.3.2.
pub const fn state_name(state: State) -> &'static str {
    match state {
        State::Closed => "CLOSED",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECEIVED",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}
