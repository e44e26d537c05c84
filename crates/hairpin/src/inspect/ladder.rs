//! One flow as a ladder, by the simulator's drawing.

use std::net::Ipv4Addr;
use std::path::Path;

use lens::{FlowReport, escaped};
use miette::miette;
use rules::Instant;
use sim::Log;
use sim::ladder::{Numbers, Style, svg};
use wire::ipv4::Ipv4;
use wire::tcp::{Flags, Tcp};

use super::read;

/// An address and a port.
type End = (Ipv4Addr, u16);

/// Segments of a flow that are looked at: more than the drawing has room for.
const SEGMENTS: usize = 1_000;
/// Octets of text that a note shows.
const SHOWN: usize = 36;

/// The ends of the flow that `frame` belongs to.
///
/// # Errors
/// There is no such frame, or it has no TCP segment.
pub(super) fn ends(path: &Path, frame: u64) -> miette::Result<[End; 2]> {
    let mut ends = None;
    read::packets(path, |number, _, packet| {
        if number == frame {
            ends = segment(packet).map(|(from, to, _)| [from, to]);
        }
        number < frame
    })?;
    let help = "name a frame with a TCP segment, as tcpdump or Wireshark number them: from 1";
    ends.ok_or_else(|| miette!(help = help, "{}: frame {frame} has no TCP segment", path.display()))
}

/// Draws the flow of `report`, a flow of the capture at `path`, into `file`.
///
/// # Errors
/// The capture cannot be read a second time, or the file cannot be written.
pub(super) fn draw(path: &Path, report: &FlowReport, file: &Path) -> miette::Result<()> {
    let (first, last) = report.frames;
    let began = Instant::from_nanos(report.nanos.0);
    let mut packets = Vec::new();
    let outcome = read::packets(path, |frame, at, packet| {
        if let Some((from, to, tcp)) = segment(packet).filter(|_| frame >= first) {
            let of_client = (from, to) == (report.client, report.server);
            if of_client || (to, from) == (report.client, report.server) {
                let since = Instant::ZERO + at.since(began);
                packets.push((since, of_client, packet.to_vec(), note(&tcp)));
            }
        }
        frame < last && packets.len() < SEGMENTS
    });
    // A damaged capture was told already; what it has is drawn.
    drop(outcome);
    let name = |(address, port): End| format!("{address}:{port}");
    let names = [name(report.client), name(report.server)];
    let entries =
        packets.iter().map(|(at, client, octets, note)| (*at, *client, octets.as_slice(), note.as_deref()));
    let mut log = Log::of_exchange([&names[0], &names[1]], entries);
    log.conclude(conclusion(report));
    let title = format!("{} > {}, frames {first} to {last}", names[0], names[1]);
    // Numbers count from the SYN, or from the first that was seen.
    let style = Style { title, numbers: Numbers::From(vec![0, 0]), rows: 0 };
    std::fs::write(file, svg(&log, &style)).map_err(|error| {
        miette!(help = "name a file that can be written", "--ladder {}: {error}", file.display())
    })
}

fn segment(packet: &[u8]) -> Option<(End, End, Tcp<&[u8]>)> {
    let ip = Ipv4::new(packet).ok()?;
    if ip.protocol() != wire::tcp::PROTOCOL || !ip.fragment().is_whole() {
        return None;
    }
    let tcp = Tcp::new(packet.get(ip.header_len()..usize::from(ip.total_len()))?).ok()?;
    Some(((ip.source(), tcp.source_port()), (ip.destination(), tcp.destination_port()), tcp))
}

/// The text of a segment, the octet that the pointer means (RFC 6093) in brackets.
fn note(tcp: &Tcp<&[u8]>) -> Option<String> {
    let text = tcp.payload();
    let shown = |octets: &[u8]| escaped(octets.get(..octets.len().min(SHOWN)).unwrap_or_default());
    if !tcp.flags().contains(Flags::URG) {
        return (!text.is_empty()).then(|| format!("\"{}\"", shown(text)));
    }
    let pointer = usize::from(tcp.urgent());
    match pointer.checked_sub(1) {
        Some(last) if last < text.len() => {
            let from = last.saturating_sub(SHOWN / 2);
            let (before, behind) = (text.get(from..last)?, text.get(pointer..)?);
            Some(format!("\"{}[{}]{}\"", shown(before), escaped(&[text[last]]), shown(behind)))
        }
        Some(_) => Some(format!("\"{}\", mark {} octets further on", shown(text), pointer - text.len())),
        None => Some(format!("\"{}\", pointer 0", shown(text))),
    }
}

/// Who read what, and the wars.
fn conclusion(report: &FlowReport) -> Vec<String> {
    let mut lines = Vec::new();
    for stream in report.streams.iter().filter(|stream| stream.groups.len() > 1) {
        for group in &stream.groups {
            let at = stream.first_difference.unwrap_or(0).saturating_sub(stream.reading_from) as usize;
            let from = at.saturating_sub(SHOWN / 4).min(group.reading.len());
            let text = group.reading.get(from..group.reading.len().min(from + SHOWN / 2)).unwrap_or_default();
            let who = super::text::lead(group);
            let more = group.views.len().saturating_sub(1);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("\"{}\" is read by {who}{more}", escaped(text)));
        }
    }
    for war in &report.wars {
        let (scenario, rate) = (super::text::scenario(war), war.rate());
        lines.push(format!("a war ({scenario}) of {} segments, {rate:.0} a second", war.segments));
    }
    lines
}
