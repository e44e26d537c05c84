//! What was scrubbed, in numbers, and the samples.

use core::fmt;
use std::collections::BTreeMap;

use nat::{Counters, Headers, ScrubEvent, ScrubEventKind};
use serde::Serialize;

use crate::translate::unfinished_checksums;

/// Totals, and what was told beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The file was read to its end.
    pub complete: bool,
    /// `pcap` or `pcapng`.
    pub format: &'static str,
    /// Packets of the input.
    pub packets_in: u64,
    /// Packets written, changed or not.
    pub packets_out: u64,
    /// Of these, packets that are not IPv4: nobody has looked at them.
    pub not_ipv4: u64,
    /// Packets that were left out without being looked at.
    pub left_out: LeftOut,
    /// Changes and findings, by what they are; a packet can have several.
    pub findings: BTreeMap<&'static str, u64>,
    /// Packets dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Wars that were damped.
    pub wars: Vec<War>,
    /// One in `scrub.sample` changes and drops, with the headers.
    pub samples: Vec<Sample>,
    /// Connections that were not followed because `scrub.flows` was reached.
    pub not_followed: u64,
}

/// Packets that could not be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The capture does not have all of their octets (snap length).
    pub cut_by_the_capture: u64,
    /// Their link header is cut short, or has too many VLAN tags.
    pub no_frame: u64,
}

/// A war that was damped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct War {
    /// Seconds since the first packet.
    pub at: f64,
    /// Source of the first segment that was dropped.
    pub source: String,
    /// Its destination.
    pub destination: String,
    /// Segments without progress by then.
    pub segments: u64,
}

/// A change or a drop with the headers, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the first packet.
    pub at: f64,
    /// What was found, or the reason of the drop.
    pub what: Vec<&'static str>,
    /// The headers as they came.
    pub before: String,
    /// As they went on; `null` for a drop.
    pub after: Option<String>,
}

/// Samples that are kept at most.
const SAMPLES: usize = 10_000;

impl Summary {
    pub(super) fn event(&mut self, event: &ScrubEvent) {
        let at = event.at.as_nanos() as f64 / 1e9;
        let sample = match event.kind {
            ScrubEventKind::Changed { findings, before, after } => {
                let what = findings.iter().map(nat::Finding::name).collect();
                Sample { at, what, before: hex(&before), after: Some(hex(&after)) }
            }
            ScrubEventKind::Dropped { reason, before } => {
                Sample { at, what: vec![reason.name()], before: hex(&before), after: None }
            }
            ScrubEventKind::WarDamped { source, destination, segments } => {
                let (source, destination) = (source.to_string(), destination.to_string());
                return self.wars.push(War { at, source, destination, segments });
            }
        };
        if self.samples.len() < SAMPLES {
            self.samples.push(sample);
        }
    }

    pub(super) fn finish(&mut self, counters: &Counters) {
        self.findings = counters.scrubbed.found().map(|(finding, count)| (finding.name(), count)).collect();
        self.dropped = counters.drops().map(|(reason, count)| (reason.name(), count)).collect();
        self.not_followed = counters.scrubbed.not_followed;
    }
}

fn hex(headers: &Headers) -> String {
    format!("{headers:?}")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.complete { "" } else { " before it had to stop" };
        writeln!(f, "{} packets in{ending}, {} out", self.packets_in, self.packets_out)?;
        let mut line = |what: &str, count: u64| writeln!(f, "  {what:<28}{count:>12}");
        for (what, count) in [
            ("not IPv4, left as it is", self.not_ipv4),
            ("left out: cut by the capture", self.left_out.cut_by_the_capture),
            ("left out: no whole frame", self.left_out.no_frame),
            ("connections not followed", self.not_followed),
        ] {
            if count > 0 {
                line(what, count)?;
            }
        }
        for (title, counts) in [("changed or found", &self.findings), ("dropped", &self.dropped)] {
            if !counts.is_empty() {
                writeln!(f, "{title}")?;
                for (what, count) in counts {
                    writeln!(f, "  {what:<28}{count:>12}")?;
                }
            }
        }
        for War { at, source, destination, segments } in &self.wars {
            writeln!(f, "war damped at {at:.6} s, {segments} segments: {source} > {destination}")?;
        }
        for Sample { at, what, before, after } in &self.samples {
            writeln!(f, "sample at {at:.6} s: {}\n  before {before}", what.join(", "))?;
            writeln!(f, "  after  {}", after.as_deref().unwrap_or("dropped"))?;
        }
        let hint = unfinished_checksums(&self.dropped, self.packets_in);
        hint.map_or(Ok(()), |hint| writeln!(f, "hint: {hint}"))
    }
}
