//! Packets: `> [ect0] P. 1:1001(1000) ack 1 win 65535 urg 5 <nop,nop,TS val 1 ecr 2>` and ICMP errors.

use wire::icmpv4;
use wire::tcp::Flags;

use super::Parser;
use crate::ast::{Body, Icmp, Ip, Packet, Span, Tcp, Tos};
use crate::fault::{Fault, Result};
use crate::lexer::TokenKind;

impl Parser<'_> {
    pub(super) fn packet(&mut self) -> Result<Packet> {
        let start = self.span();
        let outbound = self.next() == TokenKind::Mark('>');
        self.no_encapsulation()?;
        let ip = self.ip(outbound)?;
        self.no_encapsulation()?;
        let body = match self.peek() {
            TokenKind::Word(word) if word == "icmp" => {
                self.at += 1;
                Body::Icmp(self.icmp(outbound, &start)?)
            }
            _ => Body::Tcp(self.tcp(outbound, &start)?),
        };
        Ok(Packet { outbound, ip, body })
    }

    fn no_encapsulation(&self) -> Result<()> {
        let TokenKind::Word(word) = self.peek() else { return Ok(()) };
        match word.as_str() {
            "udp" => Err(self.unsupported("UDP packets", "this endpoint speaks TCP only")),
            "gre" | "GREv0" | "mpls" | "ipv4" | "ipv6" | "encap" => {
                Err(self.unsupported(format!("packets in packets ({word})"), "write the TCP packet itself"))
            }
            "flowlabel" => Err(self.unsupported("flow labels of IPv6", "this endpoint speaks IPv4 only")),
            _ => Ok(()),
        }
    }

    fn unsupported(&self, what: impl core::fmt::Display, help: &str) -> Box<Fault> {
        Fault::unsupported(&self.span(), what, help)
    }

    /// `[ect0]`, `(ttl 64)`, several of them behind commas.
    fn ip(&mut self, outbound: bool) -> Result<Ip> {
        let mut ip = Ip::default();
        let close = match self.peek() {
            TokenKind::Mark('[') => ']',
            TokenKind::Mark('(') => ')',
            _ => return Ok(ip),
        };
        self.at += 1;
        loop {
            self.no_encapsulation()?;
            match self.word("what is said of the IP header")?.as_str() {
                "noecn" => ip.tos = Tos::Ecn(0),
                "ect1" => ip.tos = Tos::Ecn(1),
                "ect0" => ip.tos = Tos::Ecn(2),
                "ce" => ip.tos = Tos::Ecn(3),
                "ect01" if outbound => ip.tos = Tos::Capable,
                "tos" => ip.tos = Tos::Whole(self.u8("the TOS octet")?),
                "ttl" => ip.ttl = Some(self.u8("the TTL")?),
                "id" => return Err(self.unsupported("the IP identification", "leave it out")),
                _ => {
                    self.at -= 1;
                    let help = "write noecn, ect0, ect1, ce, ect01 (of packets from the endpoint), tos 0x10 or ttl 64";
                    return Err(self.wrong("this is not known of an IP header", help));
                }
            }
            if !self.accept(',') {
                break;
            }
        }
        self.expect(close, "what is said of the IP header")?;
        Ok(ip)
    }

    fn tcp(&mut self, outbound: bool, start: &Span) -> Result<Tcp> {
        let mut ports = None;
        if matches!(self.peek(), TokenKind::Int(_)) && *self.ahead(1) == TokenKind::Mark('>') {
            let source = self.u16("the source port")?;
            self.expect('>', "ports")?;
            ports = Some((source, self.u16("the destination port")?));
        }
        let (flags, ace) = self.flags()?;
        let (seq, len) = self.seq()?;
        let ack = if self.accept_word("ack") { self.u32("the acknowledgment number")? } else { 0 };
        let window = if self.accept_word("win") { Some(self.u16("the window")?) } else { None };
        if window.is_none() && !outbound && !flags.contains(Flags::RST) {
            let span = self.span_from(start);
            let help = "write win 65535 behind the numbers";
            return Err(Fault::syntax(&span, "a packet to the endpoint needs a window", help));
        }
        let urgent = if self.accept_word("urg") { self.u16("the urgent pointer")? } else { 0 };
        let options = self.tcp_options(outbound)?;
        if self.is('/') {
            return Err(self.unsupported("TCP in UDP", "write the TCP packet itself"));
        }
        Ok(Tcp { ports, flags, ace, seq, len, ack, window, urgent, options })
    }

    fn flags(&mut self) -> Result<(Flags, Option<u8>)> {
        let start = self.span();
        let text = match self.next() {
            TokenKind::Word(word) if self.accept('.') => format!("{word}."),
            TokenKind::Word(word) => match self.peek().clone() {
                // `P.5`: the digit is accurate ECN's counter.
                TokenKind::Float(float) if float.starts_with('.') => {
                    self.at += 1;
                    word + &float
                }
                _ => word,
            },
            TokenKind::Float(float) if float.starts_with('.') => float,
            TokenKind::Mark('.') => ".".to_owned(),
            TokenKind::Mark('-') => String::new(),
            _ => {
                self.at -= 1;
                return Err(self.wrong("expected TCP flags", "write letters of .FSRPEWAU, or - for none"));
            }
        };
        let (mut flags, mut ace) = (Flags(0), None);
        for letter in text.chars() {
            flags = flags
                | match letter {
                    '.' => Flags::ACK,
                    'F' => Flags::FIN,
                    'S' => Flags::SYN,
                    'R' => Flags::RST,
                    'P' => Flags::PSH,
                    'E' => Flags::ECE,
                    'W' => Flags::CWR,
                    'U' => Flags::URG,
                    'A' => {
                        ace = Some(4);
                        Flags(0)
                    }
                    '0'..='7' => {
                        ace = letter.to_digit(8).map(|value| value as u8);
                        Flags(0)
                    }
                    _ => {
                        let span = self.span_from(&start);
                        let help = "the letters are . F S R P E W A U";
                        return Err(Fault::syntax(&span, format!("{letter:?} is no TCP flag"), help));
                    }
                };
        }
        Ok((flags, ace))
    }

    /// `1:1001(1000)`.
    fn seq(&mut self) -> Result<(u32, u16)> {
        let start = self.span();
        let first = self.u32("the first sequence number")?;
        self.expect(':', "sequence numbers")?;
        let last = self.number("the last sequence number", u64::from(u32::MAX) + 65_536)? as u32;
        self.expect('(', "sequence numbers")?;
        let len = self.u16("octets of data")?;
        self.expect(')', "sequence numbers")?;
        if last != first.wrapping_add(u32::from(len)) {
            let span = self.span_from(&start);
            let right = first.wrapping_add(u32::from(len));
            let message = "the sequence numbers do not fit the length";
            return Err(Fault::syntax(&span, message, format!("write {first}:{right}({len})")));
        }
        Ok((first, len))
    }

    fn icmp(&mut self, outbound: bool, start: &Span) -> Result<Icmp> {
        let kind_span = self.span();
        let kind = self.word("the type of ICMP message")?;
        let code = match self.peek().clone() {
            TokenKind::Word(word) if !matches!(word.as_str(), "mtu" | "id") => {
                self.at += 1;
                word
            }
            _ => String::new(),
        };
        let Some((kind, code)) = type_and_code(&kind, &code) else {
            let span = self.span_from(&kind_span);
            let help = "known are unreachable (net_unreachable, host_unreachable, protocol_unreachable, \
                        port_unreachable, frag_needed, ...), time_exceeded, parameter_problem, source_quench";
            return Err(Fault::unsupported(&span, "this ICMP message", help));
        };
        let mtu = if self.accept_word("mtu") { self.u16("the MTU")? } else { 0 };
        if self.is_word("id") {
            return Err(self.unsupported("ICMP echo", "this endpoint speaks TCP only"));
        }
        let mut quoted = (0, 0);
        if self.accept('[') {
            if self.is_word("udp") || self.is_word("raw") {
                return Err(
                    self.unsupported("a quoted packet that is not TCP", "this endpoint speaks TCP only")
                );
            }
            quoted = self.seq()?;
            if self.is('/') {
                return Err(self.unsupported("TCP in UDP", "write the TCP packet itself"));
            }
            self.expect(']', "the quoted packet")?;
        }
        if outbound {
            return Err(Fault::unsupported(
                &self.span_from(start),
                "ICMP from the endpoint",
                "it only ever sends TCP",
            ));
        }
        Ok(Icmp { kind, code, mtu, quoted })
    }
}

fn type_and_code(kind: &str, code: &str) -> Option<(u8, u8)> {
    let codes: &[(&str, u8)] = match kind {
        "unreachable" => &[
            ("net_unreachable", icmpv4::UNREACHABLE_NET),
            ("host_unreachable", icmpv4::UNREACHABLE_HOST),
            ("protocol_unreachable", icmpv4::UNREACHABLE_PROTOCOL),
            ("port_unreachable", icmpv4::UNREACHABLE_PORT),
            ("frag_needed", icmpv4::FRAGMENTATION_NEEDED),
            ("source_route_failed", 5),
            ("net_unknown", 6),
            ("host_unknown", 7),
            ("source_host_isolated", 8),
            ("net_prohibited", 9),
            ("host_prohibited", 10),
            ("net_unreachable_for_tos", 11),
            ("host_unreachable_for_tos", 12),
            ("packet_filtered", icmpv4::PROHIBITED),
            ("precedence_violation", 14),
            ("precedence_cutoff", 15),
        ],
        "time_exceeded" => &[
            ("ttl_exceeded_in_transit", 0),
            ("exceeded_hop_limit", 0),
            ("frag_reass_exceeded", 1),
            ("exceeded_frag_time", 1),
        ],
        "parameter_problem" => &[("code_0", 0), ("code_1", 1), ("code_2", 2)],
        _ => &[],
    };
    let number = match kind {
        "unreachable" => icmpv4::UNREACHABLE,
        "source_quench" => icmpv4::SOURCE_QUENCH,
        "redirect" => icmpv4::REDIRECT,
        "time_exceeded" => icmpv4::TIME_EXCEEDED,
        "parameter_problem" => icmpv4::PARAMETER_PROBLEM,
        "echo_reply" | "echo_request" => return None,
        _ => kind.parse().ok()?,
    };
    if code.is_empty() {
        return Some((number, 0));
    }
    let named = codes.iter().find(|(name, _)| *name == code).map(|(_, code)| *code);
    Some((number, named.or_else(|| code.parse().ok())?))
}
