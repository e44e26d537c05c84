//! Random traffic as plans: numbers that only mean something beside the model's state, so that most
//! packets meet a session, a mapping or an edge, and shrinking a case leaves it a case.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use hairpin_nat::Protocol;
use wire::tcp::Flags;

/// One step of a case.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Batch(Vec<Plan>),
    /// Milliseconds, and whether the engine is told.
    Wait(u32, bool),
    /// To a deadline of the model, give or take some milliseconds.
    Deadline {
        pick: u8,
        millis: i32,
        tell: bool,
    },
    /// To the moment that the engine asks for, so many times.
    Poll(u8),
    Rekey(u8),
    Ask(Ask),
    /// A connection to a server's port 21 is opened, and what is said there.
    Talk {
        ends: (u8, u8, u8),
        plans: Vec<Plan>,
    },
    /// One is opened, and then each side says again and again what the other does not accept.
    War {
        ends: (u8, u8, u8),
        rounds: u8,
        plan: Box<Plan>,
    },
    /// A TCP session is opened and closed as hosts do it; so many of the segments.
    Life {
        ends: (u8, u8, u8),
        segments: u8,
        plan: Box<Plan>,
    },
}

/// A call for a mapping of its own.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Allocate {
        protocol: Protocol,
        host: u8,
        port: u8,
        count: u16,
        suggested: Option<u16>,
        parity: u8,
        secs: u64,
        open: bool,
    },
    /// Of a mapping that there is, so many ports from its own on.
    Extend {
        pick: u8,
        count: u16,
        secs: u64,
    },
    Deallocate {
        pick: u8,
        count: u16,
    },
}

/// One packet, or the fragments of one.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) flow: Flow,
    pub(crate) body: Body,
    pub(crate) ttl: u8,
    pub(crate) dont_fragment: bool,
    /// Which IP options.
    pub(crate) options: u8,
    pub(crate) size: Size,
    /// What is said in a TCP segment, if it is of FTP; odd ones may be said again.
    pub(crate) say: Option<u8>,
    /// Of a TCP segment its numbers.
    pub(crate) numbers: Numbers,
    /// Which offloads.
    pub(crate) offload: u8,
    pub(crate) damage: Damage,
}

/// Between whom.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    /// From a host inside to a remote.
    Fresh { protocol: Protocol, host: u8, port: u8, remote: u8, remote_port: u8 },
    /// Of a session that there is: out, or back.
    Known { pick: u8, back: bool },
    /// Of a TCP session that there is.
    Tcp { pick: u8, back: bool },
    /// Of the TCP session between these; without one, from inside.
    Pair { ends: (u8, u8, u8), back: bool },
    /// The same to port 21.
    Control { ends: (u8, u8, u8), back: bool },
    /// From the remote of a connection that is over.
    Grave { pick: u8 },
    /// From a remote to a mapping that there is.
    Inbound { pick: u8, remote: u8, remote_port: u8 },
    /// From a host inside to a mapping that there is.
    Hairpin { pick: u8, host: u8, port: u8 },
    /// From another shard to a mapping that there is.
    Shard { pick: u8, port: u8 },
    /// Anything to anything.
    Wild { outside: bool, protocol: Protocol, source: u8, port: u8, destination: u8, other_port: u8 },
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// A segment with these flags; of ICMP a request if there is a SYN, else a reply.
    Whole { flags: Flags },
    /// One piece of a datagram: place (255: the last there is) and length in units of 8 octets.
    Piece { flags: Flags, id: u8, first: u8, count: u8, more: bool },
    /// Several pieces, cut at these places, in some order, one of them perhaps missing.
    Pieces { flags: Flags, id: u8, cuts: Vec<u8>, turn: u8, lost: Option<u8> },
    /// An ICMP error about a packet that went through, cut.
    Error { pick: u8, cut: u16, kind: u8, code: u8, twist: u8 },
    /// An ICMP message of any type.
    Message { kind: u8, code: u8 },
    /// A packet of another protocol.
    Other { protocol: u8 },
    /// Octets.
    Raw(Vec<u8>),
}

/// Numbers of a segment, as far from those that would come next as this says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) seq: i64,
    pub(crate) ack: i64,
    pub(crate) tsval: i64,
    /// How timestamps are written: 0 never, others in several ways.
    pub(crate) options: u8,
    pub(crate) window: u16,
    /// A RST takes what its receiver acknowledged last.
    pub(crate) answers: bool,
    pub(crate) urgent: u16,
    pub(crate) reserved: u8,
}

#[derive(Clone, Debug)]
pub(crate) enum Size {
    /// Octets of payload.
    Payload(u16),
    /// As long as an MTU (of the inside or the outside), and this much more.
    Mtu(bool, i8),
}

#[derive(Clone, Debug)]
pub(crate) enum Damage {
    None,
    /// A bit is flipped.
    Bit(u16, u8),
    /// An octet of the header is written, the header checksum being right.
    Header(u8, u8),
    /// The end is cut off.
    Cut(u8),
    /// Link padding behind the packet.
    Padding(u8),
}

fn flags() -> impl Strategy<Value = Flags> {
    let [s, a, f, r, p, u] = [Flags::SYN, Flags::ACK, Flags::FIN, Flags::RST, Flags::PSH, Flags::URG];
    prop_oneof![
        8 => Just(s),
        4 => Just(s | a),
        5 => Just(a),
        2 => Just(a | p | u),
        5 => Just(f | a),
        1 => Just(f),
        3 => Just(r),
        1 => Just(r | a),
        1 => Just(s | Flags::ECE | Flags::CWR),
        1 => any::<u8>().prop_map(Flags),
        1 => select(vec![s | f, s | r, p, Flags(0), r | f]),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    use Protocol::{Icmp, Other, Tcp, Udp};
    prop_oneof![6 => Just(Tcp), 6 => Just(Udp), 4 => Just(Icmp), 1 => Just(Other)]
}

fn flow() -> impl Strategy<Value = Flow> {
    prop_oneof![
        6 => (protocol(), 0u8..5, 0u8..9, 0u8..3, 0u8..3).prop_map(|(protocol, host, port, remote, remote_port)| {
            Flow::Fresh { protocol, host, port, remote, remote_port }
        }),
        10 => (any::<u8>(), any::<bool>()).prop_map(|(pick, back)| Flow::Known { pick, back }),
        1 => any::<u8>().prop_map(|pick| Flow::Grave { pick }),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(pick, back)| Flow::Tcp { pick, back }),
        2 => (any::<u8>(), 0u8..3, 0u8..3).prop_map(|(pick, remote, remote_port)| {
            Flow::Inbound { pick, remote, remote_port }
        }),
        4 => (any::<u8>(), 0u8..5, 0u8..9).prop_map(|(pick, host, port)| Flow::Hairpin { pick, host, port }),
        1 => (any::<u8>(), 0u8..3).prop_map(|(pick, port)| Flow::Shard { pick, port }),
        1 => (any::<bool>(), protocol(), 0u8..16, 0u8..9, 0u8..16, 0u8..9).prop_map(
            |(outside, protocol, source, port, destination, other_port)| {
                Flow::Wild { outside, protocol, source, port, destination, other_port }
            }
        ),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        16 => flags().prop_map(|flags| Body::Whole { flags }),
        2 => (flags(), 0u8..3, prop_oneof![12 => 0u8..12, 1 => Just(u8::MAX)], 1u8..6, any::<bool>()).prop_map(|(flags, id, first, count, more)| {
            Body::Piece { flags, id, first, count, more }
        }),
        2 => (flags(), 0u8..3, vec(3u8..15, 0..4), any::<u8>(), proptest::option::weighted(0.3, any::<u8>()))
            .prop_map(|(flags, id, cuts, turn, lost)| Body::Pieces { flags, id, cuts, turn, lost }),
        4 => (any::<u8>(), prop_oneof![0u16..90, 0u16..1_500], kind(), 0u8..5, 0u8..20)
            .prop_map(|(pick, cut, kind, code, twist)| Body::Error { pick, cut, kind, code, twist }),
        1 => prop_oneof![
            (any::<u8>(), 0u8..3).prop_map(|(kind, code)| Body::Message { kind, code }),
            any::<u8>().prop_map(|protocol| Body::Other { protocol }),
            vec(any::<u8>(), 0..60).prop_map(Body::Raw),
        ],
    ]
}

fn kind() -> impl Strategy<Value = u8> {
    select(vec![3u8, 3, 3, 11, 11, 12, 4, 5])
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let far = || {
        prop_oneof![
            12 => Just(0i64),
            4 => -2i64..3,
            2 => select(vec![-65_537i64, -65_536, -65_535, -70_000, 65_535, 65_536, 65_537, 200_000]),
            1 => select(vec![(1i64 << 31) - 1, 1 << 31, (1 << 31) + 1, -(1i64 << 30) - 1]),
        ]
    };
    let tsval = prop_oneof![8 => 0i64..3, 2 => -3i64..0, 1 => select(vec![1i64 << 31, (1 << 31) + 1, 7_000])];
    let window = select(vec![65_535u16, 65_535, 0, 1, 1_000, 40_000]);
    let urgent = select(vec![0u16, 0, 1, 3, 65_535]);
    let reserved = prop_oneof![8 => Just(0u8), 1 => 1u8..16];
    (far(), far(), tsval, 0u8..8, window, any::<bool>(), urgent, reserved).prop_map(
        |(seq, ack, tsval, options, window, answers, urgent, reserved)| Numbers {
            seq,
            ack,
            tsval,
            options,
            window,
            answers,
            urgent,
            reserved,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = prop_oneof![
        8 => select(vec![0u16, 1, 7, 8, 33, 100]).prop_map(Size::Payload),
        1 => (any::<bool>(), select(vec![-1i8, 0, 1, 8, 100])).prop_map(|(inside, more)| Size::Mtu(inside, more)),
        1 => select(vec![1_400u16, 3_000, 20_000]).prop_map(Size::Payload),
    ];
    let damage = prop_oneof![
        30 => Just(Damage::None),
        1 => (any::<u16>(), 0u8..8).prop_map(|(at, bit)| Damage::Bit(at, bit)),
        1 => (0u8..20, any::<u8>()).prop_map(|(at, value)| Damage::Header(at, value)),
        1 => any::<u8>().prop_map(Damage::Cut),
        2 => (1u8..20).prop_map(Damage::Padding),
    ];
    let ttl = prop_oneof![12 => Just(64u8), 1 => 0u8..4, 1 => Just(255)];
    let options = prop_oneof![16 => Just(0u8), 2 => 1u8..8];
    let offload = prop_oneof![6 => Just(0u8), 3 => 1u8..8];
    let say = proptest::option::weighted(0.2, any::<u8>());
    (flow(), body(), ttl, any::<bool>(), options, size, (offload, numbers(), say), damage).prop_map(
        |(flow, body, ttl, dont_fragment, options, size, (offload, numbers, say), damage)| Plan {
            say,
            flow,
            body,
            ttl,
            dont_fragment,
            options,
            size,
            numbers,
            offload,
            damage,
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let secs = select(vec![0u64, 1, 30, 120, 3_600]);
    let allocate = (
        protocol(),
        0u8..6,
        0u8..9,
        select(vec![1u16, 1, 1, 2, 3, 4, 9, 0, 70]),
        proptest::option::of(select(vec![1_022u16, 1_025, 5_001, 2_000, 40_001, 65_535, 80])),
        0u8..4,
        secs.clone(),
        any::<bool>(),
    );
    prop_oneof![
        5 => allocate.prop_map(|(protocol, host, port, count, suggested, parity, secs, open)| {
            Ask::Allocate { protocol, host, port, count, suggested, parity, secs, open }
        }),
        1 => (any::<u8>(), 1u16..4, secs).prop_map(|(pick, count, secs)| Ask::Extend { pick, count, secs }),
        2 => (any::<u8>(), 1u16..4).prop_map(|(pick, count)| Ask::Deallocate { pick, count }),
    ]
}

/// One step.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        3 => 0u32..300,
        3 => 1_000u32..20_000,
        2 => select(vec![60_000u32, 120_000, 240_000, 300_000]),
        1 => 20_000u32..900_000,
        1 => select(vec![3_600_000u32, 7_440_000, 30_000_000]),
    ];
    let near = select(vec![-101i32, -100, -1, 0, 1, 50, 99, 100, 10_000]);
    prop_oneof![
        6 => vec(plan(), 1..4).prop_map(Step::Batch),
        2 => vec(plan(), 1..=64).prop_map(Step::Batch),
        2 => (wait, any::<bool>()).prop_map(|(millis, tell)| Step::Wait(millis, tell)),
        2 => (any::<u8>(), near, any::<bool>())
            .prop_map(|(pick, millis, tell)| Step::Deadline { pick: pick % 4, millis, tell }),
        1 => (1u8..4).prop_map(Step::Poll),
        1 => ((0u8..5, 0u8..4, 0u8..2), 0u8..24, plan())
            .prop_map(|(ends, rounds, plan)| Step::War { ends, rounds, plan: Box::new(plan) }),
        1 => any::<u8>().prop_map(Step::Rekey),
        2 => ((0u8..5, 0u8..4, 0u8..2), vec(plan(), 1..8)).prop_map(|(ends, plans)| Step::Talk { ends, plans }),
        1 => ask().prop_map(Step::Ask),
        5 => ((0u8..5, 0u8..4, 0u8..2), prop_oneof![6 => Just(6u8), 1 => 0u8..6], plan())
            .prop_map(|(ends, segments, plan)| Step::Life { ends, segments, plan: Box::new(plan) }),
    ]
}

/// The segments of a war, of FINs or of ACKs: one octet behind, each the same as the one before.
pub(crate) fn war(ends: (u8, u8, u8), rounds: u8, plan: &Plan) -> Vec<Plan> {
    let mut all = life(ends, 3, plan);
    let flags = if plan.dont_fragment { Flags::ACK } else { Flags::ACK | Flags::FIN };
    for round in 0..rounds {
        let mut segment = all[0].clone();
        segment.flow = Flow::Pair { ends, back: round % 2 == 0 };
        segment.body = Body::Whole { flags };
        // With closed windows, one octet ahead.
        let ahead = segment.numbers.window == 0 && !flags.contains(Flags::FIN);
        segment.numbers.seq = if ahead { 1 } else { -1 - i64::from(flags.contains(Flags::FIN)) };
        segment.numbers.tsval = 0;
        all.push(segment);
    }
    all
}

/// A control connection and what is said over it, by the client or acknowledged by the server.
pub(crate) fn talk(ends: (u8, u8, u8), plans: &[Plan]) -> Vec<Plan> {
    let Some(first) = plans.first() else { return Vec::new() };
    let mut all = life(ends, 3, first);
    for (index, plan) in plans.iter().enumerate() {
        // Most are in order; what is not is what the plan says.
        let odd = plan.ttl != 64 || plan.numbers.urgent == 1;
        let numbers = match odd {
            true => plan.numbers,
            false => Numbers { seq: 0, ack: 0, tsval: 1, answers: plan.numbers.answers, ..plan.numbers },
        };
        let back = index % 2 == 1;
        let size = if back { Size::Payload(0) } else { plan.size.clone() };
        let say = if back { None } else { plan.say.or(Some(index as u8)) };
        let flags = if odd { plan.flags() } else { Flags::ACK };
        all.push(Plan { body: Body::Whole { flags }, numbers, size, say, ttl: 64, ..plan.clone() });
    }
    for (index, plan) in all.iter_mut().enumerate() {
        let back = if index < 3 { index == 1 } else { index % 2 == 0 };
        plan.flow = Flow::Control { ends, back };
    }
    all
}

impl Plan {
    fn flags(&self) -> Flags {
        if let Body::Whole { flags } = self.body { flags } else { Flags::ACK }
    }
}

/// The segments of a connection's life, each with the numbers that come next.
pub(crate) fn life(ends: (u8, u8, u8), segments: u8, plan: &Plan) -> Vec<Plan> {
    let [s, a, f] = [Flags::SYN, Flags::ACK, Flags::FIN];
    let all = [(false, s), (true, s | a), (false, a), (false, f | a), (true, f | a), (false, a)];
    let numbers = Numbers { seq: 0, ack: 0, tsval: 1, answers: false, ..plan.numbers };
    let segment = |(back, flags)| Plan {
        say: None,
        flow: Flow::Pair { ends, back },
        body: Body::Whole { flags },
        ttl: 64,
        dont_fragment: true,
        options: 0,
        size: Size::Payload(0),
        numbers,
        offload: plan.offload,
        damage: Damage::None,
    };
    all.into_iter().take(usize::from(segments)).map(segment).collect()
}
