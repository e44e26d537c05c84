//! What is told of a flow.

use core::fmt::Write as _;
use core::net::Ipv4Addr;

use serde::Serialize;
use serde::ser::SerializeStruct as _;

use crate::assembly::{Assembly, Policy};
use crate::flow::Flow;
use crate::fold::{Fold, Kind};
use crate::stream::{Stream, Trouble};
use crate::views::{View, ViewName};
use crate::war::War;

/// Places of removed octets that a report names at most.
const PLACES: usize = 64;
/// Octets of a reading that the verdict shows.
const SHOWN: usize = 40;

/// One flow.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FlowReport {
    /// Who opened it, or was seen first.
    #[serde(serialize_with = "as_end")]
    pub client: (Ipv4Addr, u16),
    /// The other end.
    #[serde(serialize_with = "as_end")]
    pub server: (Ipv4Addr, u16),
    /// First and last frame.
    pub frames: (u64, u64),
    /// Times of the first and the last segment, in nanoseconds of the capture's clock.
    pub nanos: (u64, u64),
    /// A RST was seen.
    pub reset: bool,
    /// What the client sent, and what the server sent.
    pub streams: [StreamReport; 2],
    /// Wars.
    pub wars: Vec<War>,
}

/// One direction.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StreamReport {
    /// Octets that arrived in order.
    pub octets: u64,
    /// Octets of it that its receiver has acknowledged, as far as that was seen. What lies beyond may not have been
    /// read by anybody: lost behind the observer, or refused for want of room.
    pub acknowledged: Option<u64>,
    /// Its beginning was not seen: offsets count from the first octet seen.
    pub mid_stream: bool,
    /// Its FIN was seen, and everything before it.
    pub complete: bool,
    /// Segments.
    pub segments: u64,
    /// Segments with URG.
    pub urgent_segments: u64,
    /// The frames of the first of them.
    pub urgent_frames: Vec<u64>,
    /// Segments that the receiver's window refused.
    pub outside_window: u64,
    /// Copies of an octet that differed, or said something else of urgent data where that may change what is read.
    pub contradictions: u64,
    /// The frames of the first of them.
    pub contradiction_frames: Vec<u64>,
    /// Segments with an old timestamp that would have brought text.
    pub old_timestamps: u64,
    /// Readers that read the same, the reading that most have first. One group: all agree. A reading has several groups
    /// where some have it under one policy alone.
    pub groups: Vec<Group>,
    /// Offset of the first octet that not all read.
    pub first_difference: Option<u64>,
    /// Offset of the first octet of every [`Group::reading`].
    pub reading_from: u64,
    /// What was given up, in words; empty: nothing.
    pub given_up: Vec<String>,
    /// All of it in one line.
    pub verdict: String,
}

/// Readers that read the same.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Group {
    /// Who.
    pub views: Vec<ViewName>,
    /// What their hosts do where segments contradict one another, if that matters here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<&'static str>,
    /// Octets that they read.
    pub octets: u64,
    /// How many octets of the stream they do not find in it...
    pub removed: u64,
    /// ... and the places of the first of them.
    pub removed_at: Vec<u64>,
    /// What a reader of other habits on some of those hosts might not find. Empty: it does not matter when they read.
    pub depends_on_timing: Vec<Timing>,
    /// What they read, as far as it is held, from [`StreamReport::reading_from`] on; nothing where all hosts agree
    /// anyway (no mark, no contradiction).
    #[serde(serialize_with = "as_text")]
    pub reading: Vec<u8>,
}

/// Places of octets that a reader on these hosts who reads at other moments might find or not.
///
/// Any choice among them is possible, but that one who does not find an octet does not find the one at the next place
/// either, if that is here, too.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Timing {
    /// [`ViewName::host`] of each.
    pub hosts: Vec<&'static str>,
    /// Offsets in the stream.
    pub places: Vec<u64>,
}

impl Timing {
    /// Of the hosts among `views`, unless nothing depends on it.
    fn of(views: &[ViewName], places: &[u64]) -> Option<Self> {
        let mut hosts: Vec<_> = views.iter().map(|view| view.host).collect();
        hosts.dedup();
        (!places.is_empty()).then(|| Self { hosts, places: places.to_vec() })
    }
}

fn as_end<S: serde::Serializer>(end: &(Ipv4Addr, u16), serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_struct("End", 2)?;
    object.serialize_field("address", &end.0)?;
    object.serialize_field("port", &end.1)?;
    object.end()
}

fn as_text<S: serde::Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&escaped(octets))
}

/// Printable ASCII as it is; everything else, and the backslash, as `\xHH`.
pub fn escaped(octets: &[u8]) -> String {
    let mut text = String::new();
    for &octet in octets {
        if (b' '..=b'~').contains(&octet) && octet != b'\\' {
            text.push(char::from(octet));
        } else {
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

impl FlowReport {
    pub(crate) fn of(flow: &Flow, views: &[View]) -> Self {
        let client_side = usize::from(flow.client & 1);
        let (client, server) = match client_side {
            0 => (flow.key.0, flow.key.1),
            _ => (flow.key.1, flow.key.0),
        };
        let stream = |side: usize| StreamReport::of(&flow.streams[side & 1], views);
        Self {
            client,
            server,
            frames: flow.frames,
            nanos: (flow.began.as_nanos(), flow.last_seen.as_nanos()),
            reset: flow.reset,
            streams: [stream(client_side), stream(1 - client_side)],
            wars: flow.wars().to_vec(),
        }
    }

    /// Whether anything in it is worth a look: a disagreement, a mark, a war, a contradiction.
    pub fn is_remarkable(&self) -> bool {
        let remarkable = |stream: &StreamReport| {
            stream.urgent_segments > 0 || stream.contradictions > 0 || stream.groups.len() > 1
        };
        !self.wars.is_empty() || self.streams.iter().any(remarkable)
    }
}

impl StreamReport {
    fn of(stream: &Stream, views: &[View]) -> Self {
        let nothing = Trouble::default();
        let trouble = stream.trouble.as_deref().unwrap_or(&nothing);
        let assemblies = &trouble.assemblies;
        // Nothing is held where all agree: the reading, of no octets, begins at the end.
        let text_from = assemblies.iter().map(|assembly| assembly.text_from()).max().unwrap_or(stream.next);
        let (readings, first_difference) = readings(assemblies, text_from, views);
        let different = readings.len();
        let mut groups: Vec<Group> = readings.into_iter().flat_map(Reading::into_groups).collect();
        if groups.is_empty() {
            groups.push(all_agree(stream.next, views));
        }
        let mut report = Self {
            octets: stream.next,
            acknowledged: stream.acknowledged(),
            mid_stream: stream.mid_stream,
            complete: stream.fin().is_some_and(|fin| stream.next >= fin) && trouble.missing == 0,
            segments: stream.segments,
            urgent_segments: trouble.urgent_segments,
            urgent_frames: trouble.urgent_frames.clone(),
            outside_window: trouble.outside_window,
            contradictions: trouble.contradictions,
            contradiction_frames: trouble.contradiction_frames.clone(),
            old_timestamps: trouble.old_timestamps,
            first_difference,
            reading_from: text_from,
            given_up: given_up(trouble),
            groups,
            verdict: String::new(),
        };
        report.verdict = verdict(&report, different);
        report
    }
}

fn all_agree(octets: u64, views: &[View]) -> Group {
    Group {
        views: views.iter().map(View::name).collect(),
        policies: Vec::new(),
        octets,
        removed: 0,
        removed_at: Vec::new(),
        depends_on_timing: Vec::new(),
        reading: Vec::new(),
    }
}

/// What one kind of reader finds under one policy.
struct Found {
    /// Behind the last octet that was delivered.
    end: u64,
    removed: Vec<u64>,
    /// Places from which on it is not known.
    lost_from: Option<u64>,
    lost: u64,
    reading: Vec<u8>,
    maybe: Vec<u64>,
}

impl Found {
    fn of(assembly: &Assembly, kind: Kind, text_from: u64) -> Self {
        let fold = assembly.fold(kind);
        let removed = fold.as_ref().map_or_else(Vec::new, |fold| fold.removed(assembly.next));
        let lost_from = fold.as_ref().and_then(Fold::lost_from);
        let held = assembly.text.without(&removed, lost_from.unwrap_or(u64::MAX));
        let reading = held.filter(|&(at, _)| at >= text_from).map(|(_, octet)| octet).collect();
        Self {
            end: assembly.next,
            lost_from,
            lost: fold.as_ref().map_or(0, Fold::lost),
            reading,
            maybe: fold.as_ref().map_or_else(Vec::new, |fold| fold.maybe().to_vec()),
            removed,
        }
    }

    /// How many octets the reader finds.
    fn octets(&self) -> u64 {
        let in_stream = self.removed.iter().filter(|&&at| at < self.end).count() as u64;
        self.end - (in_stream + self.lost).min(self.end)
    }

    /// Whether a reader of `other` finds the same; all of that is held if `all_held`.
    fn reads_as(&self, other: &Self, all_held: bool) -> bool {
        let same_places = self.removed == other.removed && self.lost == other.lost;
        self.octets() == other.octets() && self.reading == other.reading && (same_places || all_held)
    }

    fn group(&self, views: Vec<ViewName>, policy: Option<&'static str>) -> Group {
        Group {
            octets: self.octets(),
            removed: self.removed.len() as u64 + self.lost,
            removed_at: self.removed.iter().copied().take(PLACES).collect(),
            depends_on_timing: Timing::of(&views, &self.maybe).into_iter().collect(),
            policies: policy.into_iter().collect(),
            views,
            reading: self.reading.clone(),
        }
    }

    /// Offset in the stream of an octet of the reading, by its number; `None` beyond the end.
    fn offset(&self, number: usize, text_from: u64) -> Option<u64> {
        if number >= self.reading.len() {
            return None;
        }
        let mut offset = text_from + number as u64;
        for &removed in self.removed.iter().skip_while(|&&removed| removed < text_from) {
            if removed > offset {
                break;
            }
            offset += 1;
        }
        Some(offset)
    }

    /// Offset of the first octet that one of both readers finds and the other does not, or finds another.
    fn first_difference(&self, other: &Self, text_from: u64) -> Option<u64> {
        let same = self.reading.iter().zip(&other.reading).take_while(|(a, b)| a == b).count();
        let (ours, theirs) = (self.offset(same, text_from), other.offset(same, text_from));
        // A reading that ends where it is not known any longer does not differ there.
        let (ours, theirs) = match (ours, theirs) {
            (None, theirs) if self.lost_from.is_some() => (None, theirs.filter(|_| false)),
            (ours, None) if other.lost_from.is_some() => (ours.filter(|_| false), None),
            both => both,
        };
        let in_text = [ours, theirs].into_iter().flatten().min();
        in_text.or_else(|| {
            let (a, b) = (&self.removed, &other.removed);
            let only = |a: &[u64], b: &[u64]| a.iter().find(|at| b.binary_search(at).is_err()).copied();
            let ends = (self.end != other.end).then(|| self.end.min(other.end));
            let known = [only(a, b), only(b, a), ends].into_iter().flatten().min();
            known.or(self.lost_from).or(other.lost_from)
        })
    }
}

/// A reading, and who has it: a group for each kind of reader, with the policies under which it does.
struct Reading {
    found: Found,
    kinds: Vec<(Kind, Group)>,
}

/// Of each assembly and each kind of fold, what it reads; and the first octet on which not all agree.
fn readings(assemblies: &[Assembly], text_from: u64, views: &[View]) -> (Vec<Reading>, Option<u64>) {
    let parted = assemblies.len() > 1;
    let mut readings: Vec<Reading> = Vec::new();
    for assembly in assemblies {
        for kind in Kind::ALL {
            let names: Vec<ViewName> =
                views.iter().filter(|view| view.kind == kind).map(View::name).collect();
            if names.is_empty() {
                continue;
            }
            let found = Found::of(assembly, kind, text_from);
            let group = found.group(names, parted.then(|| policy_name(assembly.policy)));
            let all_held = text_from == 0 && is_whole(assembly) && found.lost == 0;
            match readings.iter_mut().find(|reading| reading.found.reads_as(&found, all_held)) {
                Some(reading) => reading.add(kind, group),
                None => readings.push(Reading { found, kinds: vec![(kind, group)] }),
            }
        }
    }
    readings.sort_by_key(|reading| core::cmp::Reverse(reading.views()));
    let first = readings.split_first().and_then(|(first, others)| {
        others.iter().filter_map(|other| first.found.first_difference(&other.found, text_from)).min()
    });
    (readings, first)
}

impl Reading {
    fn add(&mut self, kind: Kind, group: Group) {
        match self.kinds.iter_mut().find(|(there, _)| *there == kind) {
            Some((_, there)) => there.join(group),
            None => self.kinds.push((kind, group)),
        }
    }

    fn views(&self) -> usize {
        self.kinds.iter().map(|(_, group)| group.views.len()).sum()
    }

    /// Readers that have it under the same policies are one group.
    fn into_groups(self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (_, group) in self.kinds {
            match groups.iter_mut().find(|there| there.policies == group.policies) {
                Some(there) => there.join(group),
                None => groups.push(group),
            }
        }
        groups
    }
}

impl Group {
    /// More readers of the same, or the same ones under another policy.
    fn join(&mut self, other: Self) {
        add_missing(&mut self.views, other.views);
        add_missing(&mut self.policies, other.policies);
        add_missing(&mut self.depends_on_timing, other.depends_on_timing);
    }
}

fn add_missing<T: PartialEq>(to: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if !to.contains(&other) {
            to.push(other);
        }
    }
}

fn is_whole(assembly: &Assembly) -> bool {
    assembly.text.from() == 0 && assembly.text.to() == assembly.next
}

fn policy_name(policy: Policy) -> &'static str {
    match (policy.last_wins, policy.paws) {
        (false, true) => "first copy wins, PAWS",
        (false, false) => "first copy wins, no PAWS",
        (true, true) => "last copy wins, PAWS",
        (true, false) => "last copy wins, no PAWS",
    }
}

fn given_up(trouble: &Trouble) -> Vec<String> {
    let mut told = Vec::new();
    if trouble.readings_given_up > 0 {
        told.push("all that was held, for want of room: readings are of what came after that".to_owned());
    }
    if trouble.places_given_up > 0 {
        told.push(format!("the places of {} urgent octets, for want of room", trouble.places_given_up));
    }
    if trouble.octets_given_up > 0 {
        told.push(format!("{} octets that waited for others, for want of room", trouble.octets_given_up));
    }
    if trouble.missing > 0 {
        told.push(format!("{} octets that were acknowledged and are not in the capture", trouble.missing));
    }
    if trouble.not_compared > 0 {
        let count = trouble.not_compared;
        told.push(format!("the comparison of {count} segments with what had been sent before"));
    }
    for assembly in &trouble.assemblies {
        if assembly.given_up > 0 {
            told.push(format!("{} octets that came too far ahead", assembly.given_up));
        }
        if assembly.waiting_octets() > 0 {
            told.push(format!("{} octets behind a hole that was never filled", assembly.waiting_octets()));
        }
        if assembly.places_lost() > 0 {
            told.push(format!("the places of {} urgent octets beyond the bound", assembly.places_lost()));
        }
        if (assembly.has_marks() || trouble.assemblies.len() > 1) && !is_whole(assembly) {
            let (from, to, all) = (assembly.text.from(), assembly.text.to(), assembly.next);
            told.push(format!("text but for octets {from} to {to} of {all}"));
        }
    }
    let mut once: Vec<String> = Vec::new();
    told.retain(|line| !once.contains(line) && (once.push(line.clone()), true).1);
    told
}

fn verdict(report: &StreamReport, different: usize) -> String {
    let octets = report.octets;
    match report.groups.as_slice() {
        [] | [_] if report.urgent_segments > 0 => {
            format!("1 reading of {octets} octets, urgent indications included")
        }
        [] | [_] => format!("1 reading of {octets} octets"),
        groups => {
            let differs = report.first_difference.unwrap_or(0);
            let start = differs.saturating_sub(report.reading_from).saturating_sub(SHOWN as u64 / 2) as usize;
            // The first group of each reading.
            let first = |&(n, group): &(usize, &Group)| {
                groups[..n]
                    .iter()
                    .all(|before| before.reading != group.reading || before.removed_at != group.removed_at)
            };
            let shown = groups.iter().enumerate().filter(first).take(4).map(|(_, group)| {
                let end = group.reading.len().min(start + SHOWN);
                let text = escaped(group.reading.get(start..end).unwrap_or_default());
                let who = group.views.first().map_or_else(String::new, ToString::to_string);
                let policy = group.policies.first().map_or_else(String::new, |policy| format!(", {policy}"));
                format!("{who}{policy} reads `{text}`")
            });
            let shown: Vec<String> = shown.collect();
            format!("{different} readings from octet {differs} on; {}", shown.join(", "))
        }
    }
}
