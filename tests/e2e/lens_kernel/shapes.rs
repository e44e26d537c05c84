//! More shapes of urgent flows, beside the cases that our endpoint is compared with ([`crate::by_hand::cases`]).

use crate::by_hand::cases::Line::{Bulk, Fin, Plain, Urg, UrgFin};
use crate::by_hand::cases::{CASES, Case, Step, case};

/// All shapes with urgent data: of a stream without, nothing is held.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    let is_urgent = |case: &&Case| {
        case.steps().iter().any(|step| matches!(step, Step::Segment(segment) if segment.urgent.is_some()))
    };
    CASES.iter().chain(MORE).filter(is_urgent)
}

const MORE: &[Case] = &[
    // Loss before the observer: it sees what the host sees, a hole and what fills it.
    case(
        "lost, then sent again with its URG",
        &[Plain(0, "ab"), Plain(5, "fg"), Urg(2, "c!e", 2), Plain(7, "h")],
    ),
    case(
        "lost, two marks behind it",
        &[Urg(3, "a!", 2), Urg(5, "b?", 2), Plain(7, "c"), Plain(0, "xyz"), Plain(8, "d")],
    ),
    case(
        "lost, one mark before it and one behind",
        &[Urg(0, "a!", 2), Urg(5, "b?", 2), Plain(2, "xyz"), Plain(7, "c")],
    ),
    case(
        "every second one lost",
        &[Plain(2, "cd"), Urg(6, "g!", 2), Plain(0, "ab"), Urg(4, "e?", 2), Plain(8, "i")],
    ),
    case("lost and sent again in larger segments", &[Urg(4, "e!", 2), Plain(0, "abcde!gh"), Plain(8, "ij")]),
    case(
        "lost and sent again in smaller ones",
        &[Plain(8, "ij"), Urg(0, "ab!", 3), Plain(3, "de"), Urg(5, "f?h", 2)],
    ),
    case(
        "the tail lost and sent again by a probe",
        &[Plain(0, "ab"), Urg(2, "c", 2), Urg(3, "!", 1), Plain(4, "d")],
    ),
    case("only the announcement was lost", &[Plain(2, "!cd"), Plain(0, "ab"), Urg(5, "e?", 2)]),
    case(
        "sent twice, URG lost on the first",
        &[Plain(0, "ab!c"), Plain(0, "ab!c"), Urg(0, "ab!c", 3), Plain(4, "d")],
    ),
    // Order.
    case(
        "three marks in reversed order",
        &[Urg(6, "g%", 2), Urg(3, "cd?", 3), Urg(0, "ab!", 3), Plain(8, "h")],
    ),
    case(
        "three marks, the middle one last",
        &[Urg(0, "ab!", 3), Urg(6, "g%", 2), Urg(3, "cd?", 3), Plain(8, "h")],
    ),
    case(
        "three marks, the first one last",
        &[Urg(3, "cd?", 3), Urg(6, "g%", 2), Urg(0, "ab!", 3), Plain(8, "h")],
    ),
    case(
        "the mark overtakes its announcement by far",
        &[Urg(6, "!hi", 1), Urg(0, "abc", 7), Plain(3, "def")],
    ),
    case(
        "text in reversed order, octet by octet",
        &[Plain(4, "e"), Plain(3, "d"), Urg(2, "!", 1), Plain(1, "b"), Plain(0, "a")],
    ),
    // Several marks.
    case("three marks", &[Urg(0, "ab!", 3), Urg(3, "cd?", 3), Urg(6, "ef%", 3), Plain(9, "gh")]),
    case(
        "four marks, two and two adjacent",
        &[Urg(0, "a!", 2), Urg(2, "?", 1), Urg(3, "b%", 2), Urg(5, "$", 1), Plain(6, "c")],
    ),
    case("marks with one octet between", &[Urg(0, "a!", 2), Urg(2, "b?", 2), Urg(4, "c%", 2), Plain(6, "d")]),
    case(
        "a mark at the first octet, then others",
        &[Urg(0, "!", 1), Urg(1, "ab?", 3), Urg(4, "cd%", 3), Plain(7, "e")],
    ),
    case(
        "adjacent marks behind text",
        &[Plain(0, "abc"), Urg(3, "!", 1), Urg(4, "?", 1), Urg(5, "de%", 3), Plain(8, "f")],
    ),
    case(
        "adjacent marks and one far behind",
        &[Urg(0, "ab!", 3), Urg(3, "?", 1), Plain(4, "cd"), Urg(6, "%", 1), Plain(7, "e")],
    ),
    case(
        "each segment announces the next one's mark",
        &[Urg(0, "ab", 4), Urg(2, "c!", 4), Urg(4, "d?", 4), Plain(6, "e%f")],
    ),
    case("a mark moves on while its octet is awaited", &[Urg(0, "ab", 4), Urg(2, "", 4), Plain(2, "c!d?e")]),
    case(
        "a mark moves on by one octet at a time",
        &[Urg(0, "", 1), Urg(0, "", 2), Urg(0, "", 3), Plain(0, "abcde")],
    ),
    case(
        "a mark moves on by one with each octet",
        &[Urg(0, "a", 2), Urg(1, "b", 2), Urg(2, "c", 2), Plain(3, "de")],
    ),
    case("a mark before that which has arrived", &[Urg(0, "ab!cd?", 6), Urg(6, "e", 65_535), Plain(7, "fg")]),
    // Zero-length segments with URG.
    case("empty, pointer 0, behind text", &[Plain(0, "abc"), Urg(3, "", 0), Plain(3, "!de")]),
    case("empty, pointer 65535", &[Plain(0, "abc"), Urg(3, "", 65_535), Plain(3, "de")]),
    case("empty, at the left edge, pointing behind", &[Plain(0, "abc"), Urg(2, "", 1), Plain(3, "de")]),
    case("empty, ahead of RCV.NXT", &[Plain(0, "ab"), Urg(4, "", 1), Plain(2, "cd!e")]),
    case(
        "empty, ahead of RCV.NXT and beyond the window",
        &[Plain(0, "ab"), Urg(70_000, "", 1), Plain(2, "cd!e")],
    ),
    case(
        "empty, again and again",
        &[Plain(0, "ab"), Urg(2, "", 1), Urg(2, "", 1), Urg(2, "", 1), Plain(2, "!cd")],
    ),
    case("empty, after its octet", &[Plain(0, "ab!"), Urg(3, "", 0), Plain(3, "cd")]),
    // The pointer.
    case("pointer 0 on each of several", &[Urg(0, "ab", 0), Urg(2, "cd", 0), Urg(4, "ef", 0)]),
    case("pointer 0 and then 1 at the same place", &[Urg(0, "", 0), Urg(0, "!ab", 1), Plain(3, "c")]),
    case("pointer 2 on one octet", &[Urg(0, "a", 2), Plain(1, "!b")]),
    case("pointer half the circle away is none", &[Plain(0, "ab"), Urg(2, "cd", 32_767), Plain(4, "ef")]),
    case(
        "a bogus pointer hides the real mark",
        &[Urg(0, "ab", 60_000), Urg(2, "c!", 2), Urg(4, "d?", 2), Plain(6, "e")],
    ),
    case(
        "a bogus pointer on a retransmission",
        &[Urg(0, "ab!", 3), Urg(0, "ab!", 60_000), Plain(3, "cd"), Urg(5, "e?", 2)],
    ),
    // Overlaps.
    case("an overlap with a mark on each side", &[Urg(0, "ab!", 3), Urg(1, "b!c?", 4), Plain(5, "d")]),
    case("an overlap that waits", &[Plain(4, "!f"), Urg(2, "cd!f", 3), Plain(0, "ab"), Plain(6, "g")]),
    case("retransmission joined with what is new", &[Urg(0, "ab!", 3), Urg(0, "ab!cd?", 6), Plain(6, "e")]),
    case("retransmission joined, only its old mark", &[Urg(0, "ab!", 3), Urg(0, "ab!cde", 3), Plain(6, "f")]),
    case(
        "a window probe of one octet again",
        &[Urg(0, "ab!", 3), Urg(2, "!", 1), Urg(2, "!", 1), Plain(3, "cd")],
    ),
    case("a keep-alive with URG", &[Urg(0, "ab!", 3), Urg(2, "", 1), Plain(3, "cd")]),
    case("a keep-alive with one octet and URG", &[Plain(0, "abc"), Urg(2, "c", 9), Plain(3, "de")]),
    // Copies that differ: what Linux keeps is one of what the policies say.
    case(
        "a copy that differs, of what waits",
        &[Plain(3, "evil"), Plain(3, "good"), Urg(0, "a!c", 2), Plain(7, ".")],
    ),
    case("a copy that differs, of what was received", &[Urg(0, "a!c", 2), Plain(0, "xyz"), Plain(3, "d")]),
    case(
        "a copy that differs, of the urgent octet",
        &[Urg(3, "d!f", 2), Urg(3, "d?f", 2), Plain(0, "abc"), Plain(6, "g")],
    ),
    // The window.
    case("seventy thousand octets, and the reader is late", &[Bulk(70_000)]),
    case("a pointer to the last octet of the window", &[Plain(0, "ab"), Urg(2, "c", 65_000), Plain(3, "d")]),
    case(
        "a mark right of the window, its segment inside",
        &[Urg(0, "ab", 65_535), Plain(2, "c"), Urg(3, "d!", 2), Plain(5, "e")],
    ),
    // The end.
    case("text behind FIN", &[UrgFin(0, "a!b", 2), Plain(4, "ef")]),
    case("text that waits behind FIN", &[Plain(4, "ef"), Urg(0, "a!", 2), Fin(2, "cd")]),
    case("text beyond FIN that waits", &[Plain(6, "gh"), Urg(0, "a!", 2), Fin(2, "cd"), Plain(5, "xyz")]),
    case("FIN twice", &[Urg(0, "a!", 2), Fin(2, "b"), Fin(2, "b")]),
    case("URG only on the retransmission of FIN", &[Fin(0, "ab!"), UrgFin(0, "ab!", 3)]),
    case("FIN ahead, urgent data fills the hole", &[Fin(4, "e"), Urg(2, "c!", 2), Plain(0, "ab")]),
    case("FIN is the octet that is urgent", &[Urg(0, "ab", 4), UrgFin(2, "c", 2)]),
    case("FIN and two marks", &[Urg(0, "ab!", 3), UrgFin(3, "cd?", 3)]),
    case("FIN with a pointer of 0", &[Plain(0, "ab"), UrgFin(2, "!cd", 0)]),
];

/// Whether a shape has so many segments that not every choice of moments is tried.
pub(super) fn is_bulk(name: &str) -> bool {
    name.starts_with("seventy thousand")
}

/// Whether a shape has copies that differ.
pub(super) fn contradicts(name: &str) -> bool {
    name.starts_with("a copy that differs")
}
