//! Applications: who reads when.

use crate::by_hand::cases::{Case, Segment, Step};
use crate::by_hand::client::{self, Client};
use crate::by_hand::kernel::Kernel;
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

/// An application that reads a connection of the kernel's.
pub(super) struct Application<'a> {
    reader: Reader,
    client: Client,
    host: Kernel<'a>,
    /// Segments that have come.
    segments: u32,
    seen: Vec<Seen>,
}

impl<'a> Application<'a> {
    pub(super) fn new(reader: Reader, (client, host): (Client, Kernel<'a>)) -> Self {
        Self { reader, client, host, segments: 0, seen: Vec::new() }
    }

    /// The client's port.
    pub(super) fn port(&self) -> u16 {
        self.client.port()
    }

    pub(super) fn arrive(&mut self, segment: &Segment) {
        self.host.arrive(&self.client.segment(segment));
        // The answer to this says that what came before it was taken.
        self.host.arrive(&self.client.probe());
        let answer = self.host.sent();
        assert!(answer.iter().any(|packet| !client::is_reset(packet)), "{segment:?}");
        self.reader.act(self.segments, &mut self.host, &mut self.seen);
        self.segments += 1;
    }

    /// A segment that is in the capture and does not arrive.
    pub(super) fn lose(&mut self, segment: &Segment) {
        self.host.lose(&self.client.segment(segment));
    }

    /// Plays a shape.
    pub(super) fn play(&mut self, shape: &Case) {
        for step in shape.steps() {
            match step {
                Step::Segment(segment) => self.arrive(&segment),
                Step::Read if self.reader == Reader::AsTheCaseSays => {
                    read(&mut self.host, ALL, usize::MAX, &mut self.seen);
                }
                Step::Read => {}
            }
        }
    }

    /// Reads what is left; the answer is what was read of the stream.
    pub(super) fn finish(mut self) -> String {
        let most = if self.reader == Reader::OctetByOctet { 1 } else { ALL };
        read(&mut self.host, most, usize::MAX, &mut self.seen);
        let octets = self.seen.iter().filter_map(|what| match what {
            Seen::Read(octets) => Some(octets.as_slice()),
            _ => None,
        });
        String::from_utf8(octets.collect::<Vec<_>>().concat()).expect("the shapes are ASCII")
    }
}
