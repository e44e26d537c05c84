//! The host, shared by the tool's two threads: one that runs the script, one for calls that block.

use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Instant as WallClock, SystemTime, UNIX_EPOCH};

use drill::sockets::{Host, Outcome, Stop};
use drill::symbols::Errno;
use rules::Instant;

/// A call that waited has to be seen to return before time goes on; a tool that does not look has so long.
const PATIENCE: Duration = Duration::from_millis(50);

/// The host and who waits for it.
pub(crate) struct World {
    state: Mutex<State>,
    changed: Condvar,
    main: ThreadId,
    /// Real time at the origin of ours: the tool subtracts it from real times in one place.
    epoch: Duration,
}

/// What the lock protects.
pub(crate) struct State {
    pub(crate) host: Host,
    /// Moves whenever something may have changed for a call that blocks.
    generation: u64,
    /// Calls that block, and how many of them have tried again since.
    waiting: usize,
    retried: usize,
    /// A call has returned in the other thread, which has yet to ask for the time.
    returned: bool,
    /// When a poll that waits gives up.
    deadline: Option<Instant>,
}

impl World {
    pub(crate) fn new(host: Host) -> Self {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = real.saturating_sub(Duration::from_nanos(host.now().as_nanos()));
        let state = State { host, generation: 0, waiting: 0, retried: 0, returned: false, deadline: None };
        Self { state: Mutex::new(state), changed: Condvar::new(), main: thread::current().id(), epoch }
    }

    /// A panic in one thread leaves the host as it was: the tool reports what follows from it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The time, a microsecond on.
    pub(crate) fn time(&self) -> Duration {
        let mut state = self.lock();
        if thread::current().id() == self.main {
            let next = state.host.now() + Duration::from_micros(1);
            state = self.advance(state, next);
        } else {
            state.returned = false;
            self.changed.notify_all();
        }
        self.epoch + Duration::from_nanos(state.host.now().as_nanos())
    }

    /// As the tool's clock has it.
    pub(crate) fn micros(&self, at: Instant) -> i64 {
        let time = self.epoch + Duration::from_nanos(at.as_nanos());
        i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
    }

    /// Moves the clock to `to`; calls that block are tried on the way.
    pub(crate) fn advance<'a>(&self, mut state: MutexGuard<'a, State>, to: Instant) -> MutexGuard<'a, State> {
        loop {
            let target = state.deadline.map_or(to, |deadline| deadline.min(to)).max(state.host.now());
            let there = state.host.step(target) && target == to;
            state = self.changed(state);
            if there || state.host.now() >= to {
                return state;
            }
        }
    }

    /// Something has changed: calls that block try again, and are seen to return.
    pub(crate) fn changed<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.generation += 1;
        state.retried = 0;
        if state.waiting == 0 && !state.returned {
            return state;
        }
        self.changed.notify_all();
        let start = WallClock::now();
        while (state.retried < state.waiting || state.returned) && start.elapsed() < PATIENCE {
            state = self.wait(state, PATIENCE);
        }
        // It may have returned, and not look at the clock at all.
        state.returned = false;
        state
    }

    /// Makes a call until it does not block. `timeout` is that of poll.
    pub(crate) fn call<T>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut Host, bool) -> Outcome<T>,
    ) -> Outcome<T> {
        let mut state = self.lock();
        let deadline = timeout.map(|timeout| state.host.now() + timeout);
        let waits = |state: &State| deadline.is_none_or(|deadline| state.host.now() < deadline);
        let wait = waits(&state);
        let first = attempt(&mut state.host, wait);
        if !matches!(first, Err(Stop::Blocks)) {
            return first;
        }
        if thread::current().id() == self.main {
            return self.call_here(state, deadline, attempt);
        }
        state.waiting += 1;
        state.deadline = deadline;
        let mut seen = state.generation;
        loop {
            state = self.wait(state, Duration::from_secs(3_600));
            if state.generation == seen {
                continue;
            }
            seen = state.generation;
            let wait = waits(&state);
            let outcome = attempt(&mut state.host, wait);
            state.retried += 1;
            if !matches!(outcome, Err(Stop::Blocks)) {
                state.waiting -= 1;
                state.retried -= 1;
                state.deadline = None;
                state.returned = true;
                self.changed.notify_all();
                return outcome;
            }
            self.changed.notify_all();
        }
    }

    /// The thread that moves the clock must not wait for it: it moves it until the call returns.
    fn call_here<T>(
        &self,
        mut state: MutexGuard<'_, State>,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Host, bool) -> Outcome<T>,
    ) -> Outcome<T> {
        while let Some(next) = state.host.next_timer().into_iter().chain(deadline).min() {
            state = self.advance(state, next);
            let wait = deadline.is_none_or(|deadline| state.host.now() < deadline);
            let outcome = attempt(&mut state.host, wait);
            if !matches!(outcome, Err(Stop::Blocks)) {
                return outcome;
            }
        }
        Err(Stop::Error(Errno::EAGAIN))
    }
}
