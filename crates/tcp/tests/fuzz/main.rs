//! Everything that a peer can send, into every state, between every call that an application can make.
//!
//! An episode is a seed. What it may not do: panic, send without end or twice the same without cause, deliver an
//! octet that is not the one of its place, shrink a window, break a limit, keep memory. `corpus.txt` keeps the
//! episodes that once found something, and some others; each is run every time.
//!
//! `HAIRPIN_FUZZ_SEGMENTS=50000000 cargo test --release -p hairpin-tcp --test fuzz` runs the long one,
//! `HAIRPIN_FUZZ_SEED` says where it begins (an episode that failed prints its own).
//!
//! `unsafe` is here for an allocator that counts and hands everything on to the system's.
#![allow(unsafe_code, unreachable_pub, clippy::panic)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use world::World;

mod held;
mod peer;
mod rng;
mod world;

thread_local! {
    /// Octets that this thread has allocated and not given back.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(octets: isize) {
    // At the end of a thread there is nothing to count for any more.
    let _ = LIVE.try_with(|live| live.set(live.get() + octets));
}

// SAFETY: every call goes to the system's allocator as it came, and only its size is noted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise, unchanged.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise, unchanged.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Says which episode it was.
struct Named {
    seed: u64,
    steps: u64,
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("for corpus.txt: {} {}", self.seed, self.steps);
        }
    }
}

/// What an endpoint of ten connections may hold beside its buffers: free chunks that it keeps for the next one (4
/// MiB), and what it knows of what is in flight. What the world itself holds is in it.
const MOST_MEMORY: isize = 8 << 20;

/// Runs an episode; returns how many segments it was, and how often connections with text were seen in each state.
fn episode(seed: u64, steps: u64) -> (u64, [u64; 10]) {
    let mut name = Named { seed, steps: 0 };
    let before = LIVE.get();
    let mut world = World::new(seed);
    for step in 1..=steps {
        name.steps = step;
        world.step();
        if step % 64 == 0 {
            let held = LIVE.get() - before;
            assert!(held < MOST_MEMORY, "{held} octets of memory");
        }
    }
    world.end();
    let seen = (world.segments, world.busy);
    drop(world);
    assert_eq!(LIVE.get(), before, "memory that nobody holds");
    seen
}

/// Most are short, so that many beginnings are seen; a few are long, so that what grows has the time to.
fn steps_of(seed: u64) -> u64 {
    match seed % 50 {
        0 => 20_000,
        1..10 => 2_000,
        _ => 300,
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

// covers: T12, T1, U9, S6
#[test]
fn whatever_arrives_whatever_is_called_everything_holds() {
    let wanted = number("HAIRPIN_FUZZ_SEGMENTS").unwrap_or(3_000_000);
    let (mut seed, mut done, mut seen) = (number("HAIRPIN_FUZZ_SEED").unwrap_or(1), 0, [0; 10]);
    while done < wanted {
        let (segments, busy) = episode(seed, number("HAIRPIN_FUZZ_STEPS").unwrap_or(steps_of(seed)));
        done += segments;
        seen.iter_mut().zip(busy).for_each(|(sum, more)| *sum += more);
        seed += 1;
        if wanted > 5_000_000 && seed % 2_000 == 0 {
            println!("{done} segments, seed {seed}");
        }
    }
    println!("{done} segments, up to seed {seed}; with text in each state: {seen:?}");
    assert!(
        wanted < 100_000 || seen[1..].iter().all(|&often| often > 0),
        "a state that was not reached: {seen:?}"
    );
}

// covers: T12
#[test]
fn episodes_that_found_something_once_find_nothing_now() {
    for line in include_str!("corpus.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut words = line.split_whitespace().map_while(|word| word.parse().ok());
        let (Some(seed), Some(steps)) = (words.next(), words.next()) else { panic!("no episode: {line}") };
        assert!(episode(seed, steps).0 > 0);
    }
}
