//! A packet from the endpoint as the script would write it, and what differs from what the script wrote.

use wire::ipv4::Ipv4;
use wire::tcp::{Flags, Tcp as TcpView};

use super::flow::Flow;
use crate::ast::{Ip, Tcp, TcpOption, Tos};
use crate::report;

/// A packet from the endpoint, in the script's numbers.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) ip: Ip,
    pub(super) tcp: Tcp,
    pub(super) payload: Vec<u8>,
    /// TSval as it really is.
    pub(super) stamp: Option<u32>,
}

/// Addresses and ports of a TCP packet.
pub(super) fn ends(octets: &[u8]) -> Option<(core::net::SocketAddrV4, core::net::SocketAddrV4)> {
    let ip = Ipv4::new(octets).ok()?;
    let tcp = TcpView::new(ip.payload()).ok()?;
    let end = core::net::SocketAddrV4::new;
    Some((end(ip.source(), tcp.source_port()), end(ip.destination(), tcp.destination_port())))
}

/// Flags and sequence number of a TCP packet.
pub(super) fn flags_and_seq(octets: &[u8]) -> Option<(Flags, u32)> {
    let ip = Ipv4::new(octets).ok()?;
    let tcp = TcpView::new(ip.payload()).ok()?;
    Some((tcp.flags(), tcp.seq().0))
}

/// The packet in the script's numbers.
pub(super) fn seen(flow: &Flow, octets: &[u8]) -> Option<Seen> {
    let ip = Ipv4::new(octets).ok()?;
    let tcp = TcpView::new(ip.payload()).ok()?;
    let flags = tcp.flags();
    let syn = flags.contains(Flags::SYN);
    let from_peer = |seq: u32| seq.wrapping_sub(flow.remote_offset(syn));
    let ack = if flags.contains(Flags::ACK) { from_peer(tcp.ack().0) } else { tcp.ack().0 };
    let (options, stamp) = options(ip.payload().get(20..tcp.header_len()).unwrap_or(&[]), flow, from_peer);
    Some(Seen {
        ip: Ip { tos: Tos::Whole(*octets.get(1)?), ttl: octets.get(8).copied() },
        tcp: Tcp {
            ports: None,
            flags,
            ace: (ip.payload().get(12)? & 1 == 1).then_some(4),
            seq: tcp.seq().0.wrapping_sub(flow.local_offset(syn)),
            len: tcp.payload().len() as u16,
            ack,
            window: Some(tcp.window()),
            urgent: tcp.urgent(),
            options: Some(options),
        },
        payload: tcp.payload().to_vec(),
        stamp,
    })
}

/// Options of a header, with SACK blocks and TSval in the script's numbers, and TSval as it really is.
fn options(mut octets: &[u8], flow: &Flow, from_peer: impl Fn(u32) -> u32) -> (Vec<TcpOption>, Option<u32>) {
    let (mut options, mut stamp) = (Vec::new(), None);
    while let [kind, rest @ ..] = octets {
        if *kind < 2 {
            options.push(if *kind == 0 { TcpOption::End } else { TcpOption::Nop });
            octets = rest;
            continue;
        }
        let len = rest.first().map_or(0, |len| usize::from(*len));
        let Some((option, behind)) = octets.split_at_checked(len.max(2)) else { break };
        octets = behind;
        let data = option.get(2..).unwrap_or(&[]);
        let word =
            |at: usize| data.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes);
        options.push(match (kind, data.len()) {
            (2, 2) => TcpOption::Mss(u16::from_be_bytes([data[0], data[1]])),
            (3, 1) => TcpOption::WindowScale(data[0]),
            (4, 0) => TcpOption::SackOk,
            (5, len) if len % 8 == 0 => TcpOption::Sack(
                (0..len)
                    .step_by(8)
                    .filter_map(|at| Some((from_peer(word(at)?), from_peer(word(at + 4)?))))
                    .collect(),
            ),
            (8, 8) => {
                stamp = word(0);
                let value = stamp.unwrap_or(0);
                let shown = flow
                    .first_stamp
                    .map_or(value, |(script, live)| value.wrapping_sub(live).wrapping_add(script));
                TcpOption::Timestamps(shown, word(4).unwrap_or(0))
            }
            _ => TcpOption::Other(*kind, data.to_vec()),
        });
    }
    (options, stamp)
}

/// The packet as the script would write it.
pub(super) fn line(flow: &Flow, octets: &[u8]) -> String {
    seen(flow, octets).map_or_else(
        || "a packet that is not TCP".to_owned(),
        |seen| report::tcp_line(true, &seen.ip, &seen.tcp),
    )
}

/// How much of a packet is compared.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Strictness {
    /// TSval too: microseconds of a tick, and the tolerance.
    pub(super) tick: Option<(i64, i64)>,
    /// FreeBSD's scripts order and pad options in another way, and scale windows by a system-wide
    /// buffer: order, padding, the shift and windows are left out.
    pub(super) freebsd: bool,
}

/// Options without padding and the shift, in one order.
fn bare(options: &[TcpOption]) -> Vec<TcpOption> {
    let padding = |option: &&TcpOption| !matches!(option, TcpOption::Nop | TcpOption::End);
    let mut bare: Vec<TcpOption> = options.iter().filter(padding).cloned().collect();
    for option in &mut bare {
        if let TcpOption::WindowScale(shift) = option {
            *shift = 0;
        }
    }
    bare.sort_by_key(TcpOption::kind);
    bare
}

/// What differs, in words; nothing if all that the script says is so.
pub(super) fn differences(expected_ip: &Ip, expected: &Tcp, seen: &Seen, how: &Strictness) -> Vec<String> {
    let actual = &seen.tcp;
    let mut wrong = Vec::new();
    let mut field = |name: &str, expected: String, actual: String| {
        if expected != actual {
            wrong.push(format!("{name} is {actual}, expected {expected}"));
        }
    };
    field("flags", report::flags(expected), report::flags(actual));
    field("seq", expected.seq.to_string(), actual.seq.to_string());
    field("length", expected.len.to_string(), actual.len.to_string());
    field("ack", expected.ack.to_string(), actual.ack.to_string());
    if let (Some(expected), Some(actual), false) = (expected.window, actual.window, how.freebsd) {
        field("win", expected.to_string(), actual.to_string());
    }
    field("urg", expected.urgent.to_string(), actual.urgent.to_string());
    if let (Some(expected), Some(actual)) = (expected_ip.ttl, seen.ip.ttl) {
        field("ttl", expected.to_string(), actual.to_string());
    }
    if let Tos::Whole(actual) = seen.ip.tos {
        match expected_ip.tos {
            Tos::Any => {}
            Tos::Ecn(ecn) => field("ECN", report::ecn(ecn).into(), report::ecn(actual & 3).into()),
            Tos::Whole(tos) => field("TOS", format!("{tos:#x}"), format!("{actual:#x}")),
            Tos::Capable if matches!(actual & 3, 1 | 2) => {}
            Tos::Capable => field("ECN", "ect01".into(), report::ecn(actual & 3).into()),
        }
    }
    if let (Some(expected), Some(actual)) = (&expected.options, &actual.options) {
        let same = match how.freebsd {
            true => same_options(&bare(expected), &bare(actual), how.tick),
            false => same_options(expected, actual, how.tick),
        };
        if !same {
            wrong.push(format!(
                "options are <{}>, expected <{}>",
                report::options(actual),
                report::options(expected)
            ));
        }
    }
    wrong
}

/// TSval is only compared if one tick is said to be so many microseconds; `tick` has that and the tolerance.
fn same_options(expected: &[TcpOption], actual: &[TcpOption], tick: Option<(i64, i64)>) -> bool {
    expected.len() == actual.len()
        && expected.iter().zip(actual).all(|pair| match pair {
            (TcpOption::Timestamps(expected, expected_echo), TcpOption::Timestamps(actual, echo)) => {
                let apart = i64::from(actual.wrapping_sub(*expected) as i32).abs();
                expected_echo == echo && tick.is_none_or(|(tick, tolerance)| apart * tick <= tolerance)
            }
            (expected, actual) => expected == actual,
        })
}
