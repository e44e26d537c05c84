//! setsockopt, getsockopt, fcntl, ioctl.

use core::time::Duration;

use tcp::{CongestionControl, KeepAlive, State};

use super::open::refusal;
use super::poll::int;
use super::{Host, Outcome, SocketState, Stop};
use crate::symbols::*;

impl Host {
    /// Sets an option. `value` is in the octet order of a little-endian machine.
    ///
    /// # Errors
    /// EBADF, EINVAL; [`Stop::Unsupported`] for what the endpoint does not have.
    pub fn setsockopt(&mut self, fd: i32, level: i32, name: i32, value: &[u8]) -> Outcome<()> {
        self.socket_of(fd)?;
        let number = int(value);
        match (level, name) {
            (SOL_SOCKET, SO_LINGER) => {
                let seconds = int(value.get(4..).unwrap_or(&[]));
                self.socket_mut(fd)?.linger = if number != 0 { Some(seconds) } else { None };
            }
            (SOL_SOCKET, SO_KEEPALIVE) => self.keep_alive(fd, |_| {}, Some(number != 0))?,
            (IPPROTO_TCP, TCP_KEEPIDLE) => {
                let idle = seconds(number)?;
                self.keep_alive(fd, |keep| keep.idle = idle, None)?;
            }
            (IPPROTO_TCP, TCP_KEEPINTVL) => {
                let interval = seconds(number)?;
                self.keep_alive(fd, |keep| keep.interval = interval, None)?;
            }
            (IPPROTO_TCP, TCP_KEEPCNT) => {
                let probes = u8::try_from(number).map_err(|_| Stop::Error(Errno::EINVAL))?;
                self.keep_alive(fd, |keep| keep.probes = probes, None)?;
            }
            (IPPROTO_TCP, TCP_CORK) => {
                self.socket_mut(fd)?.cork = number != 0;
                let more = self.socket_of(fd)?.more;
                self.hold(fd, more && number != 0)?;
                self.settle();
            }
            (IPPROTO_TCP, TCP_FASTOPEN | TCP_FASTOPEN_CONNECT | TCP_FASTOPEN_KEY) => {
                return Err(Stop::Unsupported("TCP Fast Open (the endpoint has none)"));
            }
            (IPPROTO_TCP, TCP_MD5SIG) => return Err(Stop::Unsupported("TCP MD5 signatures")),
            (IPPROTO_TCP, TCP_INQ) => return Err(Stop::Unsupported("TCP_INQ control messages")),
            (SOL_SOCKET, SO_TIMESTAMPING) => return Err(Stop::Unsupported("SO_TIMESTAMPING")),
            (SOL_SOCKET, SO_ZEROCOPY) => return Err(Stop::Unsupported("SO_ZEROCOPY")),
            _ => self.set_number(fd, level, name, number, value)?,
        }
        Ok(())
    }

    /// Options that are a field of the connection's settings, or only remembered.
    fn set_number(&mut self, fd: i32, level: i32, name: i32, number: i32, value: &[u8]) -> Outcome<()> {
        let size = u32::try_from(number);
        let invalid = Stop::Error(Errno::EINVAL);
        match (level, name) {
            (SOL_SOCKET, SO_SNDBUF | SO_SNDBUFFORCE) => {
                // Linux doubles what is asked for, to pay for its own bookkeeping; we have none.
                let size = size.map_err(|_| invalid)?.max(2_304);
                self.change(fd, |config| config.send_buffer = size)?;
            }
            (SOL_SOCKET, SO_RCVBUF | SO_RCVBUFFORCE) => {
                let size = size.map_err(|_| invalid)?.max(1_152);
                self.change(fd, |config| config.receive_buffer = size)?;
            }
            (SOL_SOCKET, SO_OOBINLINE) => self.change(fd, |config| {
                *config = if number != 0 { config.clone().in_line() } else { config.clone().out_of_band(1) };
            })?,
            (IPPROTO_TCP, TCP_NODELAY) => self.change(fd, |config| config.nagle = number == 0)?,
            (IPPROTO_TCP, TCP_MAXSEG) => {
                let mss = u16::try_from(number).ok().filter(|mss| *mss >= 88).ok_or(invalid)?;
                self.change(fd, |config| config.mss = Some(mss))?;
            }
            (IPPROTO_TCP, TCP_SYNCNT) => {
                let retries = u8::try_from(number).ok().filter(|count| *count > 0).ok_or(invalid)?;
                self.change(fd, |config| config.syn_retries = retries)?;
            }
            (IPPROTO_TCP, TCP_LINGER2) => {
                let rest = size.ok().map(|seconds| Duration::from_secs(seconds.into()));
                self.change(fd, |config| config.fin_wait_2 = rest)?;
            }
            (IPPROTO_TCP, TCP_QUICKACK) => {
                let wait = if number != 0 { Duration::ZERO } else { self.settings.connection.delayed_ack };
                self.change(fd, |config| config.delayed_ack = wait)?;
            }
            (IPPROTO_TCP, TCP_USER_TIMEOUT) => {
                let millis = size.map_err(|_| invalid)?;
                let timeout = (millis > 0).then(|| Duration::from_millis(millis.into()));
                self.change(fd, |config| config.user_timeout = timeout)?;
            }
            (IPPROTO_TCP, TCP_CONGESTION) => {
                let text = value.split(|octet| *octet == 0).next().unwrap_or(value);
                let congestion = match text {
                    b"reno" | b"newreno" => CongestionControl::NewReno,
                    b"cubic" => CongestionControl::Cubic,
                    _ => return Err(Stop::Error(Errno::ENOENT)),
                };
                self.change(fd, |config| config.congestion = congestion)?;
            }
            (SOL_SOCKET, SO_ERROR | SO_ACCEPTCONN) => return Err(Stop::Error(Errno::ENOPROTOOPT)),
            _ => {
                self.socket_mut(fd)?.remembered.insert((level, name), value.to_vec());
            }
        }
        Ok(())
    }

    /// Changes the settings of a socket and of its connection.
    fn change(&mut self, fd: i32, change: impl Fn(&mut tcp::Config)) -> Outcome<()> {
        let now = self.now;
        let socket = self.socket_mut(fd)?;
        change(&mut socket.config);
        if let SocketState::Connected(id) = socket.state {
            self.endpoint().configure(id, now, change).map_err(refusal)?;
            self.settle();
        }
        Ok(())
    }

    /// Keep-alive timing is kept while keep-alives are off.
    fn keep_alive(&mut self, fd: i32, set: impl Fn(&mut KeepAlive), switch: Option<bool>) -> Outcome<()> {
        let socket = self.socket_mut(fd)?;
        set(&mut socket.keep_alive);
        let timing = socket.keep_alive;
        let on = switch.unwrap_or(socket.config.keep_alive.is_some());
        self.change(fd, |config| config.keep_alive = on.then_some(timing))
    }

    /// An option's value, in the octet order of a little-endian machine.
    ///
    /// # Errors
    /// EBADF; [`Stop::Unsupported`] for what the endpoint does not have.
    pub fn getsockopt(&mut self, fd: i32, level: i32, name: i32) -> Outcome<Vec<u8>> {
        let info = self.info_of(fd);
        let socket = self.socket_of(fd)?;
        let config = &socket.config;
        let flag = i32::from;
        let number = match (level, name) {
            (SOL_SOCKET, SO_ERROR) => self.take_error(fd).map_or(0, |error| error.0),
            (SOL_SOCKET, SO_SNDBUF) => config.send_buffer as i32,
            (SOL_SOCKET, SO_RCVBUF) => config.receive_buffer as i32,
            (SOL_SOCKET, SO_ACCEPTCONN) => flag(matches!(socket.state, SocketState::Listening(_))),
            (SOL_SOCKET, SO_PROTOCOL) => IPPROTO_TCP,
            (SOL_SOCKET, SO_KEEPALIVE) => flag(config.keep_alive.is_some()),
            (SOL_SOCKET, SO_OOBINLINE) => {
                flag(config.urgent.delivery == config.clone().in_line().urgent.delivery)
            }
            (SOL_SOCKET, SO_LINGER) => {
                let (on, seconds) = (flag(socket.linger.is_some()), socket.linger.unwrap_or(0));
                return Ok([on.to_le_bytes(), seconds.to_le_bytes()].concat());
            }
            (IPPROTO_TCP, TCP_NODELAY) => flag(!config.nagle),
            (IPPROTO_TCP, TCP_CORK) => flag(socket.cork),
            (IPPROTO_TCP, TCP_KEEPIDLE) => socket.keep_alive.idle.as_secs() as i32,
            (IPPROTO_TCP, TCP_KEEPINTVL) => socket.keep_alive.interval.as_secs() as i32,
            (IPPROTO_TCP, TCP_KEEPCNT) => i32::from(socket.keep_alive.probes),
            (IPPROTO_TCP, TCP_SYNCNT) => i32::from(config.syn_retries),
            (IPPROTO_TCP, TCP_QUICKACK) => flag(config.delayed_ack.is_zero()),
            (IPPROTO_TCP, TCP_USER_TIMEOUT) => config.user_timeout.map_or(0, |time| time.as_millis() as i32),
            (IPPROTO_TCP, TCP_MAXSEG) => match info {
                Some(info) => i32::from(info.mss),
                None => i32::from(config.mss.unwrap_or(536)),
            },
            (IPPROTO_TCP, TCP_CONGESTION) => {
                return Ok(match config.congestion {
                    CongestionControl::NewReno => b"reno".to_vec(),
                    CongestionControl::Cubic => b"cubic".to_vec(),
                });
            }
            (IPPROTO_TCP, TCP_INFO) => return Ok(info.map(tcp_info).unwrap_or_default()),
            _ => match socket.remembered.get(&(level, name)) {
                Some(value) => return Ok(value.clone()),
                None => 0,
            },
        };
        Ok(number.to_le_bytes().to_vec())
    }

    /// F_GETFL and F_SETFL.
    ///
    /// # Errors
    /// EBADF, EINVAL.
    pub fn fcntl(&mut self, fd: i32, command: i32, argument: i32) -> Outcome<i32> {
        if self.polls.contains_key(&fd) {
            return Ok(0);
        }
        let socket = self.socket_mut(fd)?;
        match command {
            F_GETFL => Ok(O_RDWR | if socket.nonblocking { O_NONBLOCK } else { 0 }),
            F_SETFL => {
                socket.nonblocking = argument & O_NONBLOCK != 0;
                Ok(0)
            }
            _ => Err(Stop::Error(Errno::EINVAL)),
        }
    }

    /// What waits to be read, what is not acknowledged, what was never sent, and whether the reader stands
    /// at the urgent mark.
    ///
    /// # Errors
    /// EBADF, EINVAL.
    pub fn ioctl(&mut self, fd: i32, request: i64, argument: i32) -> Outcome<i32> {
        if request == FIONBIO {
            self.socket_mut(fd)?.nonblocking = argument != 0;
            return Ok(0);
        }
        let id = self.connection_of(fd).map_err(|stop| match stop {
            Stop::Error(Errno::ENOTCONN) => Stop::Error(Errno::EINVAL),
            other => other,
        })?;
        let info = self.info_of(fd);
        let of = |count: fn(&tcp::Info) -> usize| info.as_ref().map_or(0, count) as i32;
        match request {
            SIOCINQ => {
                // One more than nothing tells of the stream's end, as Linux has it.
                let ended = info.is_some_and(|info| info.unread == 0 && super::data::is_at_end(info.state));
                Ok(of(|info| info.unread) + i32::from(ended))
            }
            SIOCOUTQ => Ok(of(|info| info.unacknowledged)),
            SIOCOUTQNSD => Ok(of(|info| info.unsent)),
            SIOCATMARK => Ok(i32::from(self.endpoint().at_mark(id))),
            _ => Err(Stop::Error(Errno::EINVAL)),
        }
    }
}

fn seconds(number: i32) -> Outcome<Duration> {
    u64::try_from(number).map(Duration::from_secs).map_err(|_| Stop::Error(Errno::EINVAL))
}

/// The first fields of Linux's `struct tcp_info`: those that mean the same here.
fn tcp_info(info: tcp::Info) -> Vec<u8> {
    let state = match info.state {
        State::Established => TCP_ESTABLISHED,
        State::SynSent => TCP_SYN_SENT,
        State::SynReceived => TCP_SYN_RECV,
        State::FinWait1 => TCP_FIN_WAIT1,
        State::FinWait2 => TCP_FIN_WAIT2,
        State::TimeWait => TCP_TIME_WAIT,
        State::Closed => TCP_CLOSE,
        State::CloseWait => TCP_CLOSE_WAIT,
        State::LastAck => TCP_LAST_ACK,
        State::Closing => TCP_CLOSING,
    };
    let options = u8::from(info.timestamps)
        | u8::from(info.sack) << 1
        | u8::from(info.window_scaling) << 2
        | u8::from(info.ecn) << 3;
    let mss = u32::from(info.mss).max(1);
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let mut octets = vec![state, 0, 0, 0, 0, options, 0, 0];
    let words = [
        micros(info.rto),
        0,
        mss,
        0,
        info.in_flight / mss,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        micros(info.srtt.unwrap_or_default()),
        micros(info.rttvar),
        if info.ssthresh == u32::MAX { 0x7FFF_FFFF } else { info.ssthresh / mss },
        info.cwnd / mss,
        mss,
        0,
        0,
        0,
        info.retransmissions as u32,
    ];
    octets.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    octets
}
