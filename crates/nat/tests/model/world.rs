//! Engine and model side by side: both get the same, and whatever comes out is compared.

use std::collections::BTreeSet;
use std::fmt::Write;

use hairpin_nat::event::{EventKind, MappingId, SessionId};
use hairpin_nat::{Checksum, Config, Engine, Event, Offload, Packet, Verdict};
use rules::Instant;
use wire::{Packet as Parsed, Transport, Trust};

use crate::ftp::Shift;
use crate::kept::Asked;
use crate::nat::{Arrival, Model, Route, Sent};
use crate::plan::Ask;
use crate::scrub::Told;

/// Nanoseconds of a tick.
const TICK: u64 = 100_000_000;

/// A packet on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) data: Vec<u8>,
    pub(crate) from: Arrival,
    pub(crate) offload: Offload,
    /// It is an ICMP error that quotes this one, as far as it goes.
    pub(crate) quotes: Option<(Sample, usize)>,
}

/// A packet that went through, before and after: what ICMP errors can quote.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
    pub(crate) route: Route,
    /// No session had other numbers outside when it went through, and it was not scrubbed.
    pub(crate) unshifted: bool,
}

/// What the comparison is to notice: one thing wrong with what the engine said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tamper {
    /// One bit of a forwarded packet.
    Octet(usize),
    Verdict,
    Offload,
    LostEvent,
    LateEvent,
    LostTransmit,
    TransmitOctet,
    LostSession,
    Counter,
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) model: Model,
    pub(crate) now: Instant,
    pub(crate) samples: Vec<Sample>,
    /// One line for each thing that was done.
    pub(crate) trace: String,
    pub(crate) tamper: Option<Tamper>,
    pub(crate) packets: u64,
    last_event: Instant,
    /// The tables that follow from the events.
    mappings: BTreeSet<MappingId>,
    sessions: BTreeSet<SessionId>,
    buffer: Vec<u8>,
}

type Check = Result<(), String>;

impl World {
    pub(crate) fn new(config: &Config, seed: u8) -> Result<Self, String> {
        let now = Instant::from_secs(1_000);
        let engine = Engine::new(config, [seed; 32], now).map_err(|error| format!("{error}: {config:?}"))?;
        let mut world = Self {
            engine,
            model: Model::new(config, now),
            now,
            samples: Vec::new(),
            trace: String::new(),
            tamper: None,
            packets: 0,
            last_event: Instant::ZERO,
            mappings: BTreeSet::new(),
            sessions: BTreeSet::new(),
            buffer: vec![0; 65_535],
        };
        // What the configuration has made.
        let events = world.told();
        world.model.choices.clear();
        world.compare(events)?;
        Ok(world)
    }

    /// Time goes on; the engine is told, or not.
    pub(crate) fn wait(&mut self, nanos: u64, tell: bool) -> Check {
        self.now = Instant::from_nanos(self.now.as_nanos() + nanos);
        let _ = writeln!(
            self.trace,
            "{} wait {:.4} s{}",
            self.clock(),
            nanos as f64 / 1e9,
            if tell { "" } else { ", untold" }
        );
        if tell { self.timeout() } else { Ok(()) }
    }

    /// Goes on to the moment at which the engine wants to be called.
    pub(crate) fn poll(&mut self) -> Check {
        let Some(at) = self.engine.poll_timeout() else { return Ok(()) };
        self.wait(at.as_nanos().saturating_sub(self.now.as_nanos()), true)
    }

    /// Somebody asks for mappings.
    pub(crate) fn ask(&mut self, ask: &Ask) -> Check {
        let _ = writeln!(self.trace, "{} {ask:?}", self.clock());
        let asked = self.model.asked(ask);
        match asked {
            None => Ok(()),
            Some(Asked::Allocate(request)) => {
                let answer = self.engine.allocate(&request, self.now);
                let events = self.told();
                self.model.advance(self.now);
                let expected = self.model.allocate(&request, &answer)?;
                let _ = writeln!(self.trace, "    {answer:?}");
                same("allocation", answer, expected)?;
                self.compare(events)
            }
            Some(Asked::Extend(set, lifetime)) => {
                let answer = self.engine.extend(set, lifetime, self.now);
                let events = self.told();
                self.model.advance(self.now);
                same("extension", answer, self.model.extend(set, lifetime))?;
                self.compare(events)
            }
            Some(Asked::Deallocate(set)) => {
                let answer = self.engine.deallocate(set, self.now);
                let events = self.told();
                self.model.advance(self.now);
                same("deallocation", answer, self.model.deallocate(set))?;
                self.compare(events)
            }
        }
    }

    fn timeout(&mut self) -> Check {
        self.engine.handle_timeout(self.now);
        let events = self.told();
        self.model.advance(self.now);
        self.compare(events)
    }

    pub(crate) fn clock(&self) -> String {
        format!("[{:.4}]", self.now.as_nanos() as f64 / 1e9)
    }

    /// A batch of packets of one arrival or several.
    pub(crate) fn batch(&mut self, inputs: Vec<Input>) -> Check {
        for inputs in
            inputs.chunk_by(|one, other| (one.from == Arrival::Shard) == (other.from == Arrival::Shard))
        {
            if inputs[0].from == Arrival::Shard {
                inputs.iter().try_for_each(|input| self.call(std::slice::from_ref(input)))?;
            } else {
                self.call(inputs)?;
            }
        }
        Ok(())
    }

    /// One call of the engine.
    fn call(&mut self, inputs: &[Input]) -> Check {
        for input in inputs {
            let _ = writeln!(
                self.trace,
                "{} {:?}: {}",
                self.clock(),
                input.from,
                describe(&input.data, input.offload)
            );
        }
        self.packets += inputs.len() as u64;
        let mut datas: Vec<_> = inputs.iter().map(|input| input.data.clone()).collect();
        let mut packets: Vec<_> = datas
            .iter_mut()
            .zip(inputs)
            .map(|(data, input)| Packet { data, from: input.from.realm(), offload: input.offload })
            .collect();
        let mut verdicts = vec![Verdict::Held; inputs.len()];
        if inputs[0].from == Arrival::Shard {
            verdicts[0] = self.engine.handle_hairpin(&mut packets[0], self.now);
        } else {
            self.engine.handle_batch(&mut packets, &mut verdicts, self.now);
        }
        let mut offloads: Vec<_> = packets.iter().map(|packet| packet.offload).collect();
        self.model.transmitted = self.transmits();
        self.tamper_with(&mut datas, &mut verdicts, &mut offloads);
        let events = self.told();
        self.model.advance(self.now);
        for (index, input) in inputs.iter().enumerate() {
            let result = (verdicts[index], &datas[index], offloads[index]);
            self.check_packet(input, result).map_err(|why| {
                format!("packet {index} of the batch ({}): {why}", describe(&input.data, input.offload))
            })?;
        }
        self.compare(events)
    }

    fn check_packet(&mut self, input: &Input, engine: (Verdict, &Vec<u8>, Offload)) -> Check {
        let (mut data, mut offload) = (input.data.clone(), input.offload);
        let scrubbed = self.model.counters.scrubbed;
        let passed = matches!(engine.0, Verdict::Forward(_) | Verdict::Hairpin { .. });
        self.model.forwarded_id = passed.then(|| crate::octets::get16(engine.1, 4));
        self.model.refused = if let Verdict::Drop(reason) = engine.0 { Some(reason) } else { None };
        // A session may get a shift by the packet, and end by it.
        let shifted_before = self.has_shifts();
        let verdict = self.model.packet(&mut data, &mut offload, input.from);
        if let Some(fault) = self.model.fault.take() {
            return Err(format!("{fault} (engine: {:?}, model: {verdict:?})", engine.0));
        }
        let _ = writeln!(self.trace, "    {verdict:?}");
        same("verdict", engine.0, verdict)?;
        // Whose packet is held is free to do with the octets what it likes.
        if verdict == Verdict::Held {
            return Ok(());
        }
        if *engine.1 != data {
            return Err(octets_differ(engine.1, &data));
        }
        same("offload", engine.2, offload)?;
        let route = match verdict {
            Verdict::Forward(to) => Route::To(to),
            Verdict::Hairpin { shard } => Route::Shard(shard),
            _ => return Ok(()),
        };
        let unshifted = !shifted_before && !self.has_shifts() && scrubbed == self.model.counters.scrubbed;
        if let Some((sample, cut)) = &input.quotes
            && unshifted
            && sample.unshifted
        {
            check_restored(sample, *cut, &data)?;
        }
        let sample = Sample { before: input.data.clone(), after: data, route, unshifted };
        if input.from != Arrival::Shard && offload.checksum != Checksum::Partial {
            if self.samples.len() == 64 {
                self.samples.remove(0);
            }
            self.samples.push(sample);
        }
        Ok(())
    }

    fn has_shifts(&self) -> bool {
        self.model.sessions.iter().any(|session| session.shift != Shift::default())
    }

    /// The engine's events, and from them its choices for the model.
    fn told(&mut self) -> Vec<Event> {
        let mut events: Vec<_> = std::iter::from_fn(|| self.engine.poll_event()).collect();
        let created = events.iter().filter_map(|event| match event.kind {
            EventKind::MappingCreated(id) => Some(id),
            _ => None,
        });
        self.model.choices = created.collect();
        let ended = events.iter().filter_map(|event| match event.kind {
            EventKind::SessionDeleted(id, _) => Some(id),
            _ => None,
        });
        self.model.ended = ended.collect();
        let ended = events.iter().filter_map(|event| match event.kind {
            EventKind::MappingDeleted(id) => Some(id),
            _ => None,
        });
        self.model.ended_mappings = ended.collect();
        match self.tamper {
            Some(Tamper::LostEvent) => drop(events.pop()),
            Some(Tamper::LateEvent) => {
                if let Some(event) = events.last_mut() {
                    event.at = Instant::from_nanos(event.at.as_nanos() + TICK);
                }
            }
            _ => {}
        }
        events
    }

    fn compare(&mut self, events: Vec<Event>) -> Check {
        if let Some(choice) = self.model.choices.pop_front() {
            return Err(format!("the engine made a mapping that it may not make: {choice:?}"));
        }
        self.compare_events(events)?;
        self.compare_transmits()?;
        self.compare_tables()?;
        let told: Vec<_> = std::iter::from_fn(|| self.engine.poll_scrub_event()).map(Told::from).collect();
        same("scrub events", told, std::mem::take(&mut self.model.scrubs.told).into())?;
        let mut counters = self.engine.counters().clone();
        if self.tamper == Some(Tamper::Counter) {
            counters.icmp_errors_limited += 1;
        }
        same("counters", &counters, &self.model.counters)?;
        let due = [
            self.model.next_deadline().map(|(tick, _)| tick),
            self.model.next_kept_deadline().map(|(tick, _)| tick),
            self.model.next_fragment_deadline(),
            self.model.next_answer(),
            self.model.next_release(),
        ];
        if let Some(tick) = due.into_iter().flatten().min() {
            let due = Instant::from_nanos(tick * TICK);
            if self.engine.poll_timeout().is_none_or(|at| at > due) {
                return Err(format!(
                    "due at {due:?}, but the engine waits until {:?}",
                    self.engine.poll_timeout()
                ));
            }
        }
        match self.engine.poll_timeout() {
            Some(at) if at <= self.now => Err(format!("asks to be called at {at:?}, in the past")),
            _ => Ok(()),
        }
    }

    fn compare_events(&mut self, mut engine: Vec<Event>) -> Check {
        for event in &engine {
            if event.at < self.last_event {
                return Err(format!("out of order, after {:?}: {event:?}", self.last_event));
            }
            self.last_event = event.at;
            self.replay(event)?;
        }
        let mut model = std::mem::take(&mut self.model.events);
        let key = |event: &Event| (event.at, format!("{:?}", event.kind));
        engine.sort_by_key(key);
        model.sort_by_key(key);
        if engine == model {
            return Ok(());
        }
        let only = |these: &[Event], those: &[Event]| {
            let lines: Vec<_> = these
                .iter()
                .filter(|event| !those.contains(event))
                .map(|event| format!("{event:?}"))
                .collect();
            lines.join("\n    ")
        };
        Err(format!(
            "events\n  engine alone:\n    {}\n  model alone:\n    {}",
            only(&engine, &model),
            only(&model, &engine)
        ))
    }

    /// The events alone must tell the tables, in an order that makes sense.
    fn replay(&mut self, event: &Event) -> Check {
        let makes_sense = match event.kind {
            EventKind::MappingCreated(id) => self.mappings.insert(id),
            EventKind::MappingDeleted(id) => {
                !self.sessions.iter().any(|session| session.mapping == id) && self.mappings.remove(&id)
            }
            EventKind::SessionCreated(id) => self.mappings.contains(&id.mapping) && self.sessions.insert(id),
            EventKind::SessionDeleted(id, _) => self.sessions.remove(&id),
            EventKind::LimitHit { .. } | EventKind::BlockAllocated(_) | EventKind::BlockReleased(_) => true,
        };
        if makes_sense { Ok(()) } else { Err(format!("an event that cannot be: {event:?}")) }
    }

    /// What the engine wants sent.
    fn transmits(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(transmit) = self.engine.poll_transmit(&mut self.buffer) {
            let route = transmit.shard.map_or(Route::To(transmit.to), Route::Shard);
            let data = self.buffer[..transmit.len].to_vec();
            all.push(Sent { route, offload: transmit.offload, data });
        }
        all
    }

    fn compare_transmits(&mut self) -> Check {
        let mut engine = std::mem::take(&mut self.model.transmitted);
        engine.extend(self.transmits());
        match (self.tamper, engine.last_mut()) {
            (Some(Tamper::LostTransmit), _) => drop(engine.pop()),
            (Some(Tamper::TransmitOctet), Some(sent)) => sent.data[25] ^= 4,
            _ => {}
        }
        let model = std::mem::take(&mut self.model.sent);
        for (index, (engine, model)) in engine.iter().zip(&model).enumerate() {
            let about = |what: String| format!("transmitted packet {index}: {what}");
            same("route", engine.route, model.route).map_err(about)?;
            same("offload", engine.offload, model.offload).map_err(about)?;
            if engine.data != model.data {
                return Err(about(octets_differ(&engine.data, &model.data)));
            }
        }
        same("transmitted packets", engine.len(), model.len())
    }

    fn compare_tables(&self) -> Check {
        let mappings: Vec<_> = self.engine.mappings().collect();
        let mut sessions: Vec<_> = self.engine.sessions().collect();
        if self.tamper == Some(Tamper::LostSession) {
            sessions.pop();
        }
        same("number of mappings", mappings.len(), self.mappings.len())?;
        same("number of sessions", sessions.len(), self.sessions.len())?;
        same("session_count", self.engine.session_count() as usize, sessions.len())?;
        same(
            "mappings",
            &mappings.into_iter().collect(),
            &self.model.mappings.iter().copied().collect::<BTreeSet<_>>(),
        )?;
        let model: BTreeSet<_> = self.model.sessions.iter().map(|session| session.id).collect();
        same("sessions", &sessions.into_iter().collect(), &model)?;
        same("sessions by events", &self.sessions, &model)
    }

    fn tamper_with(&self, datas: &mut [Vec<u8>], verdicts: &mut [Verdict], offloads: &mut [Offload]) {
        let Some(index) = verdicts.iter().position(|verdict| matches!(verdict, Verdict::Forward(_))) else {
            return;
        };
        match self.tamper {
            Some(Tamper::Octet(at)) => datas[index][at] ^= 1,
            Some(Tamper::Verdict) => verdicts[index] = Verdict::Held,
            Some(Tamper::Offload) => offloads[index].gso_size ^= 1,
            _ => {}
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, engine: T, model: T) -> Check {
    if engine == model {
        return Ok(());
    }
    Err(format!("{what}\n  engine: {engine:?}\n  model:  {model:?}"))
}

fn octets_differ(engine: &[u8], model: &[u8]) -> String {
    let at = engine.iter().zip(model).position(|(one, other)| one != other);
    format!("octets, first at {at:?}\n  engine: {}\n  model:  {}", hex(engine), hex(model))
}

fn hex(data: &[u8]) -> String {
    let more = if data.len() > 120 { format!("... ({} octets)", data.len()) } else { String::new() };
    data.iter().take(120).map(|octet| format!("{octet:02x}")).collect::<String>() + &more
}

/// A quote of a packet that was translated is, once it is translated back, what its sender sent
/// (RFC 5508 REQ-4a, REQ-7): ports, addresses and even a transport checksum that nobody could
/// compute from the quote. The one hop that it has lost stays lost.
fn check_restored(sample: &Sample, cut: usize, error: &[u8]) -> Check {
    let start = usize::from(error[0] & 15) * 4 + 8;
    let header = usize::from(sample.before[0] & 15) * 4;
    let mut restored = error[start..start + cut].to_vec();
    let mut original = sample.before[..cut].to_vec();
    let ports = if original[9] == 1 { header + 4..header + 6 } else { header..header + 4 };
    let same_mapping = restored[12..20] == original[12..20] && restored[ports.clone()] == original[ports];
    let syn = original[9] == 6 && sample.before.get(header + 13).is_some_and(|flags| flags & 2 != 0);
    if !same_mapping || syn {
        return Ok(()); // the mapping is another one by now, or the MSS was clamped
    }
    for packet in [&mut restored, &mut original] {
        packet[8] = 0;
        packet[10..12].fill(0);
        // What an Identification was before it was chosen anew, nobody knows.
        packet[4..6].fill(0);
    }
    if restored == original {
        return Ok(());
    }
    Err(format!("a quote is not what its sender sent: {}", octets_differ(&restored, &original)))
}

/// A packet on one line.
pub(crate) fn describe(data: &[u8], offload: Offload) -> String {
    let Ok(parsed) = Parsed::parse(data, Trust::Skip) else {
        return format!("malformed {}", hex(data));
    };
    let (source, destination) = (parsed.source, parsed.destination);
    let mut line = match parsed.transport {
        Transport::Tcp { source_port, destination_port, flags, .. } => {
            let numbers = usize::from(parsed.header_len);
            let number =
                |at: usize| data.get(at..at + 4).map_or(0, |n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]));
            let (seq, ack) = (number(numbers + 4), number(numbers + 8));
            format!("tcp {source}:{source_port} > {destination}:{destination_port} {flags:?} {seq} {ack}")
        }
        Transport::Udp { source_port, destination_port, .. } => {
            format!("udp {source}:{source_port} > {destination}:{destination_port}")
        }
        Transport::IcmpQuery { request, identifier } => {
            format!("icmp {source} > {destination} {} {identifier}", if request { "query" } else { "reply" })
        }
        Transport::IcmpError { quote } => format!(
            "icmp {source} > {destination} error quoting protocol {} {}:{} > {}:{} {:02x?}",
            quote.protocol,
            quote.source,
            quote.source_port,
            quote.destination,
            quote.destination_port,
            data.get(usize::from(quote.offset)..).unwrap_or_default()
        ),
        _ => format!("protocol {} {source} > {destination}", parsed.protocol),
    };
    let _ = write!(line, " len {} ttl {}", parsed.total_len, parsed.ttl);
    if parsed.dont_fragment {
        line.push_str(" df");
    }
    if !parsed.options.is_empty() {
        let _ = write!(line, " {:?}", parsed.options);
    }
    if parsed.fragment != wire::Fragment::Whole {
        let _ = write!(line, " {:?} id {}", parsed.fragment, u16::from_be_bytes([data[4], data[5]]));
    }
    if offload != Offload::default() {
        let _ = write!(line, " {:?} gso {}", offload.checksum, offload.gso_size);
    }
    if Parsed::parse(data, Trust::Verify).is_err() && offload.checksum == Checksum::Full {
        line.push_str(" (bad checksum)");
    }
    line
}
