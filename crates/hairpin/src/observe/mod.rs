//! Captures through a lens at full speed: large reads, packets where they lie, batches.
//!
//! Not by mapping the file: a map is faster by little, and a file that somebody cuts meanwhile would kill the
//! program. Octets that matter after all are read again from the file ([`lens::Archive`]), which the page cache
//! still has.

mod scan;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, stdin};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lens::{Archive, Lens, Seen};
use miette::{Report, miette};
use rules::Instant;
use wire::ethernet::EtherType;
use wire::link::{LinkType, locate};

use scan::{Found, Scan};

/// Packets that are handed over at once.
const BATCH: usize = 256;

/// A file as an archive.
struct Again<'a>(&'a File);

impl Archive for Again<'_> {
    fn read(&mut self, position: u64, into: &mut [u8]) -> bool {
        self.0.read_exact_at(into, position).is_ok()
    }
}

/// Reads the capture `path` (`-`: standard input) to its end, through `lens`, which is finished then.
///
/// `after` is called after every few packets, and once at the end, with the octets that were read until then: to
/// fetch reports, to show how far it is. The answer is how many frames there were.
///
/// # Errors
/// The file cannot be read, or is damaged: the lens has seen what came before, and is finished. Or `after` failed.
pub fn observe(
    path: &Path,
    lens: &mut Lens,
    mut after: impl FnMut(&mut Lens, u64) -> miette::Result<()>,
) -> miette::Result<u64> {
    let name = path.display().to_string();
    if path.as_os_str() == "-" {
        return stream(stdin().lock(), &name, lens, after);
    }
    let remedy = "name a capture file, e.g. one that tcpdump -w FILE has written";
    let refuse = |error: std::io::Error| miette!(help = remedy, "{name}: {error}");
    let file = File::open(path).map_err(refuse)?;
    if !file.metadata().map_err(refuse)?.is_file() {
        return stream(file, &name, lens, after);
    }
    let mut archive = Again(&file);
    let mut scan = Scan::new(&file, &name);
    let outcome = all(&mut scan, lens, &mut after, |lens, seen| lens.see_batch(seen, &mut archive));
    lens.finish_batch(&mut archive);
    after(lens, scan.position())?;
    outcome
}

/// As [`observe`], from what cannot be read again: a pipe.
///
/// # Errors
/// As [`observe`].
pub fn stream(
    reader: impl Read,
    name: &str,
    lens: &mut Lens,
    mut after: impl FnMut(&mut Lens, u64) -> miette::Result<()>,
) -> miette::Result<u64> {
    let mut scan = Scan::new(reader, name);
    let one_by_one = |lens: &mut Lens, seen: &[Seen<'_>]| {
        seen.iter().for_each(|seen| lens.see(seen.frame, seen.at, seen.packet));
    };
    let outcome = all(&mut scan, lens, &mut after, one_by_one);
    lens.finish();
    after(lens, scan.position())?;
    outcome
}

fn all<R: Read>(
    scan: &mut Scan<R>,
    lens: &mut Lens,
    after: &mut impl FnMut(&mut Lens, u64) -> miette::Result<()>,
    mut see: impl FnMut(&mut Lens, &[Seen<'_>]),
) -> miette::Result<u64> {
    let (mut batch, mut frames) = (Vec::with_capacity(BATCH), 0);
    loop {
        let outcome = scan.next(&mut batch, BATCH);
        let mut seen: Vec<Seen<'_>> = Vec::with_capacity(batch.len());
        for (frame, found) in (frames + 1..).zip(&batch) {
            seen.extend(packet(scan, found, frame));
        }
        frames += batch.len() as u64;
        see(lens, &seen);
        after(lens, scan.position())?;
        outcome.map_err(Report::new)?;
        if batch.is_empty() {
            return Ok(frames);
        }
    }
}

/// The IPv4 packet in a frame, if there is one.
#[inline]
fn packet<'a, R: Read>(scan: &'a Scan<R>, found: &Found, frame: u64) -> Option<Seen<'a>> {
    let octets = scan.octets().get(found.frame.clone())?;
    let network_offset = match found.link {
        // What most frames are.
        LinkType::Ethernet if octets.get(12..14) == Some(&[0x08, 0x00]) => 14,
        link => {
            let place = locate(link, octets).ok().filter(|place| place.ethertype == EtherType::IPV4)?;
            place.network_offset
        }
    };
    let position = scan.offset() + (found.frame.start + network_offset) as u64;
    Some(Seen {
        frame,
        at: Instant::from_nanos(found.nanos),
        packet: octets.get(network_offset..)?,
        position,
    })
}
