//! The ladder as SVG: lifelines, sloped arrows that cross where packets crossed, an X where one was lost.

use std::fmt::Write;

use super::text::wrap;
use super::{Reader, Row, Style, What, columns, rows, time};
use crate::{Fate, Log, NodeId, PacketId};

const ROW: usize = 30;
const TOP: usize = 76;
const MARGIN: usize = 190;
const LANE: usize = 560;
/// Rows that are drawn at most: a larger picture helps nobody.
const MOST: usize = 200;
/// Characters of a label.
const LABEL: usize = 64;

/// Colours that stand on light and on dark ground, and follow the reader's choice where it is known.
const STYLE: &str = "<style>text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#24292f;\
stroke:#ffffff;stroke-width:4;paint-order:stroke}\
.t{font-weight:bold;font-size:14px}.s{font-size:11px;fill:#57606a}.h{font-weight:bold}.n{font-style:italic}\
.l{stroke:#57606a;stroke-width:2}.p{stroke:#0969da;stroke-width:1.5}.x{stroke:#cf222e;stroke-width:2}\
.b{fill:#ffffff}.a{fill:#0969da}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3;stroke:#0d1117}.s{fill:#9198a1}.l{stroke:#9198a1}.p{stroke:#58a6ff}\
.x{stroke:#f85149}.b{fill:#0d1117}.a{fill:#58a6ff}}</style>";

/// Draws `log`.
pub fn svg(log: &Log, style: &Style) -> String {
    let limit = if style.rows == 0 { MOST } else { style.rows.min(MOST) };
    let (rows, left_out) = rows(log, limit);
    let columns = columns(log);
    let drawing = Drawing { reader: Reader::new(log, &style.numbers), rows: &rows, columns: columns.len() };
    let width = 2 * MARGIN + LANE * columns.len().saturating_sub(1).max(1);
    let height = TOP + ROW * (rows.len() + 2);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{}</title>\n{STYLE}\n\
         <defs><marker id=\"m\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path class=\"a\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"b\" width=\"{width}\" height=\"{height}\"/>",
        escape(&style.title)
    );
    let _ = writeln!(out, "<text class=\"t\" x=\"16\" y=\"24\">{}</text>", escape(&style.title));
    let bottom = TOP + ROW * (rows.len() + 1);
    for (lane, name) in columns.iter().enumerate() {
        let x = drawing.x(lane);
        let _ = writeln!(
            out,
            "<text class=\"h\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            TOP - 18,
            escape(name)
        );
        let _ = writeln!(out, "<line class=\"l\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\"/>", TOP - 8);
    }
    for index in 0..rows.len() {
        drawing.row(&mut out, index);
    }
    if left_out > 0 {
        let _ = writeln!(
            out,
            "<text class=\"n\" x=\"16\" y=\"{}\">... and {left_out} lines more</text>",
            bottom + 20
        );
    }
    out.push_str("</svg>\n");
    out
}

struct Drawing<'a> {
    reader: Reader<'a>,
    rows: &'a [Row],
    columns: usize,
}

impl Drawing<'_> {
    fn x(&self, lane: usize) -> usize {
        MARGIN + LANE * lane.min(self.columns.saturating_sub(1))
    }

    fn y(index: usize) -> usize {
        TOP + ROW * index + ROW / 2
    }

    fn row(&self, out: &mut String, index: usize) {
        let Some(row) = self.rows.get(index) else { return };
        let y = Self::y(index);
        let _ = writeln!(out, "<text class=\"s\" x=\"8\" y=\"{}\">{} ms</text>", y + 4, time(row.at));
        for (node, state) in &row.states {
            let (x, anchor) =
                if node.0 == 0 { (self.x(0) - 10, "end") } else { (self.x(node.0) + 10, "start") };
            let _ = writeln!(
                out,
                "<text class=\"s\" x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{state}</text>",
                y - 6
            );
        }
        match &row.what {
            What::Through(id) => self.arrow(out, *id, index, Some(index)),
            What::Sent(id) => self.arrow(out, *id, index, self.end_of(*id)),
            What::Gone(id) => self.arrow(out, *id, index, None),
            What::Note(node, text) => {
                let x = self.x(node.0) + if node.0 == 0 { 12 } else { 0 };
                let anchor = if node.0 == 0 { "start" } else { "end" };
                let _ = writeln!(
                    out,
                    "<text class=\"n\" x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                    y + 4,
                    escape(text)
                );
            }
            What::Arrived(_) | What::Lost(_) | What::States => {}
        }
    }

    /// The row in which a packet arrives or is lost; beyond the last one if it is still on its way there.
    fn end_of(&self, id: PacketId) -> Option<usize> {
        let end = self
            .rows
            .iter()
            .position(|row| matches!(&row.what, What::Arrived(it) | What::Lost(it) if *it == id));
        Some(end.unwrap_or(self.rows.len()))
    }

    /// From the row in which it left to that in which it arrives; `None`: lost at once.
    fn arrow(&self, out: &mut String, id: PacketId, from: usize, to: Option<usize>) {
        let Some(packet) = self.reader.packet(id) else { return };
        let target = packet.to.unwrap_or(packet.from);
        // A packet to oneself goes to the column beside.
        let lane = if target == packet.from { NodeId(usize::from(packet.from.0 == 0)) } else { target };
        let (x1, y1) = (self.x(packet.from.0) as i64, Self::y(from) as i64);
        let (mut x2, mut y2) = (self.x(lane.0) as i64, Self::y(to.unwrap_or(from)) as i64 + 8);
        let lost = to.is_none() || matches!(packet.fate, Fate::Lost(_));
        if lost {
            (x2, y2) = (x1 + (x2 - x1) * 85 / 100, y1 + (y2 - y1) * 85 / 100);
        }
        let marker = if lost { "" } else { " marker-end=\"url(#m)\"" };
        let _ = writeln!(out, "<line class=\"p\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"{marker}/>");
        if lost {
            let _ = writeln!(out, "<path class=\"x\" d=\"M{} {}l12 12m0 -12l-12 12\"/>", x2 - 6, y2 - 6);
        }
        self.label(out, id, (x1, y1), x2 > x1);
    }

    /// Near the sender, so that the labels of crossing packets do not lie on one another.
    fn label(&self, out: &mut String, id: PacketId, (x1, y1): (i64, i64), rightwards: bool) {
        let Some(packet) = self.reader.packet(id) else { return };
        let label = wrap(&self.reader.describe(packet), LABEL).swap_remove(0);
        let (x, anchor) = if rightwards { (x1 + 14, "start") } else { (x1 - 14, "end") };
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            y1 - 5,
            escape(&label)
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
