//! The table as the tool uses it: its calls, its clock, and a thread for the call that blocks.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;
use core::net::Ipv4Addr;
use core::ptr::null_mut;

use libc::{sockaddr_in, timeval};
use wire::craft;
use wire::tcp::{Flags, Tcp};

use crate::table::{Interface, packetdrill_interface_init};

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);

/// A table, freed at the end.
struct Tool(Interface);

// SAFETY: the tool, too, calls from two threads; the world behind `userdata` has a lock.
unsafe impl Sync for Tool {}

impl Tool {
    fn new(flags: &CStr) -> Self {
        let mut table = MaybeUninit::uninit();
        // SAFETY: a C string and a place for the table, which is written.
        unsafe {
            packetdrill_interface_init(flags.as_ptr(), table.as_mut_ptr());
            Self(table.assume_init())
        }
    }

    fn micros(&self) -> i64 {
        let mut time = timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: a place for the time.
        unsafe { (self.0.gettimeofday)(self.0.userdata, &raw mut time, null_mut()) };
        time.tv_sec * 1_000_000 + time.tv_usec
    }

    fn read(&self, fd: i32, text: &mut [u8]) -> isize {
        // SAFETY: as much room as is said.
        unsafe { (self.0.read)(self.0.userdata, fd, text.as_mut_ptr().cast(), text.len()) }
    }

    fn write(&self, fd: i32, text: &[u8]) -> isize {
        // SAFETY: as many octets as are said.
        unsafe { (self.0.write)(self.0.userdata, fd, text.as_ptr().cast(), text.len()) }
    }

    fn give(&self, segment: &craft::Segment, payload: &[u8]) {
        let mut packet = [0; 200];
        let len = craft::tcp(&mut packet, &craft::Header::new(PEER, OURS), segment, payload).unwrap();
        // SAFETY: `len` octets are there.
        unsafe { (self.0.netdev_send)(self.0.userdata, packet.as_ptr().cast(), len) };
    }

    /// The next packet and when it was sent.
    fn take(&self) -> (Vec<u8>, i64) {
        let (mut packet, mut len, mut at) = (vec![0; 2_000], 2_000, 0);
        // SAFETY: `len` octets of room.
        unsafe {
            let buf = packet.as_mut_ptr().cast();
            (self.0.netdev_receive)(self.0.userdata, buf, &raw mut len, &raw mut at);
        }
        packet.truncate(len);
        (packet, at)
    }

    /// A listener on port 8080.
    fn listener(&self) -> i32 {
        let table = &self.0;
        let address = sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: 8_080_u16.to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(OURS.octets()) },
            sin_zero: [0; 8],
        };
        let len = size_of::<sockaddr_in>() as u32;
        // SAFETY: an address of that length.
        unsafe {
            let fd = (table.socket)(table.userdata, libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP);
            assert!(fd >= 0);
            assert_eq!((table.bind)(table.userdata, fd, (&raw const address).cast(), len), 0);
            assert_eq!((table.listen)(table.userdata, fd, 1), 0);
            fd
        }
    }

    /// A connection that the peer opened, and its numbers: what the peer sends next, what we do.
    fn open(&self) -> (i32, craft::Segment<'_>) {
        let listener = self.listener();
        let mut segment = craft::Segment::new(40_000, 8_080, Flags::SYN);
        segment.window = 65_535;
        self.give(&segment, &[]);
        let (packet, _) = self.take();
        let answer = tcp_of(&packet);
        assert!(answer.flags().contains(Flags::SYN | Flags::ACK));
        (segment.seq, segment.ack) = (segment.seq.plus(1), answer.seq().plus(1));
        segment.flags = Flags::ACK;
        self.give(&segment, &[]);
        // SAFETY: nobody wants the peer's address.
        let fd = unsafe { (self.0.accept)(self.0.userdata, listener, null_mut(), null_mut()) };
        assert!(fd > listener);
        (fd, segment)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // SAFETY: once, and the last use.
        unsafe { (self.0.free)(self.0.userdata) };
    }
}

fn tcp_of(packet: &[u8]) -> Tcp<&[u8]> {
    Tcp::new(&packet[20..]).unwrap()
}

// covers: T1, T11
#[test]
fn a_connection_opens_carries_text_and_closes_through_the_table() {
    let tool = Tool::new(c"timestamps=0,sack=0,wscale=0");
    let (fd, mut segment) = tool.open();
    tool.give(&segment, b"hello");
    segment.seq = segment.seq.plus(5);
    let mut text = [0; 16];
    assert_eq!((tool.read(fd, &mut text), &text[..5]), (5, b"hello".as_slice()));
    assert_eq!(tool.write(fd, b"there"), 5);
    let (packet, _) = tool.take();
    assert_eq!(tcp_of(&packet).payload(), b"there");
    assert_eq!(tcp_of(&packet).ack(), segment.seq);
    // SAFETY: a descriptor.
    assert_eq!(unsafe { (tool.0.close)(tool.0.userdata, fd) }, 0);
    assert!(tcp_of(&tool.take().0).flags().contains(Flags::FIN));
}

// covers: T11
#[test]
fn time_moves_only_as_the_tool_moves_it_and_timers_run_on_it() {
    let tool = Tool::new(c"timestamps=0,sack=0,wscale=0");
    let (fd, _) = tool.open();
    let start = tool.micros();
    // SAFETY: nothing is pointed to.
    unsafe { (tool.0.usleep)(tool.0.userdata, 250_000) };
    let slept = tool.micros() - start;
    assert!((250_000..250_010).contains(&slept), "{slept}");
    assert_eq!(tool.write(fd, b"there"), 5);
    let ((first, sent), (again, resent)) = (tool.take(), tool.take());
    assert_eq!(tcp_of(&first).seq(), tcp_of(&again).seq());
    assert!(
        resent - sent >= 200_000,
        "by the retransmission timer, without waiting for it: {}",
        resent - sent
    );
    assert!(tool.micros() >= resent);
}

// covers: T11
#[test]
fn a_read_that_blocks_in_the_other_thread_returns_when_text_comes() {
    let tool = Tool::new(c"");
    let (fd, segment) = tool.open();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut text = [0; 16];
            (tool.read(fd, &mut text), text)
        });
        tool.give(&segment, b"late");
        let (len, text) = reader.join().unwrap();
        assert_eq!((len, &text[..4]), (4, b"late".as_slice()));
    });
}

// covers: T11
#[test]
fn what_is_wrong_or_not_there_is_an_errno_and_no_crash() {
    let tool = Tool::new(c"");
    let (table, user) = (&tool.0, tool.0.userdata);
    let errno = || std::io::Error::last_os_error().raw_os_error();
    // SAFETY: null pointers with no octets, and descriptors that nobody has.
    unsafe {
        assert_eq!(((table.read)(user, 99, null_mut(), 0), errno()), (-1, Some(libc::EBADF)));
        assert_eq!(((table.close)(user, -1), errno()), (-1, Some(libc::EBADF)));
        assert_eq!(((table.bind)(user, 3, null_mut(), 0), errno()), (-1, Some(libc::EINVAL)));
        assert_eq!(((table.pipe)(user, null_mut()), errno()), (-1, Some(libc::EOPNOTSUPP)));
        let ipv6 = (table.socket)(user, libc::AF_INET6, libc::SOCK_STREAM, 0);
        assert_eq!((ipv6, errno()), (-1, Some(libc::EOPNOTSUPP)));
        let garbage = [0xA5_u8; 64];
        for len in 0..garbage.len() {
            (table.netdev_send)(user, garbage.as_ptr().cast::<c_void>(), len);
        }
    }
}
