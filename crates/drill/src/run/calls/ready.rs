//! poll and epoll of scripts.

use core::time::Duration;

use super::{Call, Expr, PollFd, Progress, Result, Returned, Runner, Stop, elements, field, number};
use crate::fault::Fault;

impl Runner {
    /// Whether a call with this timeout in milliseconds still waits.
    fn waits(&self, timeout: i64, progress: &mut Progress) -> bool {
        match u64::try_from(timeout) {
            Err(_) => true,
            Ok(millis) => {
                let start = self.host.now();
                let deadline = *progress.deadline.get_or_insert(start + Duration::from_millis(millis));
                start < deadline
            }
        }
    }

    pub(super) fn poll(
        &mut self,
        call: &Call,
        progress: &mut Progress,
    ) -> Result<core::result::Result<Returned, Stop>> {
        let list = elements(Self::argument(call, 0)?);
        let mut fds = Vec::new();
        for entry in list {
            let wrong =
                || Fault::syntax(&entry.span, "expected what to wait for", "write {fd=4, events=POLLIN}");
            let fd = number(field(entry, "fd").ok_or_else(wrong)?)?;
            let events = number(field(entry, "events").ok_or_else(wrong)?)? as i16;
            let fd = self.fds.get(&fd).copied().unwrap_or(-1);
            fds.push(PollFd { fd, events, revents: 0 });
        }
        let timeout = Self::number_at(call, 2)?;
        let wait = self.waits(timeout, progress);
        let ready = match self.host.poll(&mut fds, wait) {
            Ok(ready) => ready,
            Err(stop) => return Ok(Err(stop)),
        };
        let mut returned = Returned::value(ready);
        for (entry, found) in list.iter().zip(&fds) {
            let expected = field(entry, "revents").map_or(Ok(0), number)? as i16;
            if expected != found.revents {
                returned.wrong.push((entry.clone(), format!("revents = {:#x}", found.revents)));
            }
        }
        Ok(Ok(returned))
    }

    pub(super) fn epoll_ctl(&mut self, call: &Call) -> Result<core::result::Result<Returned, Stop>> {
        let epoll = self.fd(call, 0)?;
        let (op, fd) = (Self::number_at(call, 1)?, self.fd(call, 2)?);
        let event = Self::argument(call, 3)?;
        let events = field(event, "events").map_or(Ok(0), number)? as u32;
        let data = data_of(event)?.unwrap_or(0);
        Ok(self.host.epoll_ctl(epoll, op as i32, fd, events, data).map(|()| Returned::value(0)))
    }

    pub(super) fn epoll_wait(
        &mut self,
        call: &Call,
        progress: &mut Progress,
    ) -> Result<core::result::Result<Returned, Stop>> {
        let epoll = self.fd(call, 0)?;
        let most = usize::try_from(Self::number_at(call, 2)?).unwrap_or(0);
        let timeout = Self::number_at(call, 3)?;
        let wait = self.waits(timeout, progress);
        let found = match self.host.epoll_wait(epoll, most, wait) {
            Ok(found) => found,
            Err(stop) => return Ok(Err(stop)),
        };
        let mut returned = Returned::value(found.len());
        for (entry, found) in elements(Self::argument(call, 1)?).iter().zip(&found) {
            let events = field(entry, "events").map(number).transpose()?;
            let data = data_of(entry)?;
            let same = events.is_none_or(|events| events as u32 == found.events)
                && data.is_none_or(|data| data == found.data);
            if !same {
                let actual = format!("events = {:#x}, data = {}", found.events, found.data);
                returned.wrong.push((entry.clone(), actual));
            }
        }
        Ok(Ok(returned))
    }
}

/// What the application gave with a socket, whatever it is called.
fn data_of(event: &Expr) -> Result<Option<u64>> {
    let given = ["fd", "u32", "u64", "ptr"].iter().find_map(|name| field(event, name));
    given.map(number).transpose().map(|data| data.map(|data| data as u64))
}
