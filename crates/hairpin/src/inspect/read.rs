//! One capture through the lens.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use indicatif::ProgressBar;
use lens::Lens;
use miette::{Report, miette};
use rules::Instant;
use wire::ethernet::EtherType;
use wire::link::locate;

use super::sink::Sink;
use crate::observe::observe;
use crate::translate::capture::{Capture, Item};

/// Reads one capture to its end; `bar` counts its octets.
///
/// # Errors
/// The file cannot be read or is damaged, or the sink cannot be written to. What came before was told.
pub(super) fn look(path: &Path, lens: &mut Lens, sink: &mut Sink, bar: &ProgressBar) -> miette::Result<()> {
    refuse_directory(path)?;
    let mut shown = 0;
    let outcome = observe(path, lens, |lens, position| {
        bar.inc(position.saturating_sub(shown));
        shown = position;
        while let Some(report) = lens.poll_report() {
            sink.flow(&report)?;
        }
        Ok(())
    });
    outcome.map(drop)
}

/// The IPv4 packets of a capture file, with the numbers of their frames and their times, until `each` has enough.
///
/// # Errors
/// The file cannot be read or is damaged.
pub(super) fn packets(path: &Path, mut each: impl FnMut(u64, Instant, &[u8]) -> bool) -> miette::Result<()> {
    refuse_directory(path)?;
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| miette!(help = REMEDY, "{name}: {error}"))?;
    let mut capture = Capture::open(BufReader::with_capacity(1 << 20, file), &name).map_err(Report::new)?;
    let mut frame = 0;
    while let Some(item) = capture.next().map_err(Report::new)? {
        let Item::Packet(record) = item else { continue };
        frame += 1;
        let Ok(place) = locate(record.place.link, &record.data) else { continue };
        if place.ethertype == EtherType::IPV4 {
            let packet = record.data.get(place.network_offset..).unwrap_or_default();
            if !each(frame, Instant::from_nanos(record.nanos.unwrap_or(0)), packet) {
                break;
            }
        }
    }
    Ok(())
}

const REMEDY: &str = "name a capture file, e.g. one that tcpdump -w FILE has written";

fn refuse_directory(path: &Path) -> miette::Result<()> {
    if path.is_dir() {
        let name = path.display();
        return Err(miette!(help = format!("name the files in it: {name}/*.pcap"), "{name} is a directory"));
    }
    Ok(())
}
