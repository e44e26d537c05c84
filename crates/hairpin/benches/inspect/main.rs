//! `hairpin inspect` on a large capture, on one core and from the page cache; beside it tshark.
//!
//! `cargo bench -p hairpin --bench inspect` prints a line of JSON for each figure, behind `bench: `. The capture (2 GB,
//! 100,000 flows) is made anew in the temporary directory and deleted afterwards; it needs as much room there, and
//! as much memory for the page cache. `HAIRPIN_BENCH_FLOWS` asks for another number of flows,
//! `HAIRPIN_BENCH_CAPTURE` names a file that is made if it is not there, and kept.
//!
//! tshark comes from the distribution: `apt-get install tshark`. It is run as `tshark -n -q -z conv,tcp`: the one pass
//! in which it tells all streams apart and follows the sequence numbers of each, with every name look-up off and
//! one line printed a stream. `-z follow,tcp,...` wants a pass, or a filter, for each stream; `-T fields -e tcp.payload`
//! would have it print all octets in hexadecimal. So what is measured of tshark is less than what the lens does.

mod capture;

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use serde_json::json;

const FLOWS: u64 = 100_000;
const ROUNDS: usize = 5;
/// Rounds of tshark: each takes as long as all of ours.
const PEER_ROUNDS: usize = 3;
const GROUP: &str = "Observer: a capture read";
/// GB/s of capture on one core, and how many times faster than tshark.
const TARGET: f64 = 1.5;
const TARGET_RATIO: f64 = 15.0;

/// The capture file, deleted at the end if it was made for this run only.
struct Capture {
    path: PathBuf,
    kept: bool,
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    one_core()?;
    let capture = make()?;
    let octets = fs::metadata(&capture.path)?.len();
    into_page_cache(&capture.path)?;
    let gigabytes = octets as f64 / 1e9;

    let mut ours: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(gigabytes / inspect(&capture.path)?);
    }
    // Of the children that there were: the largest, before there is another program.
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() as f64 / 1024.0;
    let note = format!("{gigabytes:.2} GB, pcap, from the page cache, output discarded");
    print("hairpin inspect", "GB/s", &ours, Some(TARGET), false, &note);
    print(
        "hairpin inspect, peak memory",
        "MiB",
        &[peak],
        Some(256.0),
        true,
        "resident, flow table and text included",
    );
    beside_tshark(&capture.path, gigabytes)
}

/// This process and its children stay on one core.
fn one_core() -> Result<(), Box<dyn Error>> {
    let mut cores = CpuSet::new();
    cores.set(0)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

fn make() -> Result<Capture, Box<dyn Error>> {
    let kept = std::env::var_os("HAIRPIN_BENCH_CAPTURE").map(PathBuf::from);
    let path = kept
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("hairpin-bench-{}.pcap", std::process::id())));
    let capture = Capture { path, kept: kept.is_some() };
    if capture.kept && capture.path.exists() {
        return Ok(capture);
    }
    let flows = std::env::var("HAIRPIN_BENCH_FLOWS").ok().and_then(|n| n.parse().ok()).unwrap_or(FLOWS);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&capture.path)?);
    let written = capture::write(&mut out, flows)?;
    out.flush()?;
    eprintln!("{written:?}");
    Ok(capture)
}

fn into_page_cache(path: &Path) -> Result<(), Box<dyn Error>> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 1 << 20]);
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Seconds that it took.
fn inspect(path: &Path) -> Result<f64, Box<dyn Error>> {
    seconds(Command::new(env!("CARGO_BIN_EXE_hairpin")).arg("inspect").arg(path))
}

fn seconds(command: &mut Command) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(start.elapsed().as_secs_f64())
}

/// In turn, on the same file.
fn beside_tshark(path: &Path, gigabytes: f64) -> Result<(), Box<dyn Error>> {
    let tshark =
        |path: &Path| seconds(Command::new("tshark").args(["-n", "-q", "-z", "conv,tcp", "-r"]).arg(path));
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("no tshark on this machine to compare with; apt-get install tshark");
        return Ok(());
    }
    let (mut ours, mut peer, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PEER_ROUNDS {
        let (one, other) = (inspect(path)?, tshark(path)?);
        ours.push(gigabytes / one);
        peer.push(gigabytes / other);
        ratios.push(other / one);
    }
    let [_, ours, _] = spread(&ours);
    let [_, peer, _] = spread(&peer);
    let [min, median, max] = spread(&ratios);
    let figure = json!({
        "group": GROUP, "name": "hairpin inspect beside tshark", "unit": "GB/s", "ours": ours, "peer": peer,
        "ratio_min": min, "ratio_median": median, "ratio_max": max, "target": TARGET_RATIO,
        "note": "tshark -n -q -z conv,tcp: streams told apart and sequence numbers followed, no text put together",
    });
    println!("bench: {figure}");
    Ok(())
}

/// Least, median and greatest.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn print(name: &str, unit: &str, values: &[f64], target: Option<f64>, at_most: bool, note: &str) {
    let [min, median, max] = spread(values);
    let figure = json!({
        "group": GROUP, "name": name, "unit": unit, "ours": median, "ours_min": min, "ours_max": max,
        "target": target, "at_most": at_most, "note": note,
    });
    println!("bench: {figure}");
}
