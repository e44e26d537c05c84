//! What the lens may hold, as options.

use std::time::Duration;

use lens::Limits;

/// What may be held, of one capture.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Bounds, of each capture; what was given up is told")]
pub struct Bounds {
    /// Flows at one time; one more ends the one that was quiet longest of a few.
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    pub max_flows: u32,
    /// What all flows hold beyond their records; a flow that goes beyond gives its own up.
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub max_memory: u64,
    /// Text of a stream with marks.
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = size)]
    pub max_text: u64,
    /// Text of a stream that may lie ahead of a hole.
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = size)]
    pub max_ahead: u64,
    /// Urgent octets of a stream whose places are kept, for each kind of reader.
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    pub max_urgent: u32,
    /// Pieces of text of all streams whose places in the capture are kept, to compare copies and to read what lies
    /// before a mark.
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    pub max_pieces: u32,
    /// IPv4 fragments that wait for others.
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = size)]
    pub max_fragments: u64,
    /// A flow that is over is told after so long, in the capture's time; one that is quiet 120 times as long, too.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub linger: u64,
}

impl Bounds {
    pub(super) fn limits(self) -> Limits {
        let octets = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
        Limits {
            flows: self.max_flows,
            octets: self.max_memory,
            text_octets: octets(self.max_text),
            ahead_octets: octets(self.max_ahead),
            out_of_band: self.max_urgent,
            pieces: self.max_pieces,
            fragment_octets: octets(self.max_fragments),
            // A flow waits at most for a day: the bound keeps the arithmetic of the lens exact.
            linger: Duration::from_secs(self.linger.min(86_400)),
            ..Limits::default()
        }
    }
}

/// Octets: a number, with K, M or G for its powers of 1,024.
fn size(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.trim_end_matches(['K', 'M', 'G']) {
        number if number.len() == text.len() => (number, 0),
        number => match &text[number.len()..] {
            "K" => (number, 10),
            "M" => (number, 20),
            "G" => (number, 30),
            _ => return Err("one of K, M and G is enough".to_owned()),
        },
    };
    let number: u64 = number.parse().map_err(|_| "write a number of octets, e.g. 64K or 256M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than there is".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    // covers: L4
    #[test]
    fn a_size_is_a_number_with_a_letter() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("131072"), Ok(131_072));
        assert_eq!((size("64K"), size("256M"), size("2G")), (Ok(64 << 10), Ok(256 << 20), Ok(2 << 30)));
        for wrong in ["", "K", "64k", "64KK", "-1", "1.5M", "99999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
