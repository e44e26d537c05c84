//! hairpin's endpoint as a host of the network.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use rules::Instant;
use rules::acceptability::Edge;
use tcp::{
    Checksum, Config, ConnectionId, Counters, Endpoint, EndpointConfig, ListenOptions, ListenerId, State,
    WindowProbe,
};

use crate::{Host, Node, state_name};

/// An endpoint with one connection.
pub struct Hairpin {
    endpoint: Endpoint,
    config: Config,
    listener: Option<ListenerId>,
    connection: Option<ConnectionId>,
}

/// The settings in which scenarios differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Behaviour {
    /// The left edge of the sequence test.
    pub edge: Edge,
    /// How a closed window is probed.
    pub probe: WindowProbe,
}

impl Hairpin {
    /// A host at `address`. Options that would only widen a drawing are not offered, and every ACK goes at once,
    /// as in the figures.
    pub fn new(address: Ipv4Addr, seed: u64, behaviour: Behaviour, receive_buffer: Option<u32>) -> Self {
        let config = Config {
            seq_validation: behaviour.edge,
            window_probe: behaviour.probe,
            receive_buffer: receive_buffer.unwrap_or(65_535),
            window_scaling: false,
            timestamps: false,
            sack: false,
            delayed_ack: Duration::ZERO,
            ..Config::default()
        };
        let endpoint = EndpointConfig {
            addresses: vec![address],
            connection: config.clone(),
            ..EndpointConfig::default()
        };
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self { endpoint: Endpoint::new(endpoint, key), config, listener: None, connection: None }
    }

    /// What the endpoint counted.
    pub const fn counters(&self) -> &Counters {
        self.endpoint.counters()
    }

    /// Connections that there are.
    pub const fn connections(&self) -> usize {
        self.endpoint.connections()
    }

    fn accept(&mut self) {
        while self.endpoint.poll_event().is_some() {}
        if let (Some(listener), None) = (self.listener, self.connection) {
            self.connection = self.endpoint.accept(listener);
        }
    }
}

impl Node for Hairpin {
    fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        self.endpoint.handle_packet(packet, Checksum::Verify, now);
        self.accept();
    }

    fn poll_transmit(&mut self, buf: &mut [u8], now: Instant) -> Option<usize> {
        Some(self.endpoint.poll_transmit(buf, now)?.len)
    }

    fn poll_timeout(&mut self, _now: Instant) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.accept();
    }

    fn state(&self) -> &'static str {
        if self.listener.is_some() && self.connection.is_none() {
            return "LISTEN";
        }
        state_name(self.tcp_state())
    }
}

impl Host for Hairpin {
    fn open(&mut self, local: SocketAddrV4, remote: SocketAddrV4, now: Instant) {
        self.connection = self.endpoint.connect(local, remote, self.config.clone(), now).ok();
    }

    fn listen(&mut self, local: SocketAddrV4, _now: Instant) {
        self.listener = self.endpoint.listen(local, ListenOptions::default()).ok();
    }

    fn write(&mut self, data: &[u8], now: Instant) -> usize {
        let Some(id) = self.connection else { return 0 };
        self.endpoint.send(id, data, now).unwrap_or(0)
    }

    fn read(&mut self, now: Instant) -> Vec<u8> {
        let (mut all, mut piece) = (Vec::new(), [0; 4_096]);
        let Some(id) = self.connection else { return all };
        while let Ok(read) = self.endpoint.recv(id, &mut piece, now) {
            let Some(data) = piece.get(..read.len).filter(|data| !data.is_empty()) else { break };
            all.extend_from_slice(data);
        }
        all
    }

    fn close(&mut self, now: Instant) {
        if let Some(id) = self.connection {
            // Refused only where there is nothing to close any more.
            let _ = self.endpoint.shutdown(id, now);
        }
    }

    fn receive_capacity(&self) -> usize {
        self.config.receive_buffer as usize
    }

    fn tcp_state(&self) -> State {
        let info = self.connection.and_then(|id| self.endpoint.info(id));
        info.map_or(State::Closed, |info| info.state)
    }
}
