//! `hairpin inspect`: captures through the lens.
//!
//! | file | what is in it |
//! |---|---|
//! | `bounds` | what may be held, as options |
//! | `read` | one capture, from its first octet to its last |
//! | `many` | several captures at once, told in their order |
//! | `sink` | where reports go |
//! | `text`, `json`, `parquet` | how they are written |
//! | `ladder` | one flow, drawn |
//! | `live` | an interface in place of a capture |

mod bounds;
mod json;
mod ladder;
mod live;
mod many;
#[cfg(feature = "parquet")]
mod parquet;
mod read;
mod sink;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use miette::IntoDiagnostic as _;
use miette::miette;

/// Arguments of `inspect`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Captures: pcap or pcapng; Ethernet, VLAN, raw IP or Linux cooked. `-` is standard input.
    #[arg(value_name = "CAPTURE", required_unless_present = "live", conflicts_with = "live")]
    pub captures: Vec<PathBuf>,
    /// Print JSON: an object for each flow, one on a line, and one with the totals of each capture. Every field is
    /// described in docs/inspect.schema.json.
    #[arg(long)]
    pub json: bool,
    /// Print every flow, and not only those with urgent data, contradictions or wars.
    #[arg(long)]
    pub all: bool,
    /// Skip segments with a wrong checksum, as a host does. A capture made on the sending host has many that its
    /// network card completes.
    #[arg(long)]
    pub verify_checksums: bool,
    /// Draw one flow of one capture as a ladder, as SVG: the first that would be printed, or the one of --flow.
    #[arg(long, value_name = "FLOW.svg", conflicts_with = "live")]
    pub ladder: Option<PathBuf>,
    /// The flow that this frame belongs to, counted from 1, is the one to draw.
    #[arg(long, value_name = "FRAME", requires = "ladder")]
    pub flow: Option<u64>,
    /// Write every flow into Parquet files below this directory: `readings` (a row for each group of readers that
    /// agree, of each direction) and `wars`; in each a file for each capture.
    #[arg(long, value_name = "DIR")]
    pub parquet: Option<PathBuf>,
    /// Listen on this interface until ^C, --for or --count.
    #[arg(long, value_name = "INTERFACE")]
    pub live: Option<String>,
    /// Listen so long.
    #[arg(long = "for", value_name = "SECONDS", requires = "live")]
    pub seconds: Option<u64>,
    /// Listen until so many IPv4 packets were seen.
    #[arg(long, value_name = "N", requires = "live")]
    pub count: Option<u64>,
    /// Captures that are read at the same time [default: as many as there are processors].
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// What may be held.
    #[command(flatten)]
    pub bounds: bounds::Bounds,
}

const EXAMPLES: &str = "Examples:
  hairpin inspect trace.pcap                      flows whose readers disagree, and wars
  tcpdump -w - tcp | hairpin inspect -            from standard input
  hairpin inspect --json *.pcap | jq .verdict     an object a line
  hairpin inspect --ladder flow.svg trace.pcap    the first such flow, drawn
  hairpin inspect --parquet fleet/ *.pcapng       to be queried, e.g. with DuckDB
  hairpin inspect --live eth0 --for 60            a minute of an interface";

/// `hairpin inspect`.
///
/// # Errors
/// Arguments that do not go together, an interface that cannot be listened on, a file that cannot be written. Captures
/// that cannot be read, or are damaged, are named as they come; what came before the damage is told all the same.
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    if args.parquet.is_some() && cfg!(not(feature = "parquet")) {
        let help = "build it with `cargo build --release --features parquet`, or use --json";
        return Err(miette!(help = help, "this hairpin was built without Parquet"));
    }
    if args.ladder.is_some() && (args.captures.len() != 1 || is_stdin(&args.captures[0])) {
        let help = "name one file: it is read twice";
        return Err(miette!(help = help, "--ladder draws a flow of one capture that is a file"));
    }
    if args.captures.iter().filter(|path| is_stdin(path)).count() > 1 {
        return Err(miette!(help = "write `-` once", "standard input can be read only once"));
    }
    match &args.live {
        Some(interface) => live::run(args, interface),
        None => many::run(args),
    }
}

impl Args {
    /// A lens with what it may hold, and whether it has to tell of flows on which nothing is unusual.
    fn lens(&self) -> miette::Result<lens::Lens> {
        let all_flows = self.all || self.flow.is_some() || self.parquet.is_some();
        let limits =
            lens::Limits { all_flows, verify_checksums: self.verify_checksums, ..self.bounds.limits() };
        let seed = u128::from_le_bytes(crate::net::seed().into_diagnostic()?);
        Ok(lens::Lens::new(limits, [seed as u64, (seed >> 64) as u64]))
    }
}

fn is_stdin(path: &std::path::Path) -> bool {
    path.as_os_str() == "-"
}
