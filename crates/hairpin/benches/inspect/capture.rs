//! A large capture, the same each time: many TCP flows at once, with urgent data, loss and re-ordering in some.

use std::io::{self, Write};
use std::net::Ipv4Addr;

use wire::SeqNumber;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

/// Flows that are open at one time.
const AT_ONCE: usize = 10_000;
/// Octets of text of a full segment.
const MSS: u32 = 1_448;
/// What text is cut from.
const POOL: usize = 1 << 20;

/// What was written.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Written {
    pub(crate) octets: u64,
    pub(crate) packets: u64,
    pub(crate) flows: u64,
    /// Flows with urgent data.
    pub(crate) urgent: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound.max(1)
    }
}

/// A segment that is still to come.
#[derive(Clone, Copy)]
struct Step {
    from_client: bool,
    flags: Flags,
    seq: u32,
    ack: u32,
    len: u32,
    urgent: u16,
}

struct Flow {
    client: (Ipv4Addr, u16),
    server: (Ipv4Addr, u16),
    /// Last step first.
    steps: Vec<Step>,
}

impl Flow {
    /// The flow with this number: a request, an answer of realistic length, both ends close.
    fn new(number: u64, random: &mut Random, written: &mut Written) -> Self {
        let address = |base: [u8; 4], n: u64| Ipv4Addr::from_bits(Ipv4Addr::from(base).to_bits() + n as u32);
        let client = (address([10, 1, 0, 0], number / 40), 20_000 + (number % 40) as u16 * 1_000);
        let server = (address([198, 18, 0, 0], random.below(4_000)), 5_001);
        let request = 100 + random.below(900) as u32;
        // Mean 19 kB: most answers are short, most octets are in the long ones.
        let answer = match random.below(100) {
            0..50 => 500 + random.below(3_000),
            50..80 => 4_000 + random.below(10_000),
            80..95 => 20_000 + random.below(40_000),
            _ => 100_000 + random.below(120_000),
        } as u32;
        let urgent = random.below(50) == 0;
        written.urgent += u64::from(urgent);
        let (c, s) = (random.next() as u32, random.next() as u32);
        let step = |from_client, flags, seq: u32, ack: u32, len| Step {
            from_client,
            flags,
            seq,
            ack,
            len,
            urgent: 0,
        };
        let (syn, ack) = (Flags::SYN, Flags::ACK);
        let (c1, s1) = (c.wrapping_add(1), s.wrapping_add(1));
        let mut steps = vec![
            step(true, syn, c, 0, 0),
            step(false, syn | ack, s, c1, 0),
            step(true, ack, c1, s1, 0),
            step(true, ack | Flags::PSH, c1, s1, request),
        ];
        if urgent {
            // As Linux sends it: the octet before the pointer is the urgent one.
            let last = steps.last_mut().expect("just made");
            (last.flags, last.urgent) = (last.flags | Flags::URG, last.len as u16);
            steps.push(step(true, ack, c1.wrapping_add(request), s1, 200));
        }
        let c_end = c1.wrapping_add(request + if urgent { 200 } else { 0 });
        let mut sent = 0;
        let mut count = 0;
        while sent < answer {
            let len = MSS.min(answer - sent);
            steps.push(step(false, ack, s1.wrapping_add(sent), c_end, len));
            sent += len;
            count += 1;
            match random.below(200) {
                // Re-ordered, or lost and sent again after three duplicate ACKs.
                0 if count > 1 => {
                    let n = steps.len();
                    steps.swap(n - 1, n - 2);
                }
                1 if sent < answer => {
                    let lost = steps.pop().expect("just made");
                    for _ in 0..3 {
                        let len = MSS.min(answer - sent);
                        if len == 0 {
                            break;
                        }
                        steps.push(step(false, ack, s1.wrapping_add(sent), c_end, len));
                        steps.push(step(true, ack, c_end, lost.seq, 0));
                        sent += len;
                    }
                    steps.push(lost);
                }
                // Sent twice.
                2 => steps.push(*steps.last().expect("just made")),
                _ => {}
            }
            if count % 2 == 0 {
                steps.push(step(true, ack, c_end, s1.wrapping_add(sent), 0));
            }
        }
        let s_end = s1.wrapping_add(answer);
        steps.push(step(false, ack | Flags::FIN, s_end, c_end, 0));
        steps.push(step(true, ack | Flags::FIN, c_end, s_end.wrapping_add(1), 0));
        steps.push(step(false, ack, s_end.wrapping_add(1), c_end.wrapping_add(1), 0));
        steps.reverse();
        Self { client, server, steps }
    }
}

/// Writes a pcap file (Ethernet, microseconds) of `flows` flows.
pub(crate) fn write(out: &mut impl Write, flows: u64) -> io::Result<Written> {
    let mut random = Random(0x6093_6093);
    let pool: Vec<u8> = (0..POOL / 8).flat_map(|_| random.next().to_ne_bytes()).collect();
    let mut written = Written { octets: 24, flows, ..Written::default() };
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let (mut open, mut next, mut micros) = (Vec::new(), 0, 1_700_000_000_000_000_u64);
    let mut packet = vec![0; 2_048];
    loop {
        while open.len() < AT_ONCE && next < flows {
            open.push(Flow::new(next, &mut random, &mut written));
            next += 1;
        }
        if open.is_empty() {
            return Ok(written);
        }
        let at = random.below(open.len() as u64) as usize;
        // A few packets of one flow in a row, as they come through a real line.
        for _ in 0..=random.below(4) {
            let Some(step) = open[at].steps.pop() else { break };
            micros += random.below(4);
            let start = random.below((POOL - 2_048) as u64) as usize;
            let text = &pool[start..start + step.len as usize];
            let len = craft(&mut packet, &open[at], step, micros, text);
            for word in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, len as u32, len as u32] {
                out.write_all(&word.to_le_bytes())?;
            }
            out.write_all(&packet[..len])?;
            written.octets += 16 + len as u64;
            written.packets += 1;
        }
        if open[at].steps.is_empty() {
            open.swap_remove(at);
        }
    }
}

fn craft(packet: &mut [u8], flow: &Flow, step: Step, micros: u64, text: &[u8]) -> usize {
    let (from, to) = if step.from_client { (flow.client, flow.server) } else { (flow.server, flow.client) };
    packet[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    let [a, b, c, d] = ((micros / 1_000) as u32).to_be_bytes();
    let syn = [2, 4, 5, 0xb4, 4, 2, 8, 10, a, b, c, d, 0, 0, 0, 0, 1, 3, 3, 7];
    let timestamps = [1, 1, 8, 10, a, b, c, d, 0, 0, 0, 1];
    let options: &[u8] = if step.flags.contains(Flags::SYN) { &syn } else { &timestamps };
    let segment = Segment {
        seq: SeqNumber(step.seq),
        ack: SeqNumber(step.ack),
        urgent: step.urgent,
        options,
        ..Segment::new(from.1, to.1, step.flags)
    };
    let header = Header::new(from.0, to.0);
    14 + craft::tcp(&mut packet[14..], &header, &segment, text).expect("it fits")
}
