//! Selection of an external port (RFC 6056 3.3).

/// The algorithms of RFC 6056 section 3.3, by their number there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// 3.3.1 Simple port randomization, then the next ones.
    SimpleRandom,
    /// 3.3.2 Simple randomization, drawn anew at each collision.
    RandomAgain,
    /// 3.3.3 Simple hash: a keyed offset for each endpoint, and one counter.
    #[default]
    SimpleHash,
    /// 3.3.4 Double hash: a table of counters.
    DoubleHash,
    /// 3.3.5 Random increments.
    RandomIncrements,
}
