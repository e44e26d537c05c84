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

    /// Puts other octets where some are held.
    pub(crate) fn overwrite(&mut self, offset: u64, octets: &[u8]) {
        let (from, to) = (offset.max(self.from), (offset + octets.len() as u64).min(self.to()));
        for at in from..to {
            if let Some(octet) = self.octets.get_mut((at - self.from) as usize) {
                *octet = octets[(at - offset) as usize];
            }
        }
    }

    /// All that is held up to offset `to`, with their offsets, without the octets at `removed` (sorted).
    pub(crate) fn without<'a>(&'a self, removed: &'a [u64], to: u64) -> impl Iterator<Item = (u64, u8)> + 'a {
        let mut removed = removed.iter().copied().skip_while(|&at| at < self.from).peekable();
        let held = (self.from..to.min(self.to())).zip(&self.octets);
        held.filter(move |&(at, _)| removed.next_if_eq(&at).is_none()).map(|(at, &octet)| (at, octet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &Text, removed: &[u64], to: u64) -> Vec<u8> {
        text.without(removed, to).map(|(_, octet)| octet).collect()
    }

    // covers: L4
    #[test]
    fn the_text_held_is_the_last_and_knows_its_place() {
        let mut text = Text::default();
        text.push(0, b"abcdef");
        text.keep_last(4);
        assert_eq!((text.from(), text.to()), (2, 6));
        text.push(6, b"gh");
        assert_eq!(read(&text, &[0, 3, 7], 100), b"cefg");
        assert_eq!(read(&text, &[3], 5), b"ce", "up to where places are known");
        text.push(10, b"xy");
        assert_eq!((text.from(), text.len()), (10, 2), "a hole begins anew");
    }

    // covers: L6
    #[test]
    fn only_what_is_held_can_be_replaced() {
        let mut text = Text::default();
        text.push(5, b"abc");
        text.overwrite(3, b"zzX");
        text.overwrite(7, b"YZ");
        text.overwrite(20, b"far");
        assert_eq!(read(&text, &[], 100), b"XbY");
    }
}
