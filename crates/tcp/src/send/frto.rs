//! F-RTO (RFC 5682, with SACK): was the timeout a mistake?
//!
//! After it, one segment is sent again. If the answer moves SND.UNA, text never sent before follows, and if
//! then something arrives that was sent once only, nothing had been lost.

/// New segments that tell one from the other.
const PROBES: u32 = 2;

/// How far the question is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Frto {
    /// It is not asked.
    #[default]
    Off,
    /// The timer expired; the first segment goes out again (step 1).
    Asked,
    /// SND.UNA has moved: new text may leave, this many octets of it (step 2b).
    Probing {
        /// Octets.
        left: u32,
    },
}

/// What an acknowledgment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nothing yet, or nothing was asked.
    Open,
    /// The loss is real: go on sending again.
    Real,
    /// Nothing was lost.
    Spurious,
}

impl Frto {
    /// An acknowledgment came. `advanced`: it moved SND.UNA; `beyond`: behind everything that was in flight
    /// at the timeout; `original`: it delivered octets that were sent once.
    pub(crate) fn on_ack(
        &mut self,
        advanced: bool,
        beyond: bool,
        original: bool,
        can_send_new: bool,
        mss: u32,
    ) -> Verdict {
        match *self {
            Self::Off => Verdict::Open,
            Self::Asked if advanced && !beyond && can_send_new => {
                *self = Self::Probing { left: PROBES * mss };
                Verdict::Open
            }
            Self::Probing { .. } if original => {
                *self = Self::Off;
                Verdict::Spurious
            }
            Self::Asked | Self::Probing { .. } => {
                *self = Self::Off;
                Verdict::Real
            }
        }
    }

    /// New text left.
    pub(crate) fn on_new(&mut self, octets: u32) {
        if let Self::Probing { left } = self {
            *left = left.saturating_sub(octets);
        }
    }

    /// What may leave while the question is open; `None`: the congestion window decides.
    pub(crate) fn allowance(self) -> Option<u32> {
        match self {
            Self::Probing { left } => Some(left),
            Self::Off | Self::Asked => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: T6
    #[test]
    fn two_answers_that_move_on_call_the_timeout_spurious() {
        let mut frto = Frto::Asked;
        assert_eq!(frto.on_ack(true, false, true, true, 1_000), Verdict::Open);
        assert_eq!(frto.allowance(), Some(2_000));
        assert_eq!(frto.on_ack(true, false, true, true, 1_000), Verdict::Spurious);
        assert_eq!(frto, Frto::Off);
    }

    // covers: T6
    #[test]
    fn a_duplicate_or_the_end_of_the_window_is_a_real_loss() {
        for (advanced, beyond, can_send_new) in
            [(false, false, true), (true, true, true), (true, false, false)]
        {
            let mut frto = Frto::Asked;
            assert_eq!(frto.on_ack(advanced, beyond, true, can_send_new, 1_000), Verdict::Real);
        }
        let mut frto = Frto::Probing { left: 0 };
        assert_eq!(frto.on_ack(false, false, false, true, 1_000), Verdict::Real);
    }
}
