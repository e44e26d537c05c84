//! Segments that the observer saw and the kernel did not: of each shape, each segment once more, lost before it, with
//! another mark. What came behind the lost one waits until the copy fills the hole.

use super::{Application, Prediction, Reader, STARTS, predict, shapes};
use crate::by_hand::cases::{Segment, Step};
use crate::by_hand::kernel::Machine;
use hairpin::net::sysctl;

/// A run, to be found in the capture by its port.
struct Lost {
    shape: &'static str,
    /// Which segment was lost the first time.
    lost: usize,
    reader: Reader,
    port: u16,
    read: String,
}

fn end(segment: &Segment) -> u32 {
    segment.at + segment.text.len() as u32
}

/// The same octets, and a mark where there was none, or none.
fn with_another_mark(segment: &Segment) -> Segment {
    let urgent = match segment.urgent {
        Some(_) => None,
        None => Some(segment.text.len() as u16),
    };
    Segment { urgent, ..segment.clone() }
}

/// Whether a segment of the shape can be lost so that what arrived is the later copies: it has no copies of its own,
/// and no FIN (text behind it is answered with a RST).
fn is_simple(segments: &[Segment]) -> bool {
    let overlap = |a: &Segment, b: &Segment| a.at < end(b) && b.at < end(a);
    let copies = segments.iter().enumerate().any(|(n, a)| segments[n + 1..].iter().any(|b| overlap(a, b)));
    !copies && !segments.iter().any(|segment| segment.fin)
}

fn play_all(stdurg: bool) -> (Vec<Lost>, Vec<Vec<u8>>) {
    let mut played = None;
    crate::in_new_namespace(|| {
        sysctl::set("net/ipv4/tcp_stdurg", if stdurg { "1" } else { "0" }).expect("the setting is there");
        let mut machine = Machine::new();
        let mut runs = Vec::new();
        for shape in shapes::all().filter(|shape| !shapes::is_bulk(shape.name)) {
            let steps = shape.steps().into_iter();
            let segments: Vec<Segment> = steps
                .filter_map(|step| match step {
                    Step::Segment(segment) => Some(segment),
                    Step::Read => None,
                })
                .collect();
            if !is_simple(&segments) {
                continue;
            }
            for lost in (0..segments.len()).filter(|&n| !segments[n].text.is_empty()) {
                for reader in [Reader::Late, Reader::Prompt] {
                    let mut application = Application::new(reader, machine.connect(STARTS[1], false));
                    segments[..lost].iter().for_each(|segment| application.arrive(segment));
                    application.lose(&with_another_mark(&segments[lost]));
                    segments[lost + 1..].iter().for_each(|segment| application.arrive(segment));
                    application.arrive(&segments[lost]);
                    let port = application.port();
                    runs.push(Lost { shape: shape.name, lost, reader, port, read: application.finish() });
                }
            }
        }
        played = Some((runs, machine.capture()));
    });
    played.unwrap_or_default()
}

/// What is wrong with what was said of a run.
fn difference(run: &Lost, flow: &Prediction, host: &str) -> Option<String> {
    let view = run.reader.view().unwrap_or_default();
    let said = flow.readings_of_later(host, view);
    let right = match flow.agreed {
        Some(octets) => run.read.len() == octets,
        None => said == [run.read.as_str()],
    };
    let Lost { shape, lost, reader, read, .. } = run;
    (!right).then(|| format!("{shape}, segment {lost} lost, {reader:?}: read {read}, said {said:?}"))
}

// covers: L1, L6
#[test]
fn what_linux_reads_that_saw_only_the_later_copies_is_among_what_is_said() {
    for (stdurg, host) in [(false, "linux-2.6.15"), (true, "linux-2.6.15-stdurg")] {
        let (runs, packets) = play_all(stdurg);
        if runs.is_empty() {
            // No namespace: `in_new_namespace` has said so.
            return;
        }
        let flows = predict(&packets);
        let wrong: Vec<String> =
            runs.iter().filter_map(|run| difference(run, &flows[&run.port], host)).collect();
        assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), runs.len(), wrong.join("\n"));
        let parted = runs.iter().filter(|run| flows[&run.port].is_parted()).count();
        assert!(parted * 2 > runs.len(), "only {parted} of {} are parted", runs.len());
    }
}
