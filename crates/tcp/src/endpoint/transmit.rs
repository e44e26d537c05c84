//! A packet leaves: an answer that no connection sends, the next segment of a run, or whose turn it is.

use rules::Instant;

use super::{Context, Endpoint, context};
use crate::Transmit;
use crate::output::{Next, Out};

impl Endpoint {
    /// The next packet to send, if any, written to `buf`, which must hold a packet of the MTU (or of
    /// `segmentation_offload`). Ask with the same `now` until there is none: what was decided for one packet then holds
    /// for the next.
    pub fn poll_transmit(&mut self, buf: &mut [u8], now: Instant) -> Option<Transmit> {
        if let Some(transmit) = self.replies.poll(buf, &self.link) {
            self.counters.sent += 1;
            return Some(transmit);
        }
        if let Some(transmit) = self.transmit_run(buf, now) {
            return Some(transmit);
        }
        while let Some(index) = self.ready.pop_front() {
            self.had_its_turn(index);
            let decided = self.decided.take().filter(|&(of, at, _)| (of, at) == (index, now));
            let next = match decided {
                Some((_, _, next)) => next,
                None => self.connections.get_mut(index).map_or(Next::Idle, |it| it.next(now, &self.link)),
            };
            let Next::Send(out) = next else {
                self.settle(index, now);
                continue;
            };
            let transmit = self.transmit(index, out, buf, now);
            self.settle(index, now);
            if decided.is_some()
                && let Some(transmit) = transmit
            {
                self.prepare_run(index, (out, transmit), buf, now);
            }
            return transmit;
        }
        None
    }

    fn had_its_turn(&mut self, index: u32) {
        if let Some(slot) = self.connections.slot_mut(index) {
            slot.ready = false;
        }
    }

    /// The next segment of a run, whose connection is the only one that has something to send.
    fn transmit_run(&mut self, buf: &mut [u8], now: Instant) -> Option<Transmit> {
        let (index, at, run) = self.run.as_mut()?;
        let index = *index;
        let connection = self.connections.get_mut(index).filter(|_| *at == now);
        let transmit = connection.and_then(|connection| connection.write_next(run, buf, now));
        let goes_on = transmit.is_some() && run.goes_on();
        if transmit.is_some() {
            self.next_identification = self.next_identification.wrapping_add(1);
            self.counters.sent += 1;
        }
        if !goes_on {
            self.ready.pop_front();
            self.had_its_turn(index);
            self.settle(index, now);
        }
        transmit
    }

    /// `sent` was the second packet in a row of a connection, which is then the only one that has something to send.
    fn prepare_run(&mut self, index: u32, (sent, transmit): (Out, Transmit), packet: &[u8], now: Instant) {
        let Some((_, _, Next::Send(next))) = self.decided else { return };
        let Some(connection) = self.connections.get_mut(index) else { return };
        if let Some(run) = connection.run_behind((sent, next), packet, transmit, &self.link) {
            // What was decided is the first segment of the run.
            (self.run, self.decided) = (Some((index, now, run)), None);
        }
    }

    /// One packet of a connection, which then goes to the end of the queue. `None`: `buf` is too short for it.
    fn transmit(&mut self, index: u32, out: Out, buf: &mut [u8], now: Instant) -> Option<Transmit> {
        let connection = self.connections.get_mut(index)?;
        let mut cx = context!(self, now);
        self.next_identification = self.next_identification.wrapping_add(1);
        let transmit = connection.write_out(out, buf, &mut cx, &self.link, self.next_identification);
        self.counters.sent += u64::from(transmit.is_some());
        transmit
    }
}
