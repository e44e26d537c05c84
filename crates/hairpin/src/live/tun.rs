//! A worker's queues of the two TUN devices where packets leave the kernel and come back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nat::Realm;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;

use super::worker::Datapath;
use crate::net::failure;

/// A worker's queues of both devices, and what wakes it.
#[derive(Debug)]
pub struct Queues {
    /// Of the device that faces the subscribers.
    pub inside: File,
    /// Of the device that faces the outside.
    pub outside: File,
    /// Other threads write here when they have something for this worker.
    pub wake: std::sync::Arc<EventFd>,
}

impl Queues {
    fn queue(&self, realm: Realm) -> &File {
        match realm {
            Realm::Inside => &self.inside,
            Realm::Outside => &self.outside,
        }
    }
}

impl Datapath for Queues {
    fn receive(&mut self, from: Realm, frame: &mut [u8]) -> io::Result<Option<usize>> {
        match self.queue(from).read(frame) {
            Ok(length) => Ok(Some(length)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(failure(format!("reading from the {from:?} TUN device"), error)),
        }
    }

    fn send(&mut self, to: Realm, frame: &[u8]) -> io::Result<()> {
        self.queue(to).write(frame).map(drop)
    }

    /// `ppoll`, not epoll: an epoll set stays registered with the queue, so the kernel would walk
    /// its callback, under a lock, for every packet that arrives while the worker is busy anyway.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut descriptors = [
            PollFd::new(self.inside.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.outside.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut descriptors, timeout.map(TimeSpec::from_duration), None) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(failure("waiting for packets", error.into())),
        }
        if descriptors[2].any() == Some(true) {
            // It is non-blocking; that it was already read is no error.
            let _ = self.wake.read();
        }
        Ok(())
    }
}
