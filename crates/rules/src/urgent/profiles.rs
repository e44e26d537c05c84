//! What known hosts do with urgent data: RFC 6093 appendix A as a table (U11).
//!
//! The appendix says what the pointer means, whether there is a knob, how many octets are urgent and
//! whether they come in line. What it leaves open is filled in from the family's known code and
//! named in [`HostProfile::assumed`].

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
