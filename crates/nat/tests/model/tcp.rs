//! What the model knows of a TCP connection: RFC 7857 section 2 and RFC 6146 3.5.2.2 in plain words.
//!
//! Written from the texts, not from `rules::tracking`, so that an error in the table shows.

use wire::tcp::Flags;

/// Where a connection is. `true` stands for the client, who opened it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// A SYN of the client.
    Opening,
    /// A SYN of both; perhaps a FIN of one.
    Open { fin: Option<bool> },
    /// A FIN of both; whose came last.
    Closing { last: bool },
    /// The last FIN was acknowledged.
    TimeWait,
    /// Reset, or idle for too long.
    Trans,
    /// It was over, and this side has sent a SYN.
    Reopening { by: bool },
}

/// The timers of N2, by the phase that they run in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    Opening,
    Established,
    Closing,
    TimeWait,
    Transitory,
}

impl Phase {
    pub(crate) fn timer(self) -> Timer {
        match self {
            Self::Opening | Self::Reopening { .. } => Timer::Opening,
            Self::Open { .. } => Timer::Established,
            Self::Closing { .. } => Timer::Closing,
            Self::TimeWait => Timer::TimeWait,
            Self::Trans => Timer::Transitory,
        }
    }

    /// Only an established connection is put on notice; a half-closed one is over (6146 3.5.2.2).
    pub(crate) fn timed_out(self) -> Option<Self> {
        (self == Self::Open { fin: None }).then_some(Self::Trans)
    }

    /// The phase after a segment of the client or the server; `None`: it changes neither phase nor timer.
    pub(crate) fn segment(self, client: bool, flags: Flags) -> Option<Self> {
        let rst = flags.contains(Flags::RST);
        let syn = !rst && flags.contains(Flags::SYN);
        let fin = !rst && !syn && flags.contains(Flags::FIN);
        match self {
            // Its lifetime is the client's SYN's; the server's SYN opens it.
            Self::Opening if syn => Some(if client { self } else { Self::Open { fin: None } }),
            Self::Opening => None,

            Self::Open { .. } if rst => Some(Self::Trans),
            Self::Open { fin: None } if fin => Some(Self::Open { fin: Some(client) }),
            Self::Open { fin: Some(first) } if fin && first != client => Some(Self::Closing { last: client }),
            Self::Open { .. } => Some(self),

            // A reset cannot shorten what is short already, nor may it prolong it.
            Self::Closing { .. } | Self::TimeWait | Self::Trans if rst => None,
            Self::Closing { .. } | Self::TimeWait if syn => Some(Self::Reopening { by: client }),
            Self::Closing { last } if !fin && last != client => Some(Self::TimeWait),
            Self::Closing { .. } => Some(self),

            // As at the host: a FIN that comes again begins the time anew, nothing else does.
            Self::TimeWait => fin.then_some(self),

            // Whoever goes on has not believed the reset.
            Self::Trans if syn => Some(self),
            Self::Trans if fin => Some(Self::Open { fin: Some(client) }),
            Self::Trans => Some(Self::Open { fin: None }),

            Self::Reopening { .. } if rst => Some(Self::Trans),
            Self::Reopening { by } if syn => Some(if by == client { self } else { Self::Open { fin: None } }),
            Self::Reopening { .. } => None,
        }
    }
}
