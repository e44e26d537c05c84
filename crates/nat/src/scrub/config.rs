//! What a scrubber may do: the `[scrub]` table, with its defaults.

use core::ops::RangeInclusive;

use ipnet::Ipv4Net;

/// Everything that a scrubber may do, in the NAT and alone (C1 to C5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrub {
    /// The urgent indication (C1, RFC 6093 3.4). Default: cleared both ways.
    pub urgent: Urgent,
    /// Service ports whose connections keep theirs. Default: 21, 23, 513, 514, which depend on it (RFC 6093 7).
    pub except_ports: Vec<u16>,
    /// Prefixes whose connections keep theirs, whichever end they are. Default: none.
    pub except_prefixes: Vec<Ipv4Net>,
    /// Service ports whose connections lose it; empty: all. Default: empty.
    pub only_ports: Vec<RangeInclusive<u16>>,
    /// Prefixes whose connections lose it, whichever end they are; empty: all. Default: empty.
    pub only_prefixes: Vec<Ipv4Net>,
    /// An urgent pointer without URG (C2). Default: set to 0.
    pub urgent_pointer: Action,
    /// Reserved bits ([`rules::flags::RESERVED`]). Default: pass, for who zeroes them keeps everybody from ever
    /// using them (RFC 3360).
    pub reserved_bits: Action,
    /// SYN with FIN. Default: drop.
    pub syn_fin: Action,
    /// SYN with RST. Default: drop.
    pub syn_rst: Action,
    /// None of SYN, FIN, RST and ACK. Default: drop; there is nothing to clear.
    pub no_flags: Action,
    /// Kinds of TCP options that are overwritten with no-operation (C4). Default: none.
    pub strip_options: Vec<u8>,
    /// A time to live below this is raised to it, once nothing more is taken off it here; 0: left (C4).
    pub ttl_floor: u8,
    /// What lies outside of every window, and what is older than a window (C3). Default: off.
    pub out_of_window: Watch,
    /// In a war between two endpoints, segments from this one on are dropped (C3). Default: `None`, none.
    pub war_limit: Option<u32>,
    /// One in so many findings is told with the headers before and after (C5). Default: `None`, none.
    pub sample: Option<u32>,
    /// [`Scrubber`](crate::Scrubber) alone: TCP connections that are followed at one time. Default: `None`, none:
    /// nothing is remembered.
    pub flows: Option<u32>,
    /// [`Scrubber`](crate::Scrubber) alone: Identifications of datagrams that may be fragmented are hidden (C4); the
    /// NAT has a setting of its own. Default: false.
    pub hide_ip_id: bool,
}

/// What becomes of URG and the urgent pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgent {
    /// They pass.
    Pass,
    /// URG off and the pointer 0 in every segment.
    #[default]
    Clear,
    /// The same of what comes from outside.
    ClearInbound,
    /// The same of what comes from inside.
    ClearOutbound,
}

/// What becomes of what should not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes.
    Pass,
    /// It is set to 0.
    Clear,
    /// The packet is dropped.
    Drop,
}

/// What becomes of a segment that its receiver would not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// Nobody looks.
    #[default]
    Off,
    /// It is counted and passes.
    Count,
    /// It is dropped.
    Drop,
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            urgent: Urgent::Clear,
            except_ports: vec![21, 23, 513, 514],
            except_prefixes: Vec::new(),
            only_ports: Vec::new(),
            only_prefixes: Vec::new(),
            urgent_pointer: Action::Clear,
            reserved_bits: Action::Pass,
            syn_fin: Action::Drop,
            syn_rst: Action::Drop,
            no_flags: Action::Drop,
            strip_options: Vec::new(),
            ttl_floor: 0,
            out_of_window: Watch::Off,
            war_limit: None,
            sample: None,
            flows: None,
            hide_ip_id: false,
        }
    }
}

impl Scrub {
    /// Everything passes as it is, but for what the NAT has always refused.
    pub fn off() -> Self {
        Self { urgent: Urgent::Pass, urgent_pointer: Action::Pass, ..Self::default() }
    }

    /// What makes no sense, as setting, problem, remedy.
    pub(crate) fn problems(&self) -> Vec<(String, String, &'static str)> {
        let mut found = Vec::new();
        let mut add = |name: String, problem: String, remedy| found.push((name, problem, remedy));
        for (index, kind) in self.strip_options.iter().enumerate() {
            let problem = match kind {
                0 | 1 => "is no option, but what fills the gaps between them",
                19 | 29 => "is a signature: without it the other end takes nothing",
                _ => continue,
            };
            let place = format!("scrub.strip_options[{index}]");
            add(place, format!("kind {kind} {problem}"), "leave it out");
        }
        if self.no_flags == Action::Clear {
            let problem = "a segment without flags has none to clear".to_owned();
            add("scrub.no_flags".into(), problem, "write \"drop\" or \"pass\"");
        }
        for (name, prefixes) in
            [("except_prefixes", &self.except_prefixes), ("only_prefixes", &self.only_prefixes)]
        {
            for (index, prefix) in
                prefixes.iter().enumerate().filter(|(_, prefix)| prefix.trunc() != **prefix)
            {
                let problem = format!("{prefix} has bits set behind its prefix length");
                add(format!("scrub.{name}[{index}]"), problem, "write the first address of the prefix");
            }
        }
        for (index, range) in self.only_ports.iter().enumerate().filter(|(_, range)| range.is_empty()) {
            let problem = format!("the range {}-{} runs backwards", range.start(), range.end());
            add(format!("scrub.only_ports[{index}]"), problem, "write the lower port first");
        }
        if self.war_limit.is_some_and(|limit| !(4..=1_000_000).contains(&limit)) {
            let problem = "fewer segments are no war, and more nobody should wait for".to_owned();
            add("scrub.war_limit".into(), problem, "write a number from 4 to 1000000, or \"off\"");
        }
        if self.sample == Some(0) {
            add("scrub.sample".into(), "one in none is none".into(), "write 1 or more, or \"off\"");
        }
        if self.flows.is_some_and(|flows| !(1..=1 << 28).contains(&flows)) {
            let problem = "so many flows cannot be followed".to_owned();
            add("scrub.flows".into(), problem, "write a number from 1 to 268435456, or \"off\"");
        }
        found
    }
}
