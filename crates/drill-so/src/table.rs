//! The table of functions, in the order and with the types of the tool's header.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char, c_int, c_long, c_short, c_uint, c_ulong, c_void};
use core::net::Ipv4Addr;

use drill::sockets::Host;
use libc::{epoll_event, iovec, loff_t, msghdr, pollfd, size_t, sockaddr, socklen_t, ssize_t, timeval};

use crate::calls;
use crate::world::World;

type User = *mut c_void;

/// What the tool calls. The layout is the interface: it must not change.
#[repr(C)]
pub(crate) struct Interface {
    pub(crate) userdata: User,
    pub(crate) free: unsafe extern "C" fn(User),
    pub(crate) socket: unsafe extern "C" fn(User, c_int, c_int, c_int) -> c_int,
    pub(crate) bind: unsafe extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    pub(crate) listen: unsafe extern "C" fn(User, c_int, c_int) -> c_int,
    pub(crate) accept: unsafe extern "C" fn(User, c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    pub(crate) connect: unsafe extern "C" fn(User, c_int, *const sockaddr, socklen_t) -> c_int,
    pub(crate) read: unsafe extern "C" fn(User, c_int, *mut c_void, size_t) -> ssize_t,
    pub(crate) readv: unsafe extern "C" fn(User, c_int, *const iovec, c_int) -> ssize_t,
    pub(crate) recv: unsafe extern "C" fn(User, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    pub(crate) recvfrom: unsafe extern "C" fn(
        User,
        c_int,
        *mut c_void,
        size_t,
        c_int,
        *mut sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
    pub(crate) recvmsg: unsafe extern "C" fn(User, c_int, *mut msghdr, c_int) -> ssize_t,
    pub(crate) write: unsafe extern "C" fn(User, c_int, *const c_void, size_t) -> ssize_t,
    pub(crate) writev: unsafe extern "C" fn(User, c_int, *const iovec, c_int) -> ssize_t,
    pub(crate) send: unsafe extern "C" fn(User, c_int, *const c_void, size_t, c_int) -> ssize_t,
    pub(crate) sendto: unsafe extern "C" fn(
        User,
        c_int,
        *const c_void,
        size_t,
        c_int,
        *const sockaddr,
        socklen_t,
    ) -> ssize_t,
    pub(crate) sendmsg: unsafe extern "C" fn(User, c_int, *const msghdr, c_int) -> ssize_t,
    pub(crate) fcntl: unsafe extern "C" fn(User, c_int, c_int, c_long) -> c_int,
    pub(crate) ioctl: unsafe extern "C" fn(User, c_int, c_ulong, *mut c_int) -> c_int,
    pub(crate) close: unsafe extern "C" fn(User, c_int) -> c_int,
    pub(crate) shutdown: unsafe extern "C" fn(User, c_int, c_int) -> c_int,
    pub(crate) getsockopt:
        unsafe extern "C" fn(User, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    pub(crate) setsockopt: unsafe extern "C" fn(User, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    pub(crate) poll: unsafe extern "C" fn(User, *mut pollfd, c_ulong, c_int) -> c_int,
    pub(crate) netdev_send: unsafe extern "C" fn(User, *const c_void, size_t) -> c_int,
    pub(crate) netdev_receive: unsafe extern "C" fn(User, *mut c_void, *mut size_t, *mut i64) -> c_int,
    pub(crate) usleep: unsafe extern "C" fn(User, c_uint) -> c_int,
    pub(crate) gettimeofday: unsafe extern "C" fn(User, *mut timeval, *mut c_void) -> c_int,
    pub(crate) epoll_create: unsafe extern "C" fn(User, c_int) -> c_int,
    pub(crate) epoll_ctl: unsafe extern "C" fn(User, c_int, c_int, c_int, *mut epoll_event) -> c_int,
    pub(crate) epoll_wait: unsafe extern "C" fn(User, c_int, *mut epoll_event, c_int, c_int) -> c_int,
    pub(crate) pipe: unsafe extern "C" fn(User, *mut c_int) -> c_int,
    pub(crate) splice:
        unsafe extern "C" fn(User, c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> ssize_t,
}

// The tool's struct pollfd is ours.
const _: () = assert!(size_of::<pollfd>() == 8 && align_of::<c_short>() == 2);

/// Fills in the table.
///
/// # Safety
/// `flags` is null or a C string; `interface` points to a table that may be written.
// SAFETY: the tool looks this name up; no other symbol of ours has it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    let mut host = Host::new(Ipv4Addr::new(192, 168, 0, 2));
    // The tool makes up an address of its own every time.
    host.settings().any_address = true;
    if !flags.is_null() {
        // SAFETY: the tool gives a C string, or null.
        let text = unsafe { CStr::from_ptr(flags) }.to_string_lossy();
        if let Err(message) = drill::settings::flags(&mut host, &text) {
            // The interface has no way to refuse, and a script that passes with other settings says nothing.
            eprintln!("--so_flags: {message}");
            std::process::exit(1);
        }
    }
    let userdata = Box::into_raw(Box::new(World::new(host))).cast();
    let table = Interface {
        userdata,
        free,
        socket: calls::socket,
        bind: calls::bind,
        listen: calls::listen,
        accept: calls::accept,
        connect: calls::connect,
        read: calls::read,
        readv: calls::readv,
        recv: calls::recv,
        recvfrom: calls::recvfrom,
        recvmsg: calls::recvmsg,
        write: calls::write,
        writev: calls::writev,
        send: calls::send,
        sendto: calls::sendto,
        sendmsg: calls::sendmsg,
        fcntl: calls::fcntl,
        ioctl: calls::ioctl,
        close: calls::close,
        shutdown: calls::shutdown,
        getsockopt: calls::getsockopt,
        setsockopt: calls::setsockopt,
        poll: calls::poll,
        netdev_send: calls::netdev_send,
        netdev_receive: calls::netdev_receive,
        usleep: calls::usleep,
        gettimeofday: calls::gettimeofday,
        epoll_create: calls::epoll_create,
        epoll_ctl: calls::epoll_ctl,
        epoll_wait: calls::epoll_wait,
        pipe: calls::pipe,
        splice: calls::splice,
    };
    // SAFETY: the tool gives a table of its own to be written.
    unsafe { interface.write(table) };
}

/// # Safety
/// `user` is what `packetdrill_interface_init` made, and is not used again.
unsafe extern "C" fn free(user: User) {
    // SAFETY: made by Box::into_raw above; the tool frees it once, at its end.
    drop(unsafe { Box::from_raw(user.cast::<World>()) });
}
