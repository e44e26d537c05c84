//! The ladder as text, at most 110 characters wide.

use std::fmt::Write;

use super::{Reader, Row, Style, What, columns, rows, time};
use crate::{Log, NodeId, Packet, PacketId};

const TIME: usize = 10;
const STATE: usize = 12;
const SEGMENT: usize = 62;

/// Draws `log`.
pub fn text(log: &Log, style: &Style) -> String {
    let (rows, left_out) = rows(log, style.rows);
    let reader = Reader::new(log, &style.numbers);
    let columns = columns(log);
    let mut out = String::new();
    if !style.title.is_empty() {
        let _ = writeln!(out, "{}\n", style.title);
    }
    if let [a, b] = columns.as_slice() {
        let gap = STATE + 3 + SEGMENT + 3 + 4 - a.chars().count();
        let _ = writeln!(out, "{:>TIME$}  {a}{:gap$}{b}", "ms", "");
        for row in &rows {
            two_columns(&mut out, &reader, row);
        }
    } else {
        for row in &rows {
            many_columns(&mut out, &reader, row, &columns);
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "{:>TIME$}  ... and {left_out} lines more", "");
    }
    out
}

/// Arrow beside the left column, segment, arrow beside the right one.
fn two_columns(out: &mut String, reader: &Reader<'_>, row: &Row) {
    let state = |node: usize| {
        let of_node = row.states.iter().rev().find(|(id, _)| id.0 == node);
        of_node.map_or("", |&(_, state)| state)
    };
    let (left, right, parts) = match &row.what {
        What::States => ("", "", Vec::new()),
        What::Note(_, text) => ("", "", vec![format!("({text})")]),
        What::Through(id) => arrows(reader, *id, "-->", "-->"),
        What::Sent(id) => arrows(reader, *id, "-->", "..."),
        What::Arrived(id) => arrows(reader, *id, "...", "-->"),
        What::Gone(id) => arrows(reader, *id, "-->", " X "),
        What::Lost(id) => arrows(reader, *id, "...", " X "),
    };
    let mut lines = wrap(&parts, SEGMENT).into_iter();
    let first = lines.next().unwrap_or_default();
    let line = format!(
        "{:>TIME$}  {:<STATE$} {left:<3} {first:<SEGMENT$} {right:<3} {}",
        time(row.at),
        state(0),
        state(1)
    );
    let _ = writeln!(out, "{}", line.trim_end());
    for more in lines {
        let _ = writeln!(out, "{:indent$}{more}", "", indent = TIME + 2 + STATE + 5);
    }
}

/// `near` is the arrow at the sender's side, `far` that at the other.
fn arrows<'a>(
    reader: &Reader<'_>,
    id: PacketId,
    near: &'a str,
    far: &'a str,
) -> (&'a str, &'a str, Vec<String>) {
    let Some(packet) = reader.packet(id) else { return ("", "", Vec::new()) };
    let parts = reader.describe(packet);
    if packet.from == NodeId(0) { (near, far, parts) } else { (back(far), back(near), parts) }
}

fn back(arrow: &str) -> &str {
    if arrow == "-->" { "<--" } else { arrow }
}

/// More than two nodes: names in place of columns.
fn many_columns(out: &mut String, reader: &Reader<'_>, row: &Row, names: &[String]) {
    let name = |id: NodeId| names.get(id.0).map_or("?", String::as_str);
    let way = |packet: &Packet| format!("{} -> {}", name(packet.from), packet.to.map_or("nobody", name));
    let (verb, who, parts) = match &row.what {
        What::States => ("", String::new(), Vec::new()),
        What::Note(id, text) => ("", name(*id).to_owned(), vec![format!("({text})")]),
        What::Through(id) => described(reader, *id, "", way),
        What::Sent(id) => described(reader, *id, "sent", way),
        What::Arrived(id) => described(reader, *id, "arrived", way),
        What::Gone(id) | What::Lost(id) => described(reader, *id, "X lost", way),
    };
    let states: Vec<_> = row.states.iter().map(|(id, state)| format!("{} {state}", name(*id))).collect();
    let line =
        format!("{:>TIME$}  {who:<16} {:<56} {verb:<8} {}", time(row.at), parts.concat(), states.join(", "));
    let _ = writeln!(out, "{}", line.trim_end());
}

fn described<'a>(
    reader: &Reader<'_>,
    id: PacketId,
    verb: &'a str,
    way: impl Fn(&Packet) -> String,
) -> (&'a str, String, Vec<String>) {
    let Some(packet) = reader.packet(id) else { return ("", String::new(), Vec::new()) };
    (verb, way(packet), reader.describe(packet))
}

/// Lines of at most `width` characters; a part is not torn.
pub(super) fn wrap(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() <= width => line.push_str(part),
            _ => lines.push(part.chars().take(width).collect()),
        }
    }
    lines
}
