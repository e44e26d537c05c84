//! TIME-WAIT without its connection: what is left is enough to answer old segments and to know a new SYN.

use alloc::vec::Vec;
use core::time::Duration;

use rules::Instant;
use rules::acceptability::Window;
use rules::paws::{PawsVerdict, TsRecent, paws};
use rules::rfc5961::rst_verdict;
use rules::time_wait::{
    Ended, NewSyn, RstInTimeWait, SynInTimeWait, is_fin_again, time_wait_rst, time_wait_syn,
};
use wire::SeqNumber;
use wire::tcp::Flags;

use super::Endpoint;
use super::demux::{Demux, Place};
use super::timers::Timers;
use crate::connection::Connection;
use crate::output::{OptionOctets, Packet};
use crate::segment::{Segment, Tuple};
use crate::{Counters, State};

/// What is remembered of a connection in TIME-WAIT: 72 octets.
#[derive(Clone, Copy, Debug)]
struct TimeWait {
    tuple: Tuple,
    snd_nxt: SeqNumber,
    rcv_nxt: SeqNumber,
    rcv_wnd: u32,
    rcv_shift: u8,
    protected: bool,
    ts_recent: Option<TsRecent>,
    ts_offset: u32,
    lasts: Duration,
}

/// All of them, bounded.
#[derive(Default)]
pub(super) struct TimeWaits {
    entries: Vec<Option<TimeWait>>,
    free: Vec<u32>,
    timers: Timers,
}

/// What a segment means to a connection in TIME-WAIT.
enum Verdict {
    /// The connection starts anew: sequence numbers have to begin beyond this one.
    Reopen(SeqNumber),
    Close,
    Acknowledge,
    /// The same, and the time begins anew: it was the peer's FIN.
    Restart,
    Nothing,
}

impl TimeWaits {
    pub(super) const fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// `connection` goes, its tuple stays taken. At `limit` the one that is next to go goes now.
    pub(super) fn insert(
        &mut self,
        connection: &Connection,
        now: Instant,
        limit: usize,
        demux: &mut Demux,
        counters: &mut Counters,
    ) {
        demux.remove_any(&connection.tuple);
        let until = connection.linger_until.unwrap_or(now);
        if limit == 0 || until <= now {
            counters.time_wait_evicted += 1;
            return;
        }
        if self.len() >= limit
            && let Some(index) = self.timers.pop_first()
        {
            counters.time_wait_evicted += 1;
            self.remove(index, demux);
        }
        let window = connection.rcv_window();
        let entry = TimeWait {
            tuple: connection.tuple,
            snd_nxt: connection.snd_nxt,
            rcv_nxt: connection.rcv_nxt,
            rcv_wnd: window.wnd,
            rcv_shift: connection.rcv_shift,
            protected: connection.config.protect_time_wait,
            ts_recent: connection.ts_recent,
            ts_offset: connection.ts_offset,
            lasts: connection.config.time_wait,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        if let Some(slot) = self.entries.get_mut(index as usize) {
            *slot = Some(entry);
        }
        self.timers.set(index, until);
        demux.insert(entry.tuple, Place::TimeWait(index));
    }

    fn remove(&mut self, index: u32, demux: &mut Demux) {
        if let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::take) {
            self.timers.clear(index);
            self.free.push(index);
            demux.remove(&entry.tuple, Place::TimeWait(index));
        }
    }

    /// Those whose time is over go.
    pub(super) fn expire(&mut self, now: Instant, demux: &mut Demux) {
        while let Some(index) = self.timers.pop(now) {
            self.remove(index, demux);
        }
    }

    fn get(&self, index: u32) -> Option<&TimeWait> {
        self.entries.get(index as usize)?.as_ref()
    }
}

impl Endpoint {
    /// A segment for a connection in TIME-WAIT (RFC 9293 3.10.7.4, RFC 6191, RFC 1337).
    pub(super) fn handle_time_wait(&mut self, index: u32, tuple: Tuple, segment: Segment<'_>, now: Instant) {
        let Some(&entry) = self.time_waits.get(index) else { return };
        match entry.verdict(&segment, now) {
            Verdict::Reopen(after) => match self.listeners.find(tuple.local) {
                Some(listener) if self.may_reopen(listener) => {
                    self.time_waits.remove(index, &mut self.demux);
                    self.counters.time_wait_reused += 1;
                    self.open_passive(listener, tuple, segment, Some(after), now);
                }
                Some(_) => {}
                None => self.acknowledge(&entry, now),
            },
            Verdict::Close => self.time_waits.remove(index, &mut self.demux),
            Verdict::Acknowledge => self.acknowledge(&entry, now),
            Verdict::Restart => {
                // The heap moves entries only nearer: taken out, it goes in anew.
                self.time_waits.timers.clear(index);
                self.time_waits.timers.set(index, now + entry.lasts);
                self.acknowledge(&entry, now);
            }
            Verdict::Nothing => self.counters.unacceptable += 1,
        }
    }

    fn acknowledge(&mut self, entry: &TimeWait, now: Instant) {
        let mut options = OptionOctets::NONE;
        if let Some(recent) = entry.ts_recent {
            options.put(&[1, 1, 8, 10]);
            options.put(&rules::isn::tsval(entry.ts_offset, now).to_be_bytes());
            options.put(&recent.value.to_be_bytes());
        }
        let packet = Packet {
            tuple: entry.tuple,
            seq: entry.snd_nxt,
            ack: entry.rcv_nxt,
            flags: Flags::ACK,
            window: rules::window::window_field(entry.rcv_wnd, entry.rcv_shift),
            urgent: 0,
            ect: false,
            identification: None,
        };
        self.replies.push_with(packet, options, &mut self.counters);
    }
}

impl Connection {
    /// It is in TIME-WAIT and this SYN begins another one (RFC 6191): behind which sequence number.
    pub(super) fn is_reopened_by(&self, segment: &Segment<'_>) -> Option<SeqNumber> {
        if self.state != State::TimeWait || !segment.opens() {
            return None;
        }
        let ended = Ended { rcv_nxt: self.rcv_nxt, ts_recent: self.ts_recent.map(|recent| recent.value) };
        let syn = NewSyn { seq: segment.seq, tsval: segment.options.timestamps.map(|(value, _)| value) };
        (time_wait_syn(ended, syn) == SynInTimeWait::Accept).then_some(self.snd_nxt)
    }
}

impl TimeWait {
    fn verdict(&self, segment: &Segment<'_>, now: Instant) -> Verdict {
        let window = Window { nxt: self.rcv_nxt, wnd: self.rcv_wnd };
        if segment.has(Flags::RST) {
            return match time_wait_rst(self.protected, rst_verdict(segment.seq, window)) {
                RstInTimeWait::Close => Verdict::Close,
                RstInTimeWait::Challenge => Verdict::Acknowledge,
                RstInTimeWait::Ignore => Verdict::Nothing,
            };
        }
        let tsval = segment.options.timestamps.map(|(value, _)| value);
        if segment.opens() {
            let ended = Ended { rcv_nxt: self.rcv_nxt, ts_recent: self.ts_recent.map(|recent| recent.value) };
            return match time_wait_syn(ended, NewSyn { seq: segment.seq, tsval }) {
                SynInTimeWait::Accept => Verdict::Reopen(self.snd_nxt),
                SynInTimeWait::Drop => Verdict::Nothing,
            };
        }
        if tsval.is_some_and(|tsval| paws(tsval, self.ts_recent, segment.flags, now) == PawsVerdict::Old) {
            return Verdict::Acknowledge;
        }
        let ack = segment.has(Flags::ACK).then_some(segment.ack);
        match segment.has(Flags::FIN) && !segment.has(Flags::SYN) {
            true if is_fin_again(segment.end(), ack, self.rcv_nxt, self.snd_nxt) => Verdict::Restart,
            _ if segment.len() > 0 || segment.seq != self.rcv_nxt => Verdict::Acknowledge,
            _ => Verdict::Nothing,
        }
    }
}
