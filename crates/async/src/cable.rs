//! A cable between two stacks of one process: for tests, and for programs that talk to themselves.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tcp::{Checksum, Transmit};
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

use crate::{Arrived, Device};

/// One end of a [`cable`].
#[derive(Debug)]
pub struct Cable {
    to: Sender<Vec<u8>>,
    /// Only the task of the stack takes it.
    from: Mutex<Receiver<Vec<u8>>>,
}

/// The two ends. `packets` may be on their way in each direction; one more is lost.
#[must_use]
pub fn cable(packets: usize) -> (Cable, Cable) {
    let (to_there, from_here) = mpsc::channel(packets.max(1));
    let (to_here, from_there) = mpsc::channel(packets.max(1));
    (Cable { to: to_there, from: Mutex::new(from_there) }, Cable { to: to_here, from: Mutex::new(from_here) })
}

impl Device for Cable {
    fn segmentation_offload(&self) -> Option<u32> {
        Some(65_535)
    }

    fn checksum_offload(&self) -> bool {
        true
    }

    fn poll_receive(&self, cx: &mut Context<'_>, frame: &mut [u8]) -> Poll<io::Result<Arrived>> {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(packet) = ready!(from.poll_recv(cx)) else {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the other end is gone",
                )));
            };
            if let Some(place) = frame.get_mut(..packet.len()) {
                place.copy_from_slice(&packet);
                // It never left this memory.
                let arrived = Arrived { packet: 0..packet.len(), checksum: Checksum::Trusted };
                return Poll::Ready(Ok(arrived));
            }
        }
    }

    fn send(&self, frame: &mut [u8], _: &Transmit) -> io::Result<()> {
        match self.to.try_send(frame.to_vec()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TrySendError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
