//! Where the reports of a capture go.

use std::path::Path;

use lens::{FlowReport, Lens, Totals};

use super::{Args, json, text};

/// What is done with a piece of output.
type Print<'a> = Box<dyn FnMut(String) -> miette::Result<()> + 'a>;

/// The reports of one capture, on their way out.
pub(super) struct Sink<'a> {
    args: &'a Args,
    name: String,
    print: Print<'a>,
    #[cfg(feature = "parquet")]
    tables: Option<super::parquet::Tables>,
    /// The flow that `--ladder` draws, if it is this: the first that is printed, or the one that has frame `--flow`.
    drawn: Option<FlowReport>,
    /// Both ends of the flow of `--flow`.
    wanted: Option<[(std::net::Ipv4Addr, u16); 2]>,
}

impl<'a> Sink<'a> {
    /// For capture number `index`.
    pub(super) fn new(
        args: &'a Args,
        path: &Path,
        index: usize,
        print: impl FnMut(String) -> miette::Result<()> + 'a,
    ) -> miette::Result<Self> {
        #[cfg(feature = "parquet")]
        let tables = match &args.parquet {
            Some(directory) => Some(super::parquet::Tables::create(directory, path, index)?),
            None => None,
        };
        #[cfg(not(feature = "parquet"))]
        let _ = index;
        Ok(Self {
            args,
            name: path.display().to_string(),
            print: Box::new(print),
            #[cfg(feature = "parquet")]
            tables,
            drawn: None,
            wanted: None,
        })
    }

    /// The flow between these is the one to be drawn.
    pub(super) fn want(&mut self, ends: [(std::net::Ipv4Addr, u16); 2]) {
        self.wanted = Some(ends);
    }

    /// A flow that is over.
    pub(super) fn flow(&mut self, report: &FlowReport) -> miette::Result<()> {
        #[cfg(feature = "parquet")]
        if let Some(tables) = &mut self.tables {
            tables.flow(report)?;
        }
        if self.args.ladder.is_some() && self.is_to_be_drawn(report) {
            self.drawn = Some(report.clone());
        }
        if !(self.args.all || report.is_remarkable()) {
            return Ok(());
        }
        let text = if self.args.json { json::flow(&self.name, report)? } else { self.table(report) };
        (self.print)(text)
    }

    fn table(&self, report: &FlowReport) -> String {
        let several = self.args.captures.len() > 1;
        text::flow(several.then_some(self.name.as_str()), report)
    }

    fn is_to_be_drawn(&self, report: &FlowReport) -> bool {
        let ends = [report.client, report.server];
        match (self.wanted, self.args.flow) {
            (Some([a, b]), Some(frame)) => {
                (ends == [a, b] || ends == [b, a]) && (report.frames.0..=report.frames.1).contains(&frame)
            }
            _ => {
                let shown = |report: &FlowReport| self.args.all || report.is_remarkable();
                shown(report) && self.drawn.as_ref().is_none_or(|drawn| report.frames.0 < drawn.frames.0)
            }
        }
    }

    /// All was told. The answer is the flow to be drawn, if there is one.
    pub(super) fn finish(mut self, lens: &mut Lens, complete: bool) -> miette::Result<Option<FlowReport>> {
        lens.finish();
        while let Some(report) = lens.poll_report() {
            self.flow(&report)?;
        }
        let totals: &Totals = lens.totals();
        let line = match self.args.json {
            true => json::totals(&self.name, totals, complete),
            false => text::totals(&self.name, totals, complete),
        };
        (self.print)(line)?;
        #[cfg(feature = "parquet")]
        if let Some(tables) = self.tables {
            tables.finish()?;
        }
        Ok(self.drawn)
    }
}
