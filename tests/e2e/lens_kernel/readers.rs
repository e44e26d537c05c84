//! Applications: who reads when.

use crate::by_hand::cases::{Case, Step};
use crate::by_hand::client::{self, Client};
use crate::by_hand::{ALL, Host, Seen, read};

/// How the application reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reader {
    /// At the end, all that there is.
    Late,
    /// At the end, one octet at a time.
    OctetByOctet,
    /// After every segment MSG_OOB, and the stream at the end.
    OutOfBand,
    /// After every segment, all that there is.
    Prompt,
    /// After every segment MSG_OOB and then all that there is.
    PromptOutOfBand,
    /// After every segment all that there is, and then MSG_OOB.
    OutOfBandAfterwards,
    /// Two octets after every segment.
    TwoAtATime,
    /// Behind segment n, all that there is if bit n is set.
    Sometimes(u32),
    /// Behind segment n, once, up to the mark if bit n is set.
    OnceSometimes(u32),
    /// All that there is, where the case says.
    AsTheCaseSays,
}

/// Segments up to which every choice of moments is tried.
const MOMENTS: u32 = 5;

/// All readers of a shape, with SO_OOBINLINE.
pub(super) fn of(shape: &Case) -> Vec<(bool, Reader)> {
    use Reader::{
        AsTheCaseSays, Late, OctetByOctet, OnceSometimes, OutOfBand, OutOfBandAfterwards, Prompt,
        PromptOutOfBand, Sometimes, TwoAtATime,
    };
    let both = [Late, OctetByOctet, OutOfBand, Prompt, PromptOutOfBand, OutOfBandAfterwards, TwoAtATime];
    let mut readers: Vec<(bool, Reader)> =
        [false, true].into_iter().flat_map(|in_line| both.map(|reader| (in_line, reader))).collect();
    readers.push((false, AsTheCaseSays));
    let segments = shape.steps().iter().filter(|step| matches!(step, Step::Segment(_))).count() as u32;
    if segments <= MOMENTS {
        // Behind the last segment everybody reads in any case.
        for moments in 0..1 << (segments - 1) {
            readers.push((false, Sometimes(moments)));
            readers.push((false, OnceSometimes(moments)));
        }
    }
    readers
}

impl Reader {
    /// The view that says exactly what it reads; `None`: it depends on its moments.
    pub(super) fn view(self) -> Option<&'static str> {
        match self {
            Self::Late | Self::OctetByOctet => Some("lazy"),
            Self::OutOfBand => Some("out-of-band"),
            Self::Prompt | Self::PromptOutOfBand | Self::OutOfBandAfterwards => Some("prompt"),
            Self::TwoAtATime | Self::Sometimes(_) | Self::OnceSometimes(_) | Self::AsTheCaseSays => None,
        }
    }

    /// What it does behind segment `n`.
    fn act(self, n: u32, host: &mut dyn Host, seen: &mut Vec<Seen>) {
        match self {
            Self::Late | Self::OctetByOctet | Self::AsTheCaseSays => {}
            Self::OutOfBand => drop(host.read_out_of_band()),
            Self::Prompt => read(host, ALL, usize::MAX, seen),
            Self::PromptOutOfBand => {
                host.read_out_of_band();
                read(host, ALL, usize::MAX, seen);
            }
            Self::OutOfBandAfterwards => {
                read(host, ALL, usize::MAX, seen);
                host.read_out_of_band();
            }
            Self::TwoAtATime => read(host, 2, 1, seen),
            Self::Sometimes(moments) if moments >> n & 1 == 1 => read(host, ALL, usize::MAX, seen),
            Self::OnceSometimes(moments) if moments >> n & 1 == 1 => read(host, ALL, 1, seen),
            Self::Sometimes(_) | Self::OnceSometimes(_) => {}
        }
    }
}

/// Plays a shape; the answer is what the application has read of the stream.
pub(super) fn play(shape: &Case, reader: Reader, client: &mut Client, host: &mut dyn Host) -> String {
    let mut seen = Vec::new();
    let mut n = 0;
    for step in shape.steps() {
        match step {
            Step::Segment(segment) => {
                host.arrive(&client.segment(&segment));
                // The answer to this says that what came before it was taken.
                host.arrive(&client.probe());
                let answer = host.sent();
                assert!(answer.iter().any(|packet| !client::is_reset(packet)), "{}", shape.name);
                reader.act(n, host, &mut seen);
                n += 1;
            }
            Step::Read if reader == Reader::AsTheCaseSays => read(host, ALL, usize::MAX, &mut seen),
            Step::Read => {}
        }
    }
    let most = if reader == Reader::OctetByOctet { 1 } else { ALL };
    read(host, most, usize::MAX, &mut seen);
    let octets = seen.iter().filter_map(|what| match what {
        Seen::Read(octets) => Some(octets.as_slice()),
        _ => None,
    });
    String::from_utf8(octets.collect::<Vec<_>>().concat()).expect("the shapes are ASCII")
}
