//! The place of a rewritten command in the subscriber's sequence: before it one shift, behind it another.

use zerocopy::FromZeros;

/// The longest argument that is written: `|1|255.255.255.255|65535|`.
pub(crate) const LONGEST: usize = 25;

/// Where octets of the subscriber's were replaced, and by what. All zero: nowhere.
#[derive(FromZeros, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Place {
    /// The first of them, as the subscriber counts.
    pub(crate) start: u32,
    /// How many there were.
    pub(crate) old: u8,
    /// How many there are instead.
    pub(crate) new: u8,
    /// The remote has acknowledged them all. Not 0: yes.
    pub(crate) acked: u8,
    text: [u8; LONGEST],
}

/// Which way a number goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// From the subscriber's number to the remote's.
    Out,
    /// From the remote's to the subscriber's.
    Back,
}

/// Which octet a number stands for where there is no exact answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inexact {
    /// The replaced octets do not count yet.
    Before,
    /// They are all behind.
    Behind,
}

impl Place {
    /// `None`: it is too long.
    pub(crate) fn new(start: u32, old: usize, text: &[u8]) -> Option<Self> {
        let (old, new) = (u8::try_from(old).ok()?, u8::try_from(text.len()).ok()?);
        let mut place = Self { start, old, new, ..Self::default() };
        place.text.get_mut(..text.len())?.copy_from_slice(text);
        Some(place)
    }

    /// What is there now.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.new)).unwrap_or_default()
    }

    pub(crate) fn is_somewhere(&self) -> bool {
        self.old != 0
    }

    /// It is so far behind `seq` that numbers will soon be before it again.
    pub(crate) fn is_left_behind(&self, seq: u32) -> bool {
        self.is_somewhere() && seq.wrapping_sub(self.start) as i32 > 1 << 30
    }

    /// How much more is added behind the place than before it.
    pub(crate) fn growth(&self) -> u32 {
        u32::from(self.new).wrapping_sub(u32::from(self.old))
    }

    /// Where number `seq` goes, if `before` is added before the place.
    pub(crate) fn map(&self, before: u32, seq: u32, way: Way, inexact: Inexact) -> u32 {
        let (start, len, add) = match way {
            Way::Out => (self.start, self.old, before),
            Way::Back => (self.start.wrapping_add(before), self.new, before.wrapping_neg()),
        };
        let behind = match way {
            Way::Out => add.wrapping_add(self.growth()),
            Way::Back => add.wrapping_sub(self.growth()),
        };
        let ahead = seq.wrapping_sub(start) as i32;
        if ahead <= 0 {
            return seq.wrapping_add(add);
        }
        if ahead >= i32::from(len) {
            return seq.wrapping_add(behind);
        }
        match inexact {
            Inexact::Before => start.wrapping_add(add),
            Inexact::Behind => start.wrapping_add(u32::from(len)).wrapping_add(behind),
        }
    }

    /// Where in `len` octets from `seq` on the replaced ones are.
    pub(crate) fn overlap(&self, seq: u32, len: usize) -> Overlap {
        let from = self.start.wrapping_sub(seq) as i32;
        let to = i64::from(from) + i64::from(self.old);
        let len = len as i64;
        if !self.is_somewhere() || to <= 0 || i64::from(from) >= len {
            return Overlap::None;
        }
        match usize::try_from(from) {
            Ok(at) if to <= len => Overlap::Whole(at),
            _ => Overlap::Part,
        }
    }
}

/// How a segment and a place meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overlap {
    None,
    /// All the octets are in it, from that one on.
    Whole(usize),
    Part,
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B8
    #[test]
    fn every_number_at_a_place_goes_out_and_comes_back() {
        for start in [1_000u32, u32::MAX - 9, u32::MAX, 0] {
            for text in [&b"1"[..], b"12345", b"123456789"] {
                let place = Place::new(start, 5, text).expect("short enough");
                let before = 77;
                for seq in (-20..=20).map(|n: i32| start.wrapping_add(n as u32)) {
                    let out = place.map(before, seq, Way::Out, Inexact::Behind);
                    let back = place.map(before, out, Way::Back, Inexact::Before);
                    let ahead = seq.wrapping_sub(start) as i32;
                    let exact = if (1..5).contains(&ahead) { start.wrapping_add(5) } else { seq };
                    assert_eq!(back, exact, "{start} {text:?} {seq}");
                }
                let first = start.wrapping_add(before);
                for n in 1..text.len() as u32 {
                    let back = |inexact| place.map(before, first.wrapping_add(n), Way::Back, inexact);
                    assert_eq!(
                        (back(Inexact::Before), back(Inexact::Behind)),
                        (start, start.wrapping_add(5))
                    );
                }
            }
        }
    }
}
