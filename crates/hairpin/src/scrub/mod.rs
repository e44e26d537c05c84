//! `hairpin scrub`: a capture in, what a scrubber would let through of it out.
//!
//! What is not IPv4 comes out as it is: a scrubber is a bump in the wire. A packet of which the capture has not
//! all octets is left out, for what the rest would have said nobody knows.

mod summary;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use miette::{Report, miette};
use nat::{Packet, Realm, Scrubber, Verdict};
use rules::Instant;
use wire::ethernet::EtherType;

use crate::translate::capture::{Capture, Item, Record};
use crate::translate::{Checksums, Reading, Sides, create_output, expand, open_input};
pub use summary::Summary;

/// Arguments of `scrub`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The capture to scrub: pcap or pcapng; Ethernet, VLAN, raw IP or Linux cooked.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where to write what passes, in the same format.
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// The configuration file: its [scrub], its inside.prefixes to tell the sides apart, its tcp.mss_clamp.
    /// Without one, the defaults.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    /// How the capture is read, and the summary written.
    pub reading: Reading,
}

/// `hairpin scrub`.
///
/// # Errors
/// The report of [`crate::config::load`], and those of [`scrub`].
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    let engine = match &args.config {
        Some(path) => crate::config::load(path)?.engine,
        None => nat::Config::new(Vec::new(), Vec::new()),
    };
    let (sides, checksums) = (args.reading.sides(), args.reading.checksums());
    let (summary, trouble) = scrub(&args.input, &args.output, &engine, &sides, checksums)?;
    args.reading.show(&summary)?;
    trouble.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Scrubs the capture `input` into `output`, with what was done in numbers.
///
/// Where the input is damaged, or the output cannot be written on, there is a report beside the numbers;
/// `output` then has what came before, and is a valid file.
///
/// # Errors
/// Nothing was scrubbed: a file cannot be opened, `input` is no capture, both are the same file, or the settings
/// make no sense.
pub fn scrub(
    input: &Path,
    output: &Path,
    config: &nat::Config,
    sides: &Sides,
    checksums: Checksums,
) -> miette::Result<(Summary, Option<Report>)> {
    let mut capture = open_input(input, output, sides)?;
    let scrubber = Scrubber::new(config, expand(0), Instant::ZERO)
        .map_err(|error| miette!(help = error.remedy.clone(), "{error}"))?;
    let file = create_output(output)?;
    let summary = Summary { format: capture.format(), ..Summary::default() };
    let mut work = Work { config, sides, checksums, scrubber, output: file, summary, first: None };
    let outcome = work.items(&mut capture).and_then(|()| work.output.flush().map_err(Stopped::Output));
    work.summary.complete = outcome.is_ok();
    work.summary.finish(work.scrubber.counters());
    let trouble = outcome.err().map(|stopped| match stopped {
        Stopped::Input(report) => report,
        Stopped::Output(error) => {
            miette!(help = "see whether the disk is full", "{}: {error}", output.display())
        }
    });
    Ok((work.summary, trouble))
}

/// Why it ended before its time.
enum Stopped {
    Input(Report),
    Output(std::io::Error),
}

/// A capture under way.
struct Work<'a, W> {
    config: &'a nat::Config,
    sides: &'a Sides,
    checksums: Checksums,
    scrubber: Scrubber,
    output: W,
    summary: Summary,
    /// The capture's clock at the first packet.
    first: Option<u64>,
}

impl<W: Write> Work<'_, W> {
    fn items<R: Read>(&mut self, capture: &mut Capture<R>) -> Result<(), Stopped> {
        while let Some(item) = capture.next().map_err(|error| Stopped::Input(Report::new(error)))? {
            let octets = match item {
                Item::Verbatim(octets) => Some(octets),
                Item::Packet(record) => self.record(capture, record),
            };
            if let Some(octets) = octets {
                self.output.write_all(&octets).map_err(Stopped::Output)?;
            }
        }
        Ok(())
    }

    /// A packet; what comes out of it.
    fn record<R: Read>(&mut self, capture: &Capture<R>, mut record: Record) -> Option<Vec<u8>> {
        self.summary.packets_in += 1;
        if record.cut {
            self.summary.left_out.cut_by_the_capture += 1;
            return None;
        }
        let Ok(frame) = wire::link::locate(record.place.link, &record.data) else {
            self.summary.left_out.no_frame += 1;
            return None;
        };
        if frame.ethertype != EtherType::IPV4 {
            self.summary.not_ipv4 += 1;
            self.summary.packets_out += 1;
            return Some(capture.encode(&record, &record.data));
        }
        // Where nothing tells, everything comes from outside: it matters to settings that name a direction.
        let from = self.sides.side(self.config, &record, &frame).unwrap_or(Realm::Outside);
        let now = self.clock(record.nanos);
        let data = record.data.get_mut(frame.network_offset..).unwrap_or_default();
        let mtu = self.config.mtu;
        let offload = self.checksums.prepare(data, mtu.inside.min(mtu.outside));
        let mut verdict = [Verdict::Held];
        self.scrubber.handle_batch(&mut [Packet { data, from, offload }], &mut verdict, now);
        while let Some(event) = self.scrubber.poll_event() {
            self.summary.event(&event);
        }
        match verdict {
            [Verdict::Forward(_)] => {
                self.summary.packets_out += 1;
                Some(capture.encode(&record, &record.data))
            }
            _ => None,
        }
    }

    /// The capture's time since its first packet; the scrubber lets none go back.
    fn clock(&mut self, nanos: Option<u64>) -> Instant {
        let first = match (self.first, nanos) {
            (Some(first), _) => first,
            (None, Some(nanos)) => *self.first.insert(nanos),
            (None, None) => 0,
        };
        Instant::from_nanos(nanos.unwrap_or(first).saturating_sub(first))
    }
}
