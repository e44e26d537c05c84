//! Two endpoints of the old sequence test at war through a scrubber, in virtual time: it brings them to rest, and
//! says so (C3).

use std::cell::RefCell;
use std::rc::Rc;

use nat::{Packet, Realm, ScrubEventKind, Scrubber, Verdict};
use rules::Instant;
use rules::acceptability::Edge;
use sim::scenario::{Played, Side, Wanted, simultaneous_close, simultaneous_open, window_probes};
use sim::{Behaviour, Hairpin, Host, Node};

/// A host behind a scrubber: what it sends goes through it.
struct Behind {
    host: Hairpin,
    from: Realm,
    scrubber: Rc<RefCell<Scrubber>>,
}

impl Node for Behind {
    fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        self.host.handle_packet(packet, now);
    }

    fn poll_transmit(&mut self, buf: &mut [u8], now: Instant) -> Option<usize> {
        loop {
            let len = self.host.poll_transmit(buf, now)?;
            let packet = Packet { data: &mut buf[..len], from: self.from, offload: nat::Offload::default() };
            let mut verdict = [Verdict::Held];
            self.scrubber.borrow_mut().handle_batch(&mut [packet], &mut verdict, now);
            if verdict == [Verdict::Forward(self.from.other())] {
                return Some(len);
            }
            assert_eq!(verdict, [Verdict::Drop(nat::Reason::WarDamped)]);
        }
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        self.host.poll_timeout(now)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.host.handle_timeout(now);
    }
}

impl Host for Behind {
    fn open(&mut self, local: std::net::SocketAddrV4, remote: std::net::SocketAddrV4, now: Instant) {
        self.host.open(local, remote, now);
    }
    fn listen(&mut self, local: std::net::SocketAddrV4, now: Instant) {
        self.host.listen(local, now);
    }
    fn write(&mut self, data: &[u8], now: Instant) -> usize {
        self.host.write(data, now)
    }
    fn read(&mut self, now: Instant) -> Vec<u8> {
        self.host.read(now)
    }
    fn close(&mut self, now: Instant) {
        self.host.close(now);
    }
    fn receive_capacity(&self) -> usize {
        self.host.receive_capacity()
    }
    fn tcp_state(&self) -> tcp::State {
        self.host.tcp_state()
    }
}

const LIMIT: u32 = 8;

type Scenario = fn(sim::scenario::Make<'_>) -> Played;

/// A scenario between two hosts with this edge, through a scrubber that damps or does not; with the wars it told.
fn play(edge: Edge, damps: bool, scenario: Scenario) -> (Played, Vec<ScrubEventKind>, u64) {
    let mut config = nat::Config::new(Vec::new(), Vec::new());
    config.scrub.flows = Some(16);
    config.scrub.war_limit = damps.then_some(LIMIT);
    let scrubber = Scrubber::new(&config, [7; 32], Instant::ZERO).expect("it makes sense");
    let scrubber = Rc::new(RefCell::new(scrubber));
    let make = |wanted: Wanted| -> Box<dyn Host> {
        let Wanted { side, address, seed, receive_buffer } = wanted;
        let host = Hairpin::new(address, seed, Behaviour { edge, ..Behaviour::default() }, receive_buffer);
        let from = if side == Side::A { Realm::Inside } else { Realm::Outside };
        Box::new(Behind { host, from, scrubber: Rc::clone(&scrubber) })
    };
    let played = scenario(&make);
    let mut scrubber = scrubber.borrow_mut();
    let told = std::iter::from_fn(|| scrubber.poll_event()).map(|event| event.kind).collect();
    let dropped = scrubber.counters().dropped(nat::Reason::WarDamped);
    (played, told, dropped)
}

fn open(make: sim::scenario::Make<'_>) -> Played {
    simultaneous_open::play(make, 1)
}

fn close(make: sim::scenario::Make<'_>) -> Played {
    simultaneous_close::play(make, 1).expect("it was open")
}

fn probes(make: sim::scenario::Make<'_>) -> Played {
    window_probes::play(make, 1, 1).expect("it was open").played
}

// covers: C3, S8
#[test]
fn each_war_of_the_draft_is_brought_to_rest_and_told_once() {
    for (name, scenario) in [("open", open as Scenario), ("close", close), ("probes", probes)] {
        let (wild, told, dropped) = play(Edge::Rfc793, false, scenario);
        assert!(wild.count.is_war(), "{name}: {}", wild.summary());
        assert!(wild.count.longest > 100 && told.is_empty() && dropped == 0, "{name}: {}", wild.summary());
        let (damped, told, dropped) = play(Edge::Rfc793, true, scenario);
        println!("{name}: {} became {}", wild.summary(), damped.summary());
        assert!(damped.count.longest <= 2 * LIMIT as usize, "{name}: {}", damped.summary());
        assert!(damped.count.segments < 60, "{name}: {}", damped.summary());
        assert!(dropped > 0, "{name}");
        let [ScrubEventKind::WarDamped { segments, .. }] = told.as_slice() else {
            panic!("{name}: {told:?}")
        };
        assert!(*segments >= LIMIT.into(), "{name}: {segments}");
    }
}

// covers: C3
#[test]
fn hosts_with_the_new_edge_have_no_war_to_damp() {
    for (name, scenario) in [("open", open as Scenario), ("close", close), ("probes", probes)] {
        let (played, told, dropped) = play(Edge::Seqval, true, scenario);
        assert!(!played.count.is_war() && told.is_empty() && dropped == 0, "{name}: {}", played.summary());
    }
}
