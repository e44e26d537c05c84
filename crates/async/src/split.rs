//! The two directions of a stream, apart.

use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::TcpStream;
use crate::stream::poll_read;

/// What [`TcpStream::split`] reads from.
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(crate) &'a TcpStream);

/// What [`TcpStream::split`] writes to.
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(crate) &'a TcpStream);

/// What [`TcpStream::into_split`] reads from. The connection is closed when both halves are gone.
#[derive(Debug)]
pub struct OwnedReadHalf(pub(crate) Arc<TcpStream>);

/// What [`TcpStream::into_split`] writes to; dropped, it shuts its direction down.
#[derive(Debug)]
pub struct OwnedWriteHalf(pub(crate) Arc<TcpStream>);

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        // Over already: then there is nothing left to say.
        let _ = self.0.finish();
    }
}

/// Whatever the stream can do without waiting in the other direction, a half can do.
macro_rules! half {
    ($($half:ty),*) => {$(
        impl Deref for $half {
            type Target = TcpStream;

            fn deref(&self) -> &TcpStream {
                &self.0
            }
        }
    )*};
}
half!(ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);

macro_rules! reads {
    ($($half:ty),*) => {$(
        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read(&self.0, cx, buf)
            }
        }
    )*};
}
reads!(ReadHalf<'_>, OwnedReadHalf);

macro_rules! writes {
    ($($half:ty),*) => {$(
        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_send(cx, data, false)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.0.finish())
            }
        }
    )*};
}
writes!(WriteHalf<'_>, OwnedWriteHalf);
