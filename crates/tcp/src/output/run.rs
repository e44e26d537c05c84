//! A run: full segments of which each is the one before it, some octets further.
//!
//! Text in bulk asks the same question for every segment and gets the same answer, until an ACK comes, the time is
//! another or the application does something. So the answer is kept: how many full segments would be sent one behind
//! the other, and the header that they share. It is a prediction and commits to nothing. Each segment is noted as sent
//! when it leaves; whoever touches a connection drops the run, and [`Connection::next`] is asked again.

use rules::Instant;
use wire::checksum::Sum;
use wire::tcp::Flags;

use super::write::IPV4;
use super::{Link, Out};
use crate::Transmit;
use crate::connection::Connection;

/// Room for the headers of a run: IPv4, TCP, timestamps and padding. A fixed size is copied without a loop.
const HEADERS: usize = 64;
/// Where SEG.SEQ and the checksum are.
const SEQ: usize = IPV4 + 4;
const CHECKSUM: usize = IPV4 + 16;
/// Fewer segments than this are not worth the preparation.
const LEAST: u32 = 4;

/// See the module.
pub(crate) struct Run {
    headers: [u8; HEADERS],
    /// Of the headers and the pseudo-header, without SEG.SEQ and checksum; `None`: the link sums.
    sum: Option<Sum>,
    /// Where in the send buffer the next segment begins.
    offset: usize,
    /// What every packet of it is.
    transmit: Transmit,
    /// Segments yet to be sent.
    left: u32,
}

impl Run {
    /// There are more segments of it.
    pub(crate) const fn goes_on(&self) -> bool {
        self.left > 0
    }
}

impl Connection {
    /// The run behind `packet`, which was `sent` right now and was not the first at this time; `next` is what comes
    /// behind it.
    pub(crate) fn run_behind(
        &self,
        (sent, next): (Out, Out),
        packet: &[u8],
        transmit: Transmit,
        link: &Link,
    ) -> Option<Run> {
        let mss = u32::from(self.text_mss());
        let full = |seq| Out::Text { seq, len: mss, fin: false, again: false };
        let segments = self.full_segments(mss);
        let Transmit { len, header_len, .. } = transmit;
        // One flag, and DF: nothing else that is told once, or that counts.
        let plain = packet.get(IPV4 + 13) == Some(&Flags::ACK.0) && self.sets_df();
        if segments < LEAST
            || (sent, next) != (full(self.snd_nxt.minus(mss)), full(self.snd_nxt))
            || !plain
            || !(header_len..=len).contains(&HEADERS)
            || link.super_segment > 0
        {
            return None;
        }
        let mut headers = *packet.first_chunk::<HEADERS>()?;
        headers.get_mut(SEQ..SEQ + 4)?.fill(0);
        headers.get_mut(header_len..)?.fill(0);
        let mut sum = None;
        if !link.checksum_offload {
            headers.get_mut(CHECKSUM..CHECKSUM + 2)?.fill(0);
            let (local, remote) = (*self.tuple.local.ip(), *self.tuple.remote.ip());
            let pseudo = Sum::pseudo_header(local, remote, wire::tcp::PROTOCOL, (len - IPV4) as u16);
            sum = Some(pseudo.plus(Sum::of(headers.get(IPV4..)?)));
        }
        let offset = self.snd_nxt.distance_from(self.data_start()) as usize;
        Some(Run { headers, sum, offset, transmit, left: segments })
    }

    /// How many full segments would be sent one behind the other, the last of the queue not among them: it is told
    /// apart by PSH.
    fn full_segments(&self, mss: u32) -> u32 {
        let octets = self.unsent().saturating_sub(1).min(self.usable()).min(self.recovery.allowance());
        if self.recovery.is_steady() { octets / mss } else { 0 }
    }

    /// Writes the next segment of `run`, and remembers that it was sent. `None`: the run is over, or `buf` is too
    /// short.
    #[inline]
    pub(crate) fn write_next(&mut self, run: &mut Run, buf: &mut [u8], now: Instant) -> Option<Transmit> {
        let Transmit { len, header_len, .. } = run.transmit;
        let packet = buf.get_mut(..len)?;
        run.left = run.left.checked_sub(1)?;
        *packet.first_chunk_mut()? = run.headers;
        let seq = self.snd_nxt;
        packet.get_mut(SEQ..SEQ + 4)?.copy_from_slice(&seq.0.to_be_bytes());
        let text = packet.get_mut(header_len..)?;
        let octets = text.len();
        match run.sum {
            None => self.send.copy(run.offset, text),
            Some(headers) => {
                let text = self.send.copy_and_sum(run.offset, text);
                let checksum = headers.plus(Sum::of_words(&[seq.0])).plus(text).checksum();
                packet.get_mut(CHECKSUM..CHECKSUM + 2)?.copy_from_slice(&checksum.to_be_bytes());
            }
        }
        run.offset += octets;
        self.snd_nxt = seq.plus(octets as u32);
        self.recovery.on_steady_transmit(self.snd_nxt, now);
        Some(run.transmit)
    }
}
