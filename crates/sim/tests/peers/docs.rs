//! docs/simulator.md and docs/wars: what is generated in them is what comes out today.
//!
//! `HAIRPIN_BLESS=1 cargo test -p hairpin-sim --test peers` writes them anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use hairpin_sim::explore::Found;
use hairpin_sim::ladder::{self, Style};
use hairpin_sim::scenario::Played;
use hairpin_sim::scenario::shipped::{Promise, SHIPPED, STYLES, find};

use crate::{Kind, Maker, PAIRS, states};

const DRAWN: [&str; 11] = [
    "open-rfc793",
    "open-one-end",
    "open-seqval",
    "close-rfc793",
    "close-one-end",
    "close-seqval",
    "probes-rfc793",
    "probes-one-end",
    "probes-seqval",
    "self-rfc793",
    "self-seqval",
];

#[test]
fn the_documentation_of_the_simulator_is_current() {
    let mut page = std::fs::read_to_string(docs("simulator.md")).expect("the page is there");
    let blocks =
        [("scenarios", scenarios()), ("styles", styles()), ("figures", figures()), ("peers", peers())];
    for (name, block) in blocks {
        page = replace(&page, name, &block);
    }
    same(&docs("simulator.md"), &page);
}

#[test]
fn the_drawings_of_the_wars_are_current() {
    for name in DRAWN {
        let scenario = find(name).expect("the scenario is shipped");
        let (log, numbers) = scenario.play(&scenario.settings(1)).drawing.expect("one run is drawn");
        let style = Style { title: scenario.about.to_owned(), numbers, rows: 24 };
        same(&docs(&format!("wars/{name}.svg")), &ladder::svg(&log, &style));
    }
}

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// The file says this, or is made to.
fn same(file: &Path, text: &str) {
    if std::env::var_os("HAIRPIN_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("it is in a directory"))
            .expect("the directory can be made");
        std::fs::write(file, text).expect("the file can be written");
        return;
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == text,
        "{} is not what comes out today: look at the difference that HAIRPIN_BLESS=1 makes",
        file.display()
    );
}

fn replace(page: &str, name: &str, block: &str) -> String {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (before, rest) = page.split_once(&begin).expect("the page has a place for it");
    let (_, after) = rest.split_once(end).expect("the place has an end");
    format!("{before}{begin}{block}{end}{after}")
}

fn scenarios() -> String {
    let mut out = String::from("| scenario | what happens | promised | what came out |\n|---|---|---|---|\n");
    for scenario in SHIPPED {
        let outcome = scenario.play(&scenario.settings(1));
        let promised = if scenario.promise == Promise::War { "a war" } else { "no war" };
        let first = outcome.summary.lines().next().unwrap_or_default();
        let kept = if outcome.held { "" } else { "**broken**: " };
        let _ = writeln!(out, "| `{}` | {} | {promised} | {kept}{first} |", scenario.name, scenario.about);
    }
    out
}

fn styles() -> String {
    let mut out = String::from("| A \\ B |");
    for (name, _) in STYLES {
        let _ = write!(out, " {name} |");
    }
    out.push_str("\n|---|---|---|---|---|\n");
    for (name_a, a) in STYLES {
        let _ = write!(out, "| {name_a} |");
        for (_, b) in STYLES {
            let scenario = find("probes-rfc793").expect("the scenario is shipped");
            let mut settings = scenario.settings(1);
            (settings.a.probe, settings.b.probe) = (a, b);
            let war = scenario.play(&settings).held;
            let _ = write!(out, " {} |", if war { "**war**" } else { "no war" });
        }
        out.push('\n');
    }
    out
}

fn figures() -> String {
    let mut out = String::new();
    for (name, rows) in
        [("open-rfc793", 11), ("open-seqval", 11), ("close-rfc793", 11), ("probes-rfc793", 14)]
    {
        let scenario = find(name).expect("the scenario is shipped");
        let (log, numbers) = scenario.play(&scenario.settings(1)).drawing.expect("one run is drawn");
        let text = ladder::text(&log, &Style { title: String::new(), numbers, rows });
        let _ = writeln!(
            out,
            "`hairpin sim {name} --rows {rows}` ([drawing](wars/{name}.svg)):\n```\n{text}```\n"
        );
    }
    out
}

fn peers() -> String {
    let mut out = String::from(
        "| A, B | simultaneous open | in every order | simultaneous close | in every order | crossing probes |\n\
         |---|---|---|---|---|---|\n",
    );
    for pair in PAIRS {
        let maker = Maker::new(pair);
        let name = format!("{}, {}", pair.0.name(), pair.1.name());
        let (open, close) = (played(&maker.open()), maker.close().map_or_else(|why| why, |it| played(&it)));
        let every_open = found(&maker.every_open());
        let every_close = maker.every_close().map_or_else(|why| why, |it| found(&it));
        let probes = maker.probes().map_or_else(
            |why| why,
            |it| {
                let octets = if it.played.count.is_war() {
                    String::new()
                } else if it.intact && it.read == it.expected {
                    ", every octet once".to_owned()
                } else {
                    format!(", **stalled** at {} of {} octets", it.read[0], it.expected[0])
                };
                format!("{}{octets}", played(&it.played))
            },
        );
        let _ = writeln!(out, "| {name} | {open} | {every_open} | {close} | {every_close} | {probes} |");
    }
    out.push_str("\n| host | connects to itself | LAND, six segments |\n|---|---|---|\n");
    for kind in [Kind::Hairpin, Kind::Smoltcp, Kind::Lwip] {
        let maker = Maker::new((kind, Kind::Hairpin));
        let piped = maker.itself();
        let pipe = if piped.intact { "10,000 octets went round" } else { "no pipe" };
        let itself = format!("{}, {pipe}", played(&piped.played));
        let landed = maker.land();
        let _ = writeln!(out, "| {} | {itself} | {} answers |", kind.name(), landed.answers);
    }
    out
}

fn played(played: &Played) -> String {
    if played.count.is_war() {
        return format!("**war**, {}", states(played));
    }
    format!("{}, {} segments", states(played), played.count.segments)
}

fn found(found: &Found) -> String {
    let more = if found.complete { "" } else { " and more" };
    match &found.failure {
        None => format!("{} runs{more}, all well", found.runs),
        Some(_) => format!("**{} of {}** runs{more} do not get there", found.failures, found.runs),
    }
}
