//! Packets that arrive at a worker whose shard does not own them are copied to the one that does.
//!
//! A subscriber belongs to a shard by a hash of its address, an external address to one shard as a
//! whole. The kernel spreads packets over the queues by flow, so the first packets of a flow may
//! come to any worker; it remembers from which queue a flow was answered and uses that one
//! afterwards, so a flow that goes both ways is handed over only at its beginning.
//!
//! Each pair of workers has a channel of its own with a fixed number of buffers that travel there
//! and back: nothing is allocated, and what does not fit is dropped and counted.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nat::{Realm, Steering};
use nix::sys::eventfd::EventFd;

use super::arena::{Arena, FRAME};

/// Frames that may wait between two workers. 64 KiB of address space each; memory only as far as
/// they were ever filled.
const WAITING: usize = 256;

/// Where a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The inside device.
    Inside,
    /// The outside device.
    Outside,
    /// Another shard, which has translated its source.
    Hairpin,
}

impl Origin {
    pub(crate) fn realm(self) -> Realm {
        match self {
            Self::Inside | Self::Hairpin => Realm::Inside,
            Self::Outside => Realm::Outside,
        }
    }
}

impl From<Realm> for Origin {
    fn from(realm: Realm) -> Self {
        match realm {
            Realm::Inside => Self::Inside,
            Realm::Outside => Self::Outside,
        }
    }
}

#[derive(Debug)]
struct Frame {
    origin: Origin,
    octets: Vec<u8>,
}

/// A worker's way to another one.
#[derive(Debug)]
struct Outbox {
    full: SyncSender<Frame>,
    empty: Receiver<Frame>,
    wake: Arc<EventFd>,
    /// Something was sent since it was last woken.
    pending: bool,
}

/// A worker's way from another one.
#[derive(Debug)]
struct Inbox {
    full: Receiver<Frame>,
    empty: SyncSender<Frame>,
}

/// A worker's connections to all others.
pub struct Exchange {
    shard: u16,
    steering: Option<Arc<Steering>>,
    /// By the number of the other worker; `None` at the worker's own.
    outboxes: Vec<Option<Outbox>>,
    inboxes: Vec<Inbox>,
}

impl Exchange {
    /// Nobody to exchange anything with: the one worker owns everything.
    pub fn alone() -> Self {
        Self { shard: 0, steering: None, outboxes: Vec::new(), inboxes: Vec::new() }
    }

    /// The exchanges of several workers, each woken by its eventfd.
    pub fn between(wakes: &[Arc<EventFd>], steering: &Arc<Steering>) -> Vec<Self> {
        if wakes.len() < 2 {
            return wakes.iter().map(|_| Self::alone()).collect();
        }
        let mut exchanges: Vec<Self> = (0..wakes.len())
            .map(|shard| Self {
                shard: shard as u16,
                steering: Some(Arc::clone(steering)),
                outboxes: Vec::new(),
                inboxes: Vec::new(),
            })
            .collect();
        for from in 0..wakes.len() {
            for (to, wake) in wakes.iter().enumerate() {
                let outbox = (from != to).then(|| {
                    let (outbox, inbox) = channel(wake);
                    exchanges[to].inboxes.push(inbox);
                    outbox
                });
                exchanges[from].outboxes.push(outbox);
            }
        }
        exchanges
    }

    /// The worker that owns this packet, if it is another one. What is too short to tell stays: any
    /// shard can refuse it.
    pub(crate) fn other_owner(&self, from: Realm, packet: &[u8]) -> Option<u16> {
        let steering = self.steering.as_deref()?;
        let at = match from {
            Realm::Inside => 12,
            Realm::Outside => 16,
        };
        let address = Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?);
        let owner = match from {
            Realm::Inside => steering.inside(address),
            Realm::Outside => steering.outside(address),
        };
        (owner != self.shard).then_some(owner)
    }

    /// Copies a frame to another worker; `false` if it was dropped.
    pub(crate) fn send(&mut self, owner: u16, origin: Origin, octets: &[u8]) -> bool {
        let Some(Some(outbox)) = self.outboxes.get_mut(usize::from(owner)) else { return false };
        let Ok(mut frame) = outbox.empty.try_recv() else { return false };
        frame.origin = origin;
        frame.octets.clear();
        // Within the capacity it was made with, so this does not allocate.
        frame.octets.extend_from_slice(&octets[..octets.len().min(FRAME)]);
        outbox.pending = true;
        outbox.full.try_send(frame).is_ok()
    }

    /// Wakes those that something was sent to: once for a round, not for each packet.
    pub(crate) fn wake(&mut self) {
        for outbox in self.outboxes.iter_mut().flatten().filter(|outbox| outbox.pending) {
            outbox.pending = false;
            // It fails only if its counter is full, and then it is awake.
            let _ = outbox.wake.write(1);
        }
    }

    /// Fills the arena with what others have sent; whether there was anything.
    pub(crate) fn receive(&mut self, arena: &mut Arena) -> bool {
        arena.clear();
        for inbox in &self.inboxes {
            while let Some(room) = arena.room() {
                let Ok(frame) = inbox.full.try_recv() else { break };
                room[..frame.octets.len()].copy_from_slice(&frame.octets);
                arena.push(frame.octets.len(), frame.origin);
                // There is room for every buffer that exists; it fails only if the other has ended.
                let _ = inbox.empty.try_send(frame);
            }
        }
        !arena.is_empty()
    }
}

fn channel(wake: &Arc<EventFd>) -> (Outbox, Inbox) {
    let (full_sender, full_receiver) = sync_channel(WAITING);
    let (empty_sender, empty_receiver) = sync_channel(WAITING);
    for _ in 0..WAITING {
        let frame = Frame { origin: Origin::Inside, octets: Vec::with_capacity(FRAME) };
        // The channel was made for this many.
        let _ = empty_sender.try_send(frame);
    }
    let outbox = Outbox { full: full_sender, empty: empty_receiver, wake: Arc::clone(wake), pending: false };
    (outbox, Inbox { full: full_receiver, empty: empty_sender })
}

#[cfg(test)]
mod tests {
    use nat::Config;
    use nat::config::{Pool, Shard};
    use nix::sys::eventfd::EfdFlags;

    use super::*;

    fn two() -> (Vec<Arc<EventFd>>, Vec<Exchange>) {
        let first = Ipv4Addr::new(192, 0, 2, 0);
        let pool = Pool::new(vec![first..=Ipv4Addr::new(192, 0, 2, 1)], 1024..=65_535);
        let mut config = Config::new(vec!["10.0.0.0/8".parse().expect("a prefix")], vec![pool]);
        config.shard = Shard { index: 0, count: 2 };
        let wake = || Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an eventfd"));
        let wakes = vec![wake(), wake()];
        let exchanges = Exchange::between(&wakes, &Arc::new(Steering::new(&config)));
        (wakes, exchanges)
    }

    // covers: B10
    #[test]
    fn a_packet_from_outside_belongs_to_the_owner_of_its_destination() {
        let (_, exchanges) = two();
        let mut packet = [0; 20];
        packet[16..].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(exchanges[0].other_owner(Realm::Outside, &packet), Some(1));
        assert_eq!(exchanges[1].other_owner(Realm::Outside, &packet), None);
        assert_eq!(exchanges[0].other_owner(Realm::Outside, &packet[..19]), None, "too short to tell");
        assert_eq!(Exchange::alone().other_owner(Realm::Outside, &packet), None);
    }

    // covers: B10, O7
    #[test]
    fn what_does_not_fit_is_dropped_and_the_buffers_come_back() {
        let (wakes, mut exchanges) = two();
        let mut arena = Arena::new();
        for _ in 0..2 {
            for n in 0..WAITING {
                assert!(exchanges[0].send(1, Origin::Outside, &[n as u8; 40]));
            }
            assert!(!exchanges[0].send(1, Origin::Outside, &[0; 40]), "full");
            assert!(wakes[1].read().is_err(), "nobody is woken for each packet");
            exchanges[0].wake();
            assert_eq!(wakes[1].read(), Ok(1), "but once for all");
            let mut seen = 0;
            while exchanges[1].receive(&mut arena) {
                for (origin, frame) in arena.frames_mut() {
                    assert_eq!((origin, &*frame), (Origin::Outside, &[seen as u8; 40][..]));
                    seen += 1;
                }
            }
            assert_eq!(seen, WAITING);
        }
        assert!(!exchanges[0].send(2, Origin::Outside, &[0; 40]), "there is no such worker");
    }
}
