//! Waits for a packet from the endpoint and compares it.

use core::time::Duration;

use wire::tcp::Flags;

use super::compare::{Seen, Strictness, differences, ends, flags_and_seq, line, seen};
use super::time::Window;
use super::{Mark, Runner};
use crate::ast::{Body, Event, Packet, Tcp};
use crate::fault::{Fault, Result};
use crate::report;
use crate::sockets::Sent;

/// How long after its time a packet is waited for, so that a failure can show it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a packet is waited for that may come at any time.
const ANY_TIME: Duration = Duration::from_secs(24 * 3_600);

impl Runner {
    pub(super) fn expect(&mut self, event: &Event, packet: &Packet, window: &Window) -> Result<()> {
        let Body::Tcp(expected) = &packet.body else { return Ok(()) };
        self.flow_for(event, expected, true)?;
        let mut parts: Vec<Sent> = Vec::new();
        let mut octets = 0;
        // What the script writes as one large packet may be several that follow one another.
        loop {
            let sent = self.next_for_flow(event, packet, window)?;
            let Some((flags, seq)) = flags_and_seq(&sent.octets) else { continue };
            let Some(flow) = &mut self.flow else { return Ok(()) };
            flow.before_outbound(expected, flags, seq);
            let Some(part) = seen(flow, &sent.octets) else { continue };
            octets += usize::from(part.tcp.len);
            let more = octets < usize::from(expected.len) && !self.config.strict_segments && part.tcp.len > 0;
            parts.push(sent);
            if !more {
                break;
            }
        }
        self.compare(event, packet, expected, window, &parts)
    }

    fn compare(
        &mut self,
        event: &Event,
        packet: &Packet,
        expected: &Tcp,
        window: &Window,
        parts: &[Sent],
    ) -> Result<()> {
        let Some(flow) = &mut self.flow else { return Ok(()) };
        let views: Vec<Seen> = parts.iter().filter_map(|sent| seen(flow, &sent.octets)).collect();
        let Some(mut whole) = joined(&views) else { return Ok(()) };
        learn_stamp(flow, expected, &mut whole);
        let tolerance = self.config.tolerance_usecs;
        let tick = (self.config.ts_tick_usecs > 0).then_some((self.config.ts_tick_usecs, tolerance));
        let how = Strictness { tick, freebsd: self.host.freebsd };
        // One write of a large packet sets PSH on its end; several packets set it where their sender will.
        if parts.len() > 1 && expected.flags.contains(Flags::PSH) {
            whole.tcp.flags = whole.tcp.flags | Flags::PSH;
        }
        let mut wrong = differences(&packet.ip, expected, &whole, &how);
        if !self.wrote_text && whole.payload.iter().any(|octet| *octet != 0) {
            wrong.push("the data is not what was written".to_owned());
        }
        let at = parts.last().map_or(self.host.now(), |sent| sent.at);
        let timely = self.check_time(event, window, self.micros(at), "the packet was sent");
        let right = wrong.is_empty() && timely.is_ok();
        for sent in parts {
            let Some(flow) = &self.flow else { return Ok(()) };
            let line = line(flow, &sent.octets);
            let mark = if right { Mark::Expected } else { Mark::Wrong };
            self.record(sent.at, true, sent.octets.clone(), mark, line);
        }
        if wrong.is_empty() {
            return timely;
        }
        let actual = report::tcp_line(true, &whole.ip, &whole.tcp);
        let help = format!("expected {}\nactual   {actual}", report::script_line(packet));
        Err(Fault::failed(&event.span, "another packet was sent than expected", wrong.join("; "), help))
    }

    /// The next packet of the connection, waited for as long as it makes sense.
    fn next_for_flow(&mut self, event: &Event, packet: &Packet, window: &Window) -> Result<Sent> {
        let limit = match window.last() {
            Some(last) => self.instant(last.max(self.now())) + PATIENCE,
            None => self.host.now() + ANY_TIME,
        };
        loop {
            while let Some(sent) = self.host.next_sent() {
                if self.is_ours(&sent, packet) {
                    return Ok(sent);
                }
                let line = self.flow.as_ref().map_or_else(String::new, |flow| line(flow, &sent.octets));
                self.record(sent.at, true, sent.octets, Mark::Unasked, line);
            }
            let deadline = self.pending.as_ref().and_then(|pending| pending.deadline);
            let next = self.host.next_timer().into_iter().chain(deadline).min();
            let Some(next) = next.filter(|next| *next <= limit) else {
                let help = format!("expected {}", report::script_line(packet));
                let label = match self.host.next_timer() {
                    Some(timer) => format!(
                        "nothing came; the endpoint next looks at its timers at {:.6} s",
                        self.micros(timer) as f64 / 1e6
                    ),
                    None => "nothing came, and no timer runs".to_owned(),
                };
                return Err(Fault::failed(&event.span, "no packet was sent", label, help));
            };
            self.step(next)?;
        }
    }

    /// It belongs to the connection that the script is about: by its ports, which the first SYN teaches.
    fn is_ours(&mut self, sent: &Sent, packet: &Packet) -> bool {
        let (Some(flow), Some((from, to))) = (&mut self.flow, ends(&sent.octets)) else { return false };
        let Body::Tcp(tcp) = &packet.body else { return false };
        let opens = flags_and_seq(&sent.octets)
            .is_some_and(|(flags, _)| flags.contains(Flags::SYN) && !flags.contains(Flags::ACK));
        if flow.phase == super::flow::Phase::Connecting && opens && to == flow.remote {
            flow.local = from;
        }
        flow.ends(tcp.ports, true) == (from, to)
    }
}

/// Segments that follow one another as one.
fn joined(parts: &[Seen]) -> Option<Seen> {
    let mut whole = parts.first()?.clone();
    for part in parts.get(1..)? {
        whole.tcp.len = whole.tcp.len.saturating_add(part.tcp.len);
        whole.payload.extend(&part.payload);
        let first = whole.tcp.seq;
        let len = u32::from(whole.tcp.len);
        // A gap, or another acknowledgment in the middle, must show: the numbers of the last say so.
        if part.tcp.seq.wrapping_add(u32::from(part.tcp.len)) != first.wrapping_add(len) {
            whole.tcp.seq = part.tcp.seq;
        }
        whole.tcp.flags = part.tcp.flags;
        whole.tcp.ack = part.tcp.ack;
        whole.tcp.window = part.tcp.window;
        whole.tcp.urgent = part.tcp.urgent;
        whole.tcp.options.clone_from(&part.tcp.options);
        whole.ip = part.ip;
    }
    Some(whole)
}

/// The script's TSval stands for the one that was really sent.
fn learn_stamp(flow: &mut super::Flow, expected: &Tcp, whole: &mut Seen) {
    use crate::ast::TcpOption::Timestamps;
    let script = expected.options.iter().flatten().find_map(|option| match option {
        Timestamps(value, _) => Some(*value),
        _ => None,
    });
    let (Some(script), Some(live)) = (script, whole.stamp) else { return };
    flow.stamps.insert(script, live);
    let (first_script, first_live) = *flow.first_stamp.get_or_insert((script, live));
    for option in whole.tcp.options.iter_mut().flatten() {
        if let Timestamps(value, _) = option {
            *value = live.wrapping_sub(first_live).wrapping_add(first_script);
        }
    }
}
