//! A segment is written: headers, options, text copied and summed in one pass.

use core::net::Ipv4Addr;

use rules::reset::Reset;
use rules::urgent;
use rules::window::{receive_window, window_field};
use wire::SeqNumber;
use wire::checksum::Sum;
use wire::tcp::Flags;

use super::{Link, Out};
use crate::Transmit;
use crate::connection::{AckDue, Connection, Context, Fin};
use crate::segment::Tuple;
use crate::{State, WindowProbe};

/// Octets of the IPv4 header.
pub(super) const IPV4: usize = 20;
/// Octets of the TCP header without options.
const TCP: usize = 20;
/// ECT(0) (RFC 3168 section 5).
const ECT: u8 = 0b10;

/// A segment about to be written, but for its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) tuple: Tuple,
    pub(crate) seq: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) ect: bool,
    /// Atomic (RFC 6864), with DF; else this identification and no DF.
    pub(crate) identification: Option<u16>,
}

/// The octets of a header's options: at most 40.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionOctets {
    octets: [u8; 40],
    len: usize,
}

/// The segment that answers `tuple` with `reset`.
pub(crate) fn reset_packet(tuple: Tuple, reset: Reset) -> Packet {
    Packet {
        tuple,
        seq: reset.seq,
        ack: reset.ack.unwrap_or(SeqNumber(0)),
        flags: if reset.ack.is_some() { Flags::RST | Flags::ACK } else { Flags::RST },
        window: 0,
        urgent: 0,
        ect: false,
        identification: None,
    }
}

impl Connection {
    /// Writes what [`Connection::next`] decided, and remembers that it was sent.
    pub(crate) fn write_out(
        &mut self,
        out: Out,
        buf: &mut [u8],
        cx: &mut Context<'_>,
        link: &Link,
        identification: u16,
    ) -> Option<Transmit> {
        let mut options = OptionOctets::NONE;
        self.options(out, &mut options, cx);
        let mut packet = self.packet(out, cx);
        packet.identification = (!self.sets_df()).then_some(identification);
        let (offset, len) = self.text_of(out);
        let text = |to: &mut [u8]| match out {
            Out::Poke { .. } => {
                to.fill(0);
                Sum::default()
            }
            _ if link.checksum_offload => {
                self.send.copy(offset, to);
                Sum::default()
            }
            _ => self.send.copy_and_sum(offset, to),
        };
        let lengths = packet.write_octets(buf, &options, len, link, text)?;
        // Before it is noted as sent: the D-SACK that went with it takes room from the text, and is then forgotten.
        let mss = usize::from(self.text_mss());
        self.sent(out, &packet, cx);
        Some(lengths.transmit((len > mss).then_some(mss as u16), link))
    }

    /// Where in the send buffer the text of `out` lies, and how long it is.
    fn text_of(&self, out: Out) -> (usize, usize) {
        match out {
            Out::Text { seq, len, .. } => (seq.distance_from(self.data_start()) as usize, len as usize),
            Out::ProbeOctet => (self.send_from().distance_from(self.data_start()) as usize, 1),
            Out::Poke { octet } => (0, usize::from(octet)),
            Out::Syn | Out::Ack => (0, 0),
        }
    }

    fn packet(&mut self, out: Out, cx: &Context<'_>) -> Packet {
        let seq = match out {
            Out::Syn => self.iss,
            Out::Text { seq, .. } => seq,
            Out::ProbeOctet => self.send_from(),
            // Acknowledged before, so that no peer takes the octet of nothing for text: SND.NXT-1 may be in flight.
            Out::Poke { .. } => self.snd_una.minus(1),
            Out::Ack => self.ack_seq(),
        };
        let mut flags = self.flags(out);
        let urgent = self.urgent_field(seq, out);
        if urgent.is_some() {
            flags = flags | Flags::URG;
        }
        let _ = cx;
        Packet {
            tuple: self.tuple,
            seq,
            ack: if flags.contains(Flags::ACK) { self.rcv_nxt } else { SeqNumber(0) },
            flags,
            window: self.offer_window(out),
            urgent: urgent.unwrap_or(0),
            ect: self.negotiated.ecn && matches!(out, Out::Text { again: false, len: 1.., .. }),
            identification: None,
        }
    }

    /// The sequence number of an ACK alone: what the peer expects next, or one left of it, so that its
    /// test always takes it (S5). An octet that went out as a probe may have been refused.
    fn ack_seq(&self) -> SeqNumber {
        let legacy = self.config.seq_validation == rules::acceptability::Edge::Rfc793;
        let moved = self.config.window_probe == WindowProbe::NextOctet;
        if legacy && moved { self.snd_nxt } else { self.send_from() }
    }

    fn flags(&self, out: Out) -> Flags {
        let mut flags = if self.state == State::SynSent { Flags(0) } else { Flags::ACK };
        match out {
            Out::Syn => {
                flags = flags | Flags::SYN;
                if self.state == State::SynSent && self.config.ecn && self.recovery.rto_count() == 0 {
                    flags = flags | Flags::ECE | Flags::CWR;
                } else if self.state == State::SynReceived && self.negotiated.ecn {
                    flags = flags | Flags::ECE;
                }
            }
            Out::Text { seq, len, fin, again } => {
                if fin {
                    flags = flags | Flags::FIN;
                }
                if len > 0 && seq.plus(len) == self.snd_end() {
                    flags = flags | Flags::PSH;
                }
                if self.cwr_due && self.negotiated.ecn && !again && len > 0 {
                    flags = flags | Flags::CWR;
                }
            }
            Out::ProbeOctet | Out::Poke { .. } | Out::Ack => {}
        }
        if self.ece && out != Out::Syn {
            flags = flags | Flags::ECE;
        }
        flags
    }

    /// URG goes with every segment until the urgent data is acknowledged (U8).
    fn urgent_field(&self, seq: SeqNumber, out: Out) -> Option<u16> {
        if out == Out::Syn {
            return None;
        }
        urgent::field(seq, self.snd_up?, self.config.urgent.send)
    }

    /// SEG.WND, and the right edge that it tells: never left of where it was (RFC 9293 3.8.6).
    fn offer_window(&mut self, out: Out) -> u16 {
        let buffer = self.config.receive_buffer;
        if out == Out::Syn {
            return buffer.min(0xFFFF) as u16;
        }
        let current = self.rcv_adv.distance_from(self.rcv_nxt);
        let free = buffer.saturating_sub(self.unread());
        let window = receive_window(current, free, buffer, u32::from(self.rcv_mss)).max(current);
        let unit = 1u32 << self.rcv_shift;
        // Rounded up where rounding down would take back what was offered.
        let least = current.div_ceil(unit).min(0xFFFF) as u16;
        let field = window_field(window, self.rcv_shift).max(least);
        let edge = self.rcv_nxt.plus(u32::from(field) << self.rcv_shift);
        if edge.after(self.rcv_adv) {
            self.rcv_adv = edge;
        }
        field
    }

    /// The application has read: enough to be worth telling (RFC 9293 3.8.6.2.2), and the peer may be waiting.
    pub(crate) fn is_window_update_due(&self) -> bool {
        if !self.takes_text() {
            return false;
        }
        // No more than the field can tell: an ACK that tells nothing new would be a duplicate to the peer.
        let most = 0xFFFF << self.rcv_shift;
        let buffer = self.config.receive_buffer.min(most);
        let current = self.rcv_adv.distance_from(self.rcv_nxt);
        let free = self.config.receive_buffer.saturating_sub(self.unread()).min(most);
        let window = receive_window(current, free, buffer, u32::from(self.rcv_mss));
        let gain = window.saturating_sub(current);
        gain > 0 && current < buffer / 2 && (gain >= buffer / 4 || current < 2 * u32::from(self.rcv_mss))
    }

    /// What has left is remembered.
    fn sent(&mut self, out: Out, packet: &Packet, cx: &Context<'_>) {
        self.user_timeout_due &= out == Out::Syn || self.sack_blocks() > 0;
        if packet.flags.contains(Flags::ACK) {
            self.ack = AckDue::No;
            self.unacked_octets = 0;
            self.dsack = None;
            self.last_ack_sent = self.rcv_nxt;
        }
        match out {
            Out::Syn => {
                self.syn_due = false;
                self.recovery.on_transmit(self.iss, self.iss.plus(1), cx.now);
                self.snd_nxt = self.iss.plus(1);
            }
            Out::Text { seq, len, fin, again } => self.sent_text(seq, len, fin, again, cx),
            Out::ProbeOctet => {
                self.snd_nxt = self.send_from().plus(1);
                self.probe_octet = true;
                self.due.window_probe = false;
            }
            Out::Poke { .. } => {
                self.due.window_probe = false;
                self.due.keep_alive = false;
            }
            Out::Ack => {}
        }
    }

    fn sent_text(&mut self, seq: SeqNumber, len: u32, fin: bool, again: bool, cx: &Context<'_>) {
        let end = seq.plus(len + u32::from(fin));
        if !again && self.recovery.in_flight() == 0 {
            self.recovery.on_idle(cx.now);
        }
        self.recovery.on_transmit(seq, end, cx.now);
        self.due.tail_probe = false;
        self.due.window_probe = false;
        if again {
            return;
        }
        self.probe_octet = false;
        self.cwr_due = false;
        self.one_way = 0;
        if end.after(self.snd_nxt) {
            self.snd_nxt = end;
        }
        if fin {
            self.fin = Fin::Sent;
            match self.state {
                State::Established => self.state = State::FinWait1,
                State::CloseWait => self.state = State::LastAck,
                _ => {}
            }
        }
        if let Some(rate) = self.recovery.pacing_rate().filter(|&rate| rate > 0 && len > 0) {
            let nanos = u64::from(len).saturating_mul(1_000_000_000) / rate;
            // A pause of nothing is none: it would be due as soon as it was handled.
            self.paced_until = (nanos > 0).then(|| cx.now + core::time::Duration::from_nanos(nanos));
        }
    }

    /// Octets of options of a segment that is no SYN.
    pub(crate) fn option_octets(&self) -> usize {
        let timestamps = if self.negotiated.timestamps { 12 } else { 0 };
        match self.sack_blocks() {
            0 if self.user_timeout_due => timestamps + 4,
            0 => timestamps,
            blocks => timestamps + 4 + 8 * blocks,
        }
    }

    fn sack_blocks(&self) -> usize {
        if !self.negotiated.sack {
            return 0;
        }
        let most = if self.negotiated.timestamps { 3 } else { 4 };
        (self.assembler.ranges().len() + usize::from(self.dsack.is_some())).min(most)
    }

    /// In the order in which Linux writes them: MSS, SACK permitted, timestamps, window scale.
    fn options(&self, out: Out, options: &mut OptionOctets, cx: &Context<'_>) {
        if out == Out::Syn {
            return self.syn_options(options, cx);
        }
        if self.negotiated.timestamps {
            options.put(&[1, 1, 8, 10]);
            self.timestamps(options, cx.now);
        }
        let blocks = self.sack_blocks();
        if blocks == 0 && self.user_timeout_due {
            self.user_timeout(options);
        }
        if blocks > 0 {
            options.put(&[1, 1, 5, 2 + 8 * blocks as u8]);
            for (start, end) in self.dsack.into_iter().chain(self.assembler.blocks(blocks)).take(blocks) {
                options.put(&start.0.to_be_bytes());
                options.put(&end.0.to_be_bytes());
            }
        }
    }

    /// The options of a RST that the application asked for (RFC 7323 5.2).
    pub(crate) fn timestamps_alone(&self, now: rules::Instant) -> OptionOctets {
        let mut options = OptionOctets::NONE;
        if self.negotiated.timestamps {
            options.put(&[1, 1, 8, 10]);
            self.timestamps(&mut options, now);
        }
        options
    }

    /// A SYN offers, a SYN-ACK bears what was offered.
    fn syn_options(&self, options: &mut OptionOctets, cx: &Context<'_>) {
        let offering = self.state == State::SynSent;
        let [high, low] = self.rcv_mss.to_be_bytes();
        options.put(&[2, 4, high, low]);
        let sack = if offering { self.config.sack } else { self.negotiated.sack };
        let timestamps = if offering { self.config.timestamps } else { self.negotiated.timestamps };
        let scaling = if offering { self.config.window_scaling } else { self.negotiated.window_scaling };
        match (sack, timestamps) {
            (true, true) => options.put(&[4, 2]),
            (true, false) => options.put(&[1, 1, 4, 2]),
            (false, true) => options.put(&[1, 1]),
            (false, false) => {}
        }
        if timestamps {
            options.put(&[8, 10]);
            self.timestamps(options, cx.now);
        }
        if scaling {
            options.put(&[1, 3, 3, self.rcv_shift]);
        }
        self.user_timeout(options);
    }

    /// RFC 5482; in the SYN, and once more in the first segment behind it that has the room: a SYN that was answered
    /// with a cookie is forgotten.
    fn user_timeout(&self, options: &mut OptionOctets) {
        if let Some(field) = self.config.told_user_timeout.and_then(rules::user_timeout::field) {
            let [high, low] = field.to_be_bytes();
            options.put(&[rules::user_timeout::KIND, 4, high, low]);
        }
    }

    fn timestamps(&self, options: &mut OptionOctets, now: rules::Instant) {
        options.put(&self.tsval(now).to_be_bytes());
        options.put(&self.ts_recent.map_or(0, |recent| recent.value).to_be_bytes());
    }
}

impl OptionOctets {
    pub(crate) const NONE: Self = Self { octets: [0; 40], len: 0 };

    pub(crate) fn put(&mut self, octets: &[u8]) {
        if let Some(to) = self.octets.get_mut(self.len..self.len + octets.len()) {
            to.copy_from_slice(octets);
            self.len += octets.len();
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }
}

/// How long a packet came out.
#[derive(Clone, Copy, Debug)]
struct Lengths {
    total: u16,
    header: u16,
}

impl Lengths {
    fn transmit(self, segment: Option<u16>, link: &Link) -> Transmit {
        let (len, header_len) = (usize::from(self.total), usize::from(self.header));
        Transmit { len, header_len, segment, checksum_partial: link.checksum_offload }
    }
}

/// Headers are put together as words, and summed as words: octets that were stored one by one and are read back as
/// words at once make the processor wait.
impl Packet {
    /// Writes headers and `len` octets of text to `buf`: `text` copies them and gives their sum.
    /// `None`: it does not fit.
    pub(crate) fn write(
        &self,
        buf: &mut [u8],
        options: &OptionOctets,
        len: usize,
        link: &Link,
        text: impl FnOnce(&mut [u8]) -> Sum,
    ) -> Option<Transmit> {
        Some(self.write_octets(buf, options, len, link, text)?.transmit(None, link))
    }

    fn write_octets(
        &self,
        buf: &mut [u8],
        options: &OptionOctets,
        len: usize,
        link: &Link,
        text: impl FnOnce(&mut [u8]) -> Sum,
    ) -> Option<Lengths> {
        let options = options.as_slice();
        let header_len = IPV4 + TCP + options.len();
        let total = header_len + len;
        let total_len = u16::try_from(total).ok()?;
        let (header, to) = buf.get_mut(..total)?.split_at_mut(header_len);
        let sum = text(to);
        let (ipv4, tcp) = header.split_first_chunk_mut::<IPV4>()?;
        put_words(ipv4, &self.ipv4_words(total_len, link.ttl));
        let (fixed, rest) = tcp.split_first_chunk_mut::<TCP>()?;
        let (local, remote) = self.addresses();
        let pseudo = Sum::pseudo_header(local, remote, wire::tcp::PROTOCOL, total_len - IPV4 as u16);
        let mut words = self.tcp_words(options.len());
        let of_options = copy_options(options, rest);
        let checksum = if link.checksum_offload {
            pseudo.folded()
        } else {
            pseudo.plus(Sum::of_words(&words)).plus(of_options).plus(sum).checksum()
        };
        words[4] |= u32::from(checksum) << 16;
        put_words(fixed, &words);
        Some(Lengths { total: total_len, header: header_len as u16 })
    }

    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        (*self.tuple.local.ip(), *self.tuple.remote.ip())
    }

    fn ipv4_words(&self, total_len: u16, ttl: u8) -> [u32; 5] {
        let (local, remote) = self.addresses();
        let ecn = if self.ect { ECT } else { 0 };
        let dont_fragment = if self.identification.is_none() { 0x4000 } else { 0 };
        let mut words = [
            u32::from_be_bytes([0x45, ecn, 0, 0]) | u32::from(total_len),
            u32::from(self.identification.unwrap_or(0)) << 16 | dont_fragment,
            u32::from_be_bytes([ttl, wire::tcp::PROTOCOL, 0, 0]),
            local.to_bits(),
            remote.to_bits(),
        ];
        words[2] |= u32::from(Sum::of_words(&words).checksum());
        words
    }

    /// Without the checksum.
    fn tcp_words(&self, options: usize) -> [u32; 5] {
        let (local, remote) = (self.tuple.local.port(), self.tuple.remote.port());
        let [window_high, window_low] = self.window.to_be_bytes();
        [
            u32::from(local) << 16 | u32::from(remote),
            self.seq.0,
            self.ack.0,
            u32::from_be_bytes([((TCP + options) as u8) << 2, self.flags.0, window_high, window_low]),
            u32::from(self.urgent),
        ]
    }
}

fn put_words(to: &mut [u8; 20], words: &[u32; 5]) {
    let (chunks, _) = to.as_chunks_mut::<4>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_be_bytes();
    }
}

/// Whole words, as [`OptionOctets`] are in a header; each as it was stored.
fn copy_options(options: &[u8], to: &mut [u8]) -> Sum {
    let mut sum = Sum::default();
    let (to, _) = to.as_chunks_mut::<4>();
    for (word, to) in options.as_chunks::<4>().0.iter().zip(to) {
        *to = *word;
        sum = sum.plus(Sum::of_words(&[u32::from_be_bytes(*word)]));
    }
    sum
}
