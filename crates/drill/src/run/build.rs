//! Packets of the script as octets, with the numbers that are really used.

use core::net::SocketAddrV4;

use wire::checksum::Sum;
use wire::tcp::Flags;
use wire::{icmpv4, tcp as wire_tcp};

use super::flow::Flow;
use crate::ast::{Icmp, Ip, Tcp, TcpOption, Tos};

/// A segment to the endpoint.
pub(super) fn segment(flow: &Flow, ip: &Ip, tcp: &Tcp, ecr_scaled: bool) -> Result<Vec<u8>, String> {
    let syn = tcp.flags.contains(Flags::SYN);
    let acks = tcp.flags.contains(Flags::ACK);
    let (local, remote) = flow.ends(tcp.ports, false);
    let mut options = Vec::new();
    for option in tcp.options.iter().flatten() {
        let mapped = match option {
            TcpOption::Timestamps(value, echo) if acks => {
                TcpOption::Timestamps(*value, echo_of(flow, *echo, ecr_scaled)?)
            }
            other => other.clone(),
        };
        options.extend(mapped.octets(|seq| seq.wrapping_add(flow.local_offset(syn))));
    }
    let header_len = 20 + options.len();
    let mut octets = Vec::with_capacity(20 + header_len + usize::from(tcp.len));
    octets.extend(remote.port().to_be_bytes());
    octets.extend(local.port().to_be_bytes());
    octets.extend(tcp.seq.wrapping_add(flow.remote_offset(syn)).to_be_bytes());
    let ack = if acks { tcp.ack.wrapping_add(flow.local_offset(syn)) } else { tcp.ack };
    octets.extend(ack.to_be_bytes());
    let ace = tcp.ace.unwrap_or(0);
    octets.push(((header_len / 4) as u8) << 4 | ace >> 2);
    octets.push(tcp.flags.0 | (ace & 3) << 6);
    octets.extend(tcp.window.unwrap_or(0).to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(tcp.urgent.to_be_bytes());
    octets.extend(options);
    octets.resize(header_len + usize::from(tcp.len), 0);
    let sum = Sum::pseudo_header(*remote.ip(), *local.ip(), wire_tcp::PROTOCOL, octets.len() as u16);
    let checksum = sum.plus(Sum::of(&octets)).checksum().to_be_bytes();
    octets[16..18].copy_from_slice(&checksum);
    Ok(ipv4(ip, wire_tcp::PROTOCOL, remote, local, octets))
}

/// TSecr really: the TSval that was sent where the script has `echo`.
fn echo_of(flow: &Flow, echo: u32, scaled: bool) -> Result<u32, String> {
    if let Some(live) = flow.stamps.get(&echo) {
        return Ok(*live);
    }
    match flow.first_stamp {
        Some((script, live)) if scaled => Ok(echo.wrapping_sub(script).wrapping_add(live)),
        _ => Err(format!(
            "no packet from the endpoint had TS val {echo} in this script: TS ecr {echo} means nothing \
             (--tcp_ts_ecr_scaled counts from the first)"
        )),
    }
}

/// An ICMP error about a segment of the endpoint.
pub(super) fn icmp(flow: &Flow, icmp: &Icmp) -> Vec<u8> {
    let (seq, len) = icmp.quoted;
    let mut quoted = Vec::new();
    quoted.extend(flow.local.port().to_be_bytes());
    quoted.extend(flow.remote.port().to_be_bytes());
    quoted.extend(seq.wrapping_add(flow.local_offset(false)).to_be_bytes());
    let mut quote = ipv4(&Ip::default(), wire_tcp::PROTOCOL, flow.local, flow.remote, quoted);
    // The quoted packet was longer than what is quoted of it.
    let total = 40 + len;
    quote[2..4].copy_from_slice(&total.to_be_bytes());
    quote[10..12].fill(0);
    let checksum = Sum::of(&quote[..20]).checksum().to_be_bytes();
    quote[10..12].copy_from_slice(&checksum);
    let mut octets = vec![icmp.kind, icmp.code, 0, 0];
    octets.extend(icmpv4::next_hop_mtu(icmp.mtu));
    octets.extend(quote);
    let checksum = Sum::of(&octets).checksum().to_be_bytes();
    octets[2..4].copy_from_slice(&checksum);
    ipv4(&Ip::default(), icmpv4::PROTOCOL, flow.remote, flow.local, octets)
}

fn ipv4(ip: &Ip, protocol: u8, from: SocketAddrV4, to: SocketAddrV4, payload: Vec<u8>) -> Vec<u8> {
    let tos = match ip.tos {
        Tos::Any => 0,
        Tos::Ecn(ecn) => ecn,
        Tos::Capable => 2,
        Tos::Whole(tos) => tos,
    };
    let total = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut octets =
        vec![0x45, tos, total[0], total[1], 0, 0, 0x40, 0, ip.ttl.unwrap_or(255), protocol, 0, 0];
    octets.extend(from.ip().octets());
    octets.extend(to.ip().octets());
    let checksum = Sum::of(&octets).checksum().to_be_bytes();
    octets[10..12].copy_from_slice(&checksum);
    octets.extend(payload);
    octets
}
