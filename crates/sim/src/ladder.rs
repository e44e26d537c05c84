//! A log drawn as the RFCs draw theirs: one column a host, time downwards.
//!
//! [`text`] is made of the lines of RFC 9293's figures: `-->` leaves or arrives, `...` is in the network,
//! `X` is lost; a packet has one line if nothing happened while it was on its way, and two if something did.
//! [`svg`] draws the slopes, so that crossing packets cross.

use rules::Instant;
use wire::SeqNumber;

use crate::{Cause, Log, Moment, NodeId, Packet, PacketId};

mod segment;
mod svg;
mod text;

pub use svg::svg;
pub use text::text;

/// How a ladder is drawn.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// What stands above it.
    pub title: String,
    /// Where each node's numbers begin.
    pub numbers: Numbers,
    /// Rows at most; what is beyond is counted in a last line. 0: 400.
    pub rows: usize,
}

/// Sequence numbers of the wire, and what a reader sees in their place, node by node.
#[derive(Clone, Debug, Default)]
pub enum Numbers {
    /// The first number that node 0 sends is shown as 100, that of node 1 as 300, as in the figures.
    #[default]
    Figures,
    /// The first number that a node sends is shown as this.
    From(Vec<u32>),
    /// As they are.
    Absolute,
}

const ROWS: usize = 400;

/// A line of a ladder.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) at: Instant,
    pub(crate) what: What,
    /// The states that nodes have from here on, where they changed.
    pub(crate) states: Vec<(NodeId, &'static str)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Sent, and arrived before anything else happened.
    Through(PacketId),
    Sent(PacketId),
    Arrived(PacketId),
    /// Sent, and lost at once.
    Gone(PacketId),
    /// Lost later.
    Lost(PacketId),
    /// Only states.
    States,
    Note(NodeId, String),
}

/// The rows of a log, and how many were left out at the end.
pub(crate) fn rows(log: &Log, limit: usize) -> (Vec<Row>, usize) {
    let mut rows: Vec<Row> = Vec::new();
    let mut pending: Vec<(NodeId, &'static str)> = Vec::new();
    for entry in log.entries() {
        let what = match &entry.moment {
            Moment::State(node, state, cause) => {
                let beside = column_of_state(log, *node, *cause);
                place_state(&mut rows, &mut pending, entry.at, (beside, *state), *cause);
                continue;
            }
            Moment::Sent(id) => What::Sent(*id),
            Moment::Arrived(id) if follows(&rows, &pending, *id) => {
                merge(&mut rows, What::Through(*id));
                continue;
            }
            Moment::Lost(id) if follows(&rows, &pending, *id) => {
                merge(&mut rows, What::Gone(*id));
                continue;
            }
            Moment::Arrived(id) => What::Arrived(*id),
            Moment::Lost(id) => What::Lost(*id),
            Moment::Note(node, text) => What::Note(*node, text.clone()),
        };
        let states = std::mem::take(&mut pending);
        rows.push(Row { at: entry.at, what, states });
    }
    if !pending.is_empty() {
        let at = log.entries().last().map_or(Instant::ZERO, |entry| entry.at);
        rows.push(Row { at, what: What::States, states: pending });
    }
    let limit = if limit == 0 { ROWS } else { limit };
    let left_out = rows.len().saturating_sub(limit);
    rows.truncate(limit);
    (rows, left_out)
}

/// A host that talks to itself has a second column, for what arrives.
fn column_of_state(log: &Log, node: NodeId, cause: Cause) -> NodeId {
    let alone = log.names().len() == 1;
    if alone && matches!(cause, Cause::Packet(_)) { NodeId(1) } else { node }
}

/// A state that an arrival brought stands beside the arrival; one that the application or a timer brought
/// stands beside what is sent next.
fn place_state(
    rows: &mut Vec<Row>,
    pending: &mut Vec<(NodeId, &'static str)>,
    at: Instant,
    state: (NodeId, &'static str),
    cause: Cause,
) {
    match (cause, rows.last_mut()) {
        (Cause::Packet(_), Some(row)) => row.states.push(state),
        _ => {
            // What waited for a packet that was never sent gets a line of its own.
            if pending.iter().any(|&(node, _)| node == state.0) {
                rows.push(Row { at, what: What::States, states: std::mem::take(pending) });
            }
            pending.push(state);
        }
    }
}

fn follows(rows: &[Row], pending: &[(NodeId, &'static str)], id: PacketId) -> bool {
    pending.is_empty() && rows.last().is_some_and(|row| row.what == What::Sent(id))
}

fn merge(rows: &mut [Row], what: What) {
    if let Some(row) = rows.last_mut() {
        row.what = what;
    }
}

/// Shows numbers relative to where their sender's begin.
pub(crate) struct Reader<'a> {
    log: &'a Log,
    bases: Vec<Option<(SeqNumber, u32)>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(log: &'a Log, numbers: &Numbers) -> Self {
        let shown = |node: usize| match numbers {
            Numbers::Figures => Some(100 + 200 * node as u32),
            Numbers::From(from) => from.get(node).copied(),
            Numbers::Absolute => None,
        };
        let base = |node: usize| {
            let mut sent = log.begun().filter(|(_, packet)| packet.from == NodeId(node));
            Some((sent.find_map(|(_, packet)| packet.segment())?.seq(), shown(node)?))
        };
        Self { log, bases: (0..log.names().len()).map(base).collect() }
    }

    /// The number of `node` as a reader sees it.
    fn number(&self, node: Option<NodeId>, seq: SeqNumber) -> u32 {
        match node.and_then(|node| self.bases.get(node.0).copied().flatten()) {
            Some((base, shown)) => shown.wrapping_add(seq.distance_from(base)),
            None => seq.0,
        }
    }

    pub(crate) fn packet(&self, id: PacketId) -> Option<&'a Packet> {
        self.log.packet(id)
    }
}

/// A moment, in milliseconds.
pub(crate) fn time(at: Instant) -> String {
    let micros = at.as_nanos() / 1_000;
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

/// Columns: a packet to its own sender goes to a second column of that name.
pub(crate) fn columns(log: &Log) -> Vec<String> {
    match log.names() {
        [one] => vec![one.clone(), format!("{one} (the same)")],
        names => names.to_vec(),
    }
}
