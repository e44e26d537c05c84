//! What following a connection takes of a segment.

use wire::SeqNumber;
use wire::tcp::{Flags, OptionsIter, TcpOption};

/// The numbers of a segment. Of everything that is no whole TCP segment all are 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// SEG.LEN, SYN and FIN included. Of a super-segment, of all of it.
    pub(crate) len: u32,
    pub(crate) tsval: u32,
    /// SEG.WND, unscaled.
    pub(crate) window: u16,
    pub(crate) has_timestamp: bool,
    /// Of a SYN: 1 + window scale, 0: none.
    pub(crate) scale: u8,
}

/// NOP, NOP, timestamps: how everybody writes them (RFC 7323 appendix A).
const USUAL: [u8; 4] = [1, 1, 8, 10];

impl Seen {
    /// `segment` is all of it, from the TCP header on; of that, `header_len` octets are header.
    #[inline(always)]
    pub(crate) fn read(segment: &[u8], header_len: u8, flags: Flags) -> Self {
        let Some(head) = segment.first_chunk::<20>() else { return Self::default() };
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let marks = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
        let mut seen = Self {
            seq: word(4),
            ack: word(8),
            len: (segment.len() as u32).saturating_sub(u32::from(header_len)) + marks,
            tsval: 0,
            window: u16::from_be_bytes([head[14], head[15]]),
            has_timestamp: false,
            scale: 0,
        };
        let options = segment.get(20..usize::from(header_len)).unwrap_or_default();
        match options.first_chunk::<8>() {
            Some([a, b, c, d, value @ ..])
                if options.len() >= 12 && [*a, *b, *c, *d] == USUAL && !flags.contains(Flags::SYN) =>
            {
                seen.tsval = u32::from_be_bytes(*value);
                seen.has_timestamp = true;
            }
            _ if options.is_empty() => {}
            _ => seen.read_options(options),
        }
        seen
    }

    /// The first of each kind counts; behind something malformed nothing does.
    #[inline(never)]
    fn read_options(&mut self, options: &[u8]) {
        for option in OptionsIter::new(options).map_while(Result::ok) {
            match option {
                TcpOption::Timestamps { value, .. } if !self.has_timestamp => {
                    (self.tsval, self.has_timestamp) = (value, true);
                }
                // More than 14 counts as 14 (RFC 7323 2.3).
                TcpOption::WindowScale(shift) if self.scale == 0 => self.scale = 1 + shift.min(14),
                _ => {}
            }
        }
    }

    pub(crate) fn seq(&self) -> SeqNumber {
        SeqNumber(self.seq)
    }

    pub(crate) fn ack(&self) -> SeqNumber {
        SeqNumber(self.ack)
    }

    /// SEG.SEQ + SEG.LEN.
    pub(crate) fn end(&self) -> SeqNumber {
        SeqNumber(self.seq.wrapping_add(self.len))
    }

    pub(crate) fn timestamp(&self) -> Option<u32> {
        self.has_timestamp.then_some(self.tsval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(options: &[u8], payload: usize) -> Vec<u8> {
        let mut segment = vec![0; 20];
        segment[4..8].copy_from_slice(&7u32.to_be_bytes());
        segment[14..16].copy_from_slice(&500u16.to_be_bytes());
        segment.extend(options);
        segment.resize(20 + options.len() + payload, 0xaa);
        segment
    }

    fn read(options: &[u8], flags: Flags) -> Seen {
        Seen::read(&segment(options, 9), 20 + options.len() as u8, flags)
    }

    // covers: N3
    #[test]
    fn the_usual_timestamps_and_unusual_ones_are_the_same() {
        let usual = [1, 1, 8, 10, 0, 1, 2, 3, 9, 9, 9, 9];
        let unusual = [8, 10, 0, 1, 2, 3, 9, 9, 9, 9, 1, 1];
        for options in [usual, unusual] {
            let seen = read(&options, Flags::ACK);
            assert_eq!((seen.timestamp(), seen.end()), (Some(0x0001_0203), SeqNumber(16)));
        }
        let syn = read(&[1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 1, 3, 3, 20], Flags::SYN);
        assert_eq!((syn.timestamp(), syn.scale, syn.len), (Some(5), 15, 10));
        assert_eq!(read(&[], Flags::ACK).timestamp(), None);
    }

    // covers: N3, B2
    #[test]
    fn options_cut_or_changed_at_every_octet_are_read_without_harm() {
        let good = [2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 5, 0, 0, 0, 0, 3, 3, 7, 0, 0, 0];
        for at in 0..good.len() {
            for value in 0..=255 {
                let mut options = good;
                options[at] = value;
                let seen = read(&options, Flags::SYN);
                assert!(seen.scale <= 15 && seen.len == 10);
            }
        }
        for len in 0..60 {
            let whole = segment(&good, 0);
            let cut = &whole[..len.min(whole.len())];
            let seen = Seen::read(cut, 40, Flags::ACK);
            assert!(seen.timestamp().is_none() || cut.len() == 40);
        }
    }
}
