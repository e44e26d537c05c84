//! Wars: answers to answers, none of which says anything new.
//!
//! An answer is a segment that an arrival made its sender send. It says nothing new if its sender has sent a
//! segment with the same SEQ, ACK, flags and length as its last one before. One or two of these
//! happen to everybody (a duplicate is acknowledged again). A chain of them, each the answer to the one before,
//! is a war: only a timer or the application could end it, and both sides are too busy.

use std::collections::BTreeMap;

use crate::{Cause, Fate, Log, NodeId, PacketId};

/// Answers in a chain without progress that make a war. No healthy exchange comes near it: the longest
/// that the exhaustive scenarios see is shown in docs/simulator.md.
pub const WAR: usize = 8;

/// What was counted in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Segments sent.
    pub segments: usize,
    /// Segments that were answers and said nothing new.
    pub empty_answers: usize,
    /// The longest chain of such answers.
    pub longest: usize,
}

impl Count {
    /// Whether there was a war.
    pub const fn is_war(&self) -> bool {
        self.longest >= WAR
    }
}

/// SEQ, ACK, flags, SEG.LEN.
type Said = (u32, u32, u8, u32);

/// Counts the answers in `log` that made no progress.
pub fn count(log: &Log) -> Count {
    let mut count = Count::default();
    let mut last: BTreeMap<NodeId, Said> = BTreeMap::new();
    let mut chain = vec![0_usize; log.packets().len()];
    for (PacketId(id), packet) in log.begun() {
        let Some(segment) = packet.segment().filter(|_| packet.copy_of.is_none()) else { continue };
        count.segments += 1;
        let said = (segment.seq().0, segment.ack().0, segment.flags().0, segment.segment_len());
        let before = last.insert(packet.from, said);
        let Cause::Packet(question) = packet.cause else { continue };
        if before == Some(said) {
            chain[id] = chain.get(question.0).copied().unwrap_or(0) + 1;
            count.empty_answers += 1;
            count.longest = count.longest.max(chain[id]);
        }
    }
    count
}

/// Packets that were lost.
pub fn losses(log: &Log) -> usize {
    log.begun().filter(|(_, packet)| matches!(packet.fate, Fate::Lost(_))).count()
}
