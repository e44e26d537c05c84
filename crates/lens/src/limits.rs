//! What the lens may hold.

use core::time::Duration;

use crate::archive::Piece;
use crate::flow::Flow;

/// What the lens may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Flows at one time; one more ends the one that was quiet longest of a few. Default: 1,048,576.
    pub flows: u32,
    /// Octets that all flows hold beyond their records: text, what waits for other text, places of urgent octets.
    /// A flow that goes beyond gives its own up. Default: 256 MiB.
    pub octets: u64,
    /// A stream no longer than this when hosts part ways is held from its beginning. Default: 16 KiB.
    pub head_octets: u32,
    /// Octets before that place that are held of a longer one. Default: 1 KiB.
    pub context_octets: u32,
    /// Octets of a stream that are held from there on. Default: 64 KiB.
    pub text_octets: u32,
    /// Octets of a stream that may lie ahead of a hole; they are not held, only their places. Default: 16 MiB.
    pub ahead_octets: u32,
    /// Pieces of a stream that lie ahead of a hole. Default: 4,096.
    pub ahead_pieces: u32,
    /// Urgent octets of a stream whose places are kept, for each kind of reader. Default: 65,536.
    pub out_of_band: u32,
    /// Pieces of text of all streams whose places in the capture are kept: as far back copies can be compared, and
    /// the text before a mark be read. Default: 1,048,576.
    pub pieces: u32,
    /// Pieces of a stream that are looked at for one such comparison. Default: 1,024.
    pub look_back: u32,
    /// Octets of the latest text that are held of a capture that cannot be read again. Default: 16 MiB.
    pub recent_octets: u32,
    /// Octets of IPv4 fragments that wait for others. Default: 4 MiB.
    pub fragment_octets: u32,
    /// A flow that is over is told after so long; one that is quiet so many times as long is told, too.
    /// Default: 60 s.
    pub linger: Duration,
    /// Flows on which nothing is unusual are told as well, and not only counted. Default: true.
    pub all_flows: bool,
    /// Packets with a wrong TCP checksum are skipped: a capture made on the sending host itself has many that
    /// its network card completes. Default: false.
    pub verify_checksums: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1 << 20,
            octets: 256 << 20,
            head_octets: 16 << 10,
            context_octets: 1 << 10,
            text_octets: 64 << 10,
            ahead_octets: 16 << 20,
            ahead_pieces: 4_096,
            out_of_band: 1 << 16,
            pieces: 1 << 20,
            look_back: 1_024,
            recent_octets: 16 << 20,
            fragment_octets: 4 << 20,
            linger: Duration::from_secs(60),
            all_flows: true,
            verify_checksums: false,
        }
    }
}

impl Limits {
    /// Octets of memory that a lens with these limits takes at most, without reports that nobody has fetched.
    pub const fn most_memory(&self) -> u64 {
        // The index doubles when it is seven eighths full; while it does, both are there.
        let index = 3 * 17 * (self.flows as u64).next_power_of_two();
        let flows = (self.flows as u64 + 1_024) * size_of::<Option<Flow>>() as u64;
        let lists = 2 * (self.pieces as u64 * size_of::<Piece>() as u64 + self.recent_octets as u64);
        index + flows + lists + self.octets + self.fragment_octets as u64 + (4 << 20)
    }
}
