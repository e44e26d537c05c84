//! Packets in the script's own notation.

use core::fmt::Write;

use wire::tcp::Flags;

use crate::ast::{Body, Ip, Packet, Tcp, TcpOption, Tos};
use crate::run::Record;

/// A record as one line: time, mark and packet.
pub fn packet_line(record: &Record) -> String {
    let mark = match record.mark {
        crate::Mark::Given | crate::Mark::Expected => ' ',
        crate::Mark::Wrong => '!',
        crate::Mark::Unasked => '?',
    };
    format!("{mark} {:>11.6} {}", record.at.as_secs_f64(), record.line)
}

/// A packet of a script, with all that the script says of it.
pub(crate) fn script_line(packet: &Packet) -> String {
    match &packet.body {
        Body::Tcp(tcp) => tcp_line(packet.outbound, &packet.ip, tcp),
        Body::Icmp(icmp) => {
            let (seq, len) = icmp.quoted;
            let mtu = if icmp.mtu > 0 { format!(" mtu {}", icmp.mtu) } else { String::new() };
            let end = seq.wrapping_add(u32::from(len));
            format!("< icmp {} {}{mtu} [{seq}:{end}({len})]", icmp.kind, icmp.code)
        }
    }
}

/// A segment.
pub(crate) fn tcp_line(outbound: bool, ip: &Ip, tcp: &Tcp) -> String {
    let mut line = if outbound { "> ".to_owned() } else { "< ".to_owned() };
    match ip.tos {
        Tos::Any | Tos::Whole(0) => {}
        Tos::Ecn(code) => line += &format!("[{}] ", ecn(code)),
        Tos::Whole(tos) if tos < 4 => line += &format!("[{}] ", ecn(tos)),
        Tos::Whole(tos) => line += &format!("[tos {tos:#x}] "),
        Tos::Capable => line += "[ect01] ",
    }
    if let Some((source, destination)) = tcp.ports {
        line += &format!("{source}>{destination} ");
    }
    let end = tcp.seq.wrapping_add(u32::from(tcp.len));
    let _ = write!(line, "{} {}:{end}({})", flags(tcp), tcp.seq, tcp.len);
    if tcp.flags.contains(Flags::ACK) || tcp.ack != 0 {
        let _ = write!(line, " ack {}", tcp.ack);
    }
    if let Some(window) = tcp.window {
        let _ = write!(line, " win {window}");
    }
    if tcp.urgent != 0 || tcp.flags.contains(Flags::URG) {
        let _ = write!(line, " urg {}", tcp.urgent);
    }
    match &tcp.options {
        None => line += " <...>",
        Some(list) if list.is_empty() => {}
        Some(list) => line += &format!(" <{}>", options(list)),
    }
    line
}

/// Flags in the script's letters; `-` is none.
pub(crate) fn flags(tcp: &Tcp) -> String {
    let letters = [
        (Flags::SYN, 'S'),
        (Flags::FIN, 'F'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
        (Flags::ACK, '.'),
    ];
    let mut text: String =
        letters.iter().filter(|(flag, _)| tcp.flags.contains(*flag)).map(|(_, letter)| *letter).collect();
    if let Some(ace) = tcp.ace {
        let _ = write!(text, "{ace}");
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Options in the script's words.
pub(crate) fn options(options: &[TcpOption]) -> String {
    let words: Vec<String> = options.iter().map(option).collect();
    words.join(",")
}

fn option(option: &TcpOption) -> String {
    match option {
        TcpOption::End => "eol".into(),
        TcpOption::Nop => "nop".into(),
        TcpOption::Mss(mss) => format!("mss {mss}"),
        TcpOption::WindowScale(shift) => format!("wscale {shift}"),
        TcpOption::SackOk => "sackOK".into(),
        TcpOption::Sack(blocks) => {
            let blocks: Vec<String> = blocks.iter().map(|(left, right)| format!("{left}:{right}")).collect();
            format!("sack {}", blocks.join(" "))
        }
        TcpOption::Timestamps(value, echo) => format!("TS val {value} ecr {echo}"),
        TcpOption::Other(kind, data) => {
            let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
            match kind {
                19 => format!("md5 {hex}"),
                34 => format!("FO {hex}"),
                _ => format!("kind {kind} {hex}"),
            }
        }
    }
}

/// ECN bits in the script's words.
pub(crate) fn ecn(code: u8) -> &'static str {
    match code & 3 {
        0 => "noecn",
        1 => "ect1",
        2 => "ect0",
        _ => "ce",
    }
}
