//! The gateway between two captures: packets in capture order, time as the capture tells it.

use core::time::Duration;
use std::io::{Read, Write};

use nat::{Event, Packet, Realm, Transmit, Verdict};
use rules::Instant;
use wire::ethernet::EtherType;

use super::capture::{Capture, CaptureError, Item, Place, Record};
use super::checksum::Checksums;
use super::link::{Sides, Template};
use super::summary::Summary;

/// Expiry is asked for at most so often without time going on: an engine that never has enough
/// must not hang the program.
const STEPS_AT_ONE_MOMENT: u32 = 10_000;

/// The largest IPv4 packet.
const LARGEST: usize = 65_535;

/// What the translation wants of an engine; [`nat::Engine`] but for tests of the files alone.
pub(crate) trait Gateway {
    fn handle(&mut self, packet: Packet<'_>, now: Instant) -> Verdict;
    fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant);
    fn poll_event(&mut self) -> Option<Event>;
}

impl Gateway for nat::Engine {
    fn handle(&mut self, packet: Packet<'_>, now: Instant) -> Verdict {
        // Batches share one moment, packets of a capture do not: batches of one.
        let mut verdict = [Verdict::Held];
        let mut packet = [packet];
        self.handle_batch(&mut packet, &mut verdict, now);
        match verdict[0] {
            Verdict::Hairpin { .. } => self.handle_hairpin(&mut packet[0], now),
            verdict => verdict,
        }
    }

    fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        Self::poll_transmit(self, buffer)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        Self::poll_event(self)
    }
}

/// Why a translation ended before its time.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The input is damaged.
    Input(CaptureError),
    /// The output cannot be written.
    Output(std::io::Error),
}

impl From<CaptureError> for Stopped {
    fn from(error: CaptureError) -> Self {
        Self::Input(error)
    }
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// A translation under way.
pub(crate) struct Translation<'a, G, W> {
    pub(crate) config: &'a nat::Config,
    pub(crate) sides: &'a Sides,
    pub(crate) gateway: &'a mut G,
    pub(crate) output: W,
    pub(crate) summary: &'a mut Summary,
    pub(crate) checksums: Checksums,
    clock: Clock,
    /// The last packet from each realm: what packets without a cause are modelled on.
    last: [Option<Template>; 2],
    buffer: Vec<u8>,
}

/// Virtual time: that of the capture from its first packet on, but never back, and without the
/// impossible leaps that one damaged timestamp makes.
#[derive(Clone, Copy, Default)]
struct Clock {
    now: Instant,
    /// The capture's clock at `now`; `None` before the first packet.
    nanos: Option<u64>,
}

/// Longer gaps count as this one: no timer is longer (`nat::Config::problems`), so nothing outlives it.
const LONGEST_GAP: Duration = Duration::from_secs(60 * 86_400);

/// Time stands still here: the engine counts ticks in 32 bits, which last 13 years.
const END_OF_TIME: Instant = Instant::from_secs(10 * 365 * 86_400);

impl Clock {
    fn advance(&mut self, nanos: Option<u64>) {
        if let Some(nanos) = nanos {
            let before = self.nanos.unwrap_or(nanos);
            let gap = Duration::from_nanos(nanos.saturating_sub(before)).min(LONGEST_GAP);
            self.now = (self.now + gap).min(END_OF_TIME);
            self.nanos = Some(nanos.max(before));
        }
    }

    /// A moment from `now` on, as the capture's clock shows it.
    fn show(&self, at: Instant) -> u64 {
        let later = u64::try_from(at.since(self.now).as_nanos()).unwrap_or(u64::MAX);
        self.nanos.unwrap_or(0).saturating_add(later)
    }
}

impl<'a, G: Gateway, W: Write> Translation<'a, G, W> {
    pub(crate) fn new(
        config: &'a nat::Config,
        sides: &'a Sides,
        gateway: &'a mut G,
        output: W,
        summary: &'a mut Summary,
    ) -> Self {
        let (clock, buffer) = (Clock::default(), vec![0; LARGEST]);
        let checksums = Checksums::default();
        Self { config, sides, gateway, output, summary, checksums, clock, last: [None, None], buffer }
    }

    /// Translates `capture` to its end. What could be translated has been written, whatever comes back.
    pub(crate) fn run<R: Read>(&mut self, capture: &mut Capture<R>) -> Result<(), Stopped> {
        let outcome = self.items(capture);
        self.output.flush()?;
        outcome
    }

    fn items<R: Read>(&mut self, capture: &mut Capture<R>) -> Result<(), Stopped> {
        while let Some(item) = capture.next()? {
            match item {
                Item::Verbatim(octets) => self.output.write_all(&octets)?,
                Item::Packet(record) => self.record(capture, record)?,
            }
        }
        Ok(())
    }

    fn record<R: Read>(&mut self, capture: &Capture<R>, mut record: Record) -> Result<(), Stopped> {
        self.summary.packets_in += 1;
        let before = self.clock;
        self.clock.advance(record.nanos);
        let now = self.clock.now;
        self.summary.seconds = now.as_nanos() as f64 / 1e9;
        self.expire(capture, before, now, record.place)?;
        if record.cut {
            self.summary.left_out.cut_by_the_capture += 1;
            return Ok(());
        }
        let frame = match wire::link::locate(record.place.link, &record.data) {
            Ok(frame) => frame,
            Err(malformed) => {
                self.summary.drop(malformed.name());
                return Ok(());
            }
        };
        if frame.ethertype != EtherType::IPV4 {
            self.summary.left_out.not_ipv4 += 1;
            return Ok(());
        }
        let Some(from) = self.sides.side(self.config, &record, &frame) else {
            self.summary.left_out.neither_side += 1;
            return Ok(());
        };
        let cause = Template::of(&record, &frame);
        let data = record.data.get_mut(frame.network_offset..).unwrap_or_default();
        let mtu = self.config.mtu;
        let offload = self.checksums.prepare(data, mtu.inside.min(mtu.outside));
        let verdict = self.gateway.handle(Packet { data, from, offload }, now);
        self.events();
        match verdict {
            Verdict::Forward(to) => {
                self.output.write_all(&capture.encode(&record, &record.data))?;
                self.summary.forwarded(from, to);
            }
            Verdict::Drop(reason) => self.summary.drop(reason.name()),
            Verdict::Held => self.summary.held += 1,
            // One shard is all there is: its addresses are all of them.
            Verdict::Hairpin { .. } => self.summary.drop(nat::Reason::WrongShard.name()),
        }
        self.transmit(capture, Some((from, &cause)), self.clock.show(now), record.place)?;
        self.last[from as usize] = Some(cause);
        Ok(())
    }

    /// Ends what is due up to `now`, each at its own moment.
    fn expire<R: Read>(
        &mut self,
        capture: &Capture<R>,
        before: Clock,
        now: Instant,
        place: Place,
    ) -> Result<(), Stopped> {
        let (mut at, mut steps) = (before.now, 0);
        while let Some(due) = self.gateway.poll_timeout().filter(|&due| due <= now) {
            steps = if due > at { 0 } else { steps + 1 };
            if steps > STEPS_AT_ONE_MOMENT {
                break;
            }
            at = at.max(due);
            self.gateway.handle_timeout(at);
            self.events();
            self.transmit(capture, None, before.show(at), place)?;
        }
        Ok(())
    }

    /// Writes what the gateway itself sends. `cause` is the packet that made it do so, and where
    /// that came from; otherwise time did, and the last packet of the realm is the model.
    fn transmit<R: Read>(
        &mut self,
        capture: &Capture<R>,
        cause: Option<(Realm, &Template)>,
        nanos: u64,
        place: Place,
    ) -> Result<(), Stopped> {
        while let Some(made) = self.gateway.poll_transmit(&mut self.buffer) {
            let packet = self.buffer.get(..made.len).unwrap_or_default();
            let model =
                self.last[made.to as usize].as_ref().filter(|model| model.place.section == place.section);
            let (place, frame) = match (cause, model) {
                (Some((from, cause)), _) if from == made.to => (cause.place, cause.back(packet)),
                (Some((_, cause)), _) => (cause.place, cause.onwards(packet)),
                (None, Some(model)) => (model.place, model.back(packet)),
                (None, None) => (place, Template::blank(place).onwards(packet)),
            };
            self.output.write_all(&capture.encode_made(place, nanos, &frame))?;
            self.summary.made += 1;
            self.summary.packets_out += 1;
        }
        Ok(())
    }

    fn events(&mut self) {
        while self.gateway.poll_event().is_some() {}
    }
}
