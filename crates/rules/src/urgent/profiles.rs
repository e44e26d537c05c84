//! What known hosts do with urgent data: RFC 6093 appendix A as a table (U11).
//!
//! The appendix says what the pointer means, whether there is a knob, how many octets are urgent and
//! whether they come in line. What it leaves open is filled in from the family's known code and
//! named in [`HostProfile::assumed`].

use wire::SeqNumber;

use super::{Delivery, Pointer};

/// How much of the data before the mark is urgent to the host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extent {
    /// All of it.
    Everything,
    /// Only the octet before the mark.
    LastOctet,
}

/// When an out-of-band octet leaves the stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Extraction {
    /// When the application reads past it. Until then a newer mark can give it back to the stream
    /// (see [`linux`](super::linux)).
    WhenRead,
    /// When it arrives in a segment that has URG and contains it; if it arrives otherwise it stays in
    /// the stream (see [`bsd`](super::bsd)).
    OnArrival,
}

/// What becomes of an out-of-band octet that was not read when the next mark comes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Superseded {
    /// It is read from the stream, at its place, unless the reader already stands at it: then it is
    /// lost.
    ReturnsToStream,
    /// The new one overwrites it: lost.
    Overwritten,
    /// It waits in a queue with a bound; the oldest is lost.
    Queued,
}

/// What a pointer field of 0 means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ZeroPointer {
    /// The mark is at SEG.SEQ: nothing new is urgent.
    NothingUrgent,
    /// The octet at SEG.SEQ is urgent.
    FirstOctet,
}

/// Which octets a new mark can make urgent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reach {
    /// All that the application has not consumed (RFC 6093 2.1).
    Unconsumed,
    /// Only those not yet received: a mark at or before RCV.NXT is ignored.
    Unreceived,
}

/// Something that appendix A does not say of a host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Assumed {
    /// [`HostProfile::send`].
    Send,
    /// [`HostProfile::delivery`].
    Delivery,
    /// [`HostProfile::in_line_option`].
    InLineOption,
    /// [`HostProfile::extent`].
    Extent,
    /// [`HostProfile::extraction`].
    Extraction,
    /// [`HostProfile::superseded`].
    Superseded,
    /// [`HostProfile::zero`].
    Zero,
    /// [`HostProfile::reach`].
    Reach,
    /// [`HostProfile::read_stops_at_mark`].
    ReadStopsAtMark,
    /// [`HostProfile::after_fin`].
    AfterFin,
}

/// What a host does with urgent data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostProfile {
    /// How it is called in files and on the command line.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The system and its setting, for people.
    pub system: &'static str,
    /// Where it is described.
    pub source: &'static str,
    /// What the pointer means in segments that it sends.
    pub send: Pointer,
    /// What the pointer means in segments that it receives. Not always the same.
    pub receive: Pointer,
    /// How the octet before the mark is delivered by default.
    pub delivery: Delivery,
    /// The application can ask for in-line delivery (SO_OOBINLINE).
    pub in_line_option: bool,
    /// How much is urgent.
    pub extent: Extent,
    /// When an out-of-band octet leaves the stream.
    pub extraction: Extraction,
    /// What a new mark does to an unread out-of-band octet.
    pub superseded: Superseded,
    /// What a pointer of 0 means.
    pub zero: ZeroPointer,
    /// Which octets a new mark can cover.
    pub reach: Reach,
    /// A read that meets the mark returns what lies before it; the next one goes on behind.
    pub read_stops_at_mark: bool,
    /// URG is looked at after the peer's FIN has arrived (RFC 9293 says no).
    pub after_fin: bool,
    /// What the source does not say.
    pub assumed: &'static [Assumed],
}

impl HostProfile {
    /// The mark of a received segment with URG as this host sees it, its reading of 0 included.
    pub const fn mark(&self, seq: SeqNumber, urg: u16) -> SeqNumber {
        match (urg, self.zero, self.receive) {
            (0, ZeroPointer::FirstOctet, Pointer::Following) => seq.plus(1),
            _ => super::mark(seq, urg, self.receive),
        }
    }
}

/// The hosts of RFC 6093 appendix A, and first the standard itself, the default.
pub const PROFILES: &[HostProfile] = &[
    RFC6093,
    HostProfile {
        name: "freebsd-8.0",
        aliases: &["freebsd"],
        system: "FreeBSD 8.0",
        source: "RFC 6093 A.1",
        ..BSD
    },
    LINUX,
    HostProfile {
        name: "linux-2.6.15-stdurg",
        aliases: &["linux-stdurg"],
        system: "Linux 2.6.15-53-386, net.ipv4.tcp_stdurg = 1",
        // The knob changes what is received and not what is sent: such a host misreads itself.
        receive: Pointer::Last,
        ..LINUX
    },
    HostProfile {
        name: "netbsd-5.0.1",
        aliases: &["netbsd"],
        system: "NetBSD 5.0.1",
        source: "RFC 6093 A.3",
        ..BSD
    },
    HostProfile {
        name: "openbsd-4.2",
        aliases: &["openbsd"],
        system: "OpenBSD 4.2",
        source: "RFC 6093 A.4",
        ..BSD
    },
    HostProfile { name: "ios-12.2-18-sxf7", aliases: &["ios"], system: "Cisco IOS 12.2(18)SXF7", ..IOS },
    HostProfile { name: "ios-12.4-15-t7", system: "Cisco IOS 12.4(15)T7", ..IOS },
    WINDOWS_2000,
    HostProfile {
        name: "windows-2000-rfc1122",
        aliases: &[],
        system: "Windows 2000 SP4, TcpUseRFC1122UrgentPointer = 1",
        send: Pointer::Last,
        receive: Pointer::Last,
        zero: ZeroPointer::FirstOctet,
        // The appendix says "interprets": what such a host sends was not looked at.
        assumed: &[
            Assumed::Send,
            Assumed::InLineOption,
            Assumed::Extent,
            Assumed::Extraction,
            Assumed::Superseded,
            Assumed::Reach,
            Assumed::ReadStopsAtMark,
            Assumed::AfterFin,
        ],
        ..WINDOWS_2000
    },
    HostProfile {
        name: "windows-2008",
        system: "Windows 2008",
        source: "RFC 6093 A.7",
        assumed: ALL_BUT_POINTER,
        ..WINDOWS_95
    },
    HostProfile { name: "windows-95", ..WINDOWS_95 },
    HostProfile {
        name: "windows-95-rfc1122",
        system: "Windows 95, BSDUrgent = 0",
        send: Pointer::Last,
        receive: Pointer::Last,
        zero: ZeroPointer::FirstOctet,
        assumed: &[
            Assumed::Send,
            Assumed::Delivery,
            Assumed::InLineOption,
            Assumed::Extraction,
            Assumed::Superseded,
            Assumed::Reach,
            Assumed::ReadStopsAtMark,
            Assumed::AfterFin,
        ],
        ..WINDOWS_95
    },
];

/// The standard: pointer following, everything urgent, in line.
pub const RFC6093: HostProfile = HostProfile {
    name: "rfc6093",
    aliases: &["default"],
    system: "RFC 6093 and RFC 9293",
    source: "RFC 6093 sections 2.1, 4 and 6",
    send: Pointer::Following,
    receive: Pointer::Following,
    delivery: Delivery::InLine,
    in_line_option: true,
    extent: Extent::Everything,
    // Only seen when the application opts in to out-of-band reading.
    extraction: Extraction::WhenRead,
    superseded: Superseded::Overwritten,
    zero: ZeroPointer::NothingUrgent,
    reach: Reach::Unconsumed,
    read_stops_at_mark: false,
    after_fin: false,
    assumed: &[],
};

const BSD: HostProfile = HostProfile {
    name: "bsd",
    aliases: &[],
    system: "4.4BSD",
    source: "RFC 6093 A.1, A.3, A.4",
    send: Pointer::Following,
    receive: Pointer::Following,
    delivery: Delivery::OutOfBand { octets: 1 },
    in_line_option: true,
    extent: Extent::LastOctet,
    extraction: Extraction::OnArrival,
    superseded: Superseded::Overwritten,
    zero: ZeroPointer::NothingUrgent,
    reach: Reach::Unreceived,
    read_stops_at_mark: true,
    after_fin: false,
    assumed: CODE_ONLY,
};

const LINUX: HostProfile = HostProfile {
    name: "linux-2.6.15",
    aliases: &["linux"],
    system: "Linux 2.6.15-53-386, net.ipv4.tcp_stdurg = 0",
    source: "RFC 6093 A.2",
    extraction: Extraction::WhenRead,
    superseded: Superseded::ReturnsToStream,
    zero: ZeroPointer::FirstOctet,
    after_fin: true,
    ..BSD
};

const IOS: HostProfile = HostProfile {
    source: "RFC 6093 A.5",
    delivery: Delivery::InLine,
    in_line_option: false,
    extent: Extent::Everything,
    assumed: &[
        Assumed::InLineOption,
        Assumed::Extent,
        Assumed::Extraction,
        Assumed::Superseded,
        Assumed::Zero,
        Assumed::Reach,
        Assumed::ReadStopsAtMark,
        Assumed::AfterFin,
    ],
    read_stops_at_mark: false,
    ..BSD
};

const WINDOWS_2000: HostProfile = HostProfile {
    name: "windows-2000",
    aliases: &["windows"],
    system: "Windows 2000 SP4, TcpUseRFC1122UrgentPointer = 0",
    source: "RFC 6093 A.6",
    // Seen with a server of the authors' built with Cygwin.
    delivery: Delivery::InLine,
    assumed: IOS.assumed,
    ..BSD
};

const WINDOWS_95: HostProfile = HostProfile {
    name: "windows-95",
    system: "Windows 95, BSDUrgent = 1",
    source: "RFC 6093 A.8",
    assumed: &[
        Assumed::Delivery,
        Assumed::InLineOption,
        Assumed::Extraction,
        Assumed::Superseded,
        Assumed::Zero,
        Assumed::Reach,
        Assumed::ReadStopsAtMark,
        Assumed::AfterFin,
    ],
    ..BSD
};

/// What the appendix leaves to the code even of the hosts that it describes best.
const CODE_ONLY: &[Assumed] = &[
    Assumed::Extraction,
    Assumed::Superseded,
    Assumed::Zero,
    Assumed::Reach,
    Assumed::ReadStopsAtMark,
    Assumed::AfterFin,
];

const ALL_BUT_POINTER: &[Assumed] = &[
    Assumed::Delivery,
    Assumed::InLineOption,
    Assumed::Extent,
    Assumed::Extraction,
    Assumed::Superseded,
    Assumed::Zero,
    Assumed::Reach,
    Assumed::ReadStopsAtMark,
    Assumed::AfterFin,
];

/// The profile called `name`, or that has it as an alias.
pub fn profile(name: &str) -> Option<&'static HostProfile> {
    PROFILES.iter().find(|profile| profile.name == name || profile.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: U11
    #[test]
    fn the_table_says_what_appendix_a_says() {
        const F: Pointer = Pointer::Following;
        const L: Pointer = Pointer::Last;
        const ONE: Delivery = Delivery::OutOfBand { octets: 1 };
        // Name, pointer sent, pointer received, delivery, and whether the appendix calls only the
        // last octet urgent. What it does not say is marked so below.
        for (name, send, receive, delivery, extent) in [
            ("rfc6093", F, F, Delivery::InLine, Extent::Everything),
            ("freebsd-8.0", F, F, ONE, Extent::LastOctet),
            ("linux-2.6.15", F, F, ONE, Extent::LastOctet),
            ("linux-2.6.15-stdurg", F, L, ONE, Extent::LastOctet),
            ("netbsd-5.0.1", F, F, ONE, Extent::LastOctet),
            ("openbsd-4.2", F, F, ONE, Extent::LastOctet),
            ("ios-12.2-18-sxf7", F, F, Delivery::InLine, Extent::Everything),
            ("ios-12.4-15-t7", F, F, Delivery::InLine, Extent::Everything),
            ("windows-2000", F, F, Delivery::InLine, Extent::LastOctet),
            ("windows-2000-rfc1122", L, L, Delivery::InLine, Extent::LastOctet),
            ("windows-2008", F, F, ONE, Extent::LastOctet),
            ("windows-95", F, F, ONE, Extent::LastOctet),
            ("windows-95-rfc1122", L, L, ONE, Extent::LastOctet),
        ] {
            let host = profile(name).unwrap_or_else(|| panic!("no profile {name}"));
            assert_eq!((host.send, host.receive), (send, receive), "{name}");
            assert_eq!((host.delivery, host.extent), (delivery, extent), "{name}");
        }
        assert_eq!(PROFILES.len(), 13, "a profile is missing above");
    }

    // covers: U11
    #[test]
    fn what_the_appendix_does_not_say_is_marked_as_assumed() {
        let assumes = |name, what| profile(name).is_some_and(|host| host.assumed.contains(&what));
        for name in ["freebsd", "linux", "linux-stdurg", "netbsd", "openbsd"] {
            for stated in [Assumed::Delivery, Assumed::InLineOption, Assumed::Extent] {
                assert!(!assumes(name, stated), "{name} {stated:?}");
            }
            assert!(assumes(name, Assumed::Superseded) && assumes(name, Assumed::Zero), "{name}");
        }
        assert!(!assumes("ios", Assumed::Delivery) && assumes("ios", Assumed::Extent));
        assert!(!assumes("windows-2000", Assumed::Delivery));
        assert!(assumes("windows-2008", Assumed::Delivery) && assumes("windows-2008", Assumed::Extent));
        assert!(!assumes("windows-95", Assumed::Extent) && assumes("windows-95", Assumed::Delivery));
        for host in PROFILES {
            assert_eq!(
                host.assumed.contains(&Assumed::Send),
                host.name.ends_with("rfc1122"),
                "{}",
                host.name
            );
        }
        assert!(PROFILES[0].assumed.is_empty());
    }

    // covers: U2, U11
    #[test]
    fn only_linux_with_stdurg_misreads_itself() {
        for host in PROFILES {
            assert_eq!(host.send != host.receive, host.name == "linux-2.6.15-stdurg", "{}", host.name);
        }
    }

    // covers: U1, U9, U11
    #[test]
    fn the_mark_of_a_profile_lies_behind_the_octet_that_its_family_takes() {
        use crate::urgent::linux::urgent_octet;
        let seq = SeqNumber(u32::MAX);
        let host = |name| profile(name).unwrap_or_else(|| panic!("no profile {name}"));
        for urg in [0, 1, 2, 65_534, 65_535] {
            for (name, stdurg) in [("linux", false), ("linux-stdurg", true)] {
                assert_eq!(host(name).mark(seq, urg), urgent_octet(seq, urg, stdurg).plus(1), "{name} {urg}");
            }
            for name in ["rfc6093", "freebsd", "ios", "windows-2008"] {
                assert_eq!(host(name).mark(seq, urg), seq.plus(urg.into()), "{name} {urg}");
            }
            for name in ["windows-2000-rfc1122", "windows-95-rfc1122"] {
                assert_eq!(host(name).mark(seq, urg), seq.plus(urg.into()).plus(1), "{name} {urg}");
            }
        }
    }

    // covers: U7, U11
    #[test]
    fn every_name_finds_one_profile_the_standard_is_first_and_every_queue_is_bounded() {
        for host in PROFILES {
            for name in host.aliases.iter().copied().chain([host.name]) {
                let named = PROFILES.iter().filter(|p| p.name == name || p.aliases.contains(&name));
                assert_eq!(named.count(), 1, "{name}");
                assert_eq!(profile(name), Some(host));
            }
            if let Delivery::OutOfBand { octets } = host.delivery {
                assert!((1..=crate::urgent::QUEUE_BOUND).contains(&octets), "{}", host.name);
            }
        }
        assert_eq!(profile("default"), PROFILES.first());
        assert_eq!(PROFILES[0].send, Pointer::default());
        assert_eq!(PROFILES[0].delivery, Delivery::default());
        assert_eq!(profile("solaris"), None);
    }
}
