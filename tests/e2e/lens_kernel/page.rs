//! docs/what-linux-reads.md: the shapes, and what was read of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::prediction::Prediction;
use super::readers::Reader;
use super::{Run, STARTS, shapes};
use crate::by_hand::cases::{Case, Segment, Step};

const HEAD: &str = "# What Linux reads

<!-- Written by tests/e2e/lens_kernel. After a change: BLESS=1 cargo test -p hairpin --test e2e lens_kernel -->

Each row is an urgent flow that the test `lens_kernel` plays to the kernel of the machine, segment by segment, and what
applications read of its stream (what they get with MSG_OOB is not in it). All of it is what `hairpin inspect` says of a
capture of the same packets: if one octet differed, the test would fail. The last two columns are predictions alone.

- **segments**: the place of the first octet in the stream, the text, `U3`: URG with the pointer 3, `F`: FIN; in the
  order in which they arrive.
- **in line**: with SO_OOBINLINE, whoever reads, whenever, with `tcp_stdurg` 0 or 1.
- **late**: everything has arrived before the first read; **prompt**: all that there is, after every segment.
- **or**: what else was read by readers of other habits. An empty field: it does not depend on when they read.
- **stdurg**: the same with `net.ipv4.tcp_stdurg = 1`.
- **BSD**: a host of that family; **sensor**: one that drops the last octet of each segment with URG.

";

/// A run by what its reader and its start are.
fn find<'a>(
    flows: &'a [(Run, Prediction)],
    shape: &Case,
    in_line: bool,
    reader: Reader,
) -> &'a (Run, Prediction) {
    let is_it = |(run, _): &&(Run, Prediction)| {
        run.shape == shape.name && run.in_line == in_line && run.reader == reader && run.start == STARTS[0]
    };
    flows.iter().find(is_it).unwrap_or_else(|| panic!("{} was not played to {reader:?}", shape.name))
}

/// Compares the page with what was read now; with BLESS set, writes it.
pub(super) fn check(plain: &[(Run, Prediction)], stdurg: &[(Run, Prediction)]) {
    let mut page = HEAD.to_owned();
    page +=
        "| shape | segments | in line | late | prompt | or | stdurg: late | prompt | or | BSD | sensor |\n";
    page += "|---|---|---|---|---|---|---|---|---|---|---|\n";
    for shape in shapes::all() {
        let (in_line, _) = find(plain, shape, true, Reader::Late);
        let mut row = vec![shape.name.to_owned(), segments(shape), code(&in_line.read)];
        for flows in [plain, stdurg] {
            let (late, _) = find(flows, shape, false, Reader::Late);
            let (prompt, _) = find(flows, shape, false, Reader::Prompt);
            let mine = |run: &&Run| run.shape == shape.name && !run.in_line && run.start == STARTS[0];
            let read: BTreeSet<&str> =
                flows.iter().map(|(run, _)| run).filter(mine).map(|run| run.read.as_str()).collect();
            let others = read.into_iter().filter(|read| *read != late.read && *read != prompt.read);
            let others: Vec<String> = others.map(code).collect();
            row.extend([code(&late.read), code(&prompt.read), others.join(" ")]);
        }
        let (_, prediction) = find(plain, shape, false, Reader::Prompt);
        for (host, reader) in [("freebsd-8.0", "lazy"), ("sensor", "out-of-band")] {
            let readings = match prediction.agreed {
                Some(_) => vec![in_line.read.as_str()],
                None => prediction.readings(shape.name, host, reader),
            };
            row.push(readings.into_iter().map(code).collect::<Vec<_>>().join(" or "));
        }
        let _ = writeln!(page, "| {} |", row.join(" | "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/what-linux-reads.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "{} differs; if what was read is right, run with BLESS=1", path.display());
}

fn code(text: &str) -> String {
    match text.len() {
        0 => "nothing".to_owned(),
        1..=20 => format!("`{text}`"),
        more => format!("{more} octets"),
    }
}

fn segments(shape: &Case) -> String {
    let steps = shape.steps();
    let segments = steps.iter().filter_map(|step| match step {
        Step::Segment(segment) => Some(segment),
        Step::Read => None,
    });
    let segments: Vec<&Segment> = segments.collect();
    match segments.as_slice() {
        few if few.len() <= 8 => few.iter().map(|segment| one(segment)).collect::<Vec<_>>().join(", "),
        many => format!("{} of 1,000 octets, all with URG and pointing at the last octet", many.len()),
    }
}

fn one(segment: &Segment) -> String {
    let mut text = format!("{}", segment.at);
    if !segment.text.is_empty() {
        let _ = write!(text, " `{}`", String::from_utf8_lossy(&segment.text));
    }
    if let Some(pointer) = segment.urgent {
        let _ = write!(text, " U{pointer}");
    }
    if segment.fin {
        text += " F";
    }
    text
}
