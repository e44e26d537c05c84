//! The scenarios, played by other stacks: alone, and with hairpin's endpoint at the other end.
//!
//! What came out is a table in docs/simulator.md, which `docs` keeps current.

mod docs;
mod lwip;
mod smoltcp;

use hairpin_sim::explore::{Found, Plan};
use hairpin_sim::scenario::{
    Played, Side, Wanted, land, self_connect, simultaneous_close, simultaneous_open, window_probes,
};
use hairpin_sim::{Behaviour, Hairpin, Host, state_name};
use tcp::State;

use crate::lwip::{Lwip, Stack};
use crate::smoltcp::Smoltcp;

/// A stack that can be an end of a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Hairpin,
    Smoltcp,
    Lwip,
}

/// Every pair, hairpin's own first.
const PAIRS: [(Kind, Kind); 6] = [
    (Kind::Hairpin, Kind::Hairpin),
    (Kind::Hairpin, Kind::Smoltcp),
    (Kind::Hairpin, Kind::Lwip),
    (Kind::Smoltcp, Kind::Smoltcp),
    (Kind::Smoltcp, Kind::Lwip),
    (Kind::Lwip, Kind::Lwip),
];

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Hairpin => "hairpin",
            Self::Smoltcp => "smoltcp 0.14",
            Self::Lwip => "lwIP (lwip 0.4)",
        }
    }
}

/// Makes the hosts of a pair.
struct Maker {
    stack: Stack,
    pair: (Kind, Kind),
}

impl Maker {
    fn new(pair: (Kind, Kind)) -> Self {
        Self { stack: Stack::take(), pair }
    }

    fn make(&self, wanted: Wanted) -> Box<dyn Host> {
        if wanted.side == Side::A {
            self.stack.clear();
        }
        let Wanted { side, address, seed, receive_buffer } = wanted;
        match if side == Side::A { self.pair.0 } else { self.pair.1 } {
            Kind::Hairpin => Box::new(Hairpin::new(address, seed, Behaviour::default(), receive_buffer)),
            Kind::Smoltcp => {
                Box::new(Smoltcp::new(address, seed, receive_buffer.map_or(65_536, |octets| octets as usize)))
            }
            Kind::Lwip => Box::new(Lwip::new(&self.stack, address)),
        }
    }

    fn open(&self) -> Played {
        simultaneous_open::play(&|wanted| self.make(wanted), 1)
    }

    fn close(&self) -> Result<Played, String> {
        simultaneous_close::play(&|wanted| self.make(wanted), 1)
    }

    fn probes(&self) -> Result<window_probes::Probed, String> {
        window_probes::play(&|wanted| self.make(wanted), 1, BEYOND)
    }

    fn every_open(&self) -> Found {
        simultaneous_open::every(&|wanted| self.make(wanted), &PLAN)
    }

    fn every_close(&self) -> Result<Found, String> {
        simultaneous_close::every(&|wanted| self.make(wanted), &PLAN)
    }

    fn itself(&self) -> self_connect::Piped {
        self_connect::play(&|wanted| self.make(wanted), 1, 10_000)
    }

    fn land(&self) -> land::Landed {
        land::play(&|wanted| self.make(wanted), 1, 6)
    }
}

/// With the figure's one octet lwIP stops the process: when its last octet is taken as a probe, its persist timer
/// goes on ("tcp_slowtimr: persist ticking with empty send buffer").
const BEYOND: usize = 100;

const PLAN: Plan = Plan { losses: 1, early_timers: 0, steps: 60, runs: 20_000 };

fn states(played: &Played) -> String {
    let names: Vec<_> = played.states.iter().map(|&state| state_name(state)).collect();
    match names.as_slice() {
        [one, other] if one == other => format!("both {one}"),
        names => names.join(" / "),
    }
}

// covers: S2
#[test]
fn a_simultaneous_open_with_smoltcp_opens_in_every_order() {
    let maker = Maker::new((Kind::Hairpin, Kind::Smoltcp));
    assert_eq!(maker.open().states, [State::Established; 2]);
    let found = maker.every_open();
    assert!(found.complete && found.failure.is_none(), "{found:?}");
}

// covers: S4
#[test]
fn a_simultaneous_close_with_any_peer_comes_to_time_wait_in_every_order() {
    for peer in [Kind::Smoltcp, Kind::Lwip] {
        let maker = Maker::new((Kind::Hairpin, peer));
        assert_eq!(maker.close().expect("it opens").states, [State::TimeWait; 2], "{peer:?}");
        let found = maker.every_close().expect("it opens");
        assert!(found.complete && found.failure.is_none(), "{peer:?}: {found:?}");
    }
}

// covers: S5
#[test]
fn crossing_probes_with_any_peer_cause_no_war_and_lose_no_octet() {
    for peer in [Kind::Smoltcp, Kind::Lwip] {
        for pair in [(Kind::Hairpin, peer), (peer, Kind::Hairpin)] {
            let probed = Maker::new(pair).probes().expect("both probe");
            assert!(!probed.played.count.is_war(), "{pair:?}: {}", probed.played.summary());
            assert_eq!((probed.read, probed.intact), (probed.expected, true), "{pair:?}");
        }
    }
}

// covers: S5
#[test]
fn closed_windows_on_both_sides_are_a_war_between_two_lwips_and_none_with_hairpin_at_one_end() {
    let lwips = Maker::new((Kind::Lwip, Kind::Lwip)).probes().expect("both probe");
    assert!(lwips.played.count.is_war(), "{}", lwips.played.summary());
    let one = Maker::new((Kind::Hairpin, Kind::Lwip)).probes().expect("both probe");
    assert!(one.played.count.longest <= 1, "{}", one.played.summary());
}

// covers: S3
#[test]
fn land_is_answered_by_others_and_not_by_hairpin() {
    assert_eq!(Maker::new((Kind::Hairpin, Kind::Hairpin)).land().answers, 0);
    for other in [Kind::Smoltcp, Kind::Lwip] {
        assert!(Maker::new((other, Kind::Hairpin)).land().answers > 0, "{other:?}");
    }
}

// covers: S5
#[test]
fn crossing_probes_leave_two_smoltcps_stuck_and_none_with_hairpin_at_one_end() {
    let smoltcps = Maker::new((Kind::Smoltcp, Kind::Smoltcp)).probes().expect("both probe");
    assert!(smoltcps.read[0] < smoltcps.expected[0], "the figure's deadlock, less its noise");
    let one = Maker::new((Kind::Smoltcp, Kind::Hairpin)).probes().expect("both probe");
    assert_eq!(one.read, one.expected);
}
