//! `hairpin translate`: a capture in, the capture that the other side of the gateway would show out.
//!
//! | file | what is in it |
//! |---|---|
//! | `capture` | what pcap and pcapng have in common, and their errors |
//! | `pcap`, `pcapng` | the two formats |
//! | `link` | which side a frame comes from, headers for packets that the gateway makes |
//! | `checksum` | unfinished ones, as a host with offloads captures them |
//! | `gateway` | the engine in the capture's time |
//! | `summary` | what was done, in numbers |

pub(crate) mod capture;
mod checksum;
mod gateway;
mod link;
pub(crate) mod pcap;
pub(crate) mod pcapng;
mod summary;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use miette::{Report, miette};
use rules::Instant;
use serde::Serialize;
use wire::ethernet::Mac;

pub use capture::CaptureError;
pub use checksum::Checksums;
pub use link::Sides;
pub(crate) use summary::unfinished_checksums;
pub use summary::{LeftOut, Summary};

use capture::Capture;
use gateway::{Stopped, Translation};

/// Arguments of `translate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The capture to translate: pcap or pcapng; Ethernet, VLAN, raw IP or Linux cooked.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where to write the translated one, in the same format.
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// What the gateway's random choices follow from: the same seed, the same output.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    /// How the capture is read, and the summary written.
    pub reading: Reading,
}

/// How a capture is read, and its summary written.
#[derive(clap::Args, Debug)]
pub struct Reading {
    /// Frames from this Ethernet address come from inside, all others from outside; can be repeated.
    /// Without it and --inside-interface, the addresses of the packets decide.
    #[arg(long, value_name = "MAC")]
    pub inside_mac: Vec<Mac>,
    /// Packets of this interface of a pcapng file (0 is the first) come from inside; can be repeated.
    #[arg(long, value_name = "ID")]
    pub inside_interface: Vec<u32>,
    /// Do not verify TCP and UDP checksums, and finish unfinished ones; TCP beyond the MTU passes
    /// as a super-segment. For captures taken on a host whose network card does that work.
    #[arg(long)]
    pub trust_checksums: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Reading {
    pub(crate) fn sides(&self) -> Sides {
        Sides { inside_macs: self.inside_mac.clone(), inside_interfaces: self.inside_interface.clone() }
    }

    pub(crate) fn checksums(&self) -> Checksums {
        if self.trust_checksums { Checksums::Trust } else { Checksums::Verify }
    }

    /// Prints what was done, for people or as JSON.
    pub(crate) fn show(&self, summary: &(impl Serialize + Display)) -> miette::Result<()> {
        if self.json {
            let text = serde_json::to_string_pretty(summary).map_err(|error| miette!("{error}"))?;
            crate::cli::print(&format!("{text}\n"))
        } else {
            crate::cli::print(&summary.to_string())
        }
    }
}

/// `hairpin translate`.
///
/// # Errors
/// The report of [`crate::config::load`], and those of [`translate`].
pub fn run(args: &Args) -> miette::Result<ExitCode> {
    let settings = crate::config::load(&args.config)?;
    let (sides, checksums) = (args.reading.sides(), args.reading.checksums());
    let (summary, trouble) =
        translate(&args.input, &args.output, &settings.engine, &sides, checksums, args.seed)?;
    args.reading.show(&summary)?;
    trouble.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Translates the capture `input` into `output`, with what was done in numbers.
///
/// Where the input is damaged, or the output cannot be written on, there is a report beside the
/// numbers; `output` then has what came before, and is a valid file.
///
/// # Errors
/// Nothing was translated: a file cannot be opened, `input` is no capture or of an unknown link type,
/// both are the same file, or the settings make no sense.
pub fn translate(
    input: &Path,
    output: &Path,
    config: &nat::Config,
    sides: &Sides,
    checksums: Checksums,
    seed: u64,
) -> miette::Result<(Summary, Option<Report>)> {
    let mut capture = open_input(input, output, sides)?;
    let mut engine = nat::Engine::new(config, expand(seed), Instant::ZERO)
        .map_err(|error| miette!(help = error.remedy.clone(), "{error}"))?;
    let file = create_output(output)?;

    let mut summary = Summary { format: capture.format(), ..Summary::default() };
    let mut translation = Translation::new(config, sides, &mut engine, file, &mut summary);
    translation.checksums = checksums;
    let outcome = translation.run(&mut capture);
    drop(translation);
    summary.finish(&engine);
    summary.complete = outcome.is_ok();
    let trouble = outcome.err().map(|stopped| match stopped {
        Stopped::Input(error) => Report::new(error),
        Stopped::Output(error) => {
            miette!(help = "see whether the disk is full", "{}: {error}", output.display())
        }
    });
    Ok((summary, trouble))
}

/// The capture at `input`, if its sides can be told as `sides` says; nothing is done to `output` yet.
pub(crate) fn open_input(
    input: &Path,
    output: &Path,
    sides: &Sides,
) -> miette::Result<Capture<BufReader<File>>> {
    let name = input.display().to_string();
    let file = File::open(input).map_err(|error| miette!(help = "name a capture file", "{name}: {error}"))?;
    refuse_same_file(&file, input, output)?;
    let capture = Capture::open(BufReader::new(file), &name)?;
    if !sides.inside_interfaces.is_empty() && capture.format() == "pcap" {
        let help = "use --inside-mac, or let the addresses decide";
        return Err(miette!(help = help, "{name}: a pcap file has no interfaces for --inside-interface"));
    }
    Ok(capture)
}

pub(crate) fn create_output(output: &Path) -> miette::Result<BufWriter<File>> {
    let shown = output.display();
    let file = File::create(output)
        .map_err(|error| miette!(help = "name a file that can be written", "{shown}: {error}"))?;
    Ok(BufWriter::new(file))
}

/// The output would empty the input before it is read, under whatever name.
fn refuse_same_file(input: &File, input_path: &Path, output: &Path) -> miette::Result<()> {
    let same = match (input.metadata(), std::fs::metadata(output)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    match same {
        true => {
            let (input, output) = (input_path.display(), output.display());
            Err(miette!(help = "name another output file", "{output} is the input itself ({input})"))
        }
        false => Ok(()),
    }
}

/// 32 octets from the seed's 8 (the SplitMix64 sequence): the engine's keys differ in every octet.
pub(crate) fn expand(seed: u64) -> [u8; 32] {
    let mut octets = [0; 32];
    let mut state = seed;
    for chunk in octets.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    octets
}
