//! Plans made into packets, by what the model knows.

use std::net::Ipv4Addr;

use hairpin_nat::{Checksum, Endpoint, Offload, Protocol, Realm};
use wire::SeqNumber;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

use crate::ftp::{again, speech};
use crate::judge::Shown;
use crate::nat::{Arrival, Model, Route, Session};
use crate::octets::{complete, fill_ip_checksum, get16, put16};
use crate::plan::{Body, Damage, Flow, Numbers, Plan, Size};
use crate::settings::EXTERNAL;
use crate::tombs::Tomb;
use crate::world::{Input, Sample};

pub(crate) const PORTS: [u16; 9] = [1_022, 1_023, 1_024, 1_025, 5_000, 5_001, 40_000, 1, 65_535];
const REMOTE_PORTS: [u16; 3] = [53, 80, 5_000];
/// GRE, DCCP and UDP-Lite (whose checksums cover addresses), at their number modulo 3.
const NUMBERS: [u16; 3] = [33, 136, 47];

pub(crate) fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number % 5 + 1)
}

fn remote(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, number % 3 + 1)
}

/// Who is who, and who nobody is.
fn anybody(number: u8) -> Ipv4Addr {
    let external = |n| Ipv4Addr::from(EXTERNAL.to_bits() + n);
    match number {
        0..=2 => host(number),
        3 | 4 => remote(number),
        5 => external(0),
        6 => external(1),
        7 => external(2),
        8 => Ipv4Addr::new(10, 9, 9, 9),
        9 => Ipv4Addr::new(127, 0, 0, 1),
        10 => Ipv4Addr::new(0, 0, 0, 7),
        11 => Ipv4Addr::new(224, 0, 0, 5),
        12 => Ipv4Addr::BROADCAST,
        13 => Ipv4Addr::new(198, 51, 100, 77),
        14 => Ipv4Addr::new(10, 0, 0, 254),
        _ => Ipv4Addr::new(203, 0, 113, 77),
    }
}

/// A packet's ends, and where it comes from. Of ICMP one of the ports is the identifier.
struct Ends {
    from: Arrival,
    protocol: Protocol,
    source: Endpoint,
    destination: Endpoint,
}

impl Ends {
    fn of(flow: &Flow, model: &Model) -> Self {
        let mut ends = Self::planned(flow, model);
        if ends.protocol == Protocol::Other {
            // Its subscriber's "port" is its number, its remote has none.
            let number = NUMBERS[usize::from(ends.identifier()) % NUMBERS.len()];
            let ports = if ends.from == Arrival::Inside { (number, 0) } else { (0, number) };
            (ends.source.port, ends.destination.port) = ports;
        }
        ends
    }

    fn planned(flow: &Flow, model: &Model) -> Self {
        let port = |number: u8| PORTS[usize::from(number) % PORTS.len()];
        let remote_port = |number: u8| REMOTE_PORTS[usize::from(number) % REMOTE_PORTS.len()];
        let mapping = |pick: u8| {
            let count = model.mappings.len();
            (count > 0).then(|| model.mappings[usize::from(pick) % count])
        };
        let outbound = |protocol, host_number, port_number, destination| Self {
            from: Arrival::Inside,
            protocol,
            source: Endpoint::new(host(host_number), port(port_number)),
            destination,
        };
        match *flow {
            Flow::Fresh { protocol, host, port, remote: to, remote_port: to_port } => {
                outbound(protocol, host, port, Endpoint::new(remote(to), remote_port(to_port)))
            }
            Flow::Known { pick, back } => match model.sessions.len() {
                0 => outbound(Protocol::Tcp, pick, pick, Endpoint::new(remote(pick), 80)),
                count => Self::of_session(model, usize::from(pick) % count, back),
            },
            Flow::Tcp { pick, back } => {
                let is_tcp = |index: &usize| model.sessions[*index].phase.is_some();
                let all: Vec<_> = (0..model.sessions.len()).filter(is_tcp).collect();
                match all.len() {
                    0 => outbound(Protocol::Tcp, pick, pick, Endpoint::new(remote(pick), 80)),
                    count => Self::of_session(model, all[usize::from(pick) % count], back),
                }
            }
            Flow::Pair { ends: (from, from_port, to), back }
            | Flow::Control { ends: (from, from_port, to), back } => {
                let server = if matches!(flow, Flow::Control { .. }) { 21 } else { 80 };
                let new = outbound(Protocol::Tcp, from, from_port, Endpoint::new(remote(to), server));
                let is_it = |index: &usize| {
                    let id = model.sessions[*index].id;
                    id.mapping.protocol == Protocol::Tcp
                        && (id.mapping.internal, id.remote) == (new.source, new.destination)
                };
                match (0..model.sessions.len()).find(is_it) {
                    Some(index) => Self::of_session(model, index, back),
                    None => new,
                }
            }
            Flow::Grave { pick } => match model.tombs.len() {
                0 => outbound(Protocol::Tcp, pick, pick, Endpoint::new(remote(pick), 80)),
                count => {
                    let tomb = &model.tombs[usize::from(pick) % count];
                    Self {
                        from: Arrival::Outside,
                        protocol: Protocol::Tcp,
                        source: tomb.remote,
                        destination: tomb.external,
                    }
                }
            },
            Flow::Inbound { pick, remote: from, remote_port: from_port } => match mapping(pick) {
                Some(id) => Self {
                    from: Arrival::Outside,
                    protocol: id.protocol,
                    source: Endpoint::new(remote(from), remote_port(from_port)),
                    destination: id.external,
                },
                None => outbound(Protocol::Udp, pick, pick, Endpoint::new(remote(from), 53)),
            },
            Flow::Hairpin { pick, host, port } => match mapping(pick) {
                Some(id) => outbound(id.protocol, host, port, id.external),
                None => outbound(Protocol::Udp, host, port, Endpoint::new(EXTERNAL, 1_024)),
            },
            Flow::Shard { pick, port: number } => {
                let others =
                    model.addresses().into_iter().find(|a| model.owner(*a) != Some(model.config.shard.index));
                match (mapping(pick), others) {
                    (Some(id), Some(other)) => Self {
                        from: Arrival::Shard,
                        protocol: id.protocol,
                        source: Endpoint::new(other, port(number)),
                        destination: id.external,
                    },
                    (_, other) => {
                        outbound(Protocol::Udp, pick, number, Endpoint::new(other.unwrap_or(EXTERNAL), 1_024))
                    }
                }
            }
            Flow::Wild { outside, protocol, source, port: from, destination, other_port } => Self {
                from: if outside { Arrival::Outside } else { Arrival::Inside },
                protocol,
                source: Endpoint::new(anybody(source), if from == 8 { 0 } else { port(from) }),
                destination: Endpoint::new(anybody(destination), port(other_port)),
            },
        }
    }

    fn of_session(model: &Model, index: usize, back: bool) -> Self {
        let id = model.sessions[index].id;
        let hairpin = model.owner(id.remote.address);
        let from = match hairpin {
            _ if !back => Arrival::Inside,
            Some(shard) if shard != model.config.shard.index => Arrival::Shard,
            _ => Arrival::Outside,
        };
        let protocol = id.mapping.protocol;
        let (source, destination) =
            if back { (id.remote, id.mapping.external) } else { (id.mapping.internal, id.remote) };
        Self { from, protocol, source, destination }
    }

    /// What the connection between these has shown: the sender's side, the receiver's.
    fn conn(&self, model: &Model) -> Option<[Shown; 2]> {
        let [one, other] = self.session(model)?.conn;
        Some(if self.from == Arrival::Inside { [one, other] } else { [other, one] })
    }

    fn session<'a>(&self, model: &'a Model) -> Option<&'a Session> {
        let inside = self.from == Arrival::Inside;
        model.sessions.iter().find(|session| {
            let id = session.id;
            let own = if inside { id.mapping.internal } else { id.remote };
            let other = if inside { id.remote } else { id.mapping.external };
            id.mapping.protocol == self.protocol && own == self.source && other == self.destination
        })
    }

    /// The protocol number.
    fn number(&self) -> u8 {
        if self.protocol == Protocol::Other { self.identifier() as u8 } else { self.protocol.number() }
    }

    fn identifier(&self) -> u16 {
        if self.from == Arrival::Inside { self.source.port } else { self.destination.port }
    }
}

/// The packets of a plan.
pub(crate) fn build(plan: &Plan, model: &Model, samples: &[Sample]) -> Vec<Input> {
    let ends = Ends::of(&plan.flow, model);
    let mut inputs = match &plan.body {
        Body::Error { .. } => error(plan, &ends, model, samples).into_iter().collect(),
        Body::Piece { .. } | Body::Pieces { .. } => pieces(plan, &ends),
        Body::Raw(data) => vec![plain(data.clone(), ends.from)],
        Body::Whole { .. } | Body::Message { .. } | Body::Other { .. } => whole(plan, &ends, model),
    };
    for input in &mut inputs {
        if input.offload.checksum == Checksum::Full {
            damage(&plan.damage, input);
        }
    }
    // Whatever another shard sends has been translated, whole and well-formed or not.
    let ours = model.config.shard.index;
    inputs.retain(|input| {
        let source = input.data.get(12..16).map(|at| Ipv4Addr::new(at[0], at[1], at[2], at[3]));
        let owner = source.and_then(|source| model.owner(source));
        input.from != Arrival::Shard || owner.is_some_and(|shard| shard != ours)
    });
    inputs
}

fn plain(data: Vec<u8>, from: Arrival) -> Input {
    Input { data, from, offload: Offload::default(), quotes: None }
}

fn ip_options(number: u8) -> &'static [u8] {
    match number {
        1 => &[1, 1, 1, 0],
        2 => &[7, 7, 4, 0, 0, 0, 0, 0],
        3 => &[131, 7, 4, 203, 0, 113, 9, 0],
        4 => &[148, 4, 0, 0],
        5 => &[7, 1, 0, 0],
        6 => &[1, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 148, 4, 0, 0, 0, 0, 0],
        7 => &[137, 3, 4, 1],
        _ => &[],
    }
}

fn header<'a>(plan: &Plan, source: Ipv4Addr, destination: Ipv4Addr) -> Header<'a> {
    Header {
        ttl: plan.ttl,
        dont_fragment: plan.dont_fragment,
        options: ip_options(plan.options),
        identification: 7,
        ..Header::new(source, destination)
    }
}

fn filler(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + 3) as u8).collect()
}

/// A datagram in one packet, perhaps a super-segment.
fn whole(plan: &Plan, ends: &Ends, model: &Model) -> Vec<Input> {
    let header = header(plan, ends.source.address, ends.destination.address);
    let overhead = 20 + header.options.len() + if ends.protocol == Protocol::Tcp { 20 } else { 8 };
    let len = match plan.size {
        Size::Payload(len) => usize::from(len),
        Size::Mtu(inside, more) => {
            let mtu = if inside { model.config.mtu.inside } else { model.config.mtu.outside };
            (i32::from(mtu) + i32::from(more)) as usize - overhead
        }
    };
    let mut payload = filler(len);
    if let Some(said) = plan.say.filter(|_| ends.protocol == Protocol::Tcp) {
        // Of long segments it is what they begin with.
        let said = speech(said, ends.source);
        payload.splice(..if len > 100 { said.len().min(len) } else { len }, said);
    }
    let mut buffer = vec![0; payload.len() + 200];
    let written = match plan.body {
        Body::Message { kind, code } => craft::icmp(&mut buffer, &header, kind, code, [0, 0, 4, 1], &payload),
        Body::Other { protocol } => craft::other(&mut buffer, &header, protocol, &payload),
        Body::Whole { flags } => {
            transport(&mut buffer, &header, ends, flags, &payload, Some((model, &plan.numbers, plan.say)))
        }
        _ => None,
    };
    let Some(written) = written else { return Vec::new() };
    buffer.truncate(written);
    let mut input = plain(buffer, ends.from);
    if matches!(plan.body, Body::Whole { .. }) {
        offload(plan.offload, ends.protocol, &mut input);
    }
    vec![input]
}

fn transport(
    buffer: &mut [u8],
    header: &Header<'_>,
    ends: &Ends,
    flags: Flags,
    payload: &[u8],
    numbers: Option<(&Model, &Numbers, Option<u8>)>,
) -> Option<usize> {
    let (source, destination) = (ends.source.port, ends.destination.port);
    match ends.protocol {
        Protocol::Other => craft::other(buffer, header, ends.number(), payload),
        Protocol::Udp => craft::udp(buffer, header, source, destination, payload),
        Protocol::Icmp => {
            let request = flags.contains(Flags::SYN);
            craft::icmp_echo(buffer, header, request, ends.identifier(), 1, payload)
        }
        Protocol::Tcp => {
            let options: &[u8] = match (flags.contains(Flags::SYN), payload.len() % 3) {
                (false, _) | (_, 0) => &[],
                (_, 1) => &[2, 4, 5, 0xb4],
                _ => &[1, 2, 4, 5, 0xb4, 4, 2, 0],
            };
            let urgent = numbers.map_or(3, |(_, numbers, _)| numbers.urgent);
            let mut segment = Segment { urgent, ..Segment::new(source, destination, flags) };
            let mut all = options.to_vec();
            if let Some((model, numbers, said)) = numbers {
                let len = payload.len() as u32;
                all.extend(number(&mut segment, ends, model, numbers, len));
                let shift = ends.session(model).map(|session| session.shift).unwrap_or_default();
                if ends.from != Arrival::Inside {
                    // It acknowledges what it has seen.
                    segment.ack = SeqNumber(shift.out(segment.ack.0, true));
                } else if let Some(seq) = again(&shift, payload).filter(|_| said.is_some() && numbers.answers)
                {
                    segment.seq = SeqNumber(seq);
                }
            }
            let len = craft::tcp(buffer, header, &Segment { options: &all, ..segment }, payload)?;
            let at = usize::from(buffer[0] & 15) * 4 + 12;
            if let Some(reserved) = numbers.map(|(_, numbers, _)| numbers.reserved).filter(|bits| *bits > 0) {
                buffer[at] |= reserved;
                complete(&mut buffer[..len]);
            }
            Some(len)
        }
    }
}

/// Gives a segment numbers that follow those of its connection, give or take what the plan says; the
/// answer is its timestamps option.
fn number(segment: &mut Segment<'_>, ends: &Ends, model: &Model, plan: &Numbers, len: u32) -> Vec<u8> {
    let conn = ends.conn(model);
    let [own, peer] = conn.unwrap_or_default();
    let add = |base: u32, more: i64| base.wrapping_add(more as u32);
    // Connections begin on both sides of where the numbers wrap.
    let begin = 0u32.wrapping_sub(u32::from(ends.source.port) % 7 * 20_000);
    let grave = || {
        let of = |tomb: &&Tomb| (tomb.remote, tomb.external) == (ends.source, ends.destination);
        let tomb = model.tombs.iter().find(of).filter(|_| conn.is_none())?;
        Some(tomb.remote_end.wrapping_sub(len + 1))
    };
    let next = own.end.or_else(grave).unwrap_or(begin);
    let answer = peer.acked.filter(|_| plan.answers && segment.flags.contains(Flags::RST));
    segment.seq = SeqNumber(add(answer.unwrap_or(next), plan.seq));
    if segment.flags.contains(Flags::ACK) {
        segment.ack = SeqNumber(add(peer.end.unwrap_or(0), plan.ack));
    }
    segment.window = plan.window;
    let tsval = add(own.tsval.unwrap_or(begin), plan.tsval).to_be_bytes();
    let [a, b, c, d] = tsval;
    match (plan.options, own.tsval.is_some() || segment.flags.contains(Flags::SYN)) {
        (0, _) | (1, false) => vec![],
        (1 | 2, _) => vec![1, 1, 8, 10, a, b, c, d, 0, 0, 0, 9],
        (3, _) => vec![8, 10, a, b, c, d, 0, 0, 0, 9, 3, 3, 4, 0, 0, 0],
        (4, _) => vec![1, 3, 3, 1],
        (7, _) => [&[29u8, 16], &[9; 14][..]].concat(),
        (5, _) => [&[19u8, 18][..], &[7; 16], &[1, 1]].concat(),
        _ => {
            let edge = segment.ack.0.wrapping_add(500).to_be_bytes();
            [&[1u8, 5, 10][..], &edge, &edge, &[8, 10, a, b, c, d, 0, 0, 2, 9, 0]].concat()
        }
    }
}

fn offload(number: u8, protocol: Protocol, input: &mut Input) {
    let start = usize::from(input.data[0] & 15) * 4;
    let at = start + if protocol == Protocol::Tcp { 16 } else { 6 };
    match number {
        1 => input.offload.checksum = Checksum::Verified,
        // No checksum at all (RFC 768).
        2 if protocol == Protocol::Udp => put16(&mut input.data, at, 0),
        3..=7 if !matches!(protocol, Protocol::Icmp | Protocol::Other) => {
            input.offload.checksum = Checksum::Partial;
            let len = input.data.len() - start;
            let address = |at: usize| Ipv4Addr::from([0, 1, 2, 3].map(|n| input.data[at + n]));
            let sum =
                wire::checksum::Sum::pseudo_header(address(12), address(16), protocol.number(), len as u16);
            put16(&mut input.data, at, sum.folded());
            let segment = [0, 0, 536, 1_000, 1_448][usize::from(number) - 3];
            if segment > 0 && len > 40 + segment {
                input.offload.gso_size = segment as u16;
            }
        }
        _ => {}
    }
}

/// Fragments of a datagram of 120 octets.
fn pieces(plan: &Plan, ends: &Ends) -> Vec<Input> {
    const LEN: usize = 120;
    let (Body::Piece { flags, .. } | Body::Pieces { flags, .. }) = plan.body else { return Vec::new() };
    let mut buffer = vec![0; 400];
    let head = Header { options: &[], ..header(plan, ends.source.address, ends.destination.address) };
    let payload = filler(LEN - if ends.protocol == Protocol::Tcp { 20 } else { 8 });
    // A SYN with options would be longer: 99 and 111 octets have none, by the count above.
    let Some(_) = transport(&mut buffer, &head, ends, flags, &payload, None) else { return Vec::new() };
    let end = usize::from(get16(&buffer, 2));
    let datagram = buffer[20..end].to_vec();
    let mut piece = |id: u8, place: usize, last: usize, more: bool| {
        let first = if place < datagram.len() { place } else { 0 };
        let header = Header {
            identification: u16::from(id),
            dont_fragment: false,
            ..header(plan, ends.source.address, ends.destination.address)
        };
        let octets = &datagram[first..last.min(datagram.len())];
        let protocol = ends.number();
        let written = craft::fragment(&mut buffer, &header, protocol, place as u16, more, octets)?;
        Some(plain(buffer[..written].to_vec(), ends.from))
    };
    match &plan.body {
        &Body::Piece { id, first, count, more, .. } => {
            let first = usize::from(first) * 8;
            let (first, end) =
                if first == 255 * 8 { (0xfff8, 16) } else { (first, first + usize::from(count) * 8) };
            piece(id, first, end, more).into_iter().collect()
        }
        Body::Pieces { id, cuts, turn, lost, .. } => {
            let mut cuts: Vec<_> =
                cuts.iter().map(|cut| usize::from(*cut) * 8).filter(|cut| *cut < datagram.len()).collect();
            cuts.extend([0, datagram.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let mut all: Vec<_> = cuts
                .windows(2)
                .filter_map(|cut| piece(*id, cut[0], cut[1], cut[1] < datagram.len()))
                .collect();
            let count = all.len();
            all.rotate_left(usize::from(*turn) % count);
            if turn % 3 == 0 {
                all.reverse();
            }
            if let Some(lost) = lost {
                all.remove(usize::from(*lost) % count);
            }
            all
        }
        _ => Vec::new(),
    }
}

/// An ICMP error about a packet that went through, from where it went to.
fn error(plan: &Plan, ends: &Ends, model: &Model, samples: &[Sample]) -> Option<Input> {
    let Body::Error { pick, cut, kind, code, twist } = plan.body else { return None };
    let sample = samples.get(usize::from(pick) % samples.len().max(1))?;
    let quoted = if twist == 1 { &sample.before } else { &sample.after };
    let own_len = usize::from(get16(quoted, 2));
    let header_len = usize::from(quoted[0] & 15) * 4;
    // From one octet too few to all of it.
    let cut = (header_len + 7 + usize::from(cut)).min(own_len);
    let mut quote = quoted[..cut].to_vec();
    let mut rest = [0, 0, 2, 0x40];
    let address = |at: usize| Ipv4Addr::from([0, 1, 2, 3].map(|n| quoted[at + n]));
    let mut from = match sample.route {
        Route::To(Realm::Inside) => Arrival::Inside,
        Route::To(Realm::Outside) => Arrival::Outside,
        Route::Shard(_) => Arrival::Shard,
    };
    let mut source = address(16);
    let mut destination = address(12);
    let mut true_quote = true;
    match twist {
        2 => destination = ends.destination.address,
        3 if from != Arrival::Shard => {
            from = if from == Arrival::Inside { Arrival::Outside } else { Arrival::Inside };
        }
        4 => source = ends.source.address,
        5 => source = Ipv4Addr::new(127, 0, 0, 1),
        // RFC 4884: the quote padded to 128 octets or more, extensions behind it.
        6 if matches!(kind, 3 | 11 | 12) => {
            quote.resize(quote.len().next_multiple_of(4).max(128), 0);
            rest[1] = (quote.len() / 4).min(255) as u8;
            quote.truncate(usize::from(rest[1]) * 4);
            quote.extend([0x20, 0, 0xdf, 0xff, 0, 8, 1, 1, 0, 1, 2, 3]);
            true_quote = cut <= usize::from(rest[1]) * 4;
        }
        7 => quote.extend([0; 12]),
        // The quoted checksum was wrong before.
        8 if quote.len() > header_len + 18 => quote[header_len + 17] ^= 0x55,
        9 => quote[8] = 0,
        10 if quote.len() > 12 => quote[10] ^= 1,
        11 => {
            quote[6] = 0x20;
            fill_ip_checksum(&mut quote);
        }
        12 => {
            quote[7] = 9;
            fill_ip_checksum(&mut quote);
        }
        13 => {
            quote[9] = 47;
            fill_ip_checksum(&mut quote);
        }
        14 if from == Arrival::Outside => source = Ipv4Addr::new(203, 0, 113, 250),
        14 => source = Ipv4Addr::new(10, 0, 0, 250),
        _ => {}
    }
    if twist == 9 {
        fill_ip_checksum(&mut quote);
    }
    if from == Arrival::Shard {
        source = model.addresses().into_iter().find(|a| model.owner(*a) != Some(model.config.shard.index))?;
    }
    let header = header(plan, source, destination);
    let mut buffer = vec![0; quote.len() + 200];
    let written = craft::icmp(&mut buffer, &header, kind, code, rest, &quote)?;
    buffer.truncate(written);
    // Half a checksum, of which padding looks like the other half, is beyond help.
    let whole_fields = cut >= header_len + 8 && cut != header_len + 17;
    let faithful = twist != 1 && !(8..=13).contains(&twist) && true_quote && whole_fields;
    let quotes = faithful.then(|| (sample.clone(), cut));
    Some(Input { quotes, ..plain(buffer, from) })
}

fn damage(damage: &Damage, input: &mut Input) {
    let data = &mut input.data;
    if data.len() < 20 {
        return;
    }
    match *damage {
        Damage::None => return,
        Damage::Bit(at, bit) => {
            let at = usize::from(at) % data.len();
            data[at] ^= 1 << bit;
        }
        Damage::Header(at, value) => {
            // The reserved flag is nobody's business.
            data[usize::from(at)] = if at == 6 { value & 0x7f } else { value };
            let header = usize::from(data[0] & 15) * 4;
            if (20..=data.len()).contains(&header) {
                fill_ip_checksum(data);
            }
        }
        Damage::Cut(count) => {
            let len = data.len().saturating_sub(usize::from(count));
            data.truncate(len);
        }
        Damage::Padding(count) => data.extend(std::iter::repeat_n(0xee, usize::from(count))),
    }
    input.quotes = None;
}
