//! Accepting connections.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::task::{Context, Poll};

use tcp::ListenerId;

use crate::TcpStream;
use crate::stack::Shared;

/// A listener; it ends when it is dropped, and the connections that wait in it with it.
pub struct TcpListener {
    shared: Arc<Shared>,
    id: ListenerId,
    local: SocketAddrV4,
}

impl TcpListener {
    pub(crate) const fn new(shared: Arc<Shared>, id: ListenerId, local: SocketAddrV4) -> Self {
        Self { shared, id, local }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddrV4 {
        self.local
    }

    /// The next connection, and whom it is with. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The device is gone.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddrV4)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`Self::accept`], for those who poll.
    ///
    /// # Errors
    /// The device is gone.
    pub fn poll_accept(&mut self, cx: &Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddrV4)>> {
        self.shared.with(|core, _| {
            if let Some(id) = core.endpoint.accept(self.id) {
                core.add(id);
                let stream = TcpStream::new(Arc::clone(&self.shared), id, core.endpoint.info(id));
                let peer = stream.peer_addr();
                return Poll::Ready(Ok((stream, peer)));
            }
            if core.ended {
                return Poll::Ready(Err(io::ErrorKind::NetworkDown.into()));
            }
            core.await_incoming(self.id, cx);
            Poll::Pending
        })
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.shared.with(|core, now| {
            core.endpoint.close_listener(self.id, now);
            core.remove_listener(self.id);
        });
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpListener({})", self.local)
    }
}
