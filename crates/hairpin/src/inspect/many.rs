//! Several captures at the same time, a thread each, told in the order in which they were named.

use std::collections::VecDeque;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use indicatif::{ProgressBar, ProgressStyle};
use lens::FlowReport;
use miette::miette;

use super::sink::Sink;
use super::{Args, ladder, read};

/// Pieces of output of a capture that wait for those before it: its thread waits, too, where there are more.
const WAITING: usize = 256;

/// What comes from a thread.
enum Told {
    Piece(String),
    /// The capture is over: the flow to be drawn, and what went wrong.
    End(Option<Box<FlowReport>>, Option<miette::Report>),
}

/// A capture that waits for a thread: its number, its path, and where its output goes.
type Job<'a> = (usize, &'a PathBuf, SyncSender<Told>);

pub(super) fn run(args: &Args) -> miette::Result<ExitCode> {
    let bar = bar(args);
    let (jobs, outputs): (VecDeque<Job<'_>>, Vec<Receiver<Told>>) = args
        .captures
        .iter()
        .enumerate()
        .map(|(index, path)| {
            let (sender, receiver) = sync_channel(WAITING);
            ((index, path, sender), receiver)
        })
        .unzip();
    let jobs = Mutex::new(jobs);
    let processors = std::thread::available_parallelism().map_or(1, Into::into);
    let threads = args.jobs.map_or(processors, Into::into).min(args.captures.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(args, &jobs, &bar));
        }
        gather(args, outputs, &bar)
    })
}

/// Takes captures, in their order, until there are none.
fn work(args: &Args, jobs: &Mutex<VecDeque<Job<'_>>>, bar: &ProgressBar) {
    // Nothing that holds the lock can panic.
    while let Some((index, path, output)) = jobs.lock().ok().and_then(|mut jobs| jobs.pop_front()) {
        let print = |text| output.send(Told::Piece(text)).map_err(|_| miette!("nobody listens any longer"));
        let mut trouble = None;
        let drawn = Sink::new(args, path, index, print).and_then(|mut sink| {
            let mut lens = args.lens()?;
            if let Some(frame) = args.flow {
                sink.want(ladder::ends(path, frame)?);
            }
            trouble = read::look(path, &mut lens, &mut sink, bar).err();
            sink.finish(&mut lens, trouble.is_none())
        });
        let (drawn, trouble) = match drawn {
            Ok(drawn) => (drawn, trouble),
            Err(report) => (None, Some(trouble.unwrap_or(report))),
        };
        // If nobody listens, the program is about to end.
        let _ = output.send(Told::End(drawn.map(Box::new), trouble));
    }
}

/// Prints what comes, capture by capture.
fn gather(args: &Args, outputs: Vec<Receiver<Told>>, bar: &ProgressBar) -> miette::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for output in outputs {
        for told in output {
            match told {
                Told::Piece(text) => bar.suspend(|| crate::cli::print(&text))?,
                Told::End(drawn, trouble) => {
                    if let Some(report) = trouble {
                        bar.suspend(|| eprintln!("{report:?}"));
                        code = ExitCode::FAILURE;
                    }
                    if let Some(file) = &args.ladder {
                        let drawn = drawn.ok_or_else(|| nothing_to_draw(args))?;
                        ladder::draw(&args.captures[0], &drawn, file)?;
                    }
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(code)
}

fn nothing_to_draw(args: &Args) -> miette::Report {
    let help = "add --all to draw the first flow of all, or --flow FRAME for that of a frame";
    match args.flow {
        Some(frame) => miette!("there is no flow with frame {frame}"),
        None => miette!(help = help, "--ladder: there is no flow on which readers disagree, and no war"),
    }
}

/// Octets of all captures, on a terminal.
fn bar(args: &Args) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let sizes = args.captures.iter().map(|path| std::fs::metadata(path).map_or(0, |file| file.len()));
    let bar = ProgressBar::new(sizes.sum());
    let style = ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
