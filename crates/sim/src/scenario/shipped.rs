//! The scenarios by name, each with what it promises: `hairpin sim` plays them, the tests play them all.

use rules::acceptability::Edge;
use tcp::{State, WindowProbe};

use super::{
    Make, Played, Side, Wanted, land, self_connect, simultaneous_close, simultaneous_open, window_probes,
};
use crate::explore::{Found, Plan};
use crate::ladder::Numbers;
use crate::{Behaviour, Hairpin, Host, Log};

/// A scenario with a name.
pub struct Shipped {
    /// How `hairpin sim` calls it.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// What has to come out.
    pub promise: Promise,
    edges: (Edge, Edge),
    play: fn(&Settings, Promise) -> Outcome,
}

/// What a scenario promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// There is a war, counted.
    War,
    /// There is none, and the connection gets where it should.
    Peace,
}

/// What can be chosen with `--set`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For everything random.
    pub seed: u64,
    /// TCP A.
    pub a: Behaviour,
    /// TCP B.
    pub b: Behaviour,
    /// Bounds of scenarios that explore.
    pub plan: Plan,
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// Whether the promise held.
    pub held: bool,
    /// In words.
    pub summary: String,
    /// What to draw, if it was one run.
    pub drawing: Option<(Log, Numbers)>,
}

/// The keys of [`Settings::set`].
pub const KEYS: &[&str] =
    &["a.seq_validation", "b.seq_validation", "a.window_probe", "b.window_probe", "losses", "early_timers"];

const OLD: (Edge, Edge) = (Edge::Rfc793, Edge::Rfc793);
const ONE: (Edge, Edge) = (Edge::Rfc793, Edge::Seqval);
const NEW: (Edge, Edge) = (Edge::Seqval, Edge::Seqval);

/// All of them.
pub const SHIPPED: &[Shipped] = &[
    shipped("open-rfc793", "simultaneous open, the old test on both ends (seqval 3.1)", OLD, open),
    shipped("open-one-end", "simultaneous open, the old test on A only", ONE, open),
    shipped("open-seqval", "simultaneous open, the new test on both ends", NEW, open),
    shipped("close-rfc793", "simultaneous close, the old test on both ends (seqval 3.3)", OLD, close),
    shipped("close-one-end", "simultaneous close, the old test on A only", ONE, close),
    shipped("close-seqval", "simultaneous close, the new test on both ends", NEW, close),
    shipped("probes-rfc793", "crossing window probes, the old test on both ends (seqval 3.4)", OLD, probes),
    shipped("probes-one-end", "crossing window probes, the old test on A only", ONE, probes),
    shipped("probes-seqval", "crossing window probes, the new test on both ends", NEW, probes),
    shipped("self-rfc793", "a host connects to itself with the old test (seqval 3.2)", OLD, itself),
    shipped("self-seqval", "a host connects to itself, sends 100,000 octets round and closes", NEW, itself),
    shipped("land", "SYNs and SYN-ACKs from a listener's own endpoint, sent from outside", NEW, landed),
    shipped("every-open", "simultaneous open, every order of arrivals and losses", NEW, every_open),
    shipped("every-open-one-end", "the same, the old test on A only", ONE, every_open),
    shipped("every-close", "simultaneous close, every order of arrivals and losses", NEW, every_close),
    shipped("every-close-one-end", "the same, the old test on A only", ONE, every_close),
    shipped("every-probe", "crossing window probes, every pair of styles", NEW, every_probe),
    shipped("every-probe-one-end", "the same, the old test on A only", ONE, every_probe),
];

const fn shipped(
    name: &'static str,
    about: &'static str,
    edges: (Edge, Edge),
    play: fn(&Settings, Promise) -> Outcome,
) -> Shipped {
    let promise = if matches!(edges, OLD) { Promise::War } else { Promise::Peace };
    Shipped { name, about, promise, edges, play }
}

/// The scenario of that name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    SHIPPED.iter().find(|scenario| scenario.name == name)
}

impl Shipped {
    /// The settings in which it keeps its promise.
    pub fn settings(&self, seed: u64) -> Settings {
        // The figure's probes are octets at SND.UNA that do not move SND.NXT.
        let of = |edge| Behaviour { edge, probe: WindowProbe::OctetAtUna };
        let plan = Plan { losses: 2, early_timers: 1, steps: 80, runs: 2_000_000 };
        Settings { seed, a: of(self.edges.0), b: of(self.edges.1), plan }
    }

    /// Plays it.
    pub fn play(&self, settings: &Settings) -> Outcome {
        (self.play)(settings, self.promise)
    }
}

impl Settings {
    /// Sets one of [`KEYS`].
    ///
    /// # Errors
    /// What would be right.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "a.seq_validation" => self.a.edge = edge(value)?,
            "b.seq_validation" => self.b.edge = edge(value)?,
            "a.window_probe" => self.a.probe = style(value)?,
            "b.window_probe" => self.b.probe = style(value)?,
            "losses" => self.plan.losses = few(value)?,
            "early_timers" => self.plan.early_timers = few(value)?,
            _ => return Err(format!("no setting `{key}`: there are {}", KEYS.join(", "))),
        }
        Ok(())
    }

    fn make(&self, wanted: Wanted) -> Box<dyn Host> {
        let behaviour = if wanted.side == Side::A { self.a } else { self.b };
        Box::new(Hairpin::new(wanted.address, wanted.seed, behaviour, wanted.receive_buffer))
    }
}

/// The probe styles and their names.
pub const STYLES: [(&str, WindowProbe); 4] = [
    ("next-octet", WindowProbe::NextOctet),
    ("octet-at-una", WindowProbe::OctetAtUna),
    ("old-octet", WindowProbe::OldOctet),
    ("empty", WindowProbe::Empty),
];

fn edge(value: &str) -> Result<Edge, String> {
    match value {
        "rfc793" => Ok(Edge::Rfc793),
        "seqval" => Ok(Edge::Seqval),
        _ => Err(format!("`{value}` is neither rfc793 nor seqval")),
    }
}

fn style(value: &str) -> Result<WindowProbe, String> {
    let found = STYLES.iter().find(|(name, _)| *name == value);
    found
        .map(|&(_, style)| style)
        .ok_or_else(|| format!("`{value}` is none of {}", STYLES.map(|(name, _)| name).join(", ")))
}

fn few(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|&few| few <= 4).ok_or_else(|| format!("`{value}` is no number from 0 to 4"))
}

fn open(settings: &Settings, promise: Promise) -> Outcome {
    let played = simultaneous_open::play(&|wanted| settings.make(wanted), settings.seed);
    one(played, promise, State::Established)
}

fn close(settings: &Settings, promise: Promise) -> Outcome {
    match simultaneous_close::play(&|wanted| settings.make(wanted), settings.seed) {
        Ok(played) => one(played, promise, State::TimeWait),
        Err(why) => failed(why),
    }
}

fn probes(settings: &Settings, promise: Promise) -> Outcome {
    let probed = match window_probes::play(&|wanted| settings.make(wanted), settings.seed, 1) {
        Ok(probed) => probed,
        Err(why) => return failed(why),
    };
    let delivered = probed.intact && probed.read == probed.expected;
    let mut outcome = one(probed.played, promise, State::Established);
    outcome.held &= promise == Promise::War || delivered;
    outcome
}

fn itself(settings: &Settings, promise: Promise) -> Outcome {
    let piped = self_connect::play(&|wanted| settings.make(wanted), settings.seed, 100_000);
    let mut outcome = one(piped.played, promise, State::TimeWait);
    outcome.held &= promise == Promise::War || piped.intact;
    outcome.summary = format!("{}; {} octets went round", outcome.summary, piped.octets);
    outcome
}

fn landed(settings: &Settings, _: Promise) -> Outcome {
    let landed = land::play(&|wanted| settings.make(wanted), settings.seed, 6);
    let held = landed.answers == 0;
    let summary = format!("{} answers to 6 segments", landed.answers);
    Outcome { held, summary, drawing: Some((landed.played.log, landed.played.numbers)) }
}

fn every_open(settings: &Settings, _: Promise) -> Outcome {
    let make: Make<'_> = &|wanted| settings.make(wanted);
    let found = simultaneous_open::every(make, &settings.plan);
    let drawing = found.failure.as_ref().map(|(choices, _)| simultaneous_open::again(make, choices));
    explored(&found, drawing, &settings.plan)
}

fn every_close(settings: &Settings, _: Promise) -> Outcome {
    let make: Make<'_> = &|wanted| settings.make(wanted);
    let found = match simultaneous_close::every(make, &settings.plan) {
        Ok(found) => found,
        Err(why) => return failed(why),
    };
    let failure = found.failure.as_ref();
    let drawing = failure.and_then(|(choices, _)| simultaneous_close::again(make, choices).ok());
    explored(&found, drawing, &settings.plan)
}

fn every_probe(settings: &Settings, _: Promise) -> Outcome {
    let mut lines =
        vec!["16 pairs of styles: in each all octets arrive once, and there is no war".to_owned()];
    for (name_a, a) in STYLES {
        for (name_b, b) in STYLES {
            let mut pair = settings.clone();
            (pair.a.probe, pair.b.probe) = (a, b);
            let outcome = probes(&pair, Promise::Peace);
            if !outcome.held {
                return Outcome { summary: format!("{name_a} and {name_b}: {}", outcome.summary), ..outcome };
            }
            lines.push(format!("  {name_a} and {name_b}: {}", outcome.summary));
        }
    }
    Outcome { held: true, summary: lines.join("\n"), drawing: None }
}

/// Peace is all hosts in `state` and no war.
fn one(played: Played, promise: Promise, state: State) -> Outcome {
    let arrived = played.states.iter().all(|&it| it == state);
    let held = match promise {
        Promise::War => played.count.is_war(),
        Promise::Peace => arrived && !played.count.is_war(),
    };
    Outcome { held, summary: played.summary(), drawing: Some((played.log, played.numbers)) }
}

fn explored(found: &Found, failure: Option<Played>, plan: &Plan) -> Outcome {
    let Plan { losses, early_timers, .. } = plan;
    let bounds = format!("up to {losses} losses, up to {early_timers} timers while segments are in flight");
    let summary = match &found.failure {
        Some((_, why)) => format!("{} of {} runs failed, the first: {why}", found.failures, found.runs),
        None if found.complete => {
            format!("{} runs ({bounds}), all in order; the longest took {} steps", found.runs, found.longest)
        }
        None => format!("{} runs ({bounds}), in order as far as they go: there are more", found.runs),
    };
    let held = found.complete && found.failure.is_none();
    Outcome { held, summary, drawing: failure.map(|played| (played.log, played.numbers)) }
}

fn failed(why: String) -> Outcome {
    Outcome { held: false, summary: why, drawing: None }
}
