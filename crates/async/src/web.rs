//! A listener as axum wants one.

use std::net::SocketAddrV4;

use crate::{TcpListener, TcpStream};

impl axum::serve::Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddrV4;

    /// Waits for ever once the device is gone: axum knows no error here.
    async fn accept(&mut self) -> (TcpStream, SocketAddrV4) {
        match Self::accept(self).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("no more connections to {}: {error}", self.local_addr());
                std::future::pending().await
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddrV4> {
        Ok(Self::local_addr(self))
    }
}
