//! Carries out a script: one event after the other, in virtual time.

use core::net::SocketAddrV4;
use core::time::Duration;
use std::collections::HashMap;

use rules::Instant;

use crate::ast::{Action, Body, Event, Packet, Script, When};
use crate::fault::{Fault, Result};
use crate::settings::{self, Done};
use crate::sockets::Host;

mod build;
mod calls;
mod compare;
mod config;
mod expect;
mod flow;
mod time;
mod value;

use calls::Pending;
use config::Config;
use flow::Flow;
use time::{Moment, Window};

/// How scripts are run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Option lines that come before those of the script: name without dashes, value.
    pub lines: Vec<(String, String)>,
    /// Steps over blocks of code instead of refusing the script.
    pub ignore_code: bool,
}

/// What became of a script.
#[derive(Debug)]
pub struct Outcome {
    /// It went as written, or the first thing that did not.
    pub verdict: core::result::Result<(), Box<Fault>>,
    /// All packets, in the order of their time.
    pub records: Vec<Record>,
    /// What was stepped over: settings that the endpoint does not have, blocks of code.
    pub notes: Vec<String>,
    /// The endpoint's address and port, as far as they are known: what a ladder has on one side.
    pub local: Option<SocketAddrV4>,
}

/// A packet that was sent either way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// When, since the start of the script.
    pub at: Duration,
    /// From the endpoint.
    pub outbound: bool,
    /// The IPv4 packet, with the numbers that were really used.
    pub octets: Vec<u8>,
    /// What it is to the script.
    pub mark: Mark,
    /// In the script's numbers, as the script would write it.
    pub line: String,
}

/// What a packet is to the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The script sent it.
    Given,
    /// The script expected it, and it was right.
    Expected,
    /// It came where another one, or nothing, was expected.
    Wrong,
    /// Nobody asked for it.
    Unasked,
}

/// Runs the script `text`.
pub fn run(text: &str, options: &Options) -> Outcome {
    let mut runner = Runner::new(options);
    let defines: Vec<(String, String)> = options
        .lines
        .iter()
        .filter(|(name, _)| name == "define")
        .filter_map(|(_, value)| value.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let verdict = crate::parse(text, &defines).and_then(|script| runner.script(&script));
    runner.leftovers();
    Outcome {
        verdict,
        local: runner.flow.as_ref().map(|flow| flow.local),
        records: runner.records,
        notes: runner.notes,
    }
}

struct Runner {
    config: Config,
    ignore_code: bool,
    lines: Vec<(String, String)>,
    host: Host,
    start: Instant,
    flow: Option<Flow>,
    pending: Option<Pending>,
    /// File descriptors: the script's numbers and the host's.
    fds: HashMap<i64, i32>,
    records: Vec<Record>,
    notes: Vec<String>,
    /// The event before: its time in microseconds, and whether it was a packet to the endpoint.
    last: Option<(i64, bool)>,
    last_absolute: Option<u64>,
    events: usize,
    /// The script wrote text of its own: payloads are not all zero.
    wrote_text: bool,
}

impl Runner {
    fn new(options: &Options) -> Self {
        let config = Config::default();
        let host = Host::new(config.local_ip);
        Self {
            start: host.now(),
            config,
            ignore_code: options.ignore_code,
            lines: options.lines.clone(),
            host,
            flow: None,
            pending: None,
            fds: HashMap::new(),
            records: Vec::new(),
            notes: Vec::new(),
            last: None,
            last_absolute: None,
            events: 0,
            wrote_text: false,
        }
    }

    fn script(&mut self, script: &Script) -> Result<()> {
        self.configure(&script.options)?;
        self.start = self.host.now();
        for event in &script.events {
            self.event(event)?;
        }
        self.finish_pending()
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        if event.when == When::Now
            && let Action::Command(line) = &event.action
        {
            return self.command(event, line);
        }
        let window = self.window(event)?;
        match &event.action {
            Action::Packet(packet) if packet.outbound => self.expect(event, packet, &window)?,
            Action::Packet(packet) => {
                self.wait_until(&window)?;
                self.check_start(event, &window)?;
                self.inject(event, packet)?;
            }
            Action::Call(call) => {
                if call.end.is_none() || self.pending.is_some() {
                    self.finish_pending()?;
                }
                self.wait_until(&window)?;
                self.check_start(event, &window)?;
                self.call(event, call, &window)?;
            }
            Action::Command(line) => {
                self.wait_until(&window)?;
                self.command(event, line)?;
            }
            Action::Code(_) => {
                self.wait_until(&window)?;
                self.code(event)?;
            }
        }
        let inbound = matches!(&event.action, Action::Packet(packet) if !packet.outbound);
        let at = window.first().unwrap_or_else(|| self.now());
        self.last = Some((at, inbound));
        self.events += 1;
        Ok(())
    }

    /// Microseconds since the start.
    fn now(&self) -> i64 {
        self.micros(self.host.now())
    }

    fn micros(&self, at: Instant) -> i64 {
        at.since(self.start).as_micros() as i64 - self.start.since(at).as_micros() as i64
    }

    fn instant(&self, micros: i64) -> Instant {
        self.start + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    fn wait_until(&mut self, window: &Window) -> Result<()> {
        let Some(first) = window.first() else { return Ok(()) };
        let to = self.instant(first);
        while !self.step(to)? {}
        Ok(())
    }

    /// One step of the clock towards `to`. Whether it got there. A call that blocks is tried again.
    fn step(&mut self, to: Instant) -> Result<bool> {
        let deadline = self.pending.as_ref().and_then(|pending| pending.deadline);
        let target = deadline.map_or(to, |deadline| deadline.min(to));
        let there = self.host.step(target) && target == to;
        self.try_pending()?;
        Ok(there)
    }

    fn command(&mut self, event: &Event, line: &str) -> Result<()> {
        match settings::command(&mut self.host, line) {
            Done::Yes => Ok(()),
            Done::Ignored(what) => {
                self.notes.push(format!("no such setting here, left alone: {what}"));
                Ok(())
            }
            Done::No(found) => {
                Err(Fault::failed(&event.span, "the connections are in other states", found, ""))
            }
            Done::Unsupported(what) => {
                let help = "commands are not run by a shell: sysctl, set_sysctls.py, defaults.sh, sleep, true and counting \
                            states by sockstat are known";
                Err(Fault::unsupported(&event.span, what, help))
            }
        }
    }

    fn code(&mut self, event: &Event) -> Result<()> {
        if self.ignore_code {
            self.notes.push("a block of code was stepped over".to_owned());
            return Ok(());
        }
        let help = "blocks of Python between %{ and }% are not run: --ignore-code steps over them, \
                    getsockopt(TCP_INFO) and packets can say most of it";
        Err(Fault::unsupported(&event.span, "code in a script", help))
    }

    /// A packet of the script arrives at the endpoint.
    fn inject(&mut self, event: &Event, packet: &Packet) -> Result<()> {
        let octets = match &packet.body {
            Body::Tcp(tcp) => {
                let scaled = self.config.ecr_scaled;
                let flow = self.flow_for(event, tcp, false)?;
                flow.before_inbound(tcp);
                build::segment(flow, &packet.ip, tcp, scaled)
                    .map_err(|message| Fault::failed(&event.span, message, "this packet", ""))?
            }
            Body::Icmp(icmp) => match &self.flow {
                Some(flow) => build::icmp(flow, icmp),
                None => {
                    let help = "open a connection first: the message has to quote a segment of it";
                    return Err(Fault::failed(&event.span, "no connection for this message", "here", help));
                }
            },
        };
        let line = crate::report::script_line(packet);
        self.record(self.host.now(), false, octets.clone(), Mark::Given, line);
        self.host.deliver(&octets);
        self.try_pending()
    }

    fn record(&mut self, at: Instant, outbound: bool, octets: Vec<u8>, mark: Mark, line: String) {
        self.records.push(Record { at: at.since(self.start), outbound, octets, mark, line });
    }

    /// What was sent and nobody looked at: it belongs into the picture.
    fn leftovers(&mut self) {
        while let Some(sent) = self.host.next_sent() {
            let line = self.flow.as_ref().map_or_else(String::new, |flow| compare::line(flow, &sent.octets));
            self.record(sent.at, true, sent.octets, Mark::Unasked, line);
        }
    }

    /// The window of time in which an event is to happen.
    fn window(&mut self, event: &Event) -> Result<Window> {
        let inbound = matches!(&event.action, Action::Packet(packet) if !packet.outbound);
        // Packets to the endpoint in a row are counted from one another.
        let base = match self.last {
            Some((at, true)) if inbound => at,
            _ => self.now(),
        };
        if self.events == 0 && !matches!(event.when, When::At(0) | When::After(0)) {
            let help = "begin with 0 or +0";
            return Err(Fault::syntax(&event.span, "the first event has to be at time 0", help));
        }
        if let When::At(at) | When::AtRange(at, _) = event.when {
            if self.last_absolute.is_some_and(|last| at < last) {
                return Err(Fault::syntax(&event.span, "time goes backwards here", "write a later time"));
            }
            self.last_absolute = Some(at);
        }
        let moment = match event.when {
            When::Any | When::Now => Moment::Any,
            When::At(at) => Moment::At(at as i64),
            When::After(by) => Moment::At(base + by as i64),
            When::AtRange(first, last) => Moment::Range(first as i64, last as i64),
            When::AfterRange(first, last) => Moment::Range(base + first as i64, base + last as i64),
        };
        let relative = matches!(event.when, When::After(_) | When::AfterRange(..));
        Ok(Window { moment, base, relative, before: self.last.map(|(at, _)| at) })
    }
}
