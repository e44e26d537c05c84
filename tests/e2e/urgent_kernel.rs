//! Urgent data as the live Linux kernel takes it, and as our endpoint does under the profile `linux`: the same
//! segments, made by hand, go to both, and both applications read the same.
//!
//! | file | what is in it |
//! |---|---|
//! | `ours` | our side: an endpoint in memory |

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

mod ours;

use hairpin::net::sysctl;
use wire::SeqNumber;

use crate::by_hand::cases::{CASES, Case, Step};
use crate::by_hand::client::Client;
use crate::by_hand::kernel::Machine;
use crate::by_hand::{ALL, Host, Seen, read};

/// How the application reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    /// After every segment, all that there is.
    Prompt,
    /// At the end.
    Late,
    /// One octet at a time, at the end.
    OctetByOctet,
    /// Two octets after every segment.
    TwoAtATime,
    /// After every segment MSG_OOB, and all the rest at the end.
    OutOfBand,
    /// After every segment MSG_OOB and then all that there is.
    PromptOutOfBand,
    /// After every segment all that there is, and then MSG_OOB.
    OutOfBandAfterwards,
}

const READERS: [Reader; 7] = [
    Reader::Prompt,
    Reader::Late,
    Reader::OctetByOctet,
    Reader::TwoAtATime,
    Reader::OutOfBand,
    Reader::PromptOutOfBand,
    Reader::OutOfBandAfterwards,
];

/// What the application saw of a case.
fn play(case: &Case, reader: Reader, client: &mut Client, host: &mut dyn Host) -> Vec<Seen> {
    let mut seen = Vec::new();
    for step in case.steps() {
        match step {
            Step::Segment(segment) => {
                host.arrive(&client.segment(&segment));
                // The answer to this says that what came before it was taken.
                host.arrive(&client.probe());
                let acknowledged = client.await_acknowledgment(host);
                seen.push(Seen::Acknowledged(acknowledged));
            }
            Step::Read => read(host, ALL, usize::MAX, &mut seen),
        }
        match reader {
            Reader::Prompt => read(host, ALL, usize::MAX, &mut seen),
            Reader::TwoAtATime => read(host, 2, 1, &mut seen),
            Reader::OutOfBand => seen.push(host.read_out_of_band()),
            Reader::PromptOutOfBand => {
                seen.push(host.read_out_of_band());
                read(host, ALL, usize::MAX, &mut seen);
            }
            Reader::OutOfBandAfterwards => {
                read(host, ALL, usize::MAX, &mut seen);
                seen.push(host.read_out_of_band());
            }
            Reader::Late | Reader::OctetByOctet => {}
        }
    }
    let most = if reader == Reader::OctetByOctet { 1 } else { ALL };
    read(host, most, usize::MAX, &mut seen);
    seen.push(host.read_out_of_band());
    seen
}

/// An announced octet that arrived before its pointer, and then a segment right behind it: Linux counts the offset of
/// the octet from the TCP header of that segment, and hands over an octet of the *header*. Ours goes on waiting. What is
/// read in order is the same.
const LINUX_TAKES_FROM_THE_HEADER: [(bool, &str); 3] = [
    (false, "the octet came before its pointer"),
    (true, "the octet came before its pointer"),
    (true, "the urgent segment comes second"),
];

fn agree(theirs: &[Seen], ours: &[Seen], excused: bool) -> bool {
    theirs.len() == ours.len()
        && theirs.iter().zip(ours).all(|pair| match pair {
            (Seen::OutOfBand(_), Seen::OutOfBandNotYet) => excused,
            (theirs, ours) => theirs == ours,
        })
}

/// Where the client's numbers begin: early in the space, and so that they pass its end within a case.
const STARTS: [SeqNumber; 2] = [SeqNumber(1_000), SeqNumber(u32::MAX - 3)];

fn compare(stdurg: bool) {
    crate::in_new_namespace(|| {
        sysctl::set("net/ipv4/tcp_stdurg", if stdurg { "1" } else { "0" }).expect("the setting is there");
        let mut machine = Machine::new();
        let mut differences = Vec::new();
        for case in CASES {
            for (in_line, reader) in [false, true].into_iter().flat_map(|i| READERS.map(|r| (i, r))) {
                for start in STARTS {
                    let (mut client, mut host) = machine.connect(start, in_line);
                    let theirs = play(case, reader, &mut client, &mut host);
                    drop(host);
                    let (mut client, mut host) = ours::connect(start, in_line, stdurg);
                    let ours = play(case, reader, &mut client, &mut host);
                    let excused = LINUX_TAKES_FROM_THE_HEADER.contains(&(stdurg, case.name));
                    if !agree(&theirs, &ours, excused) {
                        differences.push(format!(
                            "{}, {reader:?}, in line {in_line}, from {start}:\n  Linux {theirs:?}\n  ours  {ours:?}",
                            case.name
                        ));
                    }
                }
            }
        }
        assert!(
            differences.is_empty(),
            "tcp_stdurg = {}: {} differences\n{}",
            u8::from(stdurg),
            differences.len(),
            differences.join("\n")
        );
    });
}

// covers: U1, U2, U6, U9, U11
#[test]
fn an_application_reads_the_same_from_linux_and_from_our_linux_profile() {
    compare(false);
}

// covers: U2, U6, U9, U11
#[test]
fn with_tcp_stdurg_both_take_the_pointer_for_the_last_octet() {
    compare(true);
}

#[test]
fn there_are_at_least_forty_cases_and_no_two_of_one_name() {
    let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() >= 40 && names.len() == CASES.len(), "{} names of {}", names.len(), CASES.len());
}
