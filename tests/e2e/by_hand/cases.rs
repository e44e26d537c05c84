//! The segments of each case. Offsets count from the first octet of the stream.

/// A segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) at: u32,
    pub(crate) text: Vec<u8>,
    /// URG is set, with this pointer.
    pub(crate) urgent: Option<u16>,
    pub(crate) fin: bool,
}

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Segment(Segment),
    /// The application reads all that there is, whatever kind of reader it is.
    Read,
}

/// A case: its name, and the segments.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    script: &'static [Line],
}

/// A line of a script.
#[derive(Debug)]
pub(crate) enum Line {
    /// Text at an offset, without URG.
    Plain(u32, &'static str),
    /// The same with URG and this pointer.
    Urg(u32, &'static str, u16),
    /// Text and FIN.
    Fin(u32, &'static str),
    /// Text and FIN, with URG and this pointer.
    UrgFin(u32, &'static str, u16),
    Read,
    /// So many octets in segments of 1,000, each with URG, all pointing at the last octet as far as they can; read
    /// every 20,000.
    Bulk(u32),
}

use Line::{Bulk, Fin, Plain, Read, Urg, UrgFin};

pub(crate) const fn case(name: &'static str, script: &'static [Line]) -> Case {
    Case { name, script }
}

impl Case {
    pub(crate) fn steps(&self) -> Vec<Step> {
        let segment = |at, text: &str, urgent, fin| {
            vec![Step::Segment(Segment { at, text: text.as_bytes().to_vec(), urgent, fin })]
        };
        let steps = |line: &Line| match *line {
            Plain(at, text) => segment(at, text, None, false),
            Urg(at, text, pointer) => segment(at, text, Some(pointer), false),
            Fin(at, text) => segment(at, text, None, true),
            UrgFin(at, text, pointer) => segment(at, text, Some(pointer), true),
            Read => vec![Step::Read],
            Bulk(octets) => bulk(octets),
        };
        self.script.iter().flat_map(steps).collect()
    }
}

fn bulk(octets: u32) -> Vec<Step> {
    let segments = (0..octets).step_by(1_000).flat_map(|at| {
        let text = (at..octets.min(at + 1_000)).map(|n| b'a' + (n % 26) as u8).collect();
        let urgent = Some(u16::try_from(octets - at).unwrap_or(u16::MAX));
        let read = ((at + 1_000) % 20_000 == 0).then_some(Step::Read);
        std::iter::once(Step::Segment(Segment { at, text, urgent, fin: false })).chain(read)
    });
    segments.collect()
}

pub(crate) const CASES: &[Case] = &[
    case("no urgent data", &[Plain(0, "abc"), Plain(3, "def")]),
    // Where the pointer points.
    case("pointer 0", &[Urg(0, "!ab", 0), Plain(3, "cd")]),
    case("pointer 1", &[Urg(0, "!ab", 1), Plain(3, "cd")]),
    case("pointer in the middle", &[Urg(0, "ab!cd", 3), Plain(5, "ef")]),
    case("pointer at the last octet", &[Urg(0, "ab!", 3), Plain(3, "cd")]),
    case("pointer one octet further than the segment", &[Urg(0, "ab", 3), Plain(2, "!cd")]),
    case("pointer two segments ahead", &[Urg(0, "ab", 5), Plain(2, "cd"), Plain(4, "!e")]),
    case("pointer to what never comes", &[Urg(0, "ab", 9), Plain(2, "cd")]),
    case("pointer as far as it can", &[Urg(0, "ab", 65_535), Plain(2, "cd")]),
    case("pointer half the field ahead", &[Urg(0, "ab", 32_768), Plain(2, "cd"), Urg(4, "e!", 2)]),
    case("a far pointer and then a near one", &[Urg(0, "ab", 65_535), Urg(2, "c!d", 2), Plain(5, "ef")]),
    case("pointer to the first octet of a later segment", &[Plain(0, "ab"), Urg(2, "!", 1), Plain(3, "c")]),
    // Behind what was received.
    case("pointer at what lies unread", &[Plain(0, "abc"), Urg(0, "abc", 2), Plain(3, "de")]),
    case("pointer at the last octet received", &[Plain(0, "abc"), Urg(2, "cd", 1), Plain(4, "ef")]),
    case("pointer behind in an old segment", &[Plain(0, "abcdef"), Urg(0, "ab", 1), Plain(6, "gh")]),
    case("pointer behind what was read", &[Plain(0, "abc"), Read, Urg(0, "abc", 1), Plain(3, "de")]),
    case("an empty segment behind", &[Plain(0, "abc"), Urg(1, "", 1), Plain(3, "de")]),
    case("text left of the window", &[Plain(0, "abc"), Read, Urg(0, "ab", 9), Plain(3, "defghij")]),
    // Several marks.
    case("two marks", &[Urg(0, "ab!", 3), Urg(3, "cd?", 3), Plain(6, "ef")]),
    case("two marks, read between", &[Urg(0, "ab!", 3), Read, Urg(3, "cd?", 3), Plain(6, "ef")]),
    case("adjacent marks", &[Urg(0, "a!", 2), Urg(2, "?b", 1)]),
    case("three adjacent marks", &[Urg(0, "!", 1), Urg(1, "?", 1), Urg(2, "%", 1), Plain(3, "a")]),
    case(
        "every octet is urgent",
        &[Urg(0, "1", 1), Urg(1, "2", 1), Urg(2, "3", 1), Urg(3, "4", 1), Urg(4, "5", 1)],
    ),
    case("the same mark twice", &[Urg(0, "ab", 3), Urg(2, "!", 1), Plain(3, "cd")]),
    case("the same mark after it was read", &[Urg(0, "ab!", 3), Read, Urg(2, "!c", 1), Plain(4, "d")]),
    case("a mark before the one that is known", &[Urg(0, "ab", 5), Urg(2, "cd", 1), Plain(4, "!ef")]),
    case("a mark in the middle, the next ahead", &[Urg(0, "a!b", 2), Urg(3, "c", 3), Plain(4, "d!e")]),
    case("an older mark never reached", &[Urg(0, "ab", 4), Urg(2, "c", 5), Plain(3, "!def!g")]),
    case(
        "the reader stands at a mark when the next comes",
        &[Plain(0, "ab"), Read, Urg(2, "!cd", 1), Urg(5, "e?", 2), Plain(7, "fg")],
    ),
    case(
        "the reader stands at an announced octet when the next comes",
        &[Urg(0, "", 1), Urg(0, "ab!", 3), Plain(3, "cd")],
    ),
    case("one segment has one mark", &[Urg(0, "a!b?", 4), Urg(0, "a!b?", 2), Plain(4, "c")]),
    // Twice, out of order, late.
    case("a duplicate", &[Urg(0, "ab!cd", 3), Urg(0, "ab!cd", 3), Plain(5, "ef")]),
    case("a duplicate of what was read", &[Urg(0, "ab!cd", 3), Read, Urg(0, "ab!cd", 3), Plain(5, "ef")]),
    case("a duplicate with another pointer", &[Urg(0, "ab!cd", 3), Urg(0, "ab!cd", 5), Plain(5, "ef")]),
    case("the urgent segment comes first", &[Urg(3, "d!f", 2), Plain(0, "abc"), Plain(6, "g")]),
    case("the urgent segment comes second", &[Plain(3, "def"), Urg(0, "ab!", 3), Plain(6, "g")]),
    case("the octet came before its pointer", &[Plain(3, "d!f"), Urg(0, "abc", 5), Plain(6, "g")]),
    case("both out of order", &[Urg(6, "g!", 2), Urg(3, "d?f", 2), Plain(0, "abc"), Plain(8, "h")]),
    case("two marks in reversed order", &[Urg(3, "cd?", 3), Urg(0, "ab!", 3), Plain(6, "ef")]),
    case("a hole that is filled late", &[Plain(0, "ab"), Urg(5, "f!", 2), Plain(2, "cde")]),
    case("a hole that is never filled", &[Plain(0, "ab"), Urg(5, "f!", 2)]),
    case("URG only on the retransmission", &[Plain(0, "ab!"), Urg(0, "ab!", 3), Plain(3, "cd")]),
    case(
        "URG only on a retransmission that brings more",
        &[Plain(0, "abc"), Urg(0, "abcd!e", 5), Plain(6, "f")],
    ),
    case(
        "URG only on the retransmission of what was lost",
        &[Plain(3, "def"), Urg(0, "a!c", 2), Plain(6, "g")],
    ),
    case("an overlap, its pointer in the new part", &[Plain(0, "abcd"), Urg(2, "cd!f", 3), Plain(6, "g")]),
    case("an overlap, its pointer in the old part", &[Plain(0, "abcd"), Urg(2, "cdef", 1), Plain(6, "g")]),
    case("a segment that has lost its URG", &[Urg(0, "ab", 5), Plain(0, "ab"), Plain(2, "cd!e")]),
    // Without text.
    case("an empty segment announces", &[Urg(0, "", 1), Plain(0, "!ab")]),
    case("an empty segment announces, pointer 0", &[Urg(0, "", 0), Plain(0, "!ab")]),
    case("an empty segment announces behind text", &[Plain(0, "ab"), Urg(2, "", 1), Plain(2, "!cd")]),
    case("an empty segment announces further on", &[Plain(0, "ab"), Urg(2, "", 3), Plain(2, "cd!e")]),
    case("an empty segment announces twice", &[Urg(0, "", 3), Urg(0, "", 3), Plain(0, "ab!c")]),
    case("an empty segment announces ever further", &[Urg(0, "", 1), Urg(0, "", 3), Plain(0, "ab!c")]),
    case("nothing but an announcement", &[Urg(0, "", 5)]),
    // The window.
    case(
        "pointer beyond the window",
        &[Plain(0, "ab"), Urg(2, "cd", 65_535), Plain(4, "ef"), Urg(6, "g!", 2)],
    ),
    case("a segment beyond the window", &[Plain(0, "ab"), Urg(100_000, "x!", 2), Plain(2, "cd")]),
    case("seventy thousand octets", &[Bulk(70_000)]),
    // The end.
    case("urgent data and FIN", &[UrgFin(0, "ab!", 3)]),
    case("FIN behind urgent data", &[Urg(0, "ab!cd", 3), Fin(5, "ef")]),
    case("FIN at an announced octet that never comes", &[Urg(0, "ab", 5), Fin(2, "cd")]),
    case("FIN and a pointer at itself", &[UrgFin(0, "ab", 3)]),
    case("FIN and a pointer beyond", &[UrgFin(0, "ab", 9)]),
    case("URG behind FIN", &[Fin(0, "ab"), Urg(3, "", 1)]),
    case("URG behind FIN, further on", &[Fin(0, "ab"), Urg(3, "", 9)]),
    case("the urgent octet is the last but for FIN", &[Plain(0, "ab"), Urg(2, "!", 1), Fin(3, "")]),
    case("FIN before the urgent segment", &[Fin(3, "d"), Urg(0, "a!c", 2)]),
];
