//! What the benches of the engine have in common: flows, packets, random numbers, resident memory.
#![allow(dead_code, reason = "each bench has use for a part")]

use std::net::Ipv4Addr;

use hairpin_nat::{Endpoint, Protocol};
use wire::craft;
use wire::tcp::Flags;

/// Octets of every packet, IP header included.
pub(crate) const LEN: usize = 64;
/// Packets of a timed piece.
pub(crate) const PIECE: usize = 16_384;
/// Sessions of one subscriber.
pub(crate) const EACH: usize = 1_000;

/// One flow as the bench knows it.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) protocol: Protocol,
    pub(crate) internal: Endpoint,
    pub(crate) remote: Endpoint,
    pub(crate) external: Endpoint,
}

pub(crate) fn flow(number: usize) -> Flow {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + (number / EACH) as u32 + 1);
    let nth = number % EACH;
    let remote =
        Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + (number * 7 % 65_536) as u32 + 1);
    Flow {
        protocol: if nth.is_multiple_of(2) { Protocol::Udp } else { Protocol::Tcp },
        internal: Endpoint::new(address, 10_000 + nth as u16),
        remote: Endpoint::new(remote, 443),
        external: Endpoint::new(Ipv4Addr::UNSPECIFIED, 0),
    }
}

pub(crate) fn write(
    buffer: &mut [u8; LEN],
    protocol: Protocol,
    source: Endpoint,
    destination: Endpoint,
    flags: Flags,
) {
    let header = craft::Header::new(source.address, destination.address);
    let written = match protocol {
        Protocol::Tcp => {
            let segment = craft::Segment::new(source.port, destination.port, flags);
            craft::tcp(buffer, &header, &segment, &[0; LEN - 40])
        }
        _ => craft::udp(buffer, &header, source.port, destination.port, &[0; LEN - 28]),
    };
    assert_eq!(written, Some(LEN));
}

/// Resident memory of this process, in octets.
pub(crate) fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<i64>().ok()).expect("a number") * 1_024
}

/// SplitMix64: enough for a random order.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}
