//! poll: what a socket is ready for.

use super::data::is_at_end;
use super::{Host, Outcome, SocketState, Stop, is_opening};
use crate::symbols::*;

/// What to wait for, and what came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PollFd {
    /// The socket.
    pub fd: i32,
    /// What to wait for.
    pub events: i16,
    /// What there is.
    pub revents: i16,
}

impl Host {
    /// Fills in what the sockets are ready for, and counts those that are ready for anything asked.
    ///
    /// # Errors
    /// [`Stop::Blocks`] if there is none and `wait` is set.
    pub fn poll(&mut self, fds: &mut [PollFd], wait: bool) -> Outcome<usize> {
        let mut ready = 0;
        for entry in fds.iter_mut() {
            let always = POLLERR | POLLHUP | POLLNVAL;
            entry.revents = self.readiness(entry.fd) & (entry.events | always);
            ready += usize::from(entry.revents != 0);
        }
        if ready == 0 && wait { Err(Stop::Blocks) } else { Ok(ready) }
    }

    /// All that a socket is ready for.
    pub(super) fn readiness(&mut self, fd: i32) -> i16 {
        let Ok(socket) = self.socket_of(fd) else { return POLLNVAL };
        let (read_shut, write_shut, reported) = (socket.read_shut, socket.write_shut, socket.reported);
        let lowat = socket.remembered.get(&(IPPROTO_TCP, TCP_NOTSENT_LOWAT)).map(|value| int(value) as u32);
        let send_buffer = socket.config.send_buffer as usize;
        let id = match socket.state {
            SocketState::Fresh => return POLLOUT | POLLHUP,
            SocketState::Listening(listener) => {
                let next = self.endpoint().accept(listener);
                let Ok(socket) = self.socket_mut(fd) else { return POLLNVAL };
                socket.waiting.extend(next);
                return if socket.waiting.is_empty() { 0 } else { POLLIN | POLLRDNORM };
            }
            SocketState::Connected(id) => id,
        };
        let Some(info) = self.endpoint().info(id) else { return POLLHUP };
        let mut ready = 0;
        if let Some(reason) = info.closed {
            ready |= POLLHUP | POLLIN | POLLRDNORM | POLLRDHUP | POLLOUT | POLLWRNORM;
            if super::error_of(reason).is_some() && !reported {
                ready |= POLLERR;
            }
            return ready;
        }
        if is_opening(info.state) {
            return 0;
        }
        let at_end = is_at_end(info.state) || read_shut;
        if info.unread > 0 || at_end {
            ready |= POLLIN | POLLRDNORM;
        }
        if at_end {
            ready |= POLLRDHUP;
        }
        if at_end && write_shut {
            ready |= POLLHUP;
        }
        let unsent = info.unsent as u32;
        // Room as Linux counts it: at least a third of the buffer is free.
        let room = info.unacknowledged.saturating_mul(3) < send_buffer.saturating_mul(2);
        if write_shut || (room && lowat.is_none_or(|lowat| lowat == 0 || unsent < lowat)) {
            ready |= POLLOUT | POLLWRNORM;
        }
        if self.endpoint().recv_urgent(id, true).is_ok() || info.urgent > 0 {
            ready |= POLLPRI | POLLRDBAND;
        }
        ready
    }
}

/// An option's value as a number.
pub(super) fn int(value: &[u8]) -> i32 {
    let mut octets = [0; 4];
    octets.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    i32::from_le_bytes(octets)
}
