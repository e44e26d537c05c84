//! A connection as a stream of octets, with its urgent data.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rules::Instant;
use tcp::{Config, ConnectionId, Endpoint, Error, Info, Read, State, Urgent};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::core::{Core, Waiting};
use crate::error::{io_error, over};
use crate::stack::Shared;
use crate::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};

/// A connection. Dropped, it is closed: what was written is still sent, unless something lies unread, which the
/// peer is told by a reset (RFC 9293 3.10.4).
///
/// One task may wait in each of reading, writing and for news of urgent data.
pub struct TcpStream {
    shared: Arc<Shared>,
    id: ConnectionId,
    local: SocketAddrV4,
    peer: SocketAddrV4,
}

impl TcpStream {
    pub(crate) fn new(shared: Arc<Shared>, id: ConnectionId, info: Option<Info>) -> Self {
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let (local, peer) = info.map_or((nowhere, nowhere), |info| (info.local, info.remote));
        Self { shared, id, local, peer }
    }

    /// Our end.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddrV4 {
        self.local
    }

    /// The other end.
    #[must_use]
    pub const fn peer_addr(&self) -> SocketAddrV4 {
        self.peer
    }

    /// How the connection is.
    #[must_use]
    pub fn info(&self) -> Option<Info> {
        self.shared.with(|core, _| core.endpoint.info(self.id))
    }

    /// Changes settings of this connection, as [`Endpoint::configure`] can.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) -> io::Result<()> {
        self.shared.with(|core, now| core.endpoint.configure(self.id, now, change)).map_err(io_error)
    }

    /// Reads like `AsyncRead`, and says what the octets were: a read never crosses the urgent mark.
    ///
    /// # Errors
    /// `ConnectionReset` and what else ends a connection.
    pub async fn read_marked(&self, buf: &mut [u8]) -> io::Result<Read> {
        poll_fn(|cx| self.poll_read_marked(cx, buf)).await
    }

    /// Writes `data`, whose last octet taken is where the urgent data ends for now; says how much was taken.
    ///
    /// # Errors
    /// As those of writing.
    pub async fn send_urgent(&self, data: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_send(cx, data, true)).await
    }

    /// Takes the out-of-band octet (MSG_OOB), or looks at it. Does not wait.
    ///
    /// # Errors
    /// `WouldBlock`: announced and not there. `InvalidInput`: there is none, or delivery is in line.
    pub fn recv_urgent(&self, peek: bool) -> io::Result<u8> {
        self.shared.with(|core, _| core.endpoint.recv_urgent(self.id, peek)).map_err(io_error)
    }

    /// The next octet stands at the mark (sockatmark).
    #[must_use]
    pub fn at_mark(&self) -> bool {
        self.shared.with(|core, _| core.endpoint.at_mark(self.id))
    }

    /// Waits for news of urgent data; what came before is not lost, at most sixteen of them.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn urgent_event(&self) -> io::Result<Urgent> {
        poll_fn(|cx| self.poll_urgent_event(cx)).await
    }

    /// Nothing more will be read: what arrives is thrown away.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn shutdown_read(&self) -> io::Result<()> {
        self.shared.with(|core, now| core.endpoint.shutdown_read(self.id, now)).map_err(io_error)
    }

    /// Ends it at once, with a reset.
    pub fn abort(self) {
        self.shared.with(|core, now| core.endpoint.abort(self.id, now));
    }

    /// Both directions, for two parts of one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// The writing direction, for those who read through the stream itself.
    #[must_use]
    pub const fn write_half(&self) -> WriteHalf<'_> {
        WriteHalf(self)
    }

    /// Both directions, for two tasks. The writing half shuts its direction down when it is dropped.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        (OwnedReadHalf(Arc::clone(&stream)), OwnedWriteHalf(stream))
    }

    pub(crate) fn poll_connected(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|core, _| {
            let Some(info) = core.endpoint.info(self.id) else {
                return Poll::Ready(Err(io_error(Error::Unknown)));
            };
            match (info.state, info.closed) {
                (State::Closed, Some(reason)) => Poll::Ready(Err(over(reason))),
                (State::SynSent | State::SynReceived, _) if core.ended => ended(),
                (State::SynSent | State::SynReceived, _) => {
                    core.waiting(self.id).writer = Some(cx.waker().clone());
                    Poll::Pending
                }
                _ => Poll::Ready(Ok(())),
            }
        })
    }

    /// As [`Self::read_marked`], for those who poll.
    ///
    /// # Errors
    /// As [`Self::read_marked`].
    pub fn poll_read_marked(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Read>> {
        self.poll(cx, |waiting| &mut waiting.reader, |endpoint, now| endpoint.recv(self.id, buf, now))
    }

    /// As [`Self::urgent_event`], for those who poll.
    ///
    /// # Errors
    /// As [`Self::urgent_event`].
    pub fn poll_urgent_event(&self, cx: &Context<'_>) -> Poll<io::Result<Urgent>> {
        self.shared.with(|core, _| {
            if let Some(news) = core.waiting(self.id).news.pop_front() {
                return Poll::Ready(Ok(news));
            }
            match core.endpoint.info(self.id).map(|info| info.closed) {
                None => return Poll::Ready(Err(io_error(Error::Unknown))),
                Some(Some(reason)) => return Poll::Ready(Err(over(reason))),
                Some(None) if core.ended => return ended(),
                Some(None) => {}
            }
            core.waiting(self.id).urgent = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    pub(crate) fn poll_send(
        &self,
        cx: &Context<'_>,
        data: &[u8],
        urgent: bool,
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll(cx, |waiting| &mut waiting.writer, |endpoint, now| {
            if urgent {
                endpoint.send_urgent(self.id, data, now)
            } else {
                endpoint.send(self.id, data, now)
            }
        })
    }

    pub(crate) fn finish(&self) -> io::Result<()> {
        match self.shared.with(|core, now| core.endpoint.shutdown(self.id, now)) {
            // As shutdown(2): what is shut already stays so.
            Ok(()) | Err(Error::ShutDown) | Err(Error::Closed(tcp::Reason::Finished)) => Ok(()),
            Err(error) => Err(io_error(error)),
        }
    }

    /// A call of the endpoint that may have to wait.
    fn poll<T>(
        &self,
        cx: &Context<'_>,
        place: impl FnOnce(&mut Waiting) -> &mut Option<Waker>,
        call: impl FnOnce(&mut Endpoint, Instant) -> Result<T, Error>,
    ) -> Poll<io::Result<T>> {
        self.shared.with(|core: &mut Core, now| match call(&mut core.endpoint, now) {
            Ok(outcome) => Poll::Ready(Ok(outcome)),
            Err(Error::WouldBlock) if core.ended => ended(),
            Err(Error::WouldBlock) => {
                *place(core.waiting(self.id)) = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(io_error(error))),
        })
    }
}

fn ended<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::NetworkDown, "the device of this connection is gone")))
}

/// Reading into tokio's buffer.
pub(crate) fn poll_read(
    stream: &TcpStream,
    cx: &Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    stream.poll_read_marked(cx, buf.initialize_unfilled()).map_ok(|read| buf.advance(read.len))
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_read(&self, cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, data, false)
    }

    /// What was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Half-close: the other direction stays open.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.shared.with(|core, now| {
            core.endpoint.close(self.id, now);
            core.remove(self.id);
        });
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpStream({} to {})", self.local, self.peer)
    }
}
