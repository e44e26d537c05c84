//! Where octets that were seen can be read again: nothing is copied before it matters.
//!
//! A segment whose text follows in order and has no mark costs its flow some counters and one entry in the list of
//! [`Pieces`]: where its text stands in the capture. Octets are fetched only where hosts may part ways: at
//! the first mark (the excerpt before it), at a copy of what was delivered (to compare), when a hole is filled.
//! A capture file can be read again at any place ([`Archive`]); what has no such place (a live interface, an IPv4
//! datagram put together from fragments) goes through a ring of recent octets.

/// A capture whose octets can be read again.
pub trait Archive {
    /// Fills `into` with the octets at `position`. `false`: they are not at hand.
    fn read(&mut self, position: u64, into: &mut [u8]) -> bool;
}

/// A capture that is in memory as a whole: positions are indices.
impl Archive for &[u8] {
    fn read(&mut self, position: u64, into: &mut [u8]) -> bool {
        let from = usize::try_from(position).ok();
        let octets = from.and_then(|from| self.get(from..)?.get(..into.len()));
        octets.is_some_and(|octets| {
            into.copy_from_slice(octets);
            true
        })
    }
}

/// The position of octets that are nowhere: the capture has cut them off.
pub(crate) const NOWHERE: u64 = u64::MAX;
/// Marks positions in the ring.
const OWN: u64 = 1 << 63;

/// The ring: text as it was seen, the newest over the oldest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    octets: Vec<u8>,
    most: usize,
    /// Octets that were ever put in.
    count: u64,
}

impl Recent {
    pub(crate) fn new(most: usize) -> Self {
        Self { octets: Vec::new(), most, count: 0 }
    }

    /// Puts `text` in; the answer is its position.
    pub(crate) fn put(&mut self, text: &[u8]) -> u64 {
        if text.len() > self.most {
            return NOWHERE;
        }
        let position = self.count;
        self.count += text.len() as u64;
        // Until it is full it grows; then it is written over from the start.
        let room = self.most - self.octets.len();
        let (grown, over) = text.split_at(room.min(text.len()));
        self.octets.extend_from_slice(grown);
        if !over.is_empty() {
            let at = ((position + grown.len() as u64) % self.most as u64) as usize;
            let (first, second) = over.split_at((self.most - at).min(over.len()));
            self.octets[at..at + first.len()].copy_from_slice(first);
            self.octets[..second.len()].copy_from_slice(second);
        }
        OWN | position
    }

    fn read(&self, position: u64, into: &mut [u8]) -> bool {
        let behind = position + into.len() as u64;
        if behind > self.count || self.count - position > self.most as u64 || into.is_empty() {
            return into.is_empty();
        }
        let at = (position % self.most as u64) as usize;
        let (first, second) = into.split_at_mut((self.most - at).min(into.len()));
        first.copy_from_slice(&self.octets[at..at + first.len()]);
        second.copy_from_slice(&self.octets[..second.len()]);
        true
    }
}

/// The ring, and the capture if it can be read again.
pub(crate) struct Store<'a> {
    pub(crate) recent: &'a mut Recent,
    pub(crate) archive: Option<&'a mut dyn Archive>,
}

impl Store<'_> {
    /// Fills `into` with the octets at `position`, if they are at hand.
    pub(crate) fn read(&mut self, position: u64, into: &mut [u8]) -> bool {
        match &mut self.archive {
            _ if position == NOWHERE => false,
            _ if position & OWN != 0 => self.recent.read(position & !OWN, into),
            Some(archive) => archive.read(position, into),
            None => false,
        }
    }
}

/// Text that was delivered: where it belongs in its stream, and where its octets are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) position: u64,
    /// The low half of its offset in the stream.
    offset: u32,
    pub(crate) len: u32,
    /// How many entries back the piece before it of its stream is; 0: there is none.
    back: u32,
}

/// The latest pieces of all streams in one list, the newest over the oldest; each leads to the one before it.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    items: Vec<Piece>,
    most: usize,
    count: u64,
}

impl Pieces {
    pub(crate) fn new(most: usize) -> Self {
        Self { items: Vec::new(), most: most.max(1), count: 0 }
    }

    /// Adds a piece of the stream whose latest one is `last` (0: none); the answer is the new latest.
    pub(crate) fn add(&mut self, last: u64, offset: u64, position: u64, len: u32) -> u64 {
        let back = if last == 0 { 0 } else { u32::try_from(self.count + 1 - last).unwrap_or(0) };
        let piece = Piece { position, offset: offset as u32, len, back };
        if self.items.len() < self.most {
            self.items.push(piece);
        } else {
            let at = (self.count % self.most as u64) as usize;
            self.items[at] = piece;
        }
        self.count += 1;
        self.count
    }

    /// The stream's pieces with their offsets, the latest first; `next` lies behind the latest.
    pub(crate) fn walk(&self, last: u64, next: u64) -> impl Iterator<Item = (u64, Piece)> {
        let (mut at, mut near) = (last, next);
        core::iter::from_fn(move || {
            if at == 0 || self.count - at >= self.most as u64 {
                return None;
            }
            let piece = *self.items.get(((at - 1) % self.most as u64) as usize)?;
            near -= u64::from((near as u32).wrapping_sub(piece.offset)).min(near);
            at = if piece.back == 0 { 0 } else { at.saturating_sub(piece.back.into()) };
            Some((near, piece))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: L4
    #[test]
    fn the_ring_keeps_the_newest_and_knows_what_it_has_lost() {
        let mut recent = Recent::new(10);
        let first = recent.put(b"abcdef");
        let second = recent.put(b"ghijkl");
        let mut store = Store { recent: &mut recent, archive: None };
        let mut into = [0; 6];
        assert!(!store.read(first, &mut into), "its beginning is gone");
        assert!(store.read(second, &mut into));
        assert_eq!(&into, b"ghijkl");
        let mut into = [0; 2];
        assert!(store.read(first + 4, &mut into) && &into == b"ef");
        assert!(!store.read(second + 5, &mut into), "that was never there");
        assert!(!store.read(NOWHERE, &mut into) && !store.read(3, &mut into), "no archive");
        assert_eq!(recent.put(b"more than fits"), NOWHERE);
    }

    // covers: L4
    #[test]
    fn pieces_of_two_streams_lead_back_to_their_own() {
        let mut pieces = Pieces::new(4);
        let high = (7 << 32) - 3;
        let (mut a, mut b) = (0, 0);
        a = pieces.add(a, high, 1, 5);
        b = pieces.add(b, 0, 2, 9);
        a = pieces.add(a, high + 5, 3, 5);
        let of =
            |last, next| pieces.walk(last, next).map(|(at, piece)| (at, piece.position)).collect::<Vec<_>>();
        assert_eq!(of(a, high + 10), [(high + 5, 3), (high, 1)]);
        assert_eq!(of(b, 9), [(0, 2)]);
        for n in 0..3 {
            a = pieces.add(a, high + 10 + n, 4 + n, 1);
        }
        assert_eq!(pieces.walk(a, high + 13).count(), 4, "the oldest is overwritten");
        assert_eq!(pieces.walk(b, 9).count(), 0);
    }
}
