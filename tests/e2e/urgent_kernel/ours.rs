//! Our side: an endpoint in memory, under the profile of Linux.

use std::net::SocketAddrV4;
use std::time::Duration;

use rules::Instant;
use rules::urgent::profile;
use tcp::{Checksum, Config, ConnectionId, Endpoint, EndpointConfig, Error, ListenOptions};
use wire::SeqNumber;

use crate::by_hand::client::{Client, HOST, PORT, Packet};
use crate::by_hand::{Host, Seen};

pub(super) struct Ours {
    endpoint: Endpoint,
    connection: Option<ConnectionId>,
    now: Instant,
}

/// Between two packets: more than any bound on how often a segment left of the window is answered.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn connect(start: SeqNumber, in_line: bool, stdurg: bool) -> (Client, Ours) {
    let name = if stdurg { "linux-2.6.15-stdurg" } else { "linux-2.6.15" };
    let urgent = *profile(name).expect("there is such a profile");
    let config = Config { urgent, ..Config::default() };
    let config = if in_line { config.in_line() } else { config.out_of_band(1) };
    let options = ListenOptions { connection: Some(config), ..ListenOptions::default() };
    let mut endpoint =
        Endpoint::new(EndpointConfig { addresses: vec![HOST], ..EndpointConfig::default() }, [7; 32]);
    let listener = endpoint.listen(SocketAddrV4::new(HOST, PORT), options).expect("it is free");

    let mut client = Client::new(40_000, start);
    let mut ours = Ours { endpoint, connection: None, now: Instant::from_secs(1_000) };
    ours.arrive(&client.syn());
    let answers = ours.sent();
    ours.arrive(&client.open(&answers[0]));
    ours.connection = ours.endpoint.accept(listener);
    (client, ours)
}

impl Ours {
    fn id(&self) -> ConnectionId {
        self.connection.expect("it was accepted")
    }
}

impl Host for Ours {
    fn arrive(&mut self, packet: &Packet) {
        self.now = self.now + PAUSE;
        self.endpoint.handle_packet(packet, Checksum::Verify, self.now);
    }

    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut buf = vec![0; 1_500];
        std::iter::from_fn(|| {
            self.endpoint.poll_transmit(&mut buf, self.now).map(|sent| buf[..sent.len].to_vec())
        })
        .collect()
    }

    fn at_mark(&mut self) -> bool {
        self.endpoint.at_mark(self.id())
    }

    fn read(&mut self, most: usize) -> Option<Seen> {
        let mut buf = vec![0; most.min(100_000)];
        match self.endpoint.recv(self.id(), &mut buf, self.now) {
            Ok(read) if read.len == 0 => Some(Seen::End),
            Ok(read) => Some(Seen::Read(buf[..read.len].to_vec())),
            Err(Error::WouldBlock) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn read_out_of_band(&mut self) -> Seen {
        match self.endpoint.recv_urgent(self.id(), false) {
            Ok(octet) => Seen::OutOfBand(octet),
            Err(Error::NoUrgent) => Seen::NoOutOfBand,
            Err(Error::WouldBlock) => Seen::OutOfBandNotYet,
            Err(error) => panic!("{error}"),
        }
    }
}
