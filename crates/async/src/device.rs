//! What a stack sends to and receives from.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::task::{Context, Poll, ready};

use tcp::{Checksum, Transmit};
use tokio::io::unix::AsyncFd;
use tun::vnet::{self, Header};
use wire::offload;

/// A packet that arrived, in the frame that was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// Where in the frame it is.
    pub packet: Range<usize>,
    /// What the link knows of its checksums.
    pub checksum: Checksum,
}

/// A link for IPv4 packets.
pub trait Device: Send + Sync + 'static {
    /// Octets of a frame that come before its packet.
    fn headroom(&self) -> usize {
        0
    }

    /// Largest super-segment that it splits, in octets of IPv4 packet; `None` if it does not.
    fn segmentation_offload(&self) -> Option<u32> {
        None
    }

    /// It completes checksums.
    fn checksum_offload(&self) -> bool {
        false
    }

    /// The next packet, written into `frame`.
    ///
    /// # Errors
    /// The device is gone: the stack ends.
    fn poll_receive(&self, cx: &mut Context<'_>, frame: &mut [u8]) -> Poll<io::Result<Arrived>>;

    /// Sends the packet that lies in `frame` behind the headroom.
    ///
    /// # Errors
    /// It could not be sent. To TCP that is a loss like any other.
    fn send(&self, frame: &mut [u8], transmit: &Transmit) -> io::Result<()>;
}

/// A queue of a TUN device as [`tun::create`] opens it.
#[derive(Debug)]
pub struct Tun {
    queue: AsyncFd<File>,
    offloads: bool,
}

impl Tun {
    /// To be called within a runtime of tokio. `offloads` as they were given to [`tun::create`].
    ///
    /// # Errors
    /// The runtime's.
    pub fn new(queue: File, offloads: bool) -> io::Result<Self> {
        // What replaces it is `unsafe`, for types whose descriptor may change; a `File`'s does not.
        #[allow(deprecated)]
        let queue = AsyncFd::new(queue)?;
        Ok(Self { queue, offloads })
    }
}

impl Device for Tun {
    fn headroom(&self) -> usize {
        vnet::LENGTH
    }

    fn segmentation_offload(&self) -> Option<u32> {
        self.offloads.then_some(65_535)
    }

    /// The kernel completes checksums whether or not it was allowed to leave its own to us.
    fn checksum_offload(&self) -> bool {
        self.offloads
    }

    fn poll_receive(&self, cx: &mut Context<'_>, frame: &mut [u8]) -> Poll<io::Result<Arrived>> {
        loop {
            let mut ready = ready!(self.queue.poll_read_ready(cx))?;
            let len = match ready.try_io(|queue| queue.get_ref().read(frame)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(outcome) => outcome.map_err(|error| tun::failure("reading from the TUN device", error))?,
                Err(_would_block) => continue,
            };
            let Some((header, packet)) = Header::split(frame.get_mut(..len).unwrap_or_default()) else {
                continue;
            };
            let checksum = match header.offload().checksum {
                offload::Checksum::Full => Checksum::Verify,
                offload::Checksum::Verified | offload::Checksum::Partial => Checksum::Trusted,
            };
            return Poll::Ready(Ok(Arrived { packet: len - packet.len()..len, checksum }));
        }
    }

    fn send(&self, frame: &mut [u8], transmit: &Transmit) -> io::Result<()> {
        let Some((mut header, packet)) = Header::split(frame) else { return Ok(()) };
        let checksum =
            if transmit.checksum_partial { offload::Checksum::Partial } else { offload::Checksum::Full };
        header.describe(packet, offload::Offload { checksum, gso_size: transmit.segment.unwrap_or(0) });
        self.queue.get_ref().write(frame).map(drop)
    }
}
