//! Reports for people: a table for each flow, what not all read in brackets.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use lens::{FlowReport, Group, StreamReport, Totals, escaped};

/// Places of a stream that are shown on each side of the first difference.
const AROUND: u64 = 24;
/// Readers of a group that are named.
const NAMED: usize = 4;
/// Width of a line of names.
const WIDTH: usize = 100;

/// A flow, of a capture that is named where there are several.
pub(super) fn flow(capture: Option<&str>, report: &FlowReport) -> String {
    let end = |(address, port): (Ipv4Addr, u16)| format!("{address}:{port}");
    let (client, server) = (end(report.client), end(report.server));
    let (first, last) = report.frames;
    let capture = capture.map_or_else(String::new, |name| format!("{name}: "));
    let mut text = format!("{capture}{client} > {server}, frames {first} to {last}\n");
    for (stream, (from, to)) in report.streams.iter().zip([(&client, &server), (&server, &client)]) {
        let silent = stream.octets == 0 && stream.urgent_segments == 0;
        if !silent {
            let _ = writeln!(text, "  {from} > {to}: {}", stream.verdict);
            text += &remarks(stream);
            text += &readings(stream);
        }
    }
    for war in &report.wars {
        let (first, last) = war.frames;
        let _ = writeln!(
            text,
            "  war ({}): {} segments, frames {first} to {last}, {:.0} a second{}",
            scenario(war),
            war.segments,
            war.rate(),
            if war.unfinished { ", still going on" } else { "" }
        );
    }
    text.push('\n');
    text
}

/// The name of a war as JSON has it.
pub(super) fn scenario(war: &lens::War) -> String {
    serde_json::to_value(war.scenario)
        .ok()
        .and_then(|name| Some(name.as_str()?.to_owned()))
        .unwrap_or_default()
}

/// What else there is to say of a stream.
fn remarks(stream: &StreamReport) -> String {
    let mut told = Vec::new();
    if stream.mid_stream {
        told.push("picked up in the middle: places count from the first octet seen".to_owned());
    }
    let frames = |frames: &[u64]| frames.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    if stream.urgent_segments > 0 {
        told.push(format!("{} with URG: frames {}", stream.urgent_segments, frames(&stream.urgent_frames)));
    }
    if stream.contradictions > 0 {
        let (count, frames) = (stream.contradictions, frames(&stream.contradiction_frames));
        told.push(format!("{count} copies that differ: frames {frames}"));
    }
    if stream.old_timestamps > 0 {
        told.push(format!("{} segments with an old timestamp", stream.old_timestamps));
    }
    if stream.outside_window > 0 {
        told.push(format!("{} segments outside the window", stream.outside_window));
    }
    let beyond = stream.acknowledged.map_or(0, |acknowledged| stream.octets.saturating_sub(acknowledged));
    if beyond > 0 {
        told.push(format!("the last {beyond} octets were not acknowledged"));
    }
    told.extend(stream.given_up.iter().map(|what| format!("given up: {what}")));
    told.iter().fold(String::new(), |text, line| text + "    " + line + "\n")
}

/// The groups of readers, each with what it reads around the first difference.
fn readings(stream: &StreamReport) -> String {
    if stream.groups.len() < 2 {
        return String::new();
    }
    let mut text = String::new();
    for (group, reading) in stream.groups.iter().zip(side_by_side(stream)) {
        let policy = group.policies.join("; ");
        let policy = if policy.is_empty() { policy } else { format!("  ({policy})") };
        let _ = writeln!(text, "    {:>7} octets  {reading}{policy}", group.octets);
        for line in names(group) {
            let _ = writeln!(text, "                    {line}");
        }
        for timing in &group.depends_on_timing {
            let places: Vec<String> = timing.places.iter().take(8).map(u64::to_string).collect();
            let _ = writeln!(
                text,
                "                    at other moments a reader on {} may miss octet {} as well",
                timing.hosts.join(", "),
                places.join(", ")
            );
        }
    }
    text
}

/// Around the first difference, one line a group, octet under octet; in brackets what not all have.
fn side_by_side(stream: &StreamReport) -> Vec<String> {
    let differs = stream.first_difference.unwrap_or(stream.reading_from);
    let from = differs.saturating_sub(AROUND).max(stream.reading_from);
    let shown: Vec<Vec<Option<u8>>> = stream
        .groups
        .iter()
        .map(|group| places(group, stream.reading_from, from, differs + AROUND))
        .collect();
    let length = shown.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = vec![String::new(); shown.len()];
    for at in 0..length {
        let cells: Vec<Option<String>> = shown
            .iter()
            .map(|octets| octets.get(at).copied().flatten().map(|octet| escaped(&[octet])))
            .collect();
        let width = cells.iter().flatten().map(String::len).max().unwrap_or(1);
        let all_the_same = cells.windows(2).all(|pair| pair[0] == pair[1]);
        for (line, cell) in lines.iter_mut().zip(&cells) {
            let cell = cell.as_deref().unwrap_or("");
            let _ = if all_the_same { write!(line, "{cell}") } else { write!(line, "[{cell:width$}]") };
        }
    }
    lines
}

/// What a group reads at the places `from..to` of the stream; `None` where it reads nothing.
fn places(group: &Group, reading_from: u64, from: u64, to: u64) -> Vec<Option<u8>> {
    let mut octets = group.reading.iter();
    let mut removed = group.removed_at.iter().copied().skip_while(|&at| at < reading_from).peekable();
    let mut shown = Vec::new();
    for at in reading_from..to {
        let octet = match removed.next_if_eq(&at) {
            Some(_) => None,
            None => match octets.next() {
                Some(&octet) => Some(octet),
                None => break,
            },
        };
        if at >= from {
            shown.push(octet);
        }
    }
    shown
}

/// The reader that a group is known by: one on Linux, if there is one.
pub(super) fn lead(group: &Group) -> String {
    let linux = group.views.iter().find(|view| view.host.starts_with("linux"));
    linux.or(group.views.first()).map_or_else(String::new, ToString::to_string)
}

fn names(group: &Group) -> Vec<String> {
    let mut lines = vec![String::new()];
    let more = group.views.len().saturating_sub(NAMED);
    let named = group.views.iter().take(NAMED).map(ToString::to_string);
    let parts = named.chain((more > 0).then(|| format!("and {more} more")));
    for part in parts {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            *line = part;
        } else if line.len() + part.len() < WIDTH {
            let _ = write!(line, ", {part}");
        } else {
            lines.push(part);
        }
    }
    lines
}

/// The end of a capture.
pub(super) fn totals(capture: &str, totals: &Totals, complete: bool) -> String {
    // By name, all of them: what is counted and not told would be lost.
    let Totals {
        packets,
        segments,
        malformed,
        fragments,
        fragments_given_up,
        fragments_refused,
        not_tcp,
        cut,
        flows,
        evicted,
        text_given_up,
        missing_octets,
        octets_given_up,
        not_compared,
        places_given_up,
    } = *totals;
    let mut text = format!("{capture}: {flows} flows, {segments} TCP segments of {packets} IPv4 packets");
    let left = [
        (not_tcp, "of other protocols"),
        (fragments, "fragments"),
        (fragments_given_up, "datagrams whose fragments never came"),
        (fragments_refused, "datagrams whose fragments overlapped"),
        (malformed, "malformed"),
        (cut, "segments that the capture has a part of"),
        (evicted, "flows ended early to make room"),
        (text_given_up, "times that a flow gave up all it held to make room"),
        (missing_octets, "octets acknowledged that the capture does not have"),
        (octets_given_up, "octets given up ahead of a hole"),
        (not_compared, "segments not compared with what had been sent before"),
        (places_given_up, "places of urgent octets not kept"),
    ];
    for (count, what) in left.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {what}");
    }
    text.push_str(if complete { "\n" } else { "; there was more, see the error\n" });
    text
}
