//! `cargo xtask tracking`: draws the TCP tracking machine from its table in `rules`, so that the picture
//! and what runs cannot differ (N1).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rules::tracking::{Segment, Side, State, Timer, step};

use crate::conformance::Mode;

/// The page.
const PAGE: &str = "docs/tracking.md";

/// Writes the page, or says that it is out of date.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<(), String> {
    let path = root.join(PAGE);
    let page = page();
    match mode {
        Mode::Write => fs::write(&path, page).map_err(|error| format!("{PAGE}: {error}")),
        Mode::Check if fs::read_to_string(&path).ok().as_deref() == Some(&page) => Ok(()),
        Mode::Check => Err(format!("{PAGE} is out of date: run `cargo xtask tracking` and commit it")),
    }
}

fn page() -> String {
    let mut page = String::from(
        "# How the gateway follows a TCP connection\n\n\
         Drawn by `cargo xtask tracking` from the table in `crates/rules/src/tracking.rs`, which is what runs:\n\
         the machine of RFC 7857 section 2. The *client* is who sent the first SYN, in whichever realm. What\n\
         the figure of the RFC has in one box is in more here, so that TIME-WAIT has a timer of its own and\n\
         only the SYNs of both sides re-open a tuple; the comments beside the table say why.\n\n\
         ```mermaid\nstateDiagram-v2\n",
    );
    for (from, to, labels) in arrows() {
        let name =
            |state: State| if state == State::Closed { "[*]".to_owned() } else { format!("{state:?}") };
        let _ = writeln!(page, "    {} --> {}: {}", name(from), name(to), labels.join(", "));
    }
    page.push_str("```\n\n## Timers\n\n| state | idle time |\n|---|---|\n");
    for state in State::ALL.into_iter().filter(|&state| state != State::Closed) {
        let _ = writeln!(page, "| {state:?} | `tcp.{}` |", setting(state.timer()));
    }
    page.push_str(
        "\n## The table\n\nEach cell is the state after the segment; *in italics* where the timer does not start anew.\n\n",
    );
    table(&mut page);
    page
}

/// What leads from one state to another one, in the order of the table.
fn arrows() -> Vec<(State, State, Vec<String>)> {
    let mut arrows: Vec<(State, State, Vec<String>)> = Vec::new();
    let mut add = |from: State, to: State, label: String| match arrows
        .iter_mut()
        .find(|(a, b, _)| (*a, *b) == (from, to))
    {
        Some((_, _, labels)) => labels.push(label),
        None => arrows.push((from, to, vec![label])),
    };
    for from in State::ALL {
        for segment in Segment::ALL {
            let to = |side| step(from, side, segment).state;
            let (client, server) = (to(Side::Client), to(Side::Server));
            if client == server {
                if client != from {
                    add(from, client, format!("any {}", name(segment)));
                }
                continue;
            }
            for (side, to) in [("client", client), ("server", server)] {
                if to != from {
                    add(from, to, format!("{side} {}", name(segment)));
                }
            }
        }
        if from != State::Closed {
            add(from, from.timed_out(), "idle".to_owned());
        }
    }
    arrows
}

fn table(page: &mut String) {
    let sides = [("client", Side::Client), ("server", Side::Server)];
    page.push_str("| in state |");
    for (side, _) in sides {
        for segment in Segment::ALL {
            let _ = write!(page, " {side} {} |", name(segment));
        }
    }
    let _ = writeln!(page, "\n|---|{}", "---|".repeat(2 * Segment::ALL.len()));
    for from in State::ALL {
        let _ = write!(page, "| **{from:?}** |");
        for (_, side) in sides {
            for segment in Segment::ALL {
                let step = step(from, side, segment);
                let mark = if step.refresh { "" } else { "*" };
                let _ = write!(page, " {mark}{:?}{mark} |", step.state);
            }
        }
        page.push('\n');
    }
}

const fn name(segment: Segment) -> &'static str {
    match segment {
        Segment::Syn => "SYN",
        Segment::Fin => "FIN",
        Segment::Rst => "RST",
        Segment::Other => "other",
    }
}

/// The timer's setting in the configuration file.
const fn setting(timer: Timer) -> &'static str {
    match timer {
        Timer::Opening => "opening",
        Timer::Established => "established",
        Timer::Closing => "closing",
        Timer::TimeWait => "time_wait_timeout",
        Timer::Transitory => "transitory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: N1
    #[test]
    fn the_committed_picture_is_drawn_from_the_table() {
        assert_eq!(run(&crate::root(), Mode::Check), Ok(()));
    }

    // covers: N1
    #[test]
    fn the_arrows_of_the_figure_are_in_the_picture() {
        let page = page();
        for arrow in [
            "[*] --> Init: client SYN",
            "Init --> Established: server SYN",
            "Established --> Trans: any RST, idle",
            "Trans --> Established: any other",
            "Established --> ClientFin: client FIN",
            "ClientFin --> ServerFinLast: server FIN",
        ] {
            assert!(page.contains(&format!("    {arrow}\n")), "{arrow}\n{page}");
        }
    }
}
