//! LISTEN: who waits for connections, and which are open and not yet accepted.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::{Ipv4Addr, SocketAddrV4};

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::{Config, Error, Event, ListenOptions, ListenerId};

/// How many wait if the application does not say.
const BACKLOG: u32 = 128;

/// Listens on an endpoint.
pub(super) struct Listener {
    local: SocketAddrV4,
    pub(super) config: Arc<Config>,
    backlog: usize,
    /// Connections that are open, oldest first.
    waiting: VecDeque<u32>,
    /// The application was not told of the newest yet.
    news: bool,
}

/// All listeners.
#[derive(Default)]
pub(super) struct Listeners {
    listeners: HashMap<ListenerId, Listener, Plain>,
    by_address: HashMap<SocketAddrV4, ListenerId, Plain>,
    next: u32,
    /// Those with news.
    noticed: VecDeque<ListenerId>,
}

/// Keys here are the application's own: nobody else can choose them.
type Plain = core::hash::BuildHasherDefault<SipHasher13>;

impl Listeners {
    pub(super) fn add(
        &mut self,
        local: SocketAddrV4,
        options: ListenOptions,
        shared: &Arc<Config>,
    ) -> Result<ListenerId, Error> {
        if self.by_address.contains_key(&local) {
            return Err(Error::InUse);
        }
        let id = ListenerId(self.next);
        self.next = self.next.wrapping_add(1);
        let config = options.connection.map_or_else(|| shared.clone(), Arc::new);
        let backlog = if options.backlog == 0 { BACKLOG } else { options.backlog } as usize;
        let listener = Listener { local, config, backlog, waiting: VecDeque::new(), news: false };
        self.listeners.insert(id, listener);
        self.by_address.insert(local, id);
        Ok(id)
    }

    /// Returns the connections that waited.
    pub(super) fn remove(&mut self, id: ListenerId) -> VecDeque<u32> {
        let Some(listener) = self.listeners.remove(&id) else { return VecDeque::new() };
        self.by_address.remove(&listener.local);
        listener.waiting
    }

    /// Who listens at `local`: on that address, or on all.
    pub(super) fn find(&self, local: SocketAddrV4) -> Option<ListenerId> {
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, local.port());
        self.by_address.get(&local).or_else(|| self.by_address.get(&any)).copied()
    }

    pub(super) fn get(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(&id)
    }

    /// A connection of `id` is open.
    pub(super) fn announce(&mut self, id: ListenerId, index: u32) {
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.waiting.push_back(index);
            if !core::mem::replace(&mut listener.news, true) {
                self.noticed.push_back(id);
            }
        }
    }

    pub(super) fn accept(&mut self, id: ListenerId) -> Option<u32> {
        self.listeners.get_mut(&id)?.waiting.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        while let Some(id) = self.noticed.pop_front() {
            if let Some(listener) = self.listeners.get_mut(&id) {
                listener.news = false;
                return Some(Event::Incoming(id));
            }
        }
        None
    }
}

impl Listener {
    /// The application is too slow to accept: no more come in. Those half open when it filled up still do.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.backlog
    }
}
