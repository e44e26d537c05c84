//! How a middlebox follows a TCP connection: the machine of RFC 7857 section 2 as one table.
//!
//! The figure there (adapted from RFC 6146 3.5.2.2, which spells out what a figure cannot) knows two
//! sides by who opened: the *client* sent the first SYN, whichever realm it lives in. A session
//! opened from outside runs the same machine with the sides exchanged.
//!
//! Two things are made explicit that the figure leaves in one box. When both FINs have passed, it
//! matters who sent the last one: the acknowledgment of that one ends the closing phase and begins
//! TIME-WAIT, which has a timer of its own (N2). And a SYN in TIME-WAIT is the start of a new
//! connection on the old tuple; only the SYNs of both sides re-open it (N3).

use wire::tcp::Flags;

/// Where a connection is, as seen from the middle.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum State {
    /// There is no session.
    Closed = 0,
    /// The client has sent a SYN.
    Init = 1,
    /// Both have.
    Established = 2,
    /// The client has sent a FIN.
    ClientFin = 3,
    /// The server has sent a FIN.
    ServerFin = 4,
    /// Both have, the client last.
    ClientFinLast = 5,
    /// Both have, the server last.
    ServerFinLast = 6,
    /// Both have, and the last one was acknowledged.
    TimeWait = 7,
    /// A RST passed, or an established session was idle for its whole time.
    Trans = 8,
    /// The client has sent a SYN on a tuple that was closing or in TIME-WAIT.
    ClientReopen = 9,
    /// The server has.
    ServerReopen = 10,
}

/// Which timer runs in a state (N2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Timer {
    /// Partially open: the opening half of RFC 5382's transitory idle-timeout.
    Opening = 0,
    /// Established connection idle-timeout.
    Established = 1,
    /// Both FINs seen: the closing half of the transitory idle-timeout.
    Closing = 2,
    /// TIME-WAIT.
    TimeWait = 3,
    /// TRANS: the time in which a connection may prove that it lives on.
    Transitory = 4,
}

/// Who sent a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Who opened the session.
    Client = 0,
    /// The other one.
    Server = 1,
}

/// What of a segment moves the machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Segment {
    /// SYN, with or without ACK.
    Syn = 0,
    /// FIN.
    Fin = 1,
    /// RST.
    Rst = 2,
    /// Anything else: data, ACKs, probes.
    Other = 3,
}

/// What a segment does to a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The state after it.
    pub state: State,
    /// The state's timer starts anew.
    pub refresh: bool,
}

/// A cell in which the timer starts anew.
const fn to(state: State) -> Step {
    Step { state, refresh: true }
}

/// A cell in which the segment passes and the session stays as it is, its timer too.
const fn stay(state: State) -> Step {
    Step { state, refresh: false }
}

/// The machine: by state, side and segment. Rows in the order of [`State`], first the client's four
/// segments, then the server's, each in the order of [`Segment`].
///
/// - `Init` is refreshed by the client's SYN alone: 6146 leaves the lifetime alone for all else.
/// - A RST never refreshes; in the closing states it changes nothing (the timer is short already).
/// - In `TimeWait` a retransmitted FIN starts the time anew, as it does at the host (RFC 9293
///   3.10.7.4, eighth step); nothing else does.
pub const TABLE: [[[Step; 4]; 2]; 11] = {
    use State::*;
    [
        // Closed: only the first SYN opens.
        [[to(Init), stay(Closed), stay(Closed), stay(Closed)], [stay(Closed); 4]],
        // Init
        [
            [to(Init), stay(Init), stay(Init), stay(Init)],
            [to(Established), stay(Init), stay(Init), stay(Init)],
        ],
        // Established
        [
            [to(Established), to(ClientFin), to(Trans), to(Established)],
            [to(Established), to(ServerFin), to(Trans), to(Established)],
        ],
        // ClientFin: half-closed, the other half lives on with the established timer.
        [
            [to(ClientFin), to(ClientFin), to(Trans), to(ClientFin)],
            [to(ClientFin), to(ServerFinLast), to(Trans), to(ClientFin)],
        ],
        // ServerFin
        [
            [to(ServerFin), to(ClientFinLast), to(Trans), to(ServerFin)],
            [to(ServerFin), to(ServerFin), to(Trans), to(ServerFin)],
        ],
        // ClientFinLast: the server's acknowledgment ends it.
        [
            [to(ClientReopen), to(ClientFinLast), stay(ClientFinLast), to(ClientFinLast)],
            [to(ServerReopen), to(ClientFinLast), stay(ClientFinLast), to(TimeWait)],
        ],
        // ServerFinLast: the client's acknowledgment ends it.
        [
            [to(ClientReopen), to(ServerFinLast), stay(ServerFinLast), to(TimeWait)],
            [to(ServerReopen), to(ServerFinLast), stay(ServerFinLast), to(ServerFinLast)],
        ],
        // TimeWait
        [
            [to(ClientReopen), to(TimeWait), stay(TimeWait), stay(TimeWait)],
            [to(ServerReopen), to(TimeWait), stay(TimeWait), stay(TimeWait)],
        ],
        // Trans: whoever still sends data proves that the RST was not accepted. A SYN proves nothing, and
        // leads nowhere from where data would not lead back; a new connection's first ACK follows it.
        [
            [to(Trans), to(ClientFin), stay(Trans), to(Established)],
            [to(Trans), to(ServerFin), stay(Trans), to(Established)],
        ],
        // ClientReopen
        [
            [to(ClientReopen), stay(ClientReopen), to(Trans), stay(ClientReopen)],
            [to(Established), stay(ClientReopen), to(Trans), stay(ClientReopen)],
        ],
        // ServerReopen
        [
            [to(Established), stay(ServerReopen), to(Trans), stay(ServerReopen)],
            [to(ServerReopen), stay(ServerReopen), to(Trans), stay(ServerReopen)],
        ],
    ]
};

/// What a `segment` from `side` does to a session in `state`.
pub const fn step(state: State, side: Side, segment: Segment) -> Step {
    TABLE[state as usize][side as usize][segment as usize]
}

/// Flags that no TCP sends: SYN with FIN or RST, or none of those of which every segment has one.
#[inline(always)]
pub const fn is_illegal(flags: Flags) -> bool {
    const ANY: Flags = Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0 | Flags::ACK.0);
    const NEVER_WITH_SYN: Flags = Flags(Flags::FIN.0 | Flags::RST.0);
    !flags.intersects(ANY) || flags.contains(Flags::SYN) && flags.intersects(NEVER_WITH_SYN)
}

impl State {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Init,
        Self::Established,
        Self::ClientFin,
        Self::ServerFin,
        Self::ClientFinLast,
        Self::ServerFinLast,
        Self::TimeWait,
        Self::Trans,
        Self::ClientReopen,
        Self::ServerReopen,
    ];

    /// The timer that runs in it; in [`State::Closed`] none does.
    pub const fn timer(self) -> Timer {
        match self {
            Self::Closed | Self::Init | Self::ClientReopen | Self::ServerReopen => Timer::Opening,
            Self::Established | Self::ClientFin | Self::ServerFin => Timer::Established,
            Self::ClientFinLast | Self::ServerFinLast => Timer::Closing,
            Self::TimeWait => Timer::TimeWait,
            Self::Trans => Timer::Transitory,
        }
    }

    /// The state after its timer has run out: an idle established session is put on notice
    /// (TCP_EST T.O. leads to TRANS); all others are over.
    pub const fn timed_out(self) -> Self {
        match self {
            Self::Established => Self::Trans,
            _ => Self::Closed,
        }
    }

    /// The state with this number, as `as u8` gave it.
    pub const fn from_number(number: u8) -> Option<Self> {
        if (number as usize) < Self::ALL.len() { Some(Self::ALL[number as usize]) } else { None }
    }
}

impl Side {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl Segment {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Syn, Self::Fin, Self::Rst, Self::Other];

    /// What these flags mean to the machine; a RST counts before everything, a SYN before a FIN.
    pub const fn from_flags(flags: Flags) -> Self {
        if flags.contains(Flags::RST) {
            Self::Rst
        } else if flags.contains(Flags::SYN) {
            Self::Syn
        } else if flags.contains(Flags::FIN) {
            Self::Fin
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Segment::*;
    use Side::*;

    fn walk(steps: &[(Side, Segment)]) -> State {
        steps.iter().fold(State::Closed, |state, &(side, segment)| step(state, side, segment).state)
    }

    const OPEN: [(Side, Segment); 3] = [(Client, Syn), (Server, Syn), (Client, Other)];

    fn after_open(steps: &[(Side, Segment)]) -> State {
        steps.iter().fold(walk(&OPEN), |state, &(side, segment)| step(state, side, segment).state)
    }

    // covers: N1
    #[test]
    fn every_arrow_of_the_figure_is_there() {
        assert_eq!(walk(&[(Client, Syn)]), State::Init);
        assert_eq!(walk(&[(Client, Syn), (Server, Syn)]), State::Established);
        assert_eq!(after_open(&[(Client, Fin)]), State::ClientFin);
        assert_eq!(after_open(&[(Server, Fin)]), State::ServerFin);
        assert_eq!(after_open(&[(Client, Fin), (Server, Fin)]), State::ServerFinLast);
        assert_eq!(after_open(&[(Server, Fin), (Client, Fin)]), State::ClientFinLast);
        for side in [Client, Server] {
            assert_eq!(after_open(&[(side, Rst)]), State::Trans);
            assert_eq!(after_open(&[(Client, Rst), (side, Other)]), State::Established);
        }
        assert_eq!(State::Established.timed_out(), State::Trans);
        assert_eq!(State::Trans.timed_out(), State::Closed);
        assert_eq!(State::ServerFinLast.timed_out(), State::Closed);
    }

    // covers: N1, N2
    #[test]
    fn the_timer_follows_the_state() {
        // One FIN keeps the established timer, both start the closing one.
        assert_eq!(State::ClientFin.timer(), Timer::Established);
        assert_eq!(State::ServerFin.timer(), Timer::Established);
        assert_eq!(State::ClientFinLast.timer(), Timer::Closing);
        assert_eq!(State::ServerFinLast.timer(), Timer::Closing);
        assert_eq!(State::Init.timer(), Timer::Opening);
        assert_eq!(State::TimeWait.timer(), Timer::TimeWait);
        assert_eq!(State::Trans.timer(), Timer::Transitory);
    }

    // covers: N1
    #[test]
    fn a_retransmitted_syn_refreshes_init_and_nothing_else_does() {
        assert_eq!(step(State::Init, Client, Syn), Step { state: State::Init, refresh: true });
        for (side, segment) in [(Client, Other), (Server, Other), (Server, Rst), (Client, Fin)] {
            assert_eq!(step(State::Init, side, segment), Step { state: State::Init, refresh: false });
        }
    }

    // covers: N1, N2
    #[test]
    fn only_the_acknowledgment_of_the_last_fin_begins_time_wait() {
        assert_eq!(after_open(&[(Client, Fin), (Server, Other), (Server, Fin)]), State::ServerFinLast);
        assert_eq!(after_open(&[(Client, Fin), (Server, Fin), (Server, Other)]), State::ServerFinLast);
        assert_eq!(after_open(&[(Client, Fin), (Server, Fin), (Client, Other)]), State::TimeWait);
        assert_eq!(after_open(&[(Server, Fin), (Client, Fin), (Server, Other)]), State::TimeWait);
    }

    // covers: N1
    #[test]
    fn only_the_syns_of_both_sides_reopen_a_tuple() {
        let closed = [(Client, Fin), (Server, Fin), (Client, Other)];
        let state = after_open(&closed);
        assert_eq!(state, State::TimeWait);
        for first in [Client, Server] {
            let reopening = step(state, first, Syn).state;
            assert_ne!(reopening, State::Established);
            assert_eq!(step(reopening, first, Syn).state, reopening, "one side alone does not");
            assert_eq!(step(reopening, first.other(), Other).state, reopening, "nor does an ACK");
            assert_eq!(step(reopening, first.other(), Syn).state, State::Established);
        }
    }

    // covers: N1, N7
    #[test]
    fn a_syn_on_notice_leads_nowhere_and_data_back_to_established() {
        for side in [Client, Server] {
            for syns in [&[(side, Syn)][..], &[(side, Syn), (side.other(), Syn)]] {
                let state = syns
                    .iter()
                    .fold(State::Trans, |state, &(side, segment)| step(state, side, segment).state);
                assert_eq!(state, State::Trans);
                for data in [Client, Server] {
                    assert_eq!(step(state, data, Other), Step { state: State::Established, refresh: true });
                }
            }
        }
    }

    // covers: N1
    #[test]
    fn a_reset_never_refreshes_a_state_that_it_does_not_change() {
        for state in State::ALL {
            for side in [Client, Server] {
                let reset = step(state, side, Rst);
                assert_eq!(reset.refresh, reset.state != state, "{state:?} {side:?}");
            }
        }
    }

    // covers: N1
    #[test]
    fn of_all_flags_only_the_impossible_are_illegal() {
        for bits in 0..=u8::MAX {
            let has = |flag: Flags| bits & flag.0 != 0;
            let (syn, fin, rst) = (has(Flags::SYN), has(Flags::FIN), has(Flags::RST));
            let expected = if syn { fin || rst } else { !(fin || rst || has(Flags::ACK)) };
            assert_eq!(is_illegal(Flags(bits)), expected, "{:?}", Flags(bits));
        }
    }

    // covers: N1
    #[test]
    fn flags_are_read_in_the_order_of_their_weight() {
        assert_eq!(Segment::from_flags(Flags::SYN | Flags::ACK), Syn);
        assert_eq!(Segment::from_flags(Flags::FIN | Flags::ACK), Fin);
        assert_eq!(Segment::from_flags(Flags::RST | Flags::ACK | Flags::FIN), Rst);
        assert_eq!(Segment::from_flags(Flags::PSH | Flags::ACK), Other);
    }
}
