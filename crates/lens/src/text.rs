//! The text of a stream that is held for a report: its beginning, and what lies around what matters.

use std::collections::VecDeque;

/// Octets of a stream, in order, from some offset on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    /// Offset of the first octet held.
    from: u64,
    octets: VecDeque<u8>,
}

impl Text {
    /// Offset of the first octet held.
    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    /// Offset behind the last octet held.
    pub(crate) fn to(&self) -> u64 {
        self.from + self.octets.len() as u64
    }

    pub(crate) fn len(&self) -> usize {
        self.octets.len()
    }

    /// Appends what follows at `offset`. What does not follow directly begins anew: there is a hole before it.
    pub(crate) fn push(&mut self, offset: u64, octets: &[u8]) {
        if self.to() != offset {
            self.octets.clear();
            self.from = offset;
        }
        self.octets.extend(octets);
    }

    /// Keeps the last `most` octets.
    pub(crate) fn keep_last(&mut self, most: usize) {
        let gone = self.octets.len().saturating_sub(most);
        self.octets.drain(..gone);
        self.from += gone as u64;
        if most == 0 {
            self.octets.shrink_to_fit();
        }
    }

    /// The octet at `offset`, if it is held.
    pub(crate) fn get(&self, offset: u64) -> Option<u8> {
        let at = usize::try_from(offset.checked_sub(self.from)?).ok()?;
        self.octets.get(at).copied()
    }

    /// Whether `octets` at `offset` say something else than what is held; what is not held agrees.
    pub(crate) fn contradicts(&self, offset: u64, octets: &[u8]) -> bool {
        let (from, to) = (offset.max(self.from), (offset + octets.len() as u64).min(self.to()));
        (from..to).any(|at| self.get(at) != octets.get((at - offset) as usize).copied())
    }

    /// All that is held, without the octets at `removed` (sorted).
    pub(crate) fn without(&self, removed: &[u64]) -> Vec<u8> {
        let mut removed = removed.iter().copied().skip_while(|&at| at < self.from).peekable();
        let held = (self.from..).zip(&self.octets);
        held.filter(|&(at, _)| removed.next_if_eq(&at).is_none()).map(|(_, &octet)| octet).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: L4
    #[test]
    fn the_text_held_is_the_last_and_knows_its_place() {
        let mut text = Text::default();
        text.push(0, b"abcdef");
        text.keep_last(4);
        assert_eq!((text.from(), text.to(), text.get(1), text.get(2)), (2, 6, None, Some(b'c')));
        text.push(6, b"gh");
        assert_eq!(text.without(&[0, 3, 7]), b"cefg");
        text.push(10, b"xy");
        assert_eq!((text.from(), text.len()), (10, 2), "a hole begins anew");
    }

    // covers: L6
    #[test]
    fn only_what_is_held_can_contradict() {
        let mut text = Text::default();
        text.push(5, b"abc");
        assert!(!text.contradicts(3, b"zzab"));
        assert!(text.contradicts(3, b"zzax"));
        assert!(!text.contradicts(7, b"czz"));
    }
}
