//! Ground truth for the observer: what applications on the live Linux kernel read of urgent flows, and what
//! `hairpin inspect` says that they read, from a capture of the same packets.
//!
//! Every shape is played to the kernel with each kind of reader, SO_OOBINLINE off and on, `tcp_stdurg` 0 and 1, and
//! with the sequence numbers passing 2^32. A reader whose moments are known must have read exactly what its view
//! says; one that reads when it likes must have read one of the readings that the late view's `depends_on_timing`
//! allows, and each of those must have been read by somebody.
//!
//! | file | what is in it |
//! |---|---|
//! | `shapes` | the segments |
//! | `readers` | who reads when |
//! | `lost` | the same where what the observer saw did not all arrive |
//! | `prediction` | what the program says of the capture |
//! | `page` | docs/what-linux-reads.md, written from what was read here |

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

mod lost;
mod page;
mod prediction;
mod readers;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hairpin::net::sysctl;
use wire::SeqNumber;

use crate::by_hand::cases::Case;
use crate::by_hand::kernel::Machine;
use prediction::{Prediction, brief, predict};
use readers::{Application, Reader};

/// Early in the space of sequence numbers, and so that they pass its end within a flow.
const STARTS: [SeqNumber; 2] = [SeqNumber(1_000), SeqNumber(u32::MAX - 3)];

/// An application's run on a flow.
struct Run {
    shape: &'static str,
    reader: Reader,
    in_line: bool,
    start: SeqNumber,
    /// The client's, by which the flow is found in the capture.
    port: u16,
    /// What was read, MSG_OOB left out.
    read: String,
}

impl Run {
    fn describe(&self) -> String {
        format!("{}, {:?}, in line {}, from {}", self.shape, self.reader, self.in_line, self.start)
    }
}

/// Every shape and every reader to the kernel of this machine.
fn play_all(stdurg: bool) -> (Vec<Run>, Vec<Vec<u8>>) {
    let mut played = None;
    crate::in_new_namespace(|| {
        sysctl::set("net/ipv4/tcp_stdurg", if stdurg { "1" } else { "0" }).expect("the setting is there");
        let mut machine = Machine::new();
        let mut runs = Vec::new();
        for shape in shapes::all() {
            for (in_line, reader) in readers::of(shape) {
                for start in STARTS {
                    runs.push(run(&mut machine, shape, reader, in_line, start));
                }
            }
        }
        played = Some((runs, machine.capture()));
    });
    played.unwrap_or_default()
}

fn run(machine: &mut Machine, shape: &'static Case, reader: Reader, in_line: bool, start: SeqNumber) -> Run {
    let mut application = Application::new(reader, machine.connect(start, in_line));
    application.play(shape);
    Run { shape: shape.name, reader, in_line, start, port: application.port(), read: application.finish() }
}

/// What is wrong with a prediction, run by run and then shape by shape.
fn differences(runs: &[Run], predictions: &BTreeMap<u16, Prediction>, stdurg: bool) -> Vec<String> {
    let host = if stdurg { "linux-2.6.15-stdurg" } else { "linux-2.6.15" };
    let mut wrong = Vec::new();
    let mut read_by_somebody: BTreeMap<(&str, u32), BTreeSet<&str>> = BTreeMap::new();
    let mut possible: BTreeMap<(&str, u32), BTreeSet<String>> = BTreeMap::new();
    for run in runs {
        let flow = predictions.get(&run.port).unwrap_or_else(|| panic!("{}: no such flow", run.describe()));
        let key = (run.shape, run.start.0);
        if let Some(octets) = flow.agreed {
            if run.read.len() != octets {
                wrong.push(format!("{}: read {}, said {octets} octets", run.describe(), brief(&run.read)));
            }
            continue;
        }
        if run.in_line {
            flow.check(host, "in-line", run, &mut wrong);
            continue;
        }
        if let Some(view) = run.reader.view() {
            flow.check(host, view, run, &mut wrong);
        }
        let allowed = flow.possible(run.shape, host);
        if !allowed.contains(&run.read) {
            let allowed: Vec<String> = allowed.iter().map(|reading| brief(reading)).collect();
            wrong.push(format!("{}: read {}, possible {allowed:?}", run.describe(), brief(&run.read)));
        }
        if !shapes::is_bulk(run.shape) && !shapes::contradicts(run.shape) {
            read_by_somebody.entry(key).or_default().insert(&run.read);
            possible.entry(key).or_default().extend(allowed);
        }
    }
    for (key, allowed) in &possible {
        let read = &read_by_somebody[key];
        let by_nobody: Vec<_> = allowed.iter().filter(|reading| !read.contains(reading.as_str())).collect();
        if !by_nobody.is_empty() {
            wrong.push(format!("{key:?}: nobody has read {by_nobody:?}, but {read:?}"));
        }
    }
    wrong
}

fn compare(stdurg: bool) -> Option<Vec<(Run, Prediction)>> {
    let (runs, packets) = play_all(stdurg);
    if runs.is_empty() {
        // No namespace: `in_new_namespace` has said so.
        return None;
    }
    let predictions = predict(&packets);
    let wrong = differences(&runs, &predictions, stdurg);
    let mut told = String::new();
    for line in wrong.iter().take(60) {
        let _ = writeln!(told, "{line}");
    }
    assert!(wrong.is_empty(), "tcp_stdurg {stdurg}: {} of {} differ\n{told}", wrong.len(), runs.len());
    let mut flows = Vec::new();
    for run in runs {
        let prediction = predictions[&run.port].clone();
        flows.push((run, prediction));
    }
    Some(flows)
}

// covers: L1, L2
#[test]
fn the_views_of_linux_are_what_its_applications_read() {
    let (Some(plain), Some(stdurg)) = (compare(false), compare(true)) else { return };
    page::check(&plain, &stdurg);
}

#[test]
fn there_are_at_least_sixty_shapes_and_no_two_of_one_name() {
    let names: Vec<_> = shapes::all().map(|shape| shape.name).collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert!(names.len() >= 60 && different.len() == names.len(), "{} of {}", different.len(), names.len());
}
