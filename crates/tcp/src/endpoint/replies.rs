//! Answers that no connection sends: RST to closed ports, SYN cookies, the last ACK of TIME-WAIT.

use alloc::collections::VecDeque;

use rules::Instant;
use wire::checksum::Sum;
use wire::tcp::Flags;

use crate::output::{Link, OptionOctets, Packet};
use crate::segment::Segment;
use crate::{Counters, Transmit};

/// A bounded queue, and a bound on how many a second may enter.
pub(super) struct Replies {
    queue: VecDeque<(Packet, OptionOctets)>,
    most: usize,
    rate: u32,
    /// Octets have nothing to do with it: replies that may still be sent in this second.
    left: u32,
    since: Instant,
}

impl Replies {
    pub(super) const fn new(most: usize, rate: u32) -> Self {
        Self { queue: VecDeque::new(), most, rate, left: rate, since: Instant::ZERO }
    }

    /// A reply that is not limited but by the queue.
    pub(super) fn push_with(&mut self, packet: Packet, options: OptionOctets, counters: &mut Counters) {
        if self.queue.len() < self.most {
            self.queue.push_back((packet, options));
        } else {
            counters.replies_withheld += 1;
        }
    }

    /// A RST that a stranger provoked: so many a second, no more.
    pub(super) fn push_reset(
        &mut self,
        packet: Packet,
        provoked_by: &Segment<'_>,
        now: Instant,
        counters: &mut Counters,
    ) {
        debug_assert!(packet.flags.contains(Flags::RST));
        if now.since(self.since).as_secs() > 0 {
            (self.since, self.left) = (now, self.rate);
        }
        if self.left == 0 {
            counters.replies_withheld += 1;
            return;
        }
        self.left -= 1;
        let mut options = OptionOctets::NONE;
        // RFC 7323 5.2: the provoker's timestamp goes back, ours is 0.
        if let Some((value, _)) = provoked_by.options.timestamps {
            options.put(&[1, 1, 8, 10, 0, 0, 0, 0]);
            options.put(&value.to_be_bytes());
        }
        self.push_with(packet, options, counters);
    }

    pub(super) fn poll(&mut self, buf: &mut [u8], link: &Link) -> Option<Transmit> {
        let (packet, options) = self.queue.pop_front()?;
        packet.write(buf, &options, 0, link, |_| Sum::default())
    }
}
