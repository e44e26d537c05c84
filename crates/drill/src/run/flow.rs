//! The connection that a script is about, and how its numbers map to those really used.
//!
//! Numbers of packets with SYN are absolute; all others count from the SYN. The peer's are as the script
//! says; the endpoint chooses its own initial number, port and timestamps, and they are learnt here.

use core::net::SocketAddrV4;
use std::collections::HashMap;

use wire::tcp::Flags;

use super::Runner;
use crate::ast::{Event, Tcp};
use crate::fault::{Fault, Result};

/// How far it is open, as far as the mapping needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Listening,
    /// A packet came in and made it.
    Arrived,
    SynAckSent,
    Open,
    Connecting,
    SynSent,
}

/// The connection.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) phase: Phase,
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
    /// The endpoint's initial number: in the script, and really.
    pub(super) script_iss: u32,
    pub(super) live_iss: u32,
    /// The peer's initial number.
    pub(super) irs: u32,
    /// TSval of the script and really.
    pub(super) stamps: HashMap<u32, u32>,
    pub(super) first_stamp: Option<(u32, u32)>,
    /// The SYN of the peer that came last: it may open the connection anew.
    last_syn: Option<u32>,
}

impl Flow {
    pub(super) fn new(phase: Phase, local: SocketAddrV4, remote: SocketAddrV4) -> Self {
        Self {
            phase,
            local,
            remote,
            script_iss: 0,
            live_iss: 0,
            irs: 0,
            stamps: HashMap::new(),
            first_stamp: None,
            last_syn: None,
        }
    }

    /// What is added to a number of the peer's, from script to really.
    pub(super) fn remote_offset(&self, syn: bool) -> u32 {
        if syn { 0 } else { self.irs }
    }

    /// What is added to a number of the endpoint's, from script to really.
    pub(super) fn local_offset(&self, syn: bool) -> u32 {
        if syn { self.live_iss.wrapping_sub(self.script_iss) } else { self.live_iss }
    }

    /// The endpoint's address as packets of the script have it, ports named there included.
    pub(super) fn ends(&self, ports: Option<(u16, u16)>, outbound: bool) -> (SocketAddrV4, SocketAddrV4) {
        let (mut local, mut remote) = (self.local, self.remote);
        if let Some((source, destination)) = ports {
            let (near, far) = if outbound { (source, destination) } else { (destination, source) };
            local.set_port(near);
            remote.set_port(far);
        }
        (local, remote)
    }

    /// A packet to the endpoint is about to be sent.
    pub(super) fn before_inbound(&mut self, tcp: &Tcp) {
        let syn = tcp.flags.contains(Flags::SYN);
        let ack = tcp.flags.contains(Flags::ACK);
        if syn {
            self.last_syn = Some(tcp.seq);
        }
        match self.phase {
            Phase::SynAckSent if ack => self.phase = Phase::Open,
            // Both SYNs cross, or the answer to ours.
            Phase::SynSent if syn => {
                self.irs = tcp.seq;
                if ack {
                    self.phase = Phase::Open;
                }
            }
            _ => {}
        }
    }

    /// The script expects `tcp` and `seq` is the sequence number that it really has.
    pub(super) fn before_outbound(&mut self, tcp: &Tcp, flags: Flags, seq: u32) {
        let both = Flags::SYN | Flags::ACK;
        if !tcp.flags.contains(Flags::SYN) || !flags.contains(Flags::SYN) {
            return;
        }
        match self.phase {
            Phase::Arrived if tcp.flags.contains(both) && flags.contains(both) => {
                (self.script_iss, self.live_iss) = (tcp.seq, seq);
                self.phase = Phase::SynAckSent;
            }
            Phase::Connecting => {
                (self.script_iss, self.live_iss) = (tcp.seq, seq);
                self.phase = Phase::SynSent;
            }
            // A SYN with another number than before: the connection was opened anew (RFC 6191). The
            // original cannot say this.
            Phase::Open if flags.contains(both) && seq != self.live_iss => {
                (self.script_iss, self.live_iss) = (tcp.seq, seq);
                self.irs = self.last_syn.unwrap_or(self.irs);
                self.phase = Phase::SynAckSent;
            }
            _ => {}
        }
    }
}

impl Runner {
    /// The connection that a packet of the script belongs to, made if need be.
    pub(super) fn flow_for(&mut self, event: &Event, tcp: &Tcp, outbound: bool) -> Result<&mut Flow> {
        let fresh = self.flow.as_ref().is_none_or(|flow| flow.phase == Phase::Listening);
        if fresh && !outbound {
            // Each has a port of its own, unless the script says which.
            let port = 32_768 + (self.records.len() % 20_000) as u16;
            let mut local = SocketAddrV4::new(self.config.local_ip, self.config.bind_port);
            let mut remote = SocketAddrV4::new(self.config.remote_ip, port);
            if let Some((source, destination)) = tcp.ports {
                remote.set_port(source);
                local.set_port(destination);
            }
            let mut flow = Flow::new(Phase::Arrived, local, remote);
            flow.irs = tcp.seq;
            self.flow = Some(flow);
        }
        match &mut self.flow {
            Some(flow) => Ok(flow),
            None => {
                let help = "send a packet first, or call connect";
                Err(Fault::failed(&event.span, "there is no connection for this packet", "here", help))
            }
        }
    }
}
