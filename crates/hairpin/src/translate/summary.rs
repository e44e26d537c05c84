//! What a translation did, in numbers.

use core::fmt;
use std::collections::BTreeMap;

use nat::Realm;
use serde::Serialize;
use wire::Malformed;

/// Totals of a translation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The file was read to its end.
    pub complete: bool,
    /// `pcap` or `pcapng`.
    pub format: &'static str,
    /// Packets of the input.
    pub packets_in: u64,
    /// Packets written: translated ones, and those that the gateway made.
    pub packets_out: u64,
    /// Translated, from inside to outside.
    pub outbound: u64,
    /// Translated, from outside to inside.
    pub inbound: u64,
    /// Translated, from inside back to inside.
    pub hairpinned: u64,
    /// Made by the gateway itself: ICMP errors, fragments that had to wait or to be cut.
    pub made: u64,
    /// Taken by the gateway, to be sent later, or dropped when their time is up.
    pub held: u64,
    /// Packets that the gateway was not given.
    pub left_out: LeftOut,
    /// Packets refused, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// ICMP errors that the gateway sent.
    pub icmp_errors_sent: u64,
    /// Mappings made.
    pub mappings_created: u64,
    /// Mappings that there are at the end.
    pub mappings_live: u64,
    /// Sessions made.
    pub sessions_created: u64,
    /// Sessions that there are at the end.
    pub sessions_live: u64,
    /// Time from the first to the last packet.
    pub seconds: f64,
}

/// Packets that were not the gateway's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Neither from inside nor to an external address.
    pub neither_side: u64,
    /// Not IPv4.
    pub not_ipv4: u64,
    /// The capture does not have all of their octets (snap length).
    pub cut_by_the_capture: u64,
}

impl Summary {
    pub(crate) fn drop(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    pub(crate) fn forwarded(&mut self, from: Realm, to: Realm) {
        self.packets_out += 1;
        match (from, to) {
            (Realm::Inside, Realm::Outside) => self.outbound += 1,
            (Realm::Inside, Realm::Inside) => self.hairpinned += 1,
            (Realm::Outside, _) => self.inbound += 1,
        }
    }

    /// What to do about packets that were lost for a reason that is seldom the traffic's.
    fn hints(&self) -> Vec<&'static str> {
        let mut hints = Vec::from_iter(unfinished_checksums(&self.dropped, self.packets_in));
        if is_many(self.left_out.neither_side, self.packets_in) {
            hints.push(
                "\"neither side\" is neither from an inside prefix nor to a pool address, such as answers \
                 captured inside: compare inside.prefixes and pool.addresses, or tell the sides apart with \
                 --inside-mac",
            );
        }
        hints
    }

    /// Takes what the engine knows: packets that it held and then gave up, mappings, sessions.
    pub(crate) fn finish(&mut self, engine: &nat::Engine) {
        let counters = engine.counters();
        for (reason, count) in counters.drops() {
            let seen = self.dropped.entry(reason.name()).or_default();
            *seen = count.max(*seen);
        }
        self.icmp_errors_sent = counters.icmp_errors_sent;
        self.mappings_created = counters.mappings_created;
        self.sessions_created = counters.sessions_created;
        self.mappings_live = engine.mappings().count() as u64;
        self.sessions_live = engine.sessions().count() as u64;
    }
}

fn is_many(count: u64, packets: u64) -> bool {
    count > 0 && count >= packets / 4
}

/// What to do where many of the packets of a capture were dropped for their checksums.
pub(crate) fn unfinished_checksums(
    dropped: &BTreeMap<&'static str, u64>,
    packets: u64,
) -> Option<&'static str> {
    let checksums = [Malformed::TcpChecksum, Malformed::UdpChecksum];
    let count = checksums.iter().filter_map(|reason| dropped.get(reason.name())).sum();
    is_many(count, packets).then_some(
        "a host with checksum offload captures what it sends with unfinished checksums: try --trust-checksums",
    )
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = if self.complete { "" } else { " before it had to stop" };
        writeln!(
            f,
            "{} packets of {:.3} s in{ending}, {} out",
            self.packets_in, self.seconds, self.packets_out
        )?;
        let mut line = |what: &str, count: u64| writeln!(f, "  {what:<28}{count:>12}");
        line("inside to outside", self.outbound)?;
        line("outside to inside", self.inbound)?;
        line("inside to inside (hairpin)", self.hairpinned)?;
        line("made by the gateway", self.made)?;
        for (what, count) in [
            ("held by the gateway", self.held),
            ("left out: neither side", self.left_out.neither_side),
            ("left out: not IPv4", self.left_out.not_ipv4),
            ("left out: cut by the capture", self.left_out.cut_by_the_capture),
        ] {
            if count > 0 {
                line(what, count)?;
            }
        }
        if !self.dropped.is_empty() {
            writeln!(f, "dropped")?;
            for (reason, count) in &self.dropped {
                writeln!(f, "  {reason:<28}{count:>12}")?;
            }
        }
        writeln!(f, "mappings: {} made, {} live", self.mappings_created, self.mappings_live)?;
        writeln!(f, "sessions: {} made, {} live", self.sessions_created, self.sessions_live)?;
        self.hints().into_iter().try_for_each(|hint| writeln!(f, "hint: {hint}"))
    }
}
