//! How sockets come and go: socket, bind, listen, accept, connect, shutdown, close.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::{BTreeMap, VecDeque};

use tcp::{Config, Error, ListenOptions};

use super::{Host, Outcome, Socket, SocketState, Stop, error_of, is_opening};
use crate::symbols::*;

impl Socket {
    fn new(state: SocketState, config: Config) -> Self {
        let keep_alive = config.keep_alive.unwrap_or_default();
        Self {
            state,
            config,
            keep_alive,
            local: None,
            nonblocking: false,
            read_shut: false,
            write_shut: false,
            linger: None,
            reported: false,
            connect_reported: false,
            more: false,
            cork: false,
            remembered: BTreeMap::new(),
            waiting: VecDeque::new(),
            edge: 0,
        }
    }
}

impl Host {
    /// Makes a socket.
    ///
    /// # Errors
    /// [`Stop::Unsupported`] for what is not TCP over IPv4.
    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Outcome<i32> {
        if domain != AF_INET {
            return Err(Stop::Unsupported("sockets of IPv6 (this endpoint speaks IPv4 only)"));
        }
        if kind & 0xF != SOCK_STREAM || !matches!(protocol, 0 | IPPROTO_TCP) {
            return Err(Stop::Unsupported("sockets that are not TCP"));
        }
        self.endpoint();
        let mut socket = Socket::new(SocketState::Fresh, self.settings.connection.clone());
        socket.nonblocking = kind & SOCK_NONBLOCK != 0;
        Ok(self.add(socket))
    }

    /// Gives a socket its address.
    ///
    /// # Errors
    /// EBADF, EINVAL.
    pub fn bind(&mut self, fd: i32, local: SocketAddrV4) -> Outcome<()> {
        let socket = self.socket_mut(fd)?;
        if socket.local.is_some() || socket.state != SocketState::Fresh {
            return Err(Stop::Error(Errno::EINVAL));
        }
        socket.local = Some(local);
        Ok(())
    }

    /// Passive open.
    ///
    /// # Errors
    /// EBADF, EINVAL, EADDRINUSE, EADDRNOTAVAIL.
    pub fn listen(&mut self, fd: i32, backlog: i32) -> Outcome<()> {
        let socket = self.socket_of(fd)?;
        match socket.state {
            SocketState::Fresh => {}
            SocketState::Listening(_) => return Ok(()),
            SocketState::Connected(_) => return Err(Stop::Error(Errno::EINVAL)),
        }
        let local = socket.local.ok_or(Stop::Unsupported("listen without bind"))?;
        // Linux has room for one more than is asked for.
        let backlog = u32::try_from(backlog).unwrap_or(0).saturating_add(1);
        let options = ListenOptions { backlog, connection: Some(socket.config.clone()) };
        let listener = self.endpoint().listen(local, options).map_err(refusal)?;
        self.socket_mut(fd)?.state = SocketState::Listening(listener);
        Ok(())
    }

    /// The next connection that came in, and its peer.
    ///
    /// # Errors
    /// EBADF, EINVAL, EAGAIN.
    pub fn accept(&mut self, fd: i32) -> Outcome<(i32, SocketAddrV4)> {
        let socket = self.socket_of(fd)?;
        let (nonblocking, config) = (socket.nonblocking, socket.config.clone());
        let SocketState::Listening(listener) = socket.state else {
            return Err(Stop::Error(Errno::EINVAL));
        };
        let waiting = self.socket_mut(fd)?.waiting.pop_front();
        let Some(id) = waiting.or_else(|| self.endpoint().accept(listener)) else {
            return Err(if nonblocking { Stop::Error(Errno::EAGAIN) } else { Stop::Blocks });
        };
        let info = self.endpoint().info(id);
        let mut accepted = Socket::new(SocketState::Connected(id), config);
        accepted.connect_reported = true;
        accepted.local = info.map(|info| info.local);
        let peer = info.map_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), |info| info.remote);
        Ok((self.add(accepted), peer))
    }

    /// Active open.
    ///
    /// # Errors
    /// EINPROGRESS, EALREADY, EISCONN, and why it failed.
    pub fn connect(&mut self, fd: i32, remote: SocketAddrV4) -> Outcome<()> {
        let now = self.now;
        let socket = self.socket_of(fd)?;
        let nonblocking = socket.nonblocking;
        match socket.state {
            SocketState::Listening(_) => return Err(Stop::Error(Errno::EISCONN)),
            SocketState::Connected(_) => return self.connect_again(fd, nonblocking),
            SocketState::Fresh => {}
        }
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let (local, mut config) = (socket.local.unwrap_or(any), socket.config.clone());
        config.ecn &= self.ecn_active;
        let id = self.endpoint().connect(local, remote, config, now).map_err(refusal)?;
        self.socket_mut(fd)?.state = SocketState::Connected(id);
        self.settle();
        Err(if nonblocking { Stop::Error(Errno::EINPROGRESS) } else { Stop::Blocks })
    }

    fn connect_again(&mut self, fd: i32, nonblocking: bool) -> Outcome<()> {
        let info = self.info_of(fd);
        if let Some(reason) = info.and_then(|info| info.closed) {
            // A second attempt on a socket whose first failed is told why, once.
            let error = self.take_error(fd).or_else(|| error_of(reason));
            return Err(Stop::Error(error.unwrap_or(Errno::ECONNABORTED)));
        }
        match info {
            Some(info) if is_opening(info.state) => {
                Err(if nonblocking { Stop::Error(Errno::EALREADY) } else { Stop::Blocks })
            }
            _ => {
                let socket = self.socket_mut(fd)?;
                let told = core::mem::replace(&mut socket.connect_reported, true);
                if told { Err(Stop::Error(Errno::EISCONN)) } else { Ok(()) }
            }
        }
    }

    /// Ends one direction, or both.
    ///
    /// # Errors
    /// EBADF, EINVAL, ENOTCONN.
    pub fn shutdown(&mut self, fd: i32, how: i32) -> Outcome<()> {
        let now = self.now;
        if !(SHUT_RD..=SHUT_RDWR).contains(&how) {
            return Err(Stop::Error(Errno::EINVAL));
        }
        if let SocketState::Listening(listener) = self.socket_of(fd)?.state {
            if how != SHUT_WR {
                self.endpoint().close_listener(listener, now);
                self.socket_mut(fd)?.state = SocketState::Fresh;
                self.settle();
            }
            return Ok(());
        }
        let id = self.connection_of(fd)?;
        let info = self.endpoint().info(id);
        if info.is_none_or(|info| info.closed.is_some()) {
            return Err(Stop::Error(Errno::ENOTCONN));
        }
        if how != SHUT_WR {
            self.endpoint().shutdown_read(id, now).map_err(refusal)?;
            self.socket_mut(fd)?.read_shut = true;
        }
        if how != SHUT_RD {
            self.socket_mut(fd)?.write_shut = true;
            match self.endpoint().shutdown(id, now) {
                // A second time is no error to an application.
                Ok(()) | Err(Error::ShutDown) => {}
                Err(error) => return Err(refusal(error)),
            }
        }
        self.settle();
        Ok(())
    }

    /// The application is done with it.
    ///
    /// # Errors
    /// EBADF.
    pub fn close(&mut self, fd: i32) -> Outcome<()> {
        let now = self.now;
        if self.polls.remove(&fd).is_some() {
            return Ok(());
        }
        let socket = self.sockets.remove(&fd).ok_or(Stop::Error(Errno::EBADF))?;
        match socket.state {
            SocketState::Fresh => {}
            SocketState::Listening(listener) => {
                socket.waiting.iter().for_each(|id| self.endpoint().abort(*id, now));
                self.endpoint().close_listener(listener, now);
            }
            SocketState::Connected(id) if socket.linger == Some(0) => self.endpoint().abort(id, now),
            SocketState::Connected(id) => self.endpoint().close(id, now),
        }
        self.settle();
        Ok(())
    }
}

/// An error of the endpoint as an application sees it.
pub(super) fn refusal(error: Error) -> Stop {
    Stop::Error(match error {
        Error::Unknown => Errno::EBADF,
        Error::Closed(reason) => error_of(reason).unwrap_or(Errno::ENOTCONN),
        Error::ShutDown => Errno::EPIPE,
        Error::WouldBlock => Errno::EAGAIN,
        Error::NoUrgent => Errno::EINVAL,
        Error::InUse => Errno::EADDRINUSE,
        Error::NoPort | Error::Address => Errno::EADDRNOTAVAIL,
        Error::Limit => Errno::ENOMEM,
    })
}
