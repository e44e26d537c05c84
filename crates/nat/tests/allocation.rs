//! Forwarding established flows allocates nothing: a global allocator counts.
//!
//! `unsafe` is here for the allocator alone: it hands every call on to the system's, unchanged, so
//! whatever that one promises holds.
#![allow(unsafe_code)]

extern crate hairpin_nat as nat;

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use common::*;
use nat::{BATCH, Offload, Packet, Protocol, Verdict};

struct Counting;

thread_local! {
    /// Allocations of this thread, so that tests beside it do not count.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// One more; at the end of a thread its count may be gone already.
fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every method is `System`'s with the caller's own arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// The packets of 64 established flows of `protocol`, from inside and from outside in turn.
fn flows(world: &mut World, protocol: Protocol) -> Vec<(nat::Realm, Vec<u8>)> {
    (0..BATCH as u16)
        .map(|n| {
            let host = port(A, 2_000 + n);
            let out = match protocol {
                Protocol::Udp => world.inside(udp(host, S)).out(),
                Protocol::Tcp => world.establish(host, S),
                Protocol::Icmp | Protocol::Other => world.inside(ping(host, S)).out(),
            };
            match (protocol, n % 2) {
                (Protocol::Udp, 0) => (Inside, udp(host, S).octets()),
                (Protocol::Udp, _) => (Outside, udp(S, out).octets()),
                (Protocol::Tcp, 0) => (Inside, tcp(host, S).len(100).octets()),
                (Protocol::Tcp, _) => (Outside, tcp(S, out).len(100).octets()),
                (Protocol::Icmp, 0) => (Inside, ping(host, S).octets()),
                (Protocol::Icmp | Protocol::Other, _) => (Outside, pong(S, out).octets()),
            }
        })
        .collect()
}

/// Hands `flows` to the engine as one batch, `rounds` times, in buffers that are filled anew.
fn forward(world: &mut World, flows: &[(nat::Realm, Vec<u8>)], buffers: &mut [[u8; 256]], rounds: u32) {
    for _ in 0..rounds {
        world.now = world.now + Duration::from_millis(40);
        let mut filled = buffers.iter_mut().zip(flows);
        let mut packets: [Packet<'_>; BATCH] = std::array::from_fn(|_| {
            let (buffer, (from, octets)) = filled.next().expect("a batch of flows");
            let data = &mut buffer[..octets.len()];
            data.copy_from_slice(octets);
            Packet { data, from: *from, offload: Offload::default() }
        });
        let mut verdicts = [Verdict::Held; BATCH];
        world.engine.handle_batch(&mut packets, &mut verdicts, world.now);
        for (verdict, (from, _)) in verdicts.iter().zip(flows) {
            assert_eq!(*verdict, Verdict::Forward(from.other()));
        }
        while world.engine.poll_event().is_some() {}
        let _ = world.engine.poll_timeout();
    }
}

// covers: B10
#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))), 1);
    assert_eq!(allocations(|| ()), 0);
}

// covers: B10
#[test]
fn forwarding_established_flows_allocates_nothing() {
    for protocol in Protocol::ALL {
        let mut world = World::default();
        let flows = flows(&mut world, protocol);
        let mut buffers = [[0; 256]; BATCH];
        forward(&mut world, &flows, &mut buffers, 2);
        // Long enough for the wheel to come round to every one of them and file it anew.
        let count = allocations(|| forward(&mut world, &flows, &mut buffers, 20_000));
        assert_eq!(count, 0, "{protocol}");
        assert_eq!(world.engine.counters().sessions_deleted, 0);
    }
}

// covers: B10
#[test]
fn refusing_allocates_nothing_either() {
    let mut world = World::default();
    let mut buffer = [0; 256];
    let packets = [
        (Outside, udp(S, XA).octets()),
        (Outside, tcp(S, XA).octets()),
        (Inside, tcp(A, S).octets()),
        (Inside, udp("10.0.0.1:5", S).octets()),
        (Inside, vec![0x45; 19]),
    ];
    let mut round = || {
        for (from, octets) in &packets {
            let data = &mut buffer[..octets.len()];
            data.copy_from_slice(octets);
            let mut packet = [Packet { data, from: *from, offload: Offload::default() }];
            let mut verdict = [Verdict::Held];
            world.engine.handle_batch(&mut packet, &mut verdict, world.now);
            assert!(matches!(verdict, [Verdict::Drop(_)]));
        }
    };
    round();
    assert_eq!(allocations(|| (0..1_000).for_each(|_| round())), 0);
}
