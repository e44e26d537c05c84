//! Settings that are one word of a few.

use nat::Protocol;
use nat::config::{Action, Behaviour, PoolKind, Pooling, RstPolicy, TimeWaitPolicy, Urgent, Watch};

use super::Mode;
use super::value::Complaint;

/// A type whose values are words in the file.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// All of them.
    const WORDS: &'static [(&'static str, Self)];
}

impl Word for Behaviour {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("endpoint-independent", Self::EndpointIndependent),
        ("address-dependent", Self::AddressDependent),
        ("address-and-port-dependent", Self::AddressAndPortDependent),
    ];
}

impl Word for RstPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("hold", Self::Hold), ("delete", Self::Delete)];
}

impl Word for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[("nat", Self::Nat), ("scrub", Self::Scrub)];
}

impl Word for Urgent {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("clear", Self::Clear),
        ("pass", Self::Pass),
        ("clear-inbound", Self::ClearInbound),
        ("clear-outbound", Self::ClearOutbound),
    ];
}

impl Word for Action {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pass", Self::Pass), ("clear", Self::Clear), ("drop", Self::Drop)];
}

impl Word for Watch {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("count", Self::Count), ("drop", Self::Drop)];
}

impl Word for TimeWaitPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("keep", Self::Keep), ("rfc6191", Self::Rfc6191)];
}

impl Word for PoolKind {
    const WORDS: &'static [(&'static str, Self)] = &[("napt", Self::Napt), ("basic", Self::Basic)];
}

impl Word for Pooling {
    const WORDS: &'static [(&'static str, Self)] =
        &[("paired", Self::Paired), ("paired-soft", Self::PairedSoft), ("arbitrary", Self::Arbitrary)];
}

impl Word for Protocol {
    const WORDS: &'static [(&'static str, Self)] = &[("tcp", Self::Tcp), ("udp", Self::Udp)];
}

/// Every word of `T`.
pub(crate) fn all<T: Word>() -> Vec<&'static str> {
    T::WORDS.iter().map(|&(word, _)| word).collect()
}

/// What `text` means; else the nearest word, and all of them.
pub(crate) fn read<T: Word>(text: &str) -> Result<T, Complaint> {
    let found = T::WORDS.iter().find(|(word, _)| *word == text);
    found.map(|&(_, value)| value).ok_or_else(|| {
        let words = all::<T>();
        let listed = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        (format!("\"{text}\" is none of its words"), nearest(text, &words, &format!("write {listed}")))
    })
}

/// The word of a value.
pub(crate) fn show<T: Word>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, other)| *other == value).map_or("", |&(word, _)| word)
}

/// "did you mean", if a word is near; then `otherwise`.
pub(crate) fn nearest(wrong: &str, words: &[&str], otherwise: &str) -> String {
    let near = words.iter().map(|word| (strsim::damerau_levenshtein(wrong, word), word)).min();
    match near {
        Some((distance, word)) if distance <= 1 + word.len() / 4 => {
            format!("did you mean {word}? {otherwise}")
        }
        _ => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn a_word_is_read_as_it_is_shown_and_a_slip_is_told_the_nearest() {
        for &(word, value) in Behaviour::WORDS {
            assert_eq!(read::<Behaviour>(word), Ok(value));
            assert_eq!(show(value), word);
        }
        let (_, remedy) = read::<RstPolicy>("deleted").expect_err("no word");
        assert!(remedy.contains("did you mean delete?") && remedy.contains("\"hold\""), "{remedy}");
        let (_, remedy) = read::<RstPolicy>("4m").expect_err("no word");
        assert!(!remedy.contains("did you mean"), "{remedy}");
    }
}
