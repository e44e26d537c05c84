//! What was seen and what was given up, all flows together.

use crate::assembly::Assembly;
use crate::flow::Flow;

/// What was seen, all flows together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// Packets given to the lens.
    pub packets: u64,
    /// TCP segments among them.
    pub segments: u64,
    /// Malformed packets.
    pub malformed: u64,
    /// Fragments: those of TCP segments are put together.
    pub fragments: u64,
    /// Datagrams of which fragments never came, or too late.
    pub fragments_given_up: u64,
    /// Datagrams whose fragments overlapped.
    pub fragments_refused: u64,
    /// Packets of other protocols.
    pub not_tcp: u64,
    /// Segments of whose text the capture has a part only, or nothing.
    pub cut: u64,
    /// Flows told.
    pub flows: u64,
    /// Flows that were ended early to make room.
    pub evicted: u64,
    /// Times that a flow gave up all that it held because [`Limits::octets`](crate::Limits::octets) was reached.
    pub text_given_up: u64,
    /// Octets that a receiver acknowledged and the capture does not have.
    pub missing_octets: u64,
    /// Octets that came too far ahead, or behind a hole that was never filled.
    pub octets_given_up: u64,
    /// Segments that could not be compared with what had been sent before.
    pub not_compared: u64,
    /// Places of urgent octets that were not kept.
    pub places_given_up: u64,
}

impl Totals {
    /// A flow is over: what it gave up.
    pub(crate) fn add(&mut self, flow: &Flow) {
        for trouble in flow.streams.iter().filter_map(|stream| stream.trouble.as_ref()) {
            self.missing_octets += trouble.missing;
            self.not_compared += trouble.not_compared;
            self.octets_given_up += trouble.octets_given_up;
            self.places_given_up += trouble.places_given_up;
            if let Some(assembly) = trouble.assemblies.first() {
                self.octets_given_up += assembly.given_up + assembly.waiting_octets();
            }
            self.places_given_up += trouble.assemblies.iter().map(Assembly::places_lost).max().unwrap_or(0);
        }
    }
}
