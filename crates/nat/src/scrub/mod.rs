//! Scrubbing: one reading of a segment for every host behind the gateway, and for the sensor beside it
//! (C1 to C5; RFC 6093 3.4).
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | the `[scrub]` table |
//! | `finding` | what was changed or found: counters, samples, events |
//! | `segment` | changing one header in place |
//! | `wars` | wars between the ends, damped |
//! | `engine` | the NAT's use of all that |
//! | `alone`, `flows` | the [`Scrubber`]: the same without translation |
//!
//! What a packet costs that needs nothing is one AND: eight octets of the TCP header ([`marks`]) with the bits
//! that the configuration cares about.

mod alone;
pub(crate) mod config;
mod engine;
mod finding;
mod flows;
mod segment;
mod wars;

use core::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rules::flags::{Illegal, illegal, legal};
use rules::middlebox::Placement;
use wire::tcp::Flags;

use crate::{Realm, Reason};
use config::{Action, Scrub, Urgent, Watch};
use finding::Told;
use wars::Wars;

pub use alone::Scrubber;
pub use finding::{Finding, Findings, Headers, ScrubEvent, ScrubEventKind, Scrubbed};

/// Octets 12 to 19 of a TCP header as one number: data offset and reserved bits, flags, window, checksum,
/// urgent pointer.
pub(crate) type Marks = u64;

/// The data offset is not 5: of 5 to 15, all others have one of these.
const HAS_OPTIONS: Marks = 0b1010 << 60;
const RESERVED: Marks = (rules::flags::RESERVED as u64) << 56;
const URG: Marks = (Flags::URG.0 as u64) << 48;
const POINTER: Marks = 0xffff;

/// The marks of the TCP header that starts at `at`; 0 if there is none.
#[inline(always)]
pub(crate) fn marks(data: &[u8], at: usize) -> Marks {
    data.get(at + 12..at + 20)
        .and_then(|octets| octets.first_chunk())
        .map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// The settings, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Scrubbing {
    /// What of a header is looked at more closely.
    pub(crate) mask: Marks,
    /// What of a header may be a reason to drop.
    pub(crate) drops: Marks,
    pub(crate) ttl_floor: u8,
    /// A time to live below this may need to be raised: one hop more.
    ttl_reach: u8,
    /// Some segment is looked at for its numbers.
    pub(crate) follows: bool,
    settings: Scrub,
    wars: Option<Wars>,
    pub(crate) told: Told,
}

/// The service ports that a segment may be about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    /// Who opened the connection is known, and to which port: as the opener and as the other side has it.
    Known([u16; 2]),
    /// It may be either of the segment's.
    Either([u16; 2]),
}

impl Scrubbing {
    pub(crate) fn new(settings: &Scrub) -> Self {
        let (mut mask, mut drops) = (0, 0);
        if settings.urgent != Urgent::Pass {
            mask |= URG | POINTER;
        }
        for (action, bits) in [(settings.urgent_pointer, POINTER), (settings.reserved_bits, RESERVED)] {
            match action {
                Action::Pass => {}
                Action::Clear => mask |= bits,
                Action::Drop => drops |= bits,
            }
        }
        if !settings.strip_options.is_empty() {
            mask |= HAS_OPTIONS;
        }
        Self {
            mask,
            drops,
            ttl_floor: settings.ttl_floor,
            ttl_reach: if settings.ttl_floor == 0 { 0 } else { settings.ttl_floor.saturating_add(1) },
            follows: settings.out_of_window != Watch::Off || settings.war_limit.is_some(),
            wars: settings.war_limit.map(Wars::new),
            told: Told::new(settings.sample),
            settings: settings.clone(),
        }
    }

    /// Octets that it takes.
    pub(crate) fn octets(settings: &Scrub) -> u64 {
        let told = if settings.sample.is_some() || settings.war_limit.is_some() { Told::OCTETS } else { 0 };
        told + settings.war_limit.map_or(0, |_| Wars::OCTETS)
    }

    /// Whether a packet with this header and time to live needs a closer look.
    #[inline(always)]
    pub(crate) fn concerns(&self, marks: Marks, ttl: u8) -> bool {
        marks & self.mask != 0 || ttl < self.ttl_reach
    }

    /// Why a segment with legal flags is dropped, if it is.
    pub(crate) fn refuses(&self, marks: Marks) -> Option<Reason> {
        if self.drops & POINTER != 0 && marks & URG == 0 && marks & POINTER != 0 {
            return Some(Reason::UrgentPointer);
        }
        (self.drops & RESERVED & marks != 0).then_some(Reason::ReservedBits)
    }

    /// What becomes of illegal flags.
    pub(crate) fn illegal(&self, flags: Flags) -> Action {
        match illegal(flags) {
            Some(Illegal::SynFin) => self.settings.syn_fin,
            Some(Illegal::SynRst) => self.settings.syn_rst,
            Some(Illegal::None) => self.settings.no_flags,
            None => Action::Pass,
        }
    }

    /// The flags that illegal ones become.
    fn legal(&self, flags: Flags) -> Option<(Flags, Finding)> {
        let finding = match illegal(flags)? {
            Illegal::SynFin => Finding::SynFin,
            Illegal::SynRst => Finding::SynRst,
            Illegal::None => return None,
        };
        (self.illegal(flags) == Action::Clear).then_some(())?;
        Some((legal(flags)?, finding))
    }

    /// Whether a connection loses its urgent indication in what comes from `from` (C1).
    fn clears_urgent(&self, from: Realm, service: Service, ends: &[Ipv4Addr]) -> bool {
        let settings = &self.settings;
        let (Service::Known(ports) | Service::Either(ports)) = service;
        let among = |nets: &[Ipv4Net]| nets.iter().any(|net| ends.iter().any(|end| net.contains(end)));
        let wanted = match settings.urgent {
            Urgent::Pass => false,
            Urgent::Clear => true,
            Urgent::ClearInbound => from == Realm::Outside,
            Urgent::ClearOutbound => from == Realm::Inside,
        };
        let only = &settings.only_ports;
        wanted
            && (only.is_empty() || ports.iter().any(|port| only.iter().any(|range| range.contains(port))))
            && (settings.only_prefixes.is_empty() || among(&settings.only_prefixes))
            && !ports.iter().any(|port| settings.except_ports.contains(port))
            && !among(&settings.except_prefixes)
    }

    /// What is wanted of a segment with these marks and flags.
    fn wanted(
        &self,
        marks: Marks,
        flags: Flags,
        mss: Option<u16>,
        clears_urgent: impl FnOnce() -> bool,
    ) -> segment::Wanted<'_> {
        segment::Wanted {
            clear_urgent: marks & self.mask & (URG | POINTER) != 0 && clears_urgent(),
            clear_pointer: self.settings.urgent_pointer == Action::Clear,
            clear_reserved: self.settings.reserved_bits == Action::Clear,
            flags: self.legal(flags),
            mss: mss.filter(|_| flags.contains(Flags::SYN)),
            strip: &self.settings.strip_options,
        }
    }

    /// The connection `number` is another one from now on.
    pub(crate) fn forget(&mut self, number: u32) {
        if let Some(wars) = &mut self.wars {
            wars.forget(number);
        }
    }

    /// What becomes of a segment that lies there: a reason to drop it, or a finding, or neither.
    fn placed(&self, placement: Placement) -> Result<Findings, Reason> {
        let (reason, finding) = match placement {
            Placement::Acceptable | Placement::Repeated => return Ok(Findings::NONE),
            Placement::OldDuplicate => (Reason::OldDuplicate, Finding::OldDuplicate),
            Placement::Beyond => (Reason::OutOfWindow, Finding::OutOfWindow),
        };
        match self.settings.out_of_window {
            Watch::Off => Ok(Findings::NONE),
            Watch::Count => Ok(Findings::NONE.with(finding)),
            Watch::Drop => Err(reason),
        }
    }
}
