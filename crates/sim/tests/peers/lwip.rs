//! lwIP 2.x, as the crate lwip 0.4 builds it, as a host of the network.
//!
//! The crate wraps lwIP for a tunnel: it only listens, and it runs on tokio's clock. Its C is all there, so this
//! file speaks to that. lwIP is one stack a process, without locks: [`LOCK`] is held as long as a network with
//! lwIP hosts lives. Both hosts of a network may be lwIP: connections are told apart by their addresses.
//!
//! Every `unsafe` block relies on this: the lock is held, so that nobody else is inside lwIP; a control block
//! is used only right after it was found in one of lwIP's own lists, within the same call. lwIP aligns its blocks
//! to 4 octets only, hence the unaligned reads.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use ::lwip as _;
use hairpin_sim::{Host, Node, state_name};
use rules::Instant;
use tcp::State;

static LOCK: Mutex<()> = Mutex::new(());
static INIT: Once = Once::new();

/// lwIP's timers tick this often (TCP_TMR_INTERVAL).
const TICK: Duration = Duration::from_millis(250);
/// TCP_WND of the crate's lwipopts.h.
const WINDOW: usize = 32 * 1_460;

thread_local! {
    /// What the stack gave us, by the address of the host that it belongs to.
    static SHARED: RefCell<Shared> = RefCell::default();
}

#[derive(Default)]
struct Shared {
    outgoing: BTreeMap<Ipv4Addr, VecDeque<Vec<u8>>>,
    received: BTreeMap<Ipv4Addr, Vec<u8>>,
    ticks: u64,
}

/// Only one network at a time may have lwIP hosts: it keeps this.
pub(crate) struct Stack {
    _lock: MutexGuard<'static, ()>,
}

impl Stack {
    pub(crate) fn take() -> Self {
        let lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the lock is held; `netif_list` is the loop interface once lwip_init has run.
        unsafe {
            INIT.call_once(|| lwip_init());
            (*netif_list).output = Some(output);
            (*netif_list).mtu = 1_500;
        }
        Self { _lock: lock }
    }

    /// Nothing is left of a network before.
    pub(crate) fn clear(&self) {
        abort_all();
        if SHARED.with_borrow(|shared| shared.ticks % 2 == 1) {
            // Every other tick is a slow one: each network begins with the same kind.
            // SAFETY: the lock is held.
            unsafe { tcp_tmr() };
        }
        SHARED.take();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A host: an address of the one stack.
pub(crate) struct Lwip {
    address: Ipv4Addr,
    listener: *mut Pcb,
}

impl Lwip {
    /// `_stack` is held by whoever runs the network.
    pub(crate) fn new(_stack: &Stack, address: Ipv4Addr) -> Self {
        Self { address, listener: std::ptr::null_mut() }
    }

    /// The next packet that it has sent.
    pub(crate) fn take_packet(&mut self) -> Option<Vec<u8>> {
        SHARED.with_borrow_mut(|shared| shared.outgoing.get_mut(&self.address)?.pop_front())
    }

    fn pcb(&self) -> Option<*mut Pcb> {
        find(|pcb| pcb.local_ip.v4() == self.address)
    }
}

impl Drop for Lwip {
    fn drop(&mut self) {
        if !self.listener.is_null() {
            // SAFETY: the listener is ours until it is closed, and that happens here only.
            unsafe { tcp_close(self.listener) };
        }
    }
}

impl Node for Lwip {
    fn handle_packet(&mut self, packet: &[u8], _now: Instant) {
        // SAFETY: the pbuf is filled before it is given away; ip_input frees it.
        unsafe {
            let pbuf = pbuf_alloc(PBUF_RAW, packet.len() as u16, PBUF_POOL);
            if !pbuf.is_null() {
                pbuf_take(pbuf, packet.as_ptr().cast(), packet.len() as u16);
                ip_input(pbuf, netif_list);
            }
        }
    }

    fn poll_transmit(&mut self, buf: &mut [u8], _now: Instant) -> Option<usize> {
        let packet = self.take_packet()?;
        buf[..packet.len()].copy_from_slice(&packet);
        Some(packet.len())
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        self.pcb()?;
        SHARED.with_borrow(|shared| {
            // The other host's timer is the same one: what it made this host send waits here.
            let waits = shared.outgoing.get(&self.address).is_some_and(|queue| !queue.is_empty());
            Some(if waits { now } else { Instant::ZERO + TICK * (shared.ticks as u32 + 1) })
        })
    }

    fn handle_timeout(&mut self, now: Instant) {
        let due = now.as_nanos() / TICK.as_nanos() as u64;
        while SHARED.with_borrow(|shared| shared.ticks < due) {
            SHARED.with_borrow_mut(|shared| shared.ticks += 1);
            // SAFETY: the lock is held.
            unsafe { tcp_tmr() };
        }
    }

    fn state(&self) -> &'static str {
        state_name(self.tcp_state())
    }
}

impl Host for Lwip {
    fn open(&mut self, local: SocketAddrV4, remote: SocketAddrV4, now: Instant) {
        self.handle_timeout(now);
        // SAFETY: a new control block is ours until it is closed.
        unsafe {
            let pcb = tcp_new();
            assert_eq!(tcp_bind(pcb, &Address::of(*local.ip()), local.port()), 0);
            tcp_recv(pcb, Some(receive));
            assert_eq!(tcp_connect(pcb, &Address::of(*remote.ip()), remote.port(), Some(connected)), 0);
        }
    }

    fn listen(&mut self, local: SocketAddrV4, now: Instant) {
        self.handle_timeout(now);
        // SAFETY: as above; a listener replaces the block that it is made of.
        unsafe {
            let pcb = tcp_new();
            assert_eq!(tcp_bind(pcb, &Address::of(*local.ip()), local.port()), 0);
            self.listener = tcp_listen_with_backlog(pcb, 1);
            tcp_accept(self.listener, Some(accept));
        }
    }

    fn write(&mut self, data: &[u8], _now: Instant) -> usize {
        let Some(pcb) = self.pcb() else { return 0 };
        // SAFETY: found just now; the data is copied (TCP_WRITE_FLAG_COPY).
        unsafe {
            let len = data.len().min(usize::from(pcb.read_unaligned().snd_buf));
            let written = tcp_write(pcb, data.as_ptr().cast(), len as u16, 1) == 0;
            tcp_output(pcb);
            if written { len } else { 0 }
        }
    }

    fn read(&mut self, _now: Instant) -> Vec<u8> {
        let taken =
            SHARED.with_borrow_mut(|shared| shared.received.remove(&self.address)).unwrap_or_default();
        if let Some(pcb) = self.pcb() {
            // SAFETY: found just now; no more is given back than was received.
            unsafe { tcp_recved(pcb, taken.len() as u16) };
        }
        taken
    }

    fn close(&mut self, _now: Instant) {
        if let Some(pcb) = self.pcb() {
            // SAFETY: found just now. Only sending is shut down: lwIP keeps the block while it needs it.
            unsafe { tcp_shutdown(pcb, 0, 1) };
        }
    }

    fn tcp_state(&self) -> State {
        // SAFETY: found just now.
        match self.pcb().map(|pcb| unsafe { pcb.read_unaligned().state }) {
            None | Some(0 | 1 | 11..) => State::Closed,
            Some(2) => State::SynSent,
            Some(3) => State::SynReceived,
            Some(4) => State::Established,
            Some(5) => State::FinWait1,
            Some(6) => State::FinWait2,
            Some(7) => State::CloseWait,
            Some(8) => State::Closing,
            Some(9) => State::LastAck,
            Some(10) => State::TimeWait,
        }
    }

    fn receive_capacity(&self) -> usize {
        WINDOW
    }
}

fn find(wanted: impl Fn(&Pcb) -> bool) -> Option<*mut Pcb> {
    // SAFETY: the lists are whole between calls into lwIP.
    unsafe {
        for mut pcb in [tcp_active_pcbs, tcp_tw_pcbs, tcp_bound_pcbs] {
            while !pcb.is_null() {
                let block = pcb.read_unaligned();
                if wanted(&block) {
                    return Some(pcb);
                }
                pcb = block.next;
            }
        }
    }
    None
}

/// Ends every connection; the resets that this sends are thrown away with [`SHARED`].
fn abort_all() {
    while let Some(pcb) = find(|_| true) {
        // SAFETY: found just now.
        unsafe { tcp_abort(pcb) };
    }
}

unsafe extern "C" fn output(_: *mut Netif, pbuf: *mut Pbuf, _: *const u32) -> i8 {
    // SAFETY: lwIP gives a whole packet, which is copied.
    let packet = unsafe {
        let len = pbuf.read_unaligned().tot_len;
        let mut packet = vec![0; usize::from(len)];
        pbuf_copy_partial(pbuf, packet.as_mut_ptr().cast(), len, 0);
        packet
    };
    if let Ok(ip) = wire::ipv4::Ipv4::new(&packet[..]) {
        let source = ip.source();
        SHARED.with_borrow_mut(|shared| shared.outgoing.entry(source).or_default().push_back(packet));
    }
    0
}

unsafe extern "C" fn accept(_: *mut c_void, pcb: *mut Pcb, error: i8) -> i8 {
    if error == 0 && !pcb.is_null() {
        // SAFETY: the block is new and whole.
        unsafe { tcp_recv(pcb, Some(receive)) };
    }
    0
}

unsafe extern "C" fn connected(_: *mut c_void, _: *mut Pcb, _: i8) -> i8 {
    0
}

unsafe extern "C" fn receive(_: *mut c_void, pcb: *mut Pcb, pbuf: *mut Pbuf, _: i8) -> i8 {
    if pbuf.is_null() {
        return 0;
    }
    // SAFETY: lwIP gives a chain, which is copied and freed here, and the block that it belongs to.
    unsafe {
        let len = pbuf.read_unaligned().tot_len;
        let address = pcb.read_unaligned().local_ip.v4();
        SHARED.with_borrow_mut(|shared| {
            let received = shared.received.entry(address).or_default();
            let before = received.len();
            received.resize(before + usize::from(len), 0);
            pbuf_copy_partial(pbuf, received[before..].as_mut_ptr().cast(), len, 0);
        });
        pbuf_free(pbuf);
    }
    0
}

/// `ip_addr_t`: a union of both kinds of address (the fifth word is IPv6's zone), and which it is (0: IPv4).
#[repr(C)]
#[derive(Clone, Copy)]
struct Address {
    words: [u32; 5],
    kind: u8,
}

impl Address {
    fn of(address: Ipv4Addr) -> Self {
        Self { words: [u32::from_ne_bytes(address.octets()), 0, 0, 0, 0], kind: 0 }
    }

    fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.words[0].to_ne_bytes())
    }
}

/// `struct tcp_pcb`, as far as it is read here.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pcb {
    local_ip: Address,
    remote_ip: Address,
    so_options: [u8; 4],
    next: *mut Pcb,
    callback_arg: *mut c_void,
    state: u32,
    prio: u8,
    local_port: u16,
    remote_port: u16,
    between: [u8; 74],
    snd_buf: u16,
}

/// `struct netif`, as far as it is written here.
#[repr(C)]
struct Netif {
    next: *mut Netif,
    addresses: [u64; 23],
    output: Option<Output>,
    functions: [u64; 3],
    mtu: u16,
}

/// `struct pbuf`, as far as it is read here.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pbuf {
    next: *mut Pbuf,
    payload: *mut c_void,
    tot_len: u16,
}

// The layouts of lwIP as the crate configures it, on 64-bit machines (from the bindings that it generates).
const _: () = {
    assert!(size_of::<Address>() == 24 && std::mem::offset_of!(Address, kind) == 20);
    assert!(std::mem::offset_of!(Pcb, next) == 56 && std::mem::offset_of!(Pcb, state) == 72);
    assert!(std::mem::offset_of!(Pcb, local_port) == 78 && std::mem::offset_of!(Pcb, snd_buf) == 156);
    assert!(std::mem::offset_of!(Netif, output) == 192 && std::mem::offset_of!(Netif, mtu) == 224);
    assert!(std::mem::offset_of!(Pbuf, tot_len) == 16);
};

type Output = unsafe extern "C" fn(*mut Netif, *mut Pbuf, *const u32) -> i8;
type Accept = unsafe extern "C" fn(*mut c_void, *mut Pcb, i8) -> i8;
type Receive = unsafe extern "C" fn(*mut c_void, *mut Pcb, *mut Pbuf, i8) -> i8;

const PBUF_RAW: u32 = 0;
const PBUF_POOL: u32 = 386;

unsafe extern "C" {
    static mut netif_list: *mut Netif;
    static mut tcp_active_pcbs: *mut Pcb;
    static mut tcp_tw_pcbs: *mut Pcb;
    static mut tcp_bound_pcbs: *mut Pcb;

    fn lwip_init();
    fn ip_input(pbuf: *mut Pbuf, netif: *mut Netif) -> i8;
    fn pbuf_alloc(layer: u32, length: u16, kind: u32) -> *mut Pbuf;
    fn pbuf_take(pbuf: *mut Pbuf, data: *const c_void, len: u16) -> i8;
    fn pbuf_copy_partial(pbuf: *const Pbuf, data: *mut c_void, len: u16, offset: u16) -> u16;
    fn pbuf_free(pbuf: *mut Pbuf) -> u8;
    fn tcp_new() -> *mut Pcb;
    fn tcp_bind(pcb: *mut Pcb, address: *const Address, port: u16) -> i8;
    fn tcp_connect(pcb: *mut Pcb, address: *const Address, port: u16, connected: Option<Accept>) -> i8;
    fn tcp_listen_with_backlog(pcb: *mut Pcb, backlog: u8) -> *mut Pcb;
    fn tcp_accept(pcb: *mut Pcb, accept: Option<Accept>);
    fn tcp_recv(pcb: *mut Pcb, receive: Option<Receive>);
    fn tcp_recved(pcb: *mut Pcb, len: u16);
    fn tcp_write(pcb: *mut Pcb, data: *const c_void, len: u16, flags: u8) -> i8;
    fn tcp_output(pcb: *mut Pcb) -> i8;
    fn tcp_shutdown(pcb: *mut Pcb, receiving: c_int, sending: c_int) -> i8;
    fn tcp_close(pcb: *mut Pcb) -> i8;
    fn tcp_abort(pcb: *mut Pcb);
    fn tcp_tmr();
}
