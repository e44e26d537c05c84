//! epoll, level and edge triggered.

use std::collections::BTreeMap;

use super::{Host, Outcome, Stop};
use crate::symbols::*;

/// What epoll_wait gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpollEvent {
    /// What there is.
    pub events: u32,
    /// What the application gave with the socket.
    pub data: u64,
}

/// The sockets of one epoll descriptor.
pub(super) type Set = BTreeMap<i32, Interest>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Interest {
    events: u32,
    data: u64,
    /// What was told, and as of which edge.
    told: Option<(u32, u64)>,
    /// EPOLLONESHOT: told once.
    spent: bool,
}

impl Host {
    /// Makes an epoll descriptor.
    ///
    /// # Errors
    /// EINVAL.
    pub fn epoll_create(&mut self, size: i32) -> Outcome<i32> {
        if size <= 0 {
            return Err(Stop::Error(Errno::EINVAL));
        }
        let fd = self.next_fd;
        self.next_fd += 1;
        self.polls.insert(fd, Set::new());
        Ok(fd)
    }

    /// Adds, changes or removes a socket.
    ///
    /// # Errors
    /// EBADF, EINVAL, ENOENT.
    pub fn epoll_ctl(&mut self, epoll: i32, op: i32, fd: i32, events: u32, data: u64) -> Outcome<()> {
        self.socket_of(fd)?;
        let set = self.polls.get_mut(&epoll).ok_or(Stop::Error(Errno::EBADF))?;
        let interest = Interest { events, data, told: None, spent: false };
        match op {
            EPOLL_CTL_ADD => drop(set.insert(fd, interest)),
            EPOLL_CTL_MOD if set.contains_key(&fd) => drop(set.insert(fd, interest)),
            EPOLL_CTL_DEL if set.contains_key(&fd) => drop(set.remove(&fd)),
            EPOLL_CTL_MOD | EPOLL_CTL_DEL => return Err(Stop::Error(Errno::ENOENT)),
            _ => return Err(Stop::Error(Errno::EINVAL)),
        }
        Ok(())
    }

    /// What there is, at most `most` of it.
    ///
    /// # Errors
    /// EBADF; [`Stop::Blocks`] if there is nothing and `wait` is set.
    pub fn epoll_wait(&mut self, epoll: i32, most: usize, wait: bool) -> Outcome<Vec<EpollEvent>> {
        let set = self.polls.get(&epoll).ok_or(Stop::Error(Errno::EBADF))?.clone();
        let mut found = Vec::new();
        for (fd, mut interest) in set {
            if found.len() >= most {
                break;
            }
            let edge = self.socket_of(fd).map_or(0, |socket| socket.edge);
            let asked = (interest.events & 0xFFFF) | EPOLLERR | EPOLLHUP;
            let ready = u32::from(self.readiness(fd) as u16) & asked;
            let repeated = interest.events & EPOLLET != 0 && interest.told == Some((ready, edge));
            if ready == 0 || repeated || interest.spent {
                continue;
            }
            found.push(EpollEvent { events: ready, data: interest.data });
            interest.told = Some((ready, edge));
            interest.spent = interest.events & EPOLLONESHOT != 0;
            if let Some(set) = self.polls.get_mut(&epoll) {
                set.insert(fd, interest);
            }
        }
        if found.is_empty() && wait { Err(Stop::Blocks) } else { Ok(found) }
    }
}
