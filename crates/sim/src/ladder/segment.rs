//! A segment in the words of the figures: `<SEQ=100><ACK=300><CTL=SYN,ACK>`.

use wire::tcp::{Flags, TcpOption};

use super::Reader;
use crate::Packet;

impl Reader<'_> {
    /// The parts of a packet's description, the important ones first.
    pub(crate) fn describe(&self, packet: &Packet) -> Vec<String> {
        let Some(segment) = packet.segment() else {
            return vec![format!("({} octets that are no TCP segment)", packet.octets.len())];
        };
        let flags = segment.flags();
        let mut parts = vec![format!("<SEQ={}>", self.number(Some(packet.from), segment.seq()))];
        if flags.contains(Flags::ACK) {
            parts.push(format!("<ACK={}>", self.number(packet.to, segment.ack())));
        }
        parts.push(format!("<CTL={}>", names(flags)));
        if !segment.payload().is_empty() {
            parts.push(format!("<LEN={}>", segment.payload().len()));
        }
        parts.push(format!("<WIN={}>", segment.window()));
        if flags.contains(Flags::URG) {
            parts.push(format!("<URG={}>", segment.urgent()));
        }
        for option in segment.options().map_while(Result::ok) {
            match option {
                TcpOption::Sack(blocks) => parts.extend(blocks.map(|(left, right)| {
                    let (left, right) = (self.number(packet.to, left), self.number(packet.to, right));
                    format!("<SACK={left}:{right}>")
                })),
                TcpOption::Timestamps { value, echo_reply } => {
                    parts.push(format!("<TS={value},{echo_reply}>"));
                }
                _ => {}
            }
        }
        if packet.copy_of.is_some() {
            parts.push("(duplicated)".to_owned());
        }
        if packet.corrupted {
            parts.push("(corrupted)".to_owned());
        }
        parts
    }
}

fn names(flags: Flags) -> String {
    let all = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::ACK, "ACK"),
        (Flags::PSH, "PSH"),
        (Flags::URG, "URG"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];
    let set: Vec<_> = all.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(",") }
}
