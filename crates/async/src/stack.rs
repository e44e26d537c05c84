//! An endpoint on a device: opening and accepting connections, and the task that keeps both going.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rules::Instant;
use tcp::{Config, Counters, Endpoint, EndpointConfig, ListenOptions};
use tokio::sync::Notify;

use crate::core::{Core, Left};
use crate::error::io_error;
use crate::{Arrived, Device, TcpListener, TcpStream};

/// Packets that are taken from the device before the applications get their turn.
const BATCH: usize = 16;

/// Octets of the largest frame, whatever the headroom.
const FRAME: usize = 65_536 + 64;

/// A host's TCP. Clones are the same one; it lives until its runtime ends, or its device does.
#[derive(Clone)]
pub struct Stack {
    pub(crate) shared: Arc<Shared>,
}

/// What streams, listeners and the stack's task have in common.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the task.
    notify: Notify,
    origin: std::time::Instant,
    config: Config,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.origin.elapsed()
    }

    /// Does something with the endpoint, and what follows from it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let mut core = self.lock();
        let now = self.now();
        let outcome = act(&mut core, now);
        if core.follow_up(now) == Left::Something {
            self.notify.notify_one();
        }
        outcome
    }

    /// What the stack's task does when something has arrived, or when it was woken.
    fn step(
        &self,
        device: &dyn Device,
        frame: &mut [u8],
        arrived: Option<io::Result<Arrived>>,
    ) -> io::Result<Left> {
        let mut core = self.lock();
        let now = self.now();
        if let Some(arrived) = arrived {
            core.take(frame, arrived?, now);
            // Whether there is more is asked again, by the task itself, before it sleeps.
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 1..BATCH {
                let Poll::Ready(arrived) = device.poll_receive(&mut cx, frame) else { break };
                core.take(frame, arrived?, now);
            }
        }
        if core.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            core.endpoint.handle_timeout(now);
        }
        Ok(core.follow_up(now))
    }
}

impl Stack {
    /// Starts an endpoint on `device`, within a runtime of tokio. What the device can do of segmentation and
    /// checksums goes into the configuration by itself.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(device: impl Device, config: EndpointConfig) -> io::Result<Self> {
        let config = EndpointConfig {
            segmentation_offload: device.segmentation_offload(),
            checksum_offload: device.checksum_offload(),
            ..config
        };
        let connection = config.connection.clone();
        let device: Arc<dyn Device> = Arc::new(device);
        let endpoint = Endpoint::new(config, seed()?);
        let shared = Arc::new(Shared {
            core: Mutex::new(Core::new(endpoint, Arc::clone(&device))),
            notify: Notify::new(),
            origin: std::time::Instant::now(),
            config: connection,
        });
        tokio::spawn(drive(Arc::clone(&shared), device));
        Ok(Self { shared })
    }

    /// Opens a connection from an ephemeral port of the first address, with the endpoint's settings.
    ///
    /// # Errors
    /// As [`Self::connect_from`].
    pub async fn connect(&self, remote: SocketAddrV4) -> io::Result<TcpStream> {
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        self.connect_from(any, remote, self.shared.config.clone()).await
    }

    /// Opens a connection. Address 0.0.0.0: the endpoint's first; port 0: an ephemeral one. Two that open
    /// towards one another at once meet (simultaneous open); from an endpoint to the same one it is a pipe.
    /// What goes to an address of this stack does not leave it.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`; `AddrInUse`, `AddrNotAvailable`.
    pub async fn connect_from(
        &self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        config: Config,
    ) -> io::Result<TcpStream> {
        let opened = self.shared.with(|core, now| {
            let id = core.endpoint.connect(local, remote, config, now).map_err(io_error)?;
            core.add(id);
            Ok::<_, io::Error>(TcpStream::new(Arc::clone(&self.shared), id, core.endpoint.info(id)))
        })?;
        poll_fn(|cx| opened.poll_connected(cx)).await?;
        Ok(opened)
    }

    /// Listens. Address 0.0.0.0 means every address of the endpoint.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(&self, local: SocketAddrV4, options: ListenOptions) -> io::Result<TcpListener> {
        let listener = self.shared.with(|core, _| core.endpoint.listen(local, options)).map_err(io_error)?;
        Ok(TcpListener::new(Arc::clone(&self.shared), listener, local))
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters()
    }

    /// Connections that there are, those included that were dropped and have something to send yet.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().endpoint.connections()
    }

    /// Waits until there are no connections any more: what a program does before it ends, so that what it
    /// wrote arrives. False: there still are some after `patience`.
    pub async fn drain(&self, patience: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + patience;
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while self.connections() > 0 {
            if ticks.tick().await >= deadline {
                return false;
            }
        }
        true
    }
}

/// Takes what arrives and keeps the timers, until the device is gone.
async fn drive(shared: Arc<Shared>, device: Arc<dyn Device>) {
    let mut frame = vec![0; FRAME];
    loop {
        let due = {
            let mut core = shared.lock();
            core.armed = core.endpoint.poll_timeout();
            core.armed.map(|due| shared.origin + due.since(Instant::ZERO))
        };
        let arrived = tokio::select! {
            biased;
            arrived = poll_fn(|cx| device.poll_receive(cx, &mut frame)) => Some(arrived),
            () = shared.notify.notified() => None,
            () = sleep_until(due) => None,
        };
        match shared.step(&*device, &mut frame, arrived) {
            Ok(Left::Something) => shared.notify.notify_one(),
            Ok(Left::Nothing) => {}
            Err(error) => {
                tracing::warn!("the stack ends: {error}");
                return shared.lock().end();
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// The endpoint's key.
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(|error| tun::failure("reading /dev/urandom", error))?;
    Ok(seed)
}
