//! One capture through the lens.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use indicatif::ProgressBar;
use lens::Lens;
use miette::{Report, miette};
use rules::Instant;
use wire::ethernet::EtherType;
use wire::link::locate;

use super::is_stdin;
use super::sink::Sink;
use crate::translate::capture::{Capture, Item};

/// Reads one capture to its end; `bar` counts its octets.
///
/// # Errors
/// The file cannot be read or is damaged, or the sink cannot be written to. What came before was told.
pub(super) fn look(path: &Path, lens: &mut Lens, sink: &mut Sink, bar: &ProgressBar) -> miette::Result<()> {
    packets(path, bar, |frame, at, packet| {
        lens.see(frame, at, packet);
        while let Some(report) = lens.poll_report() {
            sink.flow(&report)?;
        }
        Ok(true)
    })
}

/// The IPv4 packets of a capture, with the numbers of their frames and their times, until `each` has enough.
pub(super) fn packets(
    path: &Path,
    bar: &ProgressBar,
    mut each: impl FnMut(u64, Instant, &[u8]) -> miette::Result<bool>,
) -> miette::Result<()> {
    let name = path.display().to_string();
    let reader = bar.wrap_read(open(path, &name)?);
    let mut capture = Capture::open(BufReader::with_capacity(1 << 20, reader), &name).map_err(Report::new)?;
    let mut frame = 0;
    while let Some(item) = capture.next().map_err(Report::new)? {
        let Item::Packet(record) = item else { continue };
        frame += 1;
        let Ok(place) = locate(record.place.link, &record.data) else { continue };
        if place.ethertype == EtherType::IPV4 {
            let packet = record.data.get(place.network_offset..).unwrap_or_default();
            if !each(frame, Instant::from_nanos(record.nanos.unwrap_or(0)), packet)? {
                break;
            }
        }
    }
    Ok(())
}

fn open(path: &Path, name: &str) -> miette::Result<Box<dyn Read>> {
    if is_stdin(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    if path.is_dir() {
        return Err(miette!(help = format!("name the files in it: {name}/*.pcap"), "{name} is a directory"));
    }
    let remedy = "name a capture file, e.g. one that tcpdump -w FILE has written";
    Ok(Box::new(File::open(path).map_err(|error| miette!(help = remedy, "{name}: {error}"))?))
}
