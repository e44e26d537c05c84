//! A connection that the application holds, and what must be true of it whatever a peer sends.

use hairpin_tcp::{ConnectionId, Endpoint, Error, Info, State};
use rules::Instant;
use wire::SeqNumber;

use crate::peer::text;
use crate::rng::Rng;

pub struct Held {
    pub id: ConnectionId,
    last: Info,
    /// The sequence number of the next octet to be read, once it is known.
    position: Option<SeqNumber>,
    /// Never was anything else than in line.
    pub in_line: bool,
    pub deaf: bool,
    /// The largest buffers that it ever had.
    pub most_sent: u32,
    pub most_received: u32,
}

impl Held {
    pub fn new(id: ConnectionId, endpoint: &Endpoint, in_line: bool, buffers: (u32, u32)) -> Self {
        let last = endpoint.info(id).expect("it is held");
        let mut held = Self {
            id,
            last,
            position: None,
            in_line,
            deaf: false,
            most_sent: buffers.0,
            most_received: buffers.1,
        };
        held.locate(&last);
        held
    }

    fn locate(&mut self, info: &Info) {
        if self.position.is_none() && !matches!(info.state, State::SynSent | State::Closed) {
            self.position = Some(info.rcv_nxt.minus(info.unread as u32).minus(fin(info.state)));
        }
    }

    pub fn info(&self) -> &Info {
        &self.last
    }

    /// After every step.
    pub fn check(&mut self, endpoint: &Endpoint) {
        let info = endpoint.info(self.id).expect("it is held");
        let was = core::mem::replace(&mut self.last, info);
        let flight = info.snd_nxt.distance_from(info.snd_una);
        assert!(flight < 1 << 31, "SND.NXT before SND.UNA: {info:#?}");
        assert!(!info.snd_una.before(was.snd_una), "SND.UNA went back: {was:#?} {info:#?}");
        assert!(info.in_flight <= flight, "{info:#?}");
        assert!(info.unsent <= info.unacknowledged, "{info:#?}");
        assert!(info.unacknowledged <= self.most_sent as usize, "{info:#?}");
        assert!(info.unread <= self.most_received as usize, "{info:#?}");
        assert!(info.urgent <= (self.most_received + 70_000).max(1 << 19), "{info:#?}");
        assert!(info.cwnd > 0 && info.mss >= 24, "{info:#?}");
        assert_eq!(info.state == State::Closed, info.closed.is_some(), "{info:#?}");
        assert!(may_follow(was.state, info.state), "{:?} after {:?}", info.state, was.state);
        if was.state != State::SynSent && info.state != State::SynSent {
            assert!(!info.rcv_nxt.before(was.rcv_nxt), "RCV.NXT went back: {was:#?} {info:#?}");
            let (edge, old) = (info.rcv_nxt.plus(info.rcv_wnd), was.rcv_nxt.plus(was.rcv_wnd));
            assert!(!edge.before(old), "the window shrank: {was:#?} {info:#?}");
            let offered = info.rcv_wnd as usize + info.unread;
            assert!(offered <= self.most_received as usize + (1 << 14), "{info:#?}");
        }
        self.locate(&info);
    }

    /// Writes what belongs at its place in the sequence space.
    pub fn write(&self, endpoint: &mut Endpoint, now: Instant, len: usize, urgent: bool) {
        let info = endpoint.info(self.id).expect("it is held");
        let opening = matches!(info.state, State::SynSent | State::SynReceived);
        let at = info.snd_una.plus(u32::from(opening)).plus(info.unacknowledged as u32);
        let data = text(info.local, info.remote, at, len);
        let taken = match urgent {
            true => endpoint.send_urgent(self.id, &data, now),
            false => endpoint.send(self.id, &data, now),
        };
        match taken {
            Ok(taken) => assert!(taken <= len && (taken > 0 || len == 0)),
            Err(error) => assert!(!matches!(error, Error::Unknown), "{error}"),
        }
    }

    /// Reads, and compares with what the peer says at that place.
    pub fn read(&mut self, endpoint: &mut Endpoint, now: Instant, rng: &mut Rng) {
        let mut buf = vec![0xEE; rng.len(5_000)];
        let before = endpoint.info(self.id).expect("it is held");
        let mut seen = vec![0xDD; buf.len()];
        let peeked = endpoint.peek(self.id, &mut seen);
        let got = endpoint.recv(self.id, &mut buf, now);
        let after = endpoint.info(self.id).expect("it is held");
        if self.in_line && !self.deaf {
            assert_eq!(peeked.map(|read| (read.len, read.urgent)), got.map(|read| (read.len, read.urgent)));
        }
        let Ok(got) = got else { return };
        assert!(got.len <= buf.len());
        assert!(
            !got.urgent || got.len as u32 <= before.urgent || !self.in_line,
            "across the mark: {before:#?}"
        );
        if self.deaf || got.len == 0 {
            return;
        }
        let first = after.rcv_nxt.minus(after.unread as u32).minus(got.len as u32);
        let fits = |at: SeqNumber| text(after.remote, after.local, at, got.len) == buf[..got.len];
        // Over before it was accepted: whether RCV.NXT counts a FIN is not told.
        let position = self.position.unwrap_or(if fits(first) { first } else { first.minus(1) });
        let end = match after.state {
            // Octets that were taken out of the stream may lie before these.
            State::Closed if !self.in_line => {
                let skipped = (0..17).find(|&skipped| fits(position.plus(skipped))).unwrap_or(0);
                position.plus(skipped + got.len as u32)
            }
            State::Closed => position.plus(got.len as u32),
            state => after.rcv_nxt.minus(after.unread as u32).minus(fin(state)),
        };
        let start = end.minus(got.len as u32);
        let skipped = start.distance_from(position);
        assert!(skipped == 0 || (!self.in_line && skipped <= 17), "{skipped} octets are missing: {after:#?}");
        if !fits(start) {
            let right = text(after.remote, after.local, start, got.len);
            // Who talks with himself may have been told, by a forged ACK, that his octet arrived: then a probe's
            // octet of nothing stands in its place.
            let himself = after.local == after.remote;
            let wrong = |&at: &usize| right[at] != buf[at] && !(himself && buf[at] == 0);
            let wrong: Vec<_> = (0..got.len).filter(wrong).collect();
            assert!(
                wrong.is_empty(),
                "of {} octets at {start} those at {wrong:?} are wrong: {after:#?}",
                got.len
            );
        }
        if self.in_line {
            assert_eq!(seen[..got.len], buf[..got.len], "what was seen is what is read");
        }
        self.position = Some(end);
    }

    /// The application asks for something else than in line.
    pub fn reads_out_of_band(&mut self) {
        self.in_line = false;
    }
}

/// The peer's FIN was taken: an octet of RCV.NXT that nobody reads.
fn fin(state: State) -> u32 {
    u32::from(matches!(state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait))
}

/// RFC 9293, figure 5; several arrows may be in one step.
fn may_follow(was: State, is: State) -> bool {
    use State::*;
    let next: &[State] = match was {
        SynSent => &[SynReceived, Established, FinWait1, CloseWait],
        SynReceived => &[Established, FinWait1, CloseWait],
        Established => &[FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait],
        FinWait1 => &[FinWait2, Closing, TimeWait],
        FinWait2 | Closing => &[TimeWait],
        CloseWait => &[LastAck],
        LastAck | TimeWait | Closed => &[],
    };
    is == was || is == Closed || next.contains(&is) || (was == SynReceived && is == LastAck)
}
