//! Names of the socket interface, with Linux's numbers for them.

/// A name's number.
pub fn number(name: &str) -> Option<i64> {
    let symbols = SYMBOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    symbols.or_else(|| ERRORS.iter().find(|(known, _)| *known == name).map(|(_, number)| i64::from(*number)))
}

/// The name of the option `name` of `level`, for messages.
pub fn option_name(level: i32, name: i32) -> String {
    let table = match level {
        SOL_SOCKET => "SO_",
        IPPROTO_TCP => "TCP_",
        _ => "IP_",
    };
    let found = SYMBOLS.iter().find(|(known, number)| known.starts_with(table) && *number == i64::from(name));
    found.map_or_else(|| format!("option {name} of level {level}"), |(known, _)| (*known).to_owned())
}

/// An error of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// That with the name `name`.
    pub fn named(name: &str) -> Option<Self> {
        ERRORS.iter().find(|(known, _)| *known == name).map(|(_, number)| Self(*number))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        ERRORS
            .iter()
            .find(|(_, number)| *number == self.0)
            .map_or("an error without a name", |(name, _)| *name)
    }
}

macro_rules! errors {
    ($($name:ident = $number:literal,)*) => {
        impl Errno {
            $(#[doc = stringify!($name)] pub const $name: Self = Self($number);)*
        }
        const ERRORS: &[(&str, i32)] = &[$((stringify!($name), $number),)* ("EWOULDBLOCK", 11)];
    };
}

errors! {
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EFAULT = 14,
    EINVAL = 22,
    EPIPE = 32,
    ENOTSOCK = 88,
    EDESTADDRREQ = 89,
    EMSGSIZE = 90,
    EPROTOTYPE = 91,
    ENOPROTOOPT = 92,
    EOPNOTSUPP = 95,
    EAFNOSUPPORT = 97,
    EADDRINUSE = 98,
    EADDRNOTAVAIL = 99,
    ENETUNREACH = 101,
    ECONNABORTED = 103,
    ECONNRESET = 104,
    ENOBUFS = 105,
    EISCONN = 106,
    ENOTCONN = 107,
    ETIMEDOUT = 110,
    ECONNREFUSED = 111,
    EHOSTUNREACH = 113,
    EALREADY = 114,
    EINPROGRESS = 115,
}

macro_rules! symbols {
    ($($name:ident: $kind:ty = $number:literal,)*) => {
        $(#[allow(missing_docs)] pub const $name: $kind = $number;)*
        const SYMBOLS: &[(&str, i64)] = &[$((stringify!($name), $number as i64),)*
            ("SOL_TCP", 6), ("SOL_IP", 0), ("IPPROTO_IP", 0)];
    };
}

symbols! {
    AF_INET: i32 = 2,
    AF_INET6: i32 = 10,
    SOCK_STREAM: i32 = 1,
    SOCK_DGRAM: i32 = 2,
    SOCK_RAW: i32 = 3,
    SOCK_NONBLOCK: i32 = 0o4000,
    IPPROTO_TCP: i32 = 6,
    IPPROTO_UDP: i32 = 17,
    IPPROTO_IPV6: i32 = 41,
    SOL_SOCKET: i32 = 1,
    SO_REUSEADDR: i32 = 2,
    SO_ERROR: i32 = 4,
    SO_DONTROUTE: i32 = 5,
    SO_BROADCAST: i32 = 6,
    SO_SNDBUF: i32 = 7,
    SO_RCVBUF: i32 = 8,
    SO_KEEPALIVE: i32 = 9,
    SO_OOBINLINE: i32 = 10,
    SO_PRIORITY: i32 = 12,
    SO_LINGER: i32 = 13,
    SO_REUSEPORT: i32 = 15,
    SO_RCVLOWAT: i32 = 18,
    SO_SNDLOWAT: i32 = 19,
    SO_RCVTIMEO: i32 = 20,
    SO_SNDTIMEO: i32 = 21,
    SO_ACCEPTCONN: i32 = 30,
    SO_SNDBUFFORCE: i32 = 32,
    SO_RCVBUFFORCE: i32 = 33,
    SO_MARK: i32 = 36,
    SO_TIMESTAMPING: i32 = 37,
    SO_PROTOCOL: i32 = 38,
    SO_MAX_PACING_RATE: i32 = 47,
    SO_ZEROCOPY: i32 = 60,
    IP_TOS: i32 = 1,
    IP_TTL: i32 = 2,
    IP_MTU_DISCOVER: i32 = 10,
    IP_MTU: i32 = 14,
    IP_FREEBIND: i32 = 15,
    IP_PMTUDISC_DONT: i32 = 0,
    IP_PMTUDISC_WANT: i32 = 1,
    IP_PMTUDISC_DO: i32 = 2,
    TCP_NODELAY: i32 = 1,
    TCP_MAXSEG: i32 = 2,
    TCP_CORK: i32 = 3,
    TCP_KEEPIDLE: i32 = 4,
    TCP_KEEPINTVL: i32 = 5,
    TCP_KEEPCNT: i32 = 6,
    TCP_SYNCNT: i32 = 7,
    TCP_LINGER2: i32 = 8,
    TCP_DEFER_ACCEPT: i32 = 9,
    TCP_WINDOW_CLAMP: i32 = 10,
    TCP_INFO: i32 = 11,
    TCP_QUICKACK: i32 = 12,
    TCP_CONGESTION: i32 = 13,
    TCP_MD5SIG: i32 = 14,
    TCP_THIN_LINEAR_TIMEOUTS: i32 = 16,
    TCP_THIN_DUPACK: i32 = 17,
    TCP_USER_TIMEOUT: i32 = 18,
    TCP_FASTOPEN: i32 = 23,
    TCP_NOTSENT_LOWAT: i32 = 25,
    TCP_FASTOPEN_CONNECT: i32 = 30,
    TCP_FASTOPEN_KEY: i32 = 33,
    TCP_INQ: i32 = 36,
    MSG_OOB: i32 = 1,
    MSG_PEEK: i32 = 2,
    MSG_DONTROUTE: i32 = 4,
    MSG_TRUNC: i32 = 0x20,
    MSG_DONTWAIT: i32 = 0x40,
    MSG_EOR: i32 = 0x80,
    MSG_WAITALL: i32 = 0x100,
    MSG_ERRQUEUE: i32 = 0x2000,
    MSG_NOSIGNAL: i32 = 0x4000,
    MSG_MORE: i32 = 0x8000,
    MSG_ZEROCOPY: i32 = 0x400_0000,
    MSG_FASTOPEN: i32 = 0x2000_0000,
    SHUT_RD: i32 = 0,
    SHUT_WR: i32 = 1,
    SHUT_RDWR: i32 = 2,
    F_GETFL: i32 = 3,
    F_SETFL: i32 = 4,
    O_RDONLY: i32 = 0,
    O_WRONLY: i32 = 1,
    O_RDWR: i32 = 2,
    O_NONBLOCK: i32 = 0o4000,
    FIONREAD: i64 = 0x541B,
    SIOCINQ: i64 = 0x541B,
    FIONBIO: i64 = 0x5421,
    TIOCOUTQ: i64 = 0x5411,
    SIOCOUTQ: i64 = 0x5411,
    SIOCOUTQNSD: i64 = 0x894B,
    SIOCATMARK: i64 = 0x8905,
    POLLIN: i16 = 0x001,
    POLLPRI: i16 = 0x002,
    POLLOUT: i16 = 0x004,
    POLLERR: i16 = 0x008,
    POLLHUP: i16 = 0x010,
    POLLNVAL: i16 = 0x020,
    POLLRDNORM: i16 = 0x040,
    POLLRDBAND: i16 = 0x080,
    POLLWRNORM: i16 = 0x100,
    POLLWRBAND: i16 = 0x200,
    POLLRDHUP: i16 = 0x2000,
    EPOLL_CTL_ADD: i32 = 1,
    EPOLL_CTL_DEL: i32 = 2,
    EPOLL_CTL_MOD: i32 = 3,
    EPOLLIN: u32 = 0x001,
    EPOLLPRI: u32 = 0x002,
    EPOLLOUT: u32 = 0x004,
    EPOLLERR: u32 = 0x008,
    EPOLLHUP: u32 = 0x010,
    EPOLLRDHUP: u32 = 0x2000,
    EPOLLEXCLUSIVE: u32 = 0x1000_0000,
    EPOLLONESHOT: u32 = 0x4000_0000,
    EPOLLET: u32 = 0x8000_0000,
    TCP_ESTABLISHED: u8 = 1,
    TCP_SYN_SENT: u8 = 2,
    TCP_SYN_RECV: u8 = 3,
    TCP_FIN_WAIT1: u8 = 4,
    TCP_FIN_WAIT2: u8 = 5,
    TCP_TIME_WAIT: u8 = 6,
    TCP_CLOSE: u8 = 7,
    TCP_CLOSE_WAIT: u8 = 8,
    TCP_LAST_ACK: u8 = 9,
    TCP_LISTEN: u8 = 10,
    TCP_CLOSING: u8 = 11,
}
