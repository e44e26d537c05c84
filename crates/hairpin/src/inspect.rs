//! `hairpin inspect`: captures through the lens.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lens::{FlowReport, Lens, Limits, StreamReport, escaped};
use miette::{Report, miette};
use rules::Instant;
use wire::ethernet::EtherType;
use wire::link::locate;

use crate::translate::capture::{Capture, Item};

/// Octets of a reading that the table shows on each side of the first difference.
const AROUND: usize = 24;
/// Readers of a group that the table names.
const NAMED: usize = 4;

/// Arguments of `inspect`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Captures: pcap or pcapng; Ethernet, VLAN, raw IP or Linux cooked. `-` is standard input.
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Print JSON: an object for each flow, one on a line, and one with the totals.
    #[arg(long)]
    pub json: bool,
    /// Print every flow, and not only those with urgent data, contradictions or wars.
    #[arg(long)]
    pub all: bool,
    /// Skip segments with a wrong checksum, as a host does. A capture made on the sending host has many that its
    /// network card completes.
    #[arg(long)]
    pub verify_checksums: bool,
    /// Octets of a stream that are held for its readings.
    #[arg(long, default_value_t = 65536)]
    pub max_text: u32,
}

/// `hairpin inspect`.
///
/// # Errors
/// A file that cannot be read, or is damaged; what came before the damage is told all the same.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    let mut trouble = None;
    for path in &args.captures {
        let limits = Limits {
            verify_checksums: args.verify_checksums,
            text_octets: args.max_text,
            ..Limits::default()
        };
        let mut lens = Lens::new(limits);
        let outcome = look(path, &mut lens, |report| tell(args, report));
        lens.finish();
        while let Some(report) = lens.poll_report() {
            tell(args, &report)?;
        }
        crate::cli::print(&totals(args, path, &lens)?)?;
        if let Err(report) = outcome {
            // The other captures are looked at all the same; the first trouble is the exit's.
            trouble.get_or_insert(report);
        }
    }
    trouble.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Reads one capture to its end.
fn look(
    path: &Path,
    lens: &mut Lens,
    mut tell: impl FnMut(&FlowReport) -> miette::Result<()>,
) -> miette::Result<()> {
    let name = path.display().to_string();
    let reader: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let remedy = "name a capture file, e.g. one that tcpdump -w FILE has written";
        Box::new(File::open(path).map_err(|error| miette!(help = remedy, "{name}: {error}"))?)
    };
    let mut capture = Capture::open(BufReader::with_capacity(1 << 20, reader), &name).map_err(Report::new)?;
    let mut frame = 0;
    while let Some(item) = capture.next().map_err(Report::new)? {
        let Item::Packet(record) = item else { continue };
        frame += 1;
        let Ok(place) = locate(record.place.link, &record.data) else { continue };
        if place.ethertype == EtherType::IPV4 {
            let packet = record.data.get(place.network_offset..).unwrap_or_default();
            lens.see(frame, Instant::from_nanos(record.nanos.unwrap_or(0)), packet);
        }
        while let Some(report) = lens.poll_report() {
            tell(&report)?;
        }
    }
    Ok(())
}

fn tell(args: &Args, report: &FlowReport) -> miette::Result<()> {
    if !(args.all || report.is_remarkable()) {
        return Ok(());
    }
    if args.json {
        let text = serde_json::to_string(report).map_err(|error| miette!("{error}"))?;
        return crate::cli::print(&format!("{text}\n"));
    }
    crate::cli::print(&table(report))
}

fn totals(args: &Args, path: &Path, lens: &Lens) -> miette::Result<String> {
    let totals = lens.totals();
    if args.json {
        let object = serde_json::json!({ "capture": path.display().to_string(), "totals": totals });
        return Ok(format!("{object}\n"));
    }
    let mut text = format!(
        "{}: {} flows, {} TCP segments of {} IPv4 packets",
        path.display(),
        totals.flows,
        totals.segments,
        totals.packets
    );
    let left = [
        (totals.not_tcp, "of other protocols"),
        (totals.fragments, "fragments"),
        (totals.malformed, "malformed"),
        (totals.evicted, "flows ended early to make room"),
        (totals.text_given_up, "segments whose text was not held"),
    ];
    for (count, what) in left.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {what}");
    }
    text.push('\n');
    Ok(text)
}

/// A flow for people.
fn table(report: &FlowReport) -> String {
    let end = |(address, port): (std::net::Ipv4Addr, u16)| format!("{address}:{port}");
    let (client, server) = (end(report.client), end(report.server));
    let (first, last) = report.frames;
    let mut text = format!("{client} > {server}, frames {first} to {last}\n");
    for (stream, (from, to)) in report.streams.iter().zip([(&client, &server), (&server, &client)]) {
        let silent = stream.octets == 0 && stream.urgent_segments == 0;
        if !silent {
            let _ = writeln!(text, "  {from} > {to}: {}", stream.verdict);
            text += &readings(stream);
        }
    }
    for war in &report.wars {
        let (first, last) = war.frames;
        let _ = writeln!(
            text,
            "  war ({:?}): {} segments, frames {first} to {last}, {:.0} a second{}",
            war.scenario,
            war.segments,
            war.rate(),
            if war.unfinished { ", still going on" } else { "" }
        );
    }
    text.push('\n');
    text
}

fn readings(stream: &StreamReport) -> String {
    let mut text = String::new();
    let differs = stream.first_difference.unwrap_or(stream.reading_from);
    let at = differs.saturating_sub(stream.reading_from) as usize;
    let several = stream.groups.len() > 1;
    for group in stream.groups.iter().filter(|_| several) {
        let from = at.saturating_sub(AROUND);
        let to = group.reading.len().min(at + AROUND);
        let before = escaped(group.reading.get(from..at.min(to)).unwrap_or_default());
        let behind = escaped(group.reading.get(at..to).unwrap_or_default());
        let names: Vec<String> = group.views.iter().take(NAMED).map(ToString::to_string).collect();
        let more = group.views.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let policy = group.policies.join("; ");
        let policy = if policy.is_empty() { policy } else { format!(" [{policy}]") };
        let _ = writeln!(text, "    {:>7} octets  {before}|{behind}", group.octets);
        let _ = writeln!(text, "                    {}{more}{policy}", names.join(", "));
        for timing in &group.depends_on_timing {
            let _ = writeln!(
                text,
                "                    {}: by when it reads, without {:?}",
                timing.hosts.join(", "),
                timing.places
            );
        }
    }
    for told in &stream.given_up {
        let _ = writeln!(text, "    given up: {told}");
    }
    text
}
