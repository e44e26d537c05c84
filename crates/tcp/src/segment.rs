//! A segment that arrived, as values.

use core::net::SocketAddrV4;

use rules::user_timeout;
use wire::SeqNumber;
use wire::tcp::{Flags, SackBlocks, Tcp, TcpOption};

/// A segment whose checksums are right, or are looked at later (`verified` in the input step).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    /// SEG.SEQ of what is left of it.
    pub(crate) seq: SeqNumber,
    /// SEG.SEQ as it was sent: the urgent pointer counts from there.
    pub(crate) sent_at: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) flags: Flags,
    /// It bore a SYN as it was sent: its window is not scaled (RFC 7323 2.2).
    pub(crate) was_syn: bool,
    /// Unscaled.
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Options<'a>,
    pub(crate) payload: &'a [u8],
    /// The packet bore the mark of congestion (RFC 3168: ECN field 11).
    pub(crate) congested: bool,
}

/// The options that mean something to us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options<'a> {
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// The field of the user timeout option (RFC 5482); 0, which is reserved, stands for none.
    pub(crate) user_timeout: u16,
    /// TSval, TSecr.
    pub(crate) timestamps: Option<(u32, u32)>,
    /// As they lie in the packet: most segments have none, and what is copied then costs time.
    pub(crate) sacks: Option<SackBlocks<'a>>,
}

/// Both ends of a connection, as this side sees them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Tuple {
    pub(crate) local: SocketAddrV4,
    pub(crate) remote: SocketAddrV4,
}

impl<'a> Segment<'a> {
    /// Reads `tcp`; damaged options count as absent from there on (RFC 9293 3.1: MUST-6 asks to survive them).
    #[inline]
    pub(crate) fn read(tcp: &'a Tcp<&'a [u8]>, congested: bool) -> Self {
        // What nearly every segment of an established connection has (RFC 7323 appendix A).
        let octets = tcp.octets();
        if let Some([1, 1, 8, 10, a, b, c, d, e, f, g, h]) = octets.get(20..tcp.header_len()) {
            let pair = (u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h]));
            let options = Options { timestamps: Some(pair), ..Options::default() };
            return Self::with(tcp, options, congested);
        }
        Self::with(tcp, Options::read(tcp), congested)
    }

    /// Each kind of options puts the whole segment together by itself: one that is made first and copied then waits
    /// for its own stores.
    #[inline(always)]
    fn with(tcp: &'a Tcp<&'a [u8]>, options: Options<'a>, congested: bool) -> Self {
        Self {
            seq: tcp.seq(),
            sent_at: tcp.seq(),
            ack: tcp.ack(),
            flags: tcp.flags(),
            was_syn: tcp.flags().contains(Flags::SYN),
            window: tcp.window(),
            urgent: tcp.urgent(),
            options,
            payload: tcp.payload(),
            congested,
        }
    }

    pub(crate) const fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }

    /// It asks for a connection: a SYN that neither answers nor ends anything (RFC 9293 3.10.7.2).
    pub(crate) const fn opens(&self) -> bool {
        self.has(Flags::SYN) && !self.has(Flags::ACK) && !self.has(Flags::FIN) && !self.has(Flags::RST)
    }

    /// SEG.LEN: SYN and FIN count (RFC 9293 3.4).
    pub(crate) const fn len(&self) -> u32 {
        self.payload.len() as u32 + self.has(Flags::SYN) as u32 + self.has(Flags::FIN) as u32
    }

    /// The octet behind it.
    pub(crate) const fn end(&self) -> SeqNumber {
        self.seq.plus(self.len())
    }
}

impl<'a> Options<'a> {
    fn read(tcp: &'a Tcp<&'a [u8]>) -> Self {
        let mut options = Self::default();
        for option in tcp.options().map_while(Result::ok) {
            match option {
                TcpOption::MaximumSegmentSize(mss) => options.mss = Some(mss),
                TcpOption::WindowScale(shift) => options.window_scale = Some(shift),
                TcpOption::SackPermitted => options.sack_permitted = true,
                TcpOption::Timestamps { value, echo_reply } => options.timestamps = Some((value, echo_reply)),
                TcpOption::Unknown { kind: user_timeout::KIND, data: &[high, low] } => {
                    options.user_timeout = u16::from_be_bytes([high, low]);
                }
                TcpOption::Sack(blocks) => options.sacks = Some(blocks),
                _ => {}
            }
        }
        options
    }
}
