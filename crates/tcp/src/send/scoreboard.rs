//! What is between SND.UNA and SND.NXT: in flight, lost or selectively acknowledged (RFC 2018, RFC 6675).
//!
//! Records follow one another without gaps. Neighbours that are acknowledged are one record, and so is what
//! left in the same moment: a super-segment costs one until a block of the peer cuts it.

use alloc::collections::VecDeque;

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

/// What is known of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Sent, and neither lost nor acknowledged.
    InFlight,
    /// Lost, and not sent again since.
    Lost,
    /// Acknowledged by a SACK block; the peer may still take it back (RFC 2018 section 8).
    Sacked,
}

/// A range that left at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) start: SeqNumber,
    pub(crate) end: SeqNumber,
    pub(crate) sent_at: Instant,
    pub(crate) state: State,
    /// It was sent more than once.
    pub(crate) resent: bool,
}

impl Record {
    pub(crate) fn len(&self) -> u32 {
        self.end.distance_from(self.start)
    }
}

/// A retransmission, in the order in which they left: the records are in the order of the octets.
#[derive(Clone, Copy, Debug)]
struct Resent {
    start: SeqNumber,
    end: SeqNumber,
    sent_at: Instant,
}

/// What [`Scoreboard::lose`] found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    pub(crate) octets: u32,
    /// Behind the last octet that was sent once and is lost.
    pub(crate) original_end: Option<SeqNumber>,
    /// When the next range would be lost.
    pub(crate) next: Option<Instant>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Scoreboard {
    records: VecDeque<Record>,
    resent: VecDeque<Resent>,
    una: SeqNumber,
    nxt: SeqNumber,
    in_flight: u32,
    lost: u32,
    sacked: u32,
    /// Where the first lost record begins, if there is one; no lost record begins before it.
    first_lost: SeqNumber,
    /// No record that is in flight and was sent once begins before it.
    first_original: SeqNumber,
}

/// Whether what left at `a` left after what left at `b` (RFC 8985 6.2, RACK_sent_after).
pub(crate) fn sent_after(a: (Instant, SeqNumber), b: (Instant, SeqNumber)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1.after(b.1))
}

fn later(a: SeqNumber, b: SeqNumber) -> SeqNumber {
    if a.before(b) { b } else { a }
}

impl Scoreboard {
    pub(crate) fn new(iss: SeqNumber) -> Self {
        Self {
            records: VecDeque::new(),
            resent: VecDeque::new(),
            una: iss,
            nxt: iss,
            in_flight: 0,
            lost: 0,
            sacked: 0,
            first_lost: iss,
            first_original: iss,
        }
    }

    pub(crate) fn una(&self) -> SeqNumber {
        self.una
    }

    pub(crate) fn nxt(&self) -> SeqNumber {
        self.nxt
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    pub(crate) fn outstanding(&self) -> u32 {
        self.nxt.distance_from(self.una)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn last(&self) -> Option<&Record> {
        self.records.back()
    }

    /// Index of the record that holds `seq`, or of the first behind it.
    fn find(&self, seq: SeqNumber) -> usize {
        let at = seq.distance_from(self.una);
        self.records.partition_point(|record| record.end.distance_from(self.una) <= at)
    }

    fn count(&mut self, state: State) -> &mut u32 {
        match state {
            State::InFlight => &mut self.in_flight,
            State::Lost => &mut self.lost,
            State::Sacked => &mut self.sacked,
        }
    }

    fn set(&mut self, index: usize, state: State) {
        let Some(record) = self.records.get_mut(index) else { return };
        let (was, len, start) = (record.state, record.len(), record.start);
        record.state = state;
        *self.count(was) -= len;
        *self.count(state) += len;
        if state == State::Lost && start.before(self.first_lost) {
            self.first_lost = start;
        }
    }

    /// Cuts the record at `index` in two at `seq`, if `seq` lies within it.
    fn split(&mut self, index: usize, seq: SeqNumber) {
        let Some(record) = self.records.get_mut(index) else { return };
        if !(record.start.before(seq) && seq.before(record.end)) {
            return;
        }
        let tail = Record { start: seq, ..*record };
        record.end = seq;
        self.records.insert(index + 1, tail);
    }

    /// `start..end` leaves; returns how many octets of it had left before.
    pub(crate) fn transmit(&mut self, start: SeqNumber, end: SeqNumber, now: Instant) -> u32 {
        let start = later(start, self.una);
        if !start.before(end) || end.distance_from(self.una) >= 1 << 31 {
            return 0;
        }
        let known = if end.after(self.nxt) { self.nxt } else { end };
        let again = if start.before(known) { self.resend(start, known, now) } else { 0 };
        if end.after(self.nxt) {
            self.append(end, now);
        }
        again
    }

    /// New text up to `end` leaves.
    pub(crate) fn append(&mut self, end: SeqNumber, now: Instant) {
        let start = self.nxt;
        self.nxt = end;
        self.in_flight += end.distance_from(start);
        match self.records.back_mut() {
            Some(last) if last.state == State::InFlight && !last.resent && last.sent_at == now => {
                last.end = end
            }
            _ => self.records.push_back(Record {
                start,
                end,
                sent_at: now,
                state: State::InFlight,
                resent: false,
            }),
        }
    }

    fn resend(&mut self, start: SeqNumber, end: SeqNumber, now: Instant) -> u32 {
        let mut index = self.find(start);
        if self.records.get(index).is_some_and(|record| record.start.before(start)) {
            self.split(index, start);
            index += 1;
        }
        let mut again = 0;
        while self.records.get(index).is_some_and(|record| record.start.before(end)) {
            self.split(index, end);
            if let Some(record) = self.records.get_mut(index)
                && record.state != State::Sacked
            {
                record.sent_at = now;
                record.resent = true;
                again += record.len();
                self.set(index, State::InFlight);
            }
            index += 1;
        }
        self.resent.push_back(Resent { start, end, sent_at: now });
        self.seek_lost();
        again
    }

    /// Moves `first_lost` to the next lost record, or to SND.NXT.
    fn seek_lost(&mut self) {
        if self.lost == 0 {
            self.first_lost = self.nxt;
            return;
        }
        let mut index = self.find(self.first_lost);
        while let Some(record) = self.records.get(index)
            && record.state != State::Lost
        {
            self.first_lost = record.end;
            index += 1;
        }
    }

    /// SEG.ACK moves SND.UNA. `see` is shown what was in flight or lost until now; returns its octets.
    pub(crate) fn acknowledge(&mut self, ack: SeqNumber, mut see: impl FnMut(&Record)) -> u32 {
        let mut delivered = 0;
        while let Some(front) = self.records.front_mut()
            && front.start.before(ack)
        {
            let mut gone = *front;
            if ack.before(front.end) {
                gone.end = ack;
                front.start = ack;
            } else {
                self.records.pop_front();
            }
            *self.count(gone.state) -= gone.len();
            if gone.state != State::Sacked {
                delivered += gone.len();
                see(&gone);
            }
        }
        if ack.after(self.una) {
            self.una = ack;
            self.nxt = later(self.nxt, ack);
            self.first_lost = later(self.first_lost, ack);
            self.first_original = later(self.first_original, ack);
            self.seek_lost();
        }
        if self.records.is_empty() {
            // An idle connection holds no heap; a busy one is never here.
            self.records = VecDeque::new();
            self.resent = VecDeque::new();
        }
        delivered
    }

    /// A SACK block within SND.UNA..SND.NXT. Beyond `most` records none is cut: the block then counts for
    /// whole records only, so that a peer cannot make the board grow with blocks of single octets.
    pub(crate) fn sack(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        most: usize,
        mut see: impl FnMut(&Record),
    ) -> u32 {
        let mut index = self.find(start);
        if let Some(record) = self.records.get(index)
            && record.start.before(start)
            && record.state != State::Sacked
        {
            if self.records.len() < most {
                self.split(index, start);
            }
            index += 1;
        }
        let first = index;
        let mut delivered = 0;
        while let Some(record) = self.records.get(index).copied()
            && record.start.before(end)
        {
            if record.state != State::Sacked {
                if end.before(record.end) {
                    if self.records.len() >= most {
                        break;
                    }
                    self.split(index, end);
                }
                let Some(record) = self.records.get(index).copied() else { break };
                delivered += record.len();
                see(&record);
                self.set(index, State::Sacked);
            }
            index += 1;
        }
        if delivered > 0 {
            self.join(first, index);
            self.seek_lost();
        }
        delivered
    }

    /// Makes one record of `first..end`, which are acknowledged, and of such neighbours.
    fn join(&mut self, first: usize, end: usize) {
        let sacked =
            |index: usize| self.records.get(index).is_some_and(|record| record.state == State::Sacked);
        let first = if first > 0 && sacked(first - 1) { first - 1 } else { first };
        let end = if sacked(end) { end + 1 } else { end };
        let Some(last) = end.checked_sub(1).and_then(|last| self.records.get(last)).map(|last| last.end)
        else {
            return;
        };
        if end - first > 1 {
            if let Some(record) = self.records.get_mut(first) {
                record.end = last;
            }
            self.records.drain(first + 1..end);
        }
    }

    /// RACK: whatever left before `newest`, of which it is known that it arrived, and longer than `wait`
    /// ago, is lost (RFC 8985 6.2 step 5). Originals and retransmissions are each looked at in the order in
    /// which they left, from the first that is undecided: not the whole window.
    pub(crate) fn lose(&mut self, newest: (Instant, SeqNumber), now: Instant, wait: Duration) -> Losses {
        let mut losses = Losses::default();
        self.lose_originals(newest, now, wait, &mut losses);
        self.lose_resent(newest, now, wait, &mut losses);
        losses
    }

    fn lose_originals(
        &mut self,
        newest: (Instant, SeqNumber),
        now: Instant,
        wait: Duration,
        losses: &mut Losses,
    ) {
        let mut index = self.find(self.first_original);
        while let Some(record) = self.records.get(index).copied() {
            if record.state == State::InFlight && !record.resent {
                if !sent_after(newest, (record.sent_at, record.end)) {
                    break;
                }
                let due = record.sent_at + wait;
                if due > now {
                    losses.next = Some(due);
                    break;
                }
                losses.octets += record.len();
                losses.original_end = Some(record.end);
                self.set(index, State::Lost);
            }
            self.first_original = record.end;
            index += 1;
        }
    }

    fn lose_resent(
        &mut self,
        newest: (Instant, SeqNumber),
        now: Instant,
        wait: Duration,
        losses: &mut Losses,
    ) {
        while let Some(resent) = self.resent.front().copied() {
            let mut alive = false;
            if resent.end.after(self.una) {
                let due = resent.sent_at + wait;
                let mut index = self.find(later(resent.start, self.una));
                while let Some(record) = self.records.get(index).copied()
                    && record.start.before(resent.end)
                {
                    let this = record.resent && record.sent_at == resent.sent_at;
                    if this && record.state == State::InFlight {
                        if !sent_after(newest, (record.sent_at, record.end)) {
                            alive = true;
                        } else if due > now {
                            losses.next = Some(losses.next.map_or(due, |next| next.min(due)));
                            alive = true;
                        } else {
                            losses.octets += record.len();
                            self.set(index, State::Lost);
                        }
                    }
                    index += 1;
                }
            }
            if alive {
                break;
            }
            self.resent.pop_front();
        }
    }

    /// Without SACK: the first `octets` are lost, unless they were sent again already.
    pub(crate) fn lose_first(&mut self, octets: u32) -> u32 {
        self.split(0, self.una.plus(octets));
        match self.records.front().copied() {
            Some(front) if front.state == State::InFlight && !front.resent => {
                self.set(0, State::Lost);
                front.len()
            }
            _ => 0,
        }
    }

    /// The retransmission timer expired: nothing is believed to be in flight. If the octets at SND.UNA had
    /// been acknowledged selectively, the peer has dropped them, and the others may be gone as well.
    pub(crate) fn lose_all(&mut self) {
        let reneged = self.records.front().is_some_and(|front| front.state == State::Sacked);
        for index in 0..self.records.len() {
            let Some(record) = self.records.get_mut(index) else { break };
            if record.state == State::Sacked {
                if !reneged {
                    continue;
                }
                // It may be several in one, each with its past: no round trip is measured on it (Karn).
                record.resent = true;
            }
            self.set(index, State::Lost);
        }
        self.resent = VecDeque::new();
        self.first_original = self.nxt;
        self.first_lost = self.una;
        self.seek_lost();
    }

    /// The loss was none: what was not sent again is in flight after all.
    pub(crate) fn restore(&mut self) {
        for index in 0..self.records.len() {
            if self.records.get(index).is_some_and(|record| record.state == State::Lost && !record.resent) {
                self.set(index, State::InFlight);
            }
        }
        self.first_original = self.una;
        self.seek_lost();
    }

    /// The oldest lost range, neighbours included as far as they fit into one datagram.
    pub(crate) fn first_lost(&self) -> Option<(SeqNumber, SeqNumber)> {
        if self.lost == 0 {
            return None;
        }
        let index = self.find(self.first_lost);
        let first = self.records.get(index).filter(|record| record.state == State::Lost)?;
        let mut end = first.end;
        let mut next = index + 1;
        while end.distance_from(first.start) < 1 << 16
            && let Some(record) = self.records.get(next)
            && record.state == State::Lost
        {
            end = record.end;
            next += 1;
        }
        Some((first.start, end))
    }

    #[cfg(test)]
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
}
