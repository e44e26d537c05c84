//! What a peer on the wire knows of a connection, and the segments that it makes of it: what an honest TCP
//! would send, what is nearly that, and what is nothing like it.

use std::net::SocketAddrV4;

use wire::SeqNumber;
use wire::tcp::{Flags, Tcp, TcpOption};

use crate::rng::Rng;

/// The octet at `seq` of the stream from `from` to `to`: whatever is delivered can be checked.
pub fn octet(from: SocketAddrV4, to: SocketAddrV4, seq: SeqNumber) -> u8 {
    let ends = from.ip().to_bits() ^ to.ip().to_bits().rotate_left(7) ^ u32::from(from.port()) << 13;
    let mixed = (seq.0 ^ ends ^ u32::from(to.port())).wrapping_mul(0x9e37_79b1);
    (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b).to_be_bytes()[0]
}

pub fn text(from: SocketAddrV4, to: SocketAddrV4, seq: SeqNumber, len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| octet(from, to, seq.plus(at))).collect()
}

/// One tuple, from the other side.
pub struct Peer {
    /// The endpoint's side.
    pub local: SocketAddrV4,
    /// The peer's.
    pub remote: SocketAddrV4,
    iss: SeqNumber,
    syn_sent: bool,
    /// Behind what was sent.
    nxt: SeqNumber,
    timestamps: bool,
    tsval: u32,
    wscale: Option<u8>,
    sack: bool,
    mss: u16,
    /// Of the endpoint: its SYN, what follows what it sent, what it acknowledged, where its window ends.
    their_syn: Option<SeqNumber>,
    their_nxt: SeqNumber,
    acked: SeqNumber,
    their_ack: SeqNumber,
    edge: SeqNumber,
    shift: u8,
    tsecr: u32,
}

/// A segment before it is written.
pub struct Draft {
    pub seq: SeqNumber,
    pub ack: SeqNumber,
    pub flags: Flags,
    pub window: u16,
    pub urgent: u16,
    pub options: Vec<u8>,
    pub len: usize,
}

impl Peer {
    pub fn new(local: SocketAddrV4, remote: SocketAddrV4, rng: &mut Rng) -> Self {
        let mut peer = Self {
            local,
            remote,
            iss: SeqNumber(0),
            syn_sent: false,
            nxt: SeqNumber(0),
            timestamps: false,
            tsval: 0,
            wscale: None,
            sack: false,
            mss: 0,
            their_syn: None,
            their_nxt: SeqNumber(0),
            acked: SeqNumber(0),
            their_ack: SeqNumber(0),
            edge: SeqNumber(0),
            shift: 0,
            tsecr: 0,
        };
        peer.reboot(rng);
        peer
    }

    /// It has forgotten everything, but not the time.
    pub fn reboot(&mut self, rng: &mut Rng) {
        self.iss = if rng.percent(30) { self.nxt.plus(rng.offset()) } else { SeqNumber(rng.brink()) };
        self.nxt = self.iss;
        self.syn_sent = false;
        self.their_syn = None;
        self.timestamps = rng.percent(60);
        self.tsval = if rng.percent(30) { rng.brink() } else { self.tsval.wrapping_add(rng.below(9) as u32) };
        self.wscale = rng.percent(60).then(|| rng.pick(&[0, 1, 2, 7, 14, 15, 255]));
        self.sack = rng.percent(60);
        self.mss = rng.pick(&[0, 1, 64, 88, 536, 1_000, 1_460, 65_535]);
    }

    /// The endpoint sent this.
    pub fn hear(&mut self, tcp: &Tcp<&[u8]>, rng: &mut Rng) {
        let flags = tcp.flags();
        if flags.contains(Flags::RST) {
            self.reboot(rng);
            return;
        }
        let end = tcp.seq().plus(tcp.segment_len());
        if flags.contains(Flags::SYN) {
            if self.their_syn != Some(tcp.seq()) {
                self.their_syn = Some(tcp.seq());
                (self.acked, self.their_nxt) = (tcp.seq(), end);
            }
            self.shift = 0;
        }
        if !end.before(self.their_nxt) {
            self.their_nxt = end;
        }
        for option in tcp.options().map_while(Result::ok) {
            match option {
                TcpOption::WindowScale(shift) if flags.contains(Flags::SYN) => self.shift = shift.min(14),
                TcpOption::Timestamps { value, .. } => self.tsecr = value,
                _ => {}
            }
        }
        if flags.contains(Flags::ACK) {
            self.their_ack = tcp.ack();
            let shift = if flags.contains(Flags::SYN) || self.wscale.is_none() { 0 } else { self.shift };
            self.edge = tcp.ack().plus(u32::from(tcp.window()) << shift);
        }
    }

    /// The next thing that a TCP would send here.
    pub fn honest(&mut self, rng: &mut Rng) -> Draft {
        self.tsval = self.tsval.wrapping_add(rng.below(3) as u32);
        let mut draft = Draft {
            seq: self.iss,
            ack: self.their_nxt,
            flags: Flags::ACK,
            window: rng.pick(&[0, 1, 100, 1_000, 8_000, 65_535, 65_535, 65_535]),
            urgent: 0,
            options: vec![],
            len: 0,
        };
        let syn = match (self.syn_sent, self.their_syn) {
            (_, None) => Some(Flags::SYN),
            (false, Some(_)) if rng.percent(85) => Some(Flags::SYN | Flags::ACK),
            (false, Some(_)) => Some(Flags::SYN),
            (true, Some(_)) if rng.percent(2) => Some(Flags::SYN | Flags::ACK),
            (true, Some(_)) => None,
        };
        if let Some(flags) = syn {
            self.syn_sent = true;
            if self.nxt == self.iss {
                self.nxt = self.iss.plus(1);
            }
            if rng.percent(15) {
                draft.flags = draft.flags | rng.pick(&[Flags::ECE, Flags::CWR, Flags::ECE | Flags::CWR]);
            }
            draft.flags = draft.flags.without(Flags::ACK) | flags;
            draft.options = self.syn_options();
            return draft;
        }
        if rng.percent(25) {
            draft.ack =
                self.acked.plus(rng.below(u64::from(self.their_nxt.distance_from(self.acked)) + 1) as u32);
        }
        if !draft.ack.before(self.acked) {
            self.acked = draft.ack;
        }
        let room = self.edge.distance_from(self.their_ack).min(1 << 20);
        draft.seq = match rng.below(10) {
            0..6 => self.their_ack,
            6 | 7 if self.nxt.distance_from(self.their_ack) <= room => self.nxt,
            // A hole, or what was sent before.
            8 => self.their_ack.plus(rng.below(u64::from(room) + 1) as u32),
            _ => self.their_ack.minus(rng.below(2_000) as u32),
        };
        let room = self.edge.distance_from(draft.seq);
        draft.len = rng.len(room.min(1_460) as usize);
        if rng.percent(8) {
            draft.flags = draft.flags | Flags::URG;
            draft.urgent = rng.pick(&[0, 1, draft.len as u16, draft.len as u16 + 1, 5, 2_000, 65_535]);
        }
        if rng.percent(3) {
            draft.flags = draft.flags | Flags::FIN;
        }
        if rng.percent(5) {
            draft.flags = draft.flags | rng.pick(&[Flags::ECE, Flags::CWR]);
        }
        let end = draft.seq.plus(draft.len as u32);
        if end.after(self.nxt) {
            self.nxt = end;
        }
        if self.timestamps {
            draft.options.extend([1, 1]);
            self.put_timestamps(&mut draft.options, self.tsval, self.tsecr);
        }
        if self.sack && rng.percent(30) {
            self.put_sacks(&mut draft.options, false, rng);
        }
        draft
    }

    /// Something near what an honest TCP would send, or far from it.
    pub fn wild(&mut self, rng: &mut Rng) -> Draft {
        let mut draft = if rng.percent(60) { self.honest(rng) } else { self.noise(rng) };
        for _ in 0..=rng.below(3) {
            match rng.below(8) {
                0 => draft.seq = self.number(rng),
                1 => draft.ack = self.number(rng),
                2 => draft.flags = self.flags(rng),
                3 => {
                    let any = rng_u16(rng.u32());
                    draft.window = rng.pick(&[0, 1, 2, 535, 65_535, any]);
                }
                4 => draft.urgent = rng_u16(rng.u32()),
                5 => draft.options = self.options(rng),
                6 => draft.len = rng.len(3_000),
                _ => draft.seq = self.edge.minus(draft.len as u32).plus(rng.below(3) as u32).minus(1),
            }
        }
        draft
    }

    fn noise(&mut self, rng: &mut Rng) -> Draft {
        Draft {
            seq: self.number(rng),
            ack: self.number(rng),
            flags: self.flags(rng),
            window: rng_u16(rng.u32()),
            urgent: rng_u16(rng.u32()),
            options: self.options(rng),
            len: rng.len(3_000),
        }
    }

    fn number(&self, rng: &mut Rng) -> SeqNumber {
        let of = [self.their_ack, self.edge, self.nxt, self.iss, self.their_nxt, self.acked, SeqNumber(0)];
        rng.pick(&of).plus(rng.offset())
    }

    fn flags(&self, rng: &mut Rng) -> Flags {
        let usual = [
            Flags::ACK,
            Flags::ACK | Flags::PSH,
            Flags::ACK | Flags::URG,
            Flags::SYN,
            Flags::SYN | Flags::ACK,
            Flags::FIN | Flags::ACK,
            Flags::FIN | Flags::ACK | Flags::URG,
            Flags::RST,
            Flags::RST | Flags::ACK,
            Flags(rng_u16(rng.u32()) as u8),
            Flags(rng_u16(rng.u32()) as u8),
        ];
        rng.pick(&usual)
    }

    fn syn_options(&self) -> Vec<u8> {
        let mut options = vec![];
        if self.mss > 0 {
            let [high, low] = self.mss.to_be_bytes();
            options.extend([2, 4, high, low]);
        }
        if self.sack {
            options.extend([1, 1, 4, 2]);
        }
        if self.timestamps {
            options.extend([1, 1]);
            self.put_timestamps(&mut options, self.tsval, self.tsecr);
        }
        if let Some(shift) = self.wscale {
            options.extend([1, 3, 3, shift]);
        }
        options
    }

    fn options(&self, rng: &mut Rng) -> Vec<u8> {
        let mut options = vec![];
        for _ in 0..rng.below(4) {
            match rng.below(8) {
                0 => options.extend(self.syn_options()),
                1 => {
                    options.extend([1, 1]);
                    let old = self.tsval.wrapping_sub(rng.pick(&[0, 1, 1_000, 1 << 31, (1 << 31) - 1]));
                    self.put_timestamps(&mut options, old, self.tsecr.wrapping_add(rng.offset()));
                }
                2 => self.put_sacks(&mut options, true, rng),
                3 => options.extend([rng.u32() as u8, rng.u32() as u8, rng.u32() as u8, rng.u32() as u8]),
                4 => options.extend([2, rng.below(6) as u8, 0, rng.u32() as u8]),
                5 => options.extend([5, rng.below(40) as u8, 0, 0]),
                6 => options.extend([0, 0, 0, 0]),
                _ => options.extend([8, 10, 0, 0]),
            }
        }
        options.truncate(40);
        options
    }

    fn put_timestamps(&self, options: &mut Vec<u8>, value: u32, echo: u32) {
        options.extend([8, 10]);
        options.extend(value.to_be_bytes());
        options.extend(echo.to_be_bytes());
    }

    fn put_sacks(&self, options: &mut Vec<u8>, wild: bool, rng: &mut Rng) {
        let blocks = 1 + rng.below(3);
        options.extend([1, 1, 5, 2 + 8 * blocks as u8]);
        let flight = u64::from(self.their_nxt.distance_from(self.acked)) + 1;
        for _ in 0..blocks {
            let (start, end) = if wild {
                (self.number(rng), self.number(rng))
            } else {
                let start = self.acked.plus(rng.below(flight) as u32);
                (start, start.plus(rng.below(flight) as u32))
            };
            options.extend(start.0.to_be_bytes());
            options.extend(end.0.to_be_bytes());
        }
    }
}

fn rng_u16(word: u32) -> u16 {
    (word >> 8) as u16
}
