//! The functions of the table: C's values to ours and back.
//!
//! The invariant that every `unsafe` here stands on: the tool passes the `userdata` that it was given, and
//! pointers and lengths as the C functions of the same names want them, valid for the call.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use core::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::slice;
use core::time::Duration;

use drill::sockets::{EpollEvent, Outcome, PollFd, Stop};
use drill::symbols::Errno;
use libc::{
    epoll_event, iovec, loff_t, msghdr, pollfd, size_t, sockaddr, sockaddr_in, socklen_t, ssize_t, timeval,
};

use wire::checksum::Sum;
use wire::icmpv4;

use crate::world::World;

type User = *mut c_void;

/// How long `netdev_receive` waits for a packet.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

fn world<'a>(user: User) -> &'a World {
    // SAFETY: `user` is the World of this table, which lives until `free`; it is only ever shared.
    unsafe { &*user.cast::<World>() }
}

/// What C is given: the value, or -1 with errno.
fn result<T: TryInto<i64>>(outcome: Outcome<T>) -> i64 {
    let errno = match outcome {
        Ok(value) => return value.try_into().unwrap_or(i64::MAX),
        Err(Stop::Error(errno)) => errno,
        Err(Stop::Blocks) => Errno::EAGAIN,
        Err(Stop::Unsupported(what)) => {
            eprintln!("not supported: {what}");
            Errno::EOPNOTSUPP
        }
    };
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() = errno.0 };
    -1
}

fn done(outcome: Outcome<()>) -> c_int {
    result(outcome.map(|()| 0)) as c_int
}

/// Reads an IPv4 address.
unsafe fn address(addr: *const sockaddr, len: socklen_t) -> Option<SocketAddrV4> {
    if addr.is_null() || (len as usize) < size_of::<sockaddr_in>() {
        return None;
    }
    // SAFETY: not null, and as long as it has to be; it may be unaligned.
    let addr = unsafe { addr.cast::<sockaddr_in>().read_unaligned() };
    let ip = Ipv4Addr::from(addr.sin_addr.s_addr.to_ne_bytes());
    (c_int::from(addr.sin_family) == libc::AF_INET)
        .then(|| SocketAddrV4::new(ip, u16::from_be(addr.sin_port)))
}

unsafe fn octets<'a>(buf: *const c_void, len: usize) -> &'a [u8] {
    // SAFETY: by the invariant `buf` has `len` octets, unless it is null.
    if buf.is_null() { &[] } else { unsafe { slice::from_raw_parts(buf.cast(), len) } }
}

unsafe fn octets_mut<'a>(buf: *mut c_void, len: usize) -> &'a mut [u8] {
    // SAFETY: as above, and nobody else writes to it during the call.
    if buf.is_null() { &mut [] } else { unsafe { slice::from_raw_parts_mut(buf.cast(), len) } }
}

pub(crate) unsafe extern "C" fn socket(user: User, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    result(world(user).lock().host.socket(domain, kind, protocol)) as c_int
}

pub(crate) unsafe extern "C" fn bind(user: User, fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the module's invariant.
    let Some(local) = (unsafe { address(addr, len) }) else { return done(Err(Stop::Error(Errno::EINVAL))) };
    done(world(user).lock().host.bind(fd, local))
}

pub(crate) unsafe extern "C" fn listen(user: User, fd: c_int, backlog: c_int) -> c_int {
    done(world(user).lock().host.listen(fd, backlog))
}

pub(crate) unsafe extern "C" fn accept(
    user: User,
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    match world(user).call(None, |host, _| host.accept(fd)) {
        Ok((fd, peer)) => {
            // SAFETY: the module's invariant.
            unsafe { give_address(addr, len, peer) };
            fd
        }
        Err(stop) => done(Err(stop)),
    }
}

unsafe fn give_address(addr: *mut sockaddr, len: *mut socklen_t, peer: SocketAddrV4) {
    if addr.is_null() || len.is_null() {
        return;
    }
    let given = sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: peer.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(peer.ip().octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: `len` says how much room there is at `addr`.
    unsafe {
        if *len as usize >= size_of::<sockaddr_in>() {
            addr.cast::<sockaddr_in>().write_unaligned(given);
            *len = size_of::<sockaddr_in>() as socklen_t;
        }
    }
}

pub(crate) unsafe extern "C" fn connect(
    user: User,
    fd: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: the module's invariant.
    let Some(remote) = (unsafe { address(addr, len) }) else { return done(Err(Stop::Error(Errno::EINVAL))) };
    done(world(user).call(None, |host, _| host.connect(fd, remote)))
}

fn receive(user: User, fd: c_int, buf: &mut [u8], flags: c_int) -> ssize_t {
    let world = world(user);
    let got = world.call(None, |host, _| host.recv(fd, buf, flags));
    result(got.map(|received| received.len)) as ssize_t
}

fn transmit(user: User, fd: c_int, data: &[u8], flags: c_int) -> ssize_t {
    let mut taken = 0;
    result(world(user).call(None, |host, _| host.send(fd, data, flags, &mut taken))) as ssize_t
}

pub(crate) unsafe extern "C" fn read(user: User, fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the module's invariant.
    receive(user, fd, unsafe { octets_mut(buf, len) }, 0)
}

pub(crate) unsafe extern "C" fn recv(
    user: User,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the module's invariant.
    receive(user, fd, unsafe { octets_mut(buf, len) }, flags)
}

pub(crate) unsafe extern "C" fn recvfrom(
    user: User,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    _addr: *mut sockaddr,
    _addr_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the module's invariant. TCP leaves the address alone.
    receive(user, fd, unsafe { octets_mut(buf, len) }, flags)
}

pub(crate) unsafe extern "C" fn readv(user: User, fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the module's invariant.
    unsafe { scatter(user, fd, iov, usize::try_from(count).unwrap_or(0), 0) }
}

pub(crate) unsafe extern "C" fn recvmsg(
    user: User,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the module's invariant.
    unsafe {
        let got = scatter(user, fd, (*message).msg_iov, (*message).msg_iovlen, flags);
        if got >= 0 {
            (*message).msg_flags = 0;
            (*message).msg_controllen = 0;
        }
        got
    }
}

unsafe fn scatter(user: User, fd: c_int, iov: *const iovec, count: usize, flags: c_int) -> ssize_t {
    // SAFETY: the module's invariant: `count` vectors, each with its room.
    let parts = if iov.is_null() { &[] } else { unsafe { slice::from_raw_parts(iov, count) } };
    let mut whole = vec![0; parts.iter().map(|part| part.iov_len).sum()];
    let got = receive(user, fd, &mut whole, flags);
    let mut rest = whole.get(..usize::try_from(got).unwrap_or(0)).unwrap_or(&[]);
    for part in parts {
        let (now, later) = rest.split_at(rest.len().min(part.iov_len));
        // SAFETY: as above.
        unsafe { octets_mut(part.iov_base, now.len()) }.copy_from_slice(now);
        rest = later;
    }
    got
}

pub(crate) unsafe extern "C" fn write(user: User, fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the module's invariant.
    transmit(user, fd, unsafe { octets(buf, len) }, 0)
}

pub(crate) unsafe extern "C" fn send(
    user: User,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the module's invariant.
    transmit(user, fd, unsafe { octets(buf, len) }, flags)
}

pub(crate) unsafe extern "C" fn sendto(
    user: User,
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    _addr: *const sockaddr,
    _addr_len: socklen_t,
) -> ssize_t {
    // SAFETY: the module's invariant. A connected socket has its address.
    transmit(user, fd, unsafe { octets(buf, len) }, flags)
}

pub(crate) unsafe extern "C" fn writev(user: User, fd: c_int, iov: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the module's invariant.
    unsafe { gather(user, fd, iov, usize::try_from(count).unwrap_or(0), 0) }
}

pub(crate) unsafe extern "C" fn sendmsg(
    user: User,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the module's invariant.
    unsafe { gather(user, fd, (*message).msg_iov, (*message).msg_iovlen, flags) }
}

unsafe fn gather(user: User, fd: c_int, iov: *const iovec, count: usize, flags: c_int) -> ssize_t {
    // SAFETY: the module's invariant: `count` vectors, each with its octets.
    let parts = if iov.is_null() { &[] } else { unsafe { slice::from_raw_parts(iov, count) } };
    // SAFETY: as above.
    let whole: Vec<u8> =
        parts.iter().flat_map(|part| unsafe { octets(part.iov_base, part.iov_len) }).copied().collect();
    transmit(user, fd, &whole, flags)
}

// In C this takes a variable argument. It is passed like a fixed one on every system that the tool runs on here.
pub(crate) unsafe extern "C" fn fcntl(user: User, fd: c_int, command: c_int, argument: c_long) -> c_int {
    result(world(user).lock().host.fcntl(fd, command, argument as c_int)) as c_int
}

pub(crate) unsafe extern "C" fn ioctl(
    user: User,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_int,
) -> c_int {
    if argument.is_null() {
        return done(Err(Stop::Error(Errno::EFAULT)));
    }
    // SAFETY: every request that the tool knows points to an int.
    let given = unsafe { *argument };
    match world(user).lock().host.ioctl(fd, request as i64, given) {
        Ok(value) => {
            // SAFETY: as above.
            unsafe { *argument = value };
            0
        }
        Err(stop) => done(Err(stop)),
    }
}

pub(crate) unsafe extern "C" fn close(user: User, fd: c_int) -> c_int {
    done(world(user).lock().host.close(fd))
}

pub(crate) unsafe extern "C" fn shutdown(user: User, fd: c_int, how: c_int) -> c_int {
    done(world(user).lock().host.shutdown(fd, how))
}

pub(crate) unsafe extern "C" fn getsockopt(
    user: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let found = match world(user).lock().host.getsockopt(fd, level, name) {
        Ok(found) => found,
        Err(stop) => return done(Err(stop)),
    };
    if value.is_null() || len.is_null() {
        return done(Err(Stop::Error(Errno::EFAULT)));
    }
    // SAFETY: `len` says how much room there is at `value`.
    unsafe {
        let room = octets_mut(value, *len as usize);
        let given = found.len().min(room.len());
        room.iter_mut().zip(&found).for_each(|(to, from)| *to = *from);
        *len = given as socklen_t;
    }
    0
}

pub(crate) unsafe extern "C" fn setsockopt(
    user: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: the module's invariant.
    let value = unsafe { octets(value, len as usize) };
    done(world(user).lock().host.setsockopt(fd, level, name, value))
}

/// Milliseconds of poll; below zero is for ever.
fn timeout(millis: c_int) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

pub(crate) unsafe extern "C" fn poll(user: User, fds: *mut pollfd, count: c_ulong, millis: c_int) -> c_int {
    // SAFETY: the module's invariant: `count` entries.
    let fds = if fds.is_null() { &mut [] } else { unsafe { slice::from_raw_parts_mut(fds, count as usize) } };
    let mut ours: Vec<PollFd> =
        fds.iter().map(|entry| PollFd { fd: entry.fd, events: entry.events, revents: 0 }).collect();
    let ready = world(user).call(timeout(millis), |host, wait| host.poll(&mut ours, wait));
    fds.iter_mut().zip(&ours).for_each(|(to, from)| to.revents = from.revents);
    result(ready) as c_int
}

pub(crate) unsafe extern "C" fn epoll_create(user: User, size: c_int) -> c_int {
    result(world(user).lock().host.epoll_create(size)) as c_int
}

pub(crate) unsafe extern "C" fn epoll_ctl(
    user: User,
    epoll: c_int,
    op: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let empty = epoll_event { events: 0, u64: 0 };
    // SAFETY: the module's invariant; it may be null when a socket is removed.
    let event = if event.is_null() { empty } else { unsafe { event.read_unaligned() } };
    let (events, data) = (event.events, event.u64);
    done(world(user).lock().host.epoll_ctl(epoll, op, fd, events, data))
}

pub(crate) unsafe extern "C" fn epoll_wait(
    user: User,
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    millis: c_int,
) -> c_int {
    let Some(most) = usize::try_from(most).ok().filter(|most| *most > 0) else {
        return done(Err(Stop::Error(Errno::EINVAL)));
    };
    match world(user).call(timeout(millis), |host, wait| host.epoll_wait(epoll, most, wait)) {
        Ok(found) => {
            for (at, EpollEvent { events: found, data }) in found.iter().enumerate() {
                // SAFETY: there is room for `most`, and `found` is no longer than that.
                unsafe { events.add(at).write_unaligned(epoll_event { events: *found, u64: *data }) };
            }
            found.len() as c_int
        }
        Err(stop) => done(Err(stop)),
    }
}

pub(crate) unsafe extern "C" fn netdev_send(user: User, buf: *const c_void, len: size_t) -> c_int {
    // SAFETY: the module's invariant.
    let packet = unsafe { octets(buf, len) };
    let world = world(user);
    let mut state = world.lock();
    state.host.deliver(&with_quoted_checksum(packet));
    drop(world.changed(state));
    0
}

/// The tool leaves the checksum empty in the header that an ICMP error quotes. On a real network it is there,
/// and the endpoint looks at it.
fn with_quoted_checksum(packet: &[u8]) -> Vec<u8> {
    let mut octets = packet.to_vec();
    if octets.get(9) != Some(&icmpv4::PROTOCOL) || octets.first() != Some(&0x45) {
        return octets;
    }
    let Some(message) = octets.get_mut(20..) else { return octets };
    let Some(quoted) = message.get_mut(8..28).filter(|quoted| quoted[10..12] == [0, 0]) else {
        return octets;
    };
    let checksum = Sum::of(quoted).checksum().to_be_bytes();
    quoted[10..12].copy_from_slice(&checksum);
    message[2..4].fill(0);
    let checksum = Sum::of(message).checksum().to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
    octets
}

pub(crate) unsafe extern "C" fn netdev_receive(
    user: User,
    buf: *mut c_void,
    count: *mut size_t,
    time_usecs: *mut i64,
) -> c_int {
    let world = world(user);
    let mut state = world.lock();
    let limit = state.host.now() + LONGEST;
    let sent = loop {
        if let Some(sent) = state.host.next_sent() {
            break sent;
        }
        match state.host.next_timer().filter(|timer| *timer <= limit) {
            Some(timer) => state = world.advance(state, timer),
            None => {
                // Nothing will ever come: the tool calls an empty packet a bad one, and the script fails.
                // SAFETY: the module's invariant.
                unsafe { *count = 0 };
                return 0;
            }
        }
    };
    // SAFETY: `count` says how much room there is at `buf`.
    unsafe {
        let room = octets_mut(buf, *count);
        let given = sent.octets.len().min(room.len());
        room.iter_mut().zip(&sent.octets).for_each(|(to, from)| *to = *from);
        *count = given;
        *time_usecs = world.micros(sent.at);
    }
    0
}

pub(crate) unsafe extern "C" fn usleep(user: User, usecs: c_uint) -> c_int {
    let world = world(user);
    let state = world.lock();
    let to = state.host.now() + Duration::from_micros(usecs.into());
    drop(world.advance(state, to));
    0
}

pub(crate) unsafe extern "C" fn gettimeofday(user: User, time: *mut timeval, _zone: *mut c_void) -> c_int {
    let now = world(user).time();
    // SAFETY: the module's invariant.
    unsafe {
        (*time).tv_sec = now.as_secs() as i64;
        (*time).tv_usec = now.subsec_micros().into();
    }
    0
}

pub(crate) unsafe extern "C" fn pipe(_user: User, _fds: *mut c_int) -> c_int {
    done(Err(Stop::Unsupported("pipe")))
}

pub(crate) unsafe extern "C" fn splice(
    _user: User,
    _from: c_int,
    _from_offset: *mut loff_t,
    _to: c_int,
    _to_offset: *mut loff_t,
    _len: size_t,
    _flags: c_uint,
) -> ssize_t {
    result::<i64>(Err(Stop::Unsupported("splice"))) as ssize_t
}
