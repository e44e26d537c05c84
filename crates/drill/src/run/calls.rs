//! Calls: made on the host's sockets, their results compared, and tried again while they block.

use core::net::SocketAddrV4;
use core::time::Duration;

use rules::Instant;

use super::Runner;
use super::flow::{Flow, Phase};
use super::time::{Moment, Window};
use super::value::{elements, field, number, number_or_any};
use crate::ast::{Call, Event, Expr, Value};
use crate::fault::{Fault, Result};
use crate::sockets::{PollFd, Stop};
use crate::symbols::*;

mod ready;
mod sockopt;

/// A call that blocks.
pub(super) struct Pending {
    event: Event,
    call: Call,
    /// When it began: its end is compared with the tolerance of its length.
    window: Window,
    progress: Progress,
    /// It gives up then (poll).
    pub(super) deadline: Option<Instant>,
}

/// How far a call has come that was made before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Octets written.
    done: usize,
    /// When it gives up.
    deadline: Option<Instant>,
}

/// What a call returned.
pub(super) struct Returned {
    value: i64,
    errno: Option<Errno>,
    /// Values that it gave through its arguments and that are not what the script says.
    wrong: Vec<(Expr, String)>,
}

impl Returned {
    fn value(value: impl TryInto<i64>) -> Self {
        Self { value: value.try_into().unwrap_or(i64::MAX), errno: None, wrong: Vec::new() }
    }
}

/// The largest buffer of a call: scripts write far less.
const LARGEST: usize = 64 << 20;

/// How an attempt went.
enum Attempt {
    Returned(Returned),
    Blocks,
}

impl Runner {
    /// Makes the call of an event.
    pub(super) fn call(&mut self, event: &Event, call: &Call, window: &Window) -> Result<()> {
        let mut progress = Progress::default();
        match (self.attempt(call, &mut progress)?, call.end) {
            (Attempt::Returned(returned), None) => self.check(call, &returned),
            (Attempt::Returned(returned), Some(end)) => {
                self.check(call, &returned)?;
                self.check_end(event, window, end)
            }
            (Attempt::Blocks, None) => {
                let help =
                    format!("say until when: 0...0.5 {}(...), or make the socket non-blocking", call.name);
                Err(Fault::failed(&call.name_span, "this call blocks", "it does not return", help))
            }
            (Attempt::Blocks, Some(_)) => {
                let deadline = progress.deadline;
                let (event, call) = (event.clone(), call.clone());
                self.pending = Some(Pending { event, call, window: *window, progress, deadline });
                Ok(())
            }
        }
    }

    /// Tries the call that blocks again.
    pub(super) fn try_pending(&mut self) -> Result<()> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        match self.attempt(&pending.call, &mut pending.progress)? {
            Attempt::Blocks => {
                self.pending = Some(pending);
                Ok(())
            }
            Attempt::Returned(returned) => {
                self.check(&pending.call, &returned)?;
                self.check_end(&pending.event, &pending.window, pending.call.end.unwrap_or(0))
            }
        }
    }

    /// Waits for the call that blocks, at most until it is late.
    pub(super) fn finish_pending(&mut self) -> Result<()> {
        while let Some(pending) = &self.pending {
            let end = self.instant(Self::end_of(&pending.window, pending.call.end.unwrap_or(0)));
            let limit = end.max(self.host.now()) + Duration::from_secs(1);
            let next = self.host.next_timer().into_iter().chain(pending.deadline).min();
            let Some(next) = next.filter(|next| *next <= limit) else {
                let (span, name) = (pending.call.name_span.clone(), pending.call.name.clone());
                let label = "it has not returned by the time that the script says";
                return Err(Fault::failed(&span, format!("{name} still blocks"), label, ""));
            };
            self.step(next)?;
        }
        Ok(())
    }

    fn end_of(window: &Window, end: u64) -> i64 {
        if window.relative { window.base + end as i64 } else { end as i64 }
    }

    fn check_end(&self, event: &Event, window: &Window, end: u64) -> Result<()> {
        let moment = Moment::At(Self::end_of(window, end));
        let window = Window { moment, before: window.first(), ..*window };
        self.check_time(event, &window, self.now(), "the call returned")
    }

    /// Compares what a call returned with what the script says.
    fn check(&mut self, call: &Call, returned: &Returned) -> Result<()> {
        let actual = match returned.errno {
            Some(errno) => format!("-1 {}", errno.name()),
            None => returned.value.to_string(),
        };
        let wrong = |expected: String| {
            let label = format!("expected {expected}, it returned {actual}");
            Err(Fault::failed(&call.result.span, format!("{} returned something else", call.name), label, ""))
        };
        if let Some(expected) = number_or_any(&call.result)? {
            let is_fd = matches!(call.name.as_str(), "socket" | "accept" | "epoll_create");
            if is_fd && expected >= 0 && returned.errno.is_none() {
                self.fds.insert(expected, returned.value as i32);
            } else if expected != returned.value {
                return wrong(match &call.errno {
                    Some(errno) => format!("{expected} {errno}"),
                    None => expected.to_string(),
                });
            }
        }
        if let (Some(expected), Some(actual)) = (&call.errno, returned.errno) {
            match Errno::named(expected) {
                Some(expected) if expected == actual => {}
                Some(expected) => return wrong(format!("-1 {}", expected.name())),
                None => {
                    let help = "write a name such as EAGAIN";
                    return Err(Fault::unsupported(&call.result.span, format!("the error {expected}"), help));
                }
            }
        }
        match returned.wrong.first() {
            Some((expr, actual)) => {
                let message = format!("{} gave another value", call.name);
                Err(Fault::failed(&expr.span, message, format!("it is {actual}"), ""))
            }
            None => Ok(()),
        }
    }

    fn argument(call: &Call, at: usize) -> Result<&Expr> {
        call.arguments.get(at).ok_or_else(|| {
            let message = format!("{} has too few arguments", call.name);
            Fault::syntax(&call.name_span, message, format!("argument {} is missing", at + 1))
        })
    }

    fn number_at(call: &Call, at: usize) -> Result<i64> {
        number(Self::argument(call, at)?)
    }

    /// The host's descriptor for the script's.
    fn fd(&self, call: &Call, at: usize) -> Result<i32> {
        let fd = Self::number_at(call, at)?;
        // One that the script never got is given to the host as it is, for its EBADF.
        Ok(self.fds.get(&fd).copied().unwrap_or(-1))
    }

    /// Makes a call. The host's refusals become values, what it does not have becomes a fault.
    fn attempt(&mut self, call: &Call, progress: &mut Progress) -> Result<Attempt> {
        let outcome = match call.name.as_str() {
            "socket" => self.socket_call(call)?,
            "bind" => self.bind(call)?,
            "listen" => self.listen(call)?,
            "accept" | "accept4" => {
                let fd = self.fd(call, 0)?;
                self.host.accept(fd).map(|(fd, _)| Returned::value(fd))
            }
            "connect" => self.connect(call)?,
            "read" | "recv" | "recvfrom" | "readv" | "recvmsg" => self.receive(call)?,
            "write" | "send" | "sendto" | "writev" | "sendmsg" => self.transmit(call, progress)?,
            "shutdown" => {
                let (fd, how) = (self.fd(call, 0)?, Self::number_at(call, 1)?);
                self.host.shutdown(fd, how as i32).map(|()| Returned::value(0))
            }
            "close" => {
                let fd = self.fd(call, 0)?;
                self.host.close(fd).map(|()| Returned::value(0))
            }
            "fcntl" => {
                let (fd, command) = (self.fd(call, 0)?, Self::number_at(call, 1)?);
                let argument = call.arguments.get(2).map_or(Ok(0), number)?;
                self.host.fcntl(fd, command as i32, argument as i32).map(Returned::value)
            }
            "ioctl" => self.ioctl(call)?,
            "setsockopt" => self.setsockopt(call)?,
            "getsockopt" => self.getsockopt(call)?,
            "poll" => self.poll(call, progress)?,
            "epoll_create" | "epoll_create1" => {
                let size = if call.name == "epoll_create" { Self::number_at(call, 0)? } else { 1 };
                self.host.epoll_create(size as i32).map(Returned::value)
            }
            "epoll_ctl" => self.epoll_ctl(call)?,
            "epoll_wait" => self.epoll_wait(call, progress)?,
            name => {
                let help = "known are socket, bind, listen, accept, connect, read, readv, recv, recvfrom, recvmsg, \
                            write, writev, send, sendto, sendmsg, shutdown, close, fcntl, ioctl, setsockopt, \
                            getsockopt, poll, epoll_create, epoll_ctl, epoll_wait";
                return Err(Fault::unsupported(&call.name_span, format!("the call {name}"), help));
            }
        };
        match outcome {
            Ok(returned) => Ok(Attempt::Returned(returned)),
            Err(Stop::Blocks) => Ok(Attempt::Blocks),
            Err(Stop::Error(errno)) => {
                Ok(Attempt::Returned(Returned { value: -1, errno: Some(errno), wrong: Vec::new() }))
            }
            Err(Stop::Unsupported(what)) => Err(Fault::unsupported(&call.name_span, what, "")),
        }
    }

    fn socket_call(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let domain = number_or_any(Self::argument(call, 0)?)?.unwrap_or(AF_INET.into());
        let (kind, protocol) = (Self::number_at(call, 1)?, Self::number_at(call, 2)?);
        Ok(self.host.socket(domain as i32, kind as i32, protocol as i32).map(Returned::value))
    }

    fn bind(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let default = SocketAddrV4::new(self.config.local_ip, self.config.bind_port);
        let local = self.address(Self::argument(call, 1)?, default)?;
        let fd = self.fd(call, 0)?;
        Ok(self.host.bind(fd, local).map(|()| Returned::value(0)))
    }

    fn listen(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let (fd, backlog) = (self.fd(call, 0)?, Self::number_at(call, 1)?);
        let outcome = self.host.listen(fd, backlog as i32);
        if outcome.is_ok() {
            let local = SocketAddrV4::new(self.config.local_ip, self.config.bind_port);
            let remote = SocketAddrV4::new(self.config.remote_ip, 0);
            self.flow = Some(Flow::new(Phase::Listening, local, remote));
        }
        Ok(outcome.map(|()| Returned::value(0)))
    }

    fn connect(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let default = SocketAddrV4::new(self.config.remote_ip, self.config.connect_port);
        let remote = self.address(Self::argument(call, 1)?, default)?;
        let fd = self.fd(call, 0)?;
        let first = self.host.info(fd).is_none();
        let outcome = self.host.connect(fd, remote);
        if first && self.host.info(fd).is_some() {
            let local = SocketAddrV4::new(self.config.local_ip, 0);
            self.flow = Some(Flow::new(Phase::Connecting, local, remote));
        }
        Ok(outcome.map(|()| Returned::value(0)))
    }

    /// Octets that a buffer of the script holds: those of the iovecs, or the count behind the buffer.
    fn size(call: &Call) -> Result<usize> {
        let size = match call.name.as_str() {
            "readv" | "writev" => iovec_len(Self::argument(call, 1)?)?,
            "recvmsg" | "sendmsg" => {
                let message = Self::argument(call, 1)?;
                if let Some(control) = field(message, "msg_control")
                    && !elements(control).is_empty()
                {
                    return Err(Fault::unsupported(
                        &control.span,
                        "control messages",
                        "leave msg_control out",
                    ));
                }
                match field(message, "msg_iov") {
                    Some(iov) => iovec_len(iov)?,
                    None => {
                        let help = "write {msg_name(...)=..., msg_iov(1)=[{..., 100}], msg_flags=0}";
                        return Err(Fault::syntax(&message.span, "expected a message", help));
                    }
                }
            }
            _ => Self::number_at(call, 2)?,
        };
        usize::try_from(size).ok().filter(|size| *size <= LARGEST).ok_or_else(|| {
            Fault::unsupported(
                &call.name_span,
                "a buffer of this size",
                format!("{LARGEST} octets are the most"),
            )
        })
    }

    fn flags(call: &Call) -> Result<i32> {
        let at = match call.name.as_str() {
            "read" | "write" | "readv" | "writev" => return Ok(0),
            "recvmsg" | "sendmsg" => 2,
            _ => 3,
        };
        Ok(Self::number_at(call, at)? as i32)
    }

    fn receive(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let (fd, size, flags) = (self.fd(call, 0)?, Self::size(call)?, Self::flags(call)?);
        let mut buf = vec![0; size];
        Ok(self.host.recv(fd, &mut buf, flags).map(|received| Returned::value(received.len)))
    }

    fn transmit(
        &mut self,
        call: &Call,
        progress: &mut Progress,
    ) -> Result<core::result::Result<Returned, Stop>> {
        let (fd, size, flags) = (self.fd(call, 0)?, Self::size(call)?, Self::flags(call)?);
        let mut data = vec![0; size];
        if let Value::Text(text) = &Self::argument(call, 1)?.value {
            data.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            self.wrote_text = true;
        }
        Ok(self.host.send(fd, &data, flags, &mut progress.done).map(Returned::value))
    }

    fn ioctl(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let (fd, request) = (self.fd(call, 0)?, Self::number_at(call, 1)?);
        let argument = call.arguments.get(2);
        let given = match argument {
            Some(expr) if request == FIONBIO => number(expr)? as i32,
            _ => 0,
        };
        let value = match self.host.ioctl(fd, request, given) {
            Ok(value) => value,
            Err(stop) => return Ok(Err(stop)),
        };
        let mut returned = Returned::value(0);
        if let Some(expr) = argument.filter(|_| request != FIONBIO)
            && number_or_any(expr)?.is_some_and(|expected| expected != i64::from(value))
        {
            returned.wrong.push((expr.clone(), value.to_string()));
        }
        Ok(Ok(returned))
    }
}

fn iovec_len(expr: &Expr) -> Result<i64> {
    let mut total = 0i64;
    for entry in elements(expr) {
        match &entry.value {
            Value::Group(pair) if pair.len() == 2 => total = total.saturating_add(number(&pair[1])?),
            _ => return Err(Fault::syntax(&entry.span, "expected a buffer", "write {..., 100}")),
        }
    }
    Ok(total)
}
