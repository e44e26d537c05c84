//! What is going on, while it goes on: a moving line on a terminal, a line a step elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::report::Outcome;

/// The display. All of it goes to standard error: standard output is for results.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For `steps` steps.
    pub(super) fn new(steps: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps);
            let style = ProgressStyle::with_template("{spinner} {bar:24} {pos:>2}/{len} {elapsed:>3} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    /// A step begins, or goes on to something else.
    pub(super) fn doing(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("...   {what}"),
        }
    }

    /// A step is over.
    pub(super) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A check is over.
    pub(super) fn checked(&self, outcome: &Outcome) {
        let line =
            format!("{}  {}: {} ({:.1} s)", outcome.verdict(), outcome.name, outcome.seen, outcome.seconds);
        match &self.bar {
            // A failure stays on the screen; the others are in the table at the end.
            Some(bar) if !outcome.passed => bar.println(line),
            Some(_) => {}
            None => eprintln!("{line}"),
        }
        self.done();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
