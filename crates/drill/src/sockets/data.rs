//! Data in and out, with the flags of send and recv.

use tcp::Error;

use super::open::refusal;
use super::{Host, Outcome, Stop, is_opening};
use crate::symbols::*;

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// Octets.
    pub len: usize,
    /// The octet of MSG_OOB.
    pub urgent: bool,
}

impl Host {
    /// Writes `data`; `done` octets of it were taken before, by a call that blocked.
    ///
    /// # Errors
    /// EPIPE, EAGAIN, ENOTCONN, and how the connection ended.
    pub fn send(&mut self, fd: i32, data: &[u8], flags: i32, done: &mut usize) -> Outcome<usize> {
        let now = self.now;
        if flags & (MSG_FASTOPEN | MSG_ZEROCOPY) != 0 {
            return Err(Stop::Unsupported(match flags & MSG_FASTOPEN {
                0 => "MSG_ZEROCOPY (there is no kernel to share pages with)",
                _ => "MSG_FASTOPEN (the endpoint has no TCP Fast Open)",
            }));
        }
        let socket = self.socket_of(fd)?;
        let nonblocking = socket.nonblocking || flags & MSG_DONTWAIT != 0;
        if socket.write_shut {
            return Err(Stop::Error(Errno::EPIPE));
        }
        let id = self.connection_of(fd).map_err(|_| Stop::Error(Errno::EPIPE))?;
        if let Some(error) = self.take_error(fd) {
            return Err(Stop::Error(error));
        }
        match self.info_of(fd) {
            Some(info) if info.closed.is_none() => {
                if is_opening(info.state) {
                    return Err(if nonblocking { Stop::Error(Errno::EAGAIN) } else { Stop::Blocks });
                }
            }
            _ => return Err(Stop::Error(Errno::EPIPE)),
        }
        self.hold(fd, flags & MSG_MORE != 0)?;
        while let Some(rest) = data.get(*done..).filter(|rest| !rest.is_empty()) {
            let endpoint = self.endpoint();
            let taken = match flags & MSG_OOB {
                0 => endpoint.send(id, rest, now),
                _ => endpoint.send_urgent(id, rest, now),
            };
            match taken {
                Ok(0) | Err(Error::WouldBlock) => {
                    self.settle();
                    return match (nonblocking, *done) {
                        (true, 0) => Err(Stop::Error(Errno::EAGAIN)),
                        (true, done) => Ok(done),
                        (false, _) => Err(Stop::Blocks),
                    };
                }
                Ok(taken) => *done += taken,
                Err(error) => return Err(refusal(error)),
            }
        }
        self.settle();
        Ok(data.len())
    }

    /// MSG_MORE and TCP_CORK: segments that are not full wait.
    pub(super) fn hold(&mut self, fd: i32, more: bool) -> Outcome<()> {
        let now = self.now;
        let socket = self.socket_mut(fd)?;
        socket.more = more;
        let hold = socket.more || socket.cork;
        if socket.config.cork == hold {
            return Ok(());
        }
        socket.config.cork = hold;
        if let Ok(id) = self.connection_of(fd) {
            self.endpoint().configure(id, now, |config| config.cork = hold).map_err(refusal)?;
        }
        Ok(())
    }

    /// Reads into `buf`.
    ///
    /// # Errors
    /// EAGAIN, ENOTCONN, EINVAL (no urgent octet), and how the connection ended.
    pub fn recv(&mut self, fd: i32, buf: &mut [u8], flags: i32) -> Outcome<Received> {
        let now = self.now;
        if flags & MSG_ERRQUEUE != 0 {
            return Err(Stop::Unsupported("MSG_ERRQUEUE (there is no error queue)"));
        }
        let socket = self.socket_of(fd)?;
        let nonblocking = socket.nonblocking || flags & MSG_DONTWAIT != 0;
        let read_shut = socket.read_shut;
        let id = self.connection_of(fd)?;
        if flags & MSG_OOB != 0 {
            return self.recv_urgent(fd, buf, flags & MSG_PEEK != 0);
        }
        // MSG_WAITALL waits for all of it, unless the stream ends.
        let unread = self.info_of(fd).map_or(0, |info| info.unread);
        let over = self.info_of(fd).is_none_or(|info| info.closed.is_some() || is_at_end(info.state));
        if flags & MSG_WAITALL != 0 && unread < buf.len() && !over && !read_shut && !nonblocking {
            return Err(Stop::Blocks);
        }
        let endpoint = self.endpoint();
        let read = match flags & MSG_PEEK {
            0 => endpoint.recv(id, buf, now),
            _ => endpoint.peek(id, buf),
        };
        self.settle();
        match read {
            Ok(read) => Ok(Received { len: read.len, urgent: false }),
            Err(Error::WouldBlock) if read_shut => Ok(Received { len: 0, urgent: false }),
            Err(Error::WouldBlock) if nonblocking => Err(Stop::Error(Errno::EAGAIN)),
            Err(Error::WouldBlock) => Err(Stop::Blocks),
            // Told once; afterwards it is the end of the stream.
            Err(Error::Closed(_)) => match self.take_error(fd) {
                Some(error) => Err(Stop::Error(error)),
                None => Ok(Received { len: 0, urgent: false }),
            },
            Err(error) => Err(refusal(error)),
        }
    }

    fn recv_urgent(&mut self, fd: i32, buf: &mut [u8], peek: bool) -> Outcome<Received> {
        let id = self.connection_of(fd)?;
        let octet = self.endpoint().recv_urgent(id, peek).map_err(refusal)?;
        match buf.first_mut() {
            Some(first) => {
                *first = octet;
                Ok(Received { len: 1, urgent: true })
            }
            None => Ok(Received { len: 0, urgent: true }),
        }
    }
}

/// The peer will send no more.
pub(super) fn is_at_end(state: tcp::State) -> bool {
    use tcp::State::*;
    matches!(state, CloseWait | Closing | LastAck | TimeWait | Closed)
}
