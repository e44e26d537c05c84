//! The workers: one thread for each shard of the engine.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use nat::config::Shard;
use nat::{Config, Engine, Scrubber, Steering};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::handover::Exchange;
use super::network::Devices;
use super::stats::Totals;
use super::tun::Queues;
use super::worker::{Control, Shard as WorkerShard, Worker};
use crate::config::{Mode, Settings};
use crate::net::{failure, seed};

/// The running workers.
#[derive(Debug)]
pub struct Team {
    members: Vec<Member>,
    /// Written when a worker ends.
    ended: Arc<EventFd>,
}

#[derive(Debug)]
struct Member {
    thread: JoinHandle<()>,
    control: Arc<Control>,
    wake: Arc<EventFd>,
}

impl Team {
    /// One worker for each pair of queues. `origin` is when their clocks stand at zero.
    ///
    /// # Errors
    /// A setting that the engine refuses, or a thread or descriptor that could not be had.
    pub fn start(settings: &Settings, devices: Devices, origin: Instant) -> io::Result<Self> {
        let config = &settings.engine;
        let count = devices.inside.len() as u16;
        let wakes = (0..count).map(|_| eventfd()).collect::<io::Result<Vec<_>>>()?;
        let steering = Arc::new(Steering::new(&share(config, 0, count)));
        let exchanges = match settings.mode {
            Mode::Nat => Exchange::between(&wakes, &steering),
            // Whoever gets a packet scrubs it.
            Mode::Scrub => (0..count).map(|_| Exchange::alone()).collect(),
        };
        let mut team = Self { members: Vec::new(), ended: eventfd()? };
        let queues = devices.inside.into_iter().zip(devices.outside).zip(wakes);
        for (index, (((inside, outside), wake), exchange)) in (0..).zip(queues.zip(exchanges)) {
            let now = rules::Instant::ZERO + origin.elapsed();
            let (config, queues) = (share(config, index, count), Queues { inside, outside, wake });
            match settings.mode {
                Mode::Nat => {
                    let engine = Engine::new(&config, seed()?, now).map_err(io::Error::other)?;
                    team.hire(engine, queues, exchange, origin)?;
                }
                Mode::Scrub => {
                    let scrubber = Scrubber::new(&config, seed()?, now).map_err(io::Error::other)?;
                    team.hire(scrubber, queues, exchange, origin)?;
                }
            }
        }
        Ok(team)
    }

    fn hire<S: WorkerShard + Send + 'static>(
        &mut self,
        shard: S,
        queues: Queues,
        exchange: Exchange,
        origin: Instant,
    ) -> io::Result<()> {
        let control = Arc::new(Control::default());
        let wake = Arc::clone(&queues.wake);
        let worker = Worker::new(shard, queues, exchange, Arc::clone(&control), origin, seed);
        let end = End(Arc::clone(&self.ended));
        let thread = std::thread::Builder::new()
            .name(format!("worker-{}", self.members.len()))
            .spawn(move || {
                let _end = end;
                prefer();
                if let Err(error) = worker.run() {
                    tracing::error!("{error}");
                }
            })
            .map_err(|error| failure("starting a worker", error))?;
        self.members.push(Member { thread, control, wake });
        Ok(())
    }

    /// Readable when a worker has ended by itself.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// The sums over all workers, a fraction of a second old.
    pub fn totals(&self) -> Totals {
        Totals::of(self.members.iter().map(|member| member.control.totals()))
    }

    /// Ends all workers; the final totals.
    pub fn stop(self) -> Totals {
        for member in &self.members {
            member.control.stop();
            // It fails only if its counter is full, and then the worker is awake.
            let _ = member.wake.write(1);
        }
        Totals::of(self.members.into_iter().map(|member| {
            // A panic was told by the panic hook; its last totals still count.
            let _ = member.thread.join();
            member.control.totals()
        }))
    }
}

/// Tells the main thread that a worker has ended, also if it panicked.
struct End(Arc<EventFd>);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.write(1);
    }
}

/// Forwarding goes before the machine's other work, as it does in the kernel, whose forwarding no
/// process can hold up: with equal priority, a busy sender on the same processor took a fifth of the
/// small packets (0.67 to 0.79 of nftables' packets a second against 0.81 to 0.92, UDP, two cores).
fn prefer() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("a worker keeps its ordinary priority: {error}");
    }
}

/// The workers' nice value.
const NICE: i32 = -5;

/// One shard's part of the settings: what is counted for the gateway as a whole is divided.
fn share(config: &Config, index: u16, count: u16) -> Config {
    let mut config = config.clone();
    config.shard = Shard { index, count };
    for total in [
        &mut config.limits.sessions,
        &mut config.limits.mappings,
        &mut config.limits.subscribers,
        &mut config.fragments.datagrams,
        &mut config.fragments.waiting_octets,
        &mut config.icmp_errors_per_second,
    ] {
        *total = total.div_ceil(u32::from(count.max(1)));
    }
    config
}

fn eventfd() -> io::Result<Arc<EventFd>> {
    EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
        .map(Arc::new)
        .map_err(|error| failure("making an eventfd", error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B10
    #[test]
    fn shards_share_what_is_limited_for_all() {
        let mut config = Config::new(Vec::new(), Vec::new());
        config.limits.sessions = 1_001;
        let shares: Vec<Config> = (0..4).map(|index| share(&config, index, 4)).collect();
        assert!(shares.iter().map(|share| share.limits.sessions).sum::<u32>() >= 1_001);
        assert!(shares.iter().all(|share| share.limits.sessions <= 251));
        assert_eq!(shares[3].shard, Shard { index: 3, count: 4 });
        assert_eq!(
            shares[0].limits.sessions_per_subscriber, config.limits.sessions_per_subscriber,
            "a subscriber belongs to one shard"
        );
        assert_eq!(share(&config, 0, 1), config);
    }
}
