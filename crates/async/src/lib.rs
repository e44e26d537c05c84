//! hairpin's TCP as streams of tokio: a [`Stack`] over a [`Device`], and on it [`TcpStream`] and [`TcpListener`],
//! which read and write like tokio's own, and know urgent data.
//!
//! The endpoint lies behind one lock. A task of the stack takes what arrives from the device and keeps the
//! timers; an application's call copies straight from or into the endpoint's buffers, and sends what follows
//! from it before it returns. Nothing is buffered in between, so memory is bounded by `tcp::Limits` alone.
//!
//! ```
//! # use hairpin_async as streams;
//! use std::net::{Ipv4Addr, SocketAddrV4};
//! use streams::{Stack, cable};
//! use tcp::{EndpointConfig, ListenOptions};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (here, there) = cable(64);
//! let stack = |device, last| {
//!     let addresses = vec![Ipv4Addr::new(10, 0, 0, last)];
//!     Stack::new(device, EndpointConfig { addresses, ..EndpointConfig::default() })
//! };
//! let (client, server) = (stack(here, 1)?, stack(there, 2)?);
//!
//! let at = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 7);
//! let mut listener = server.bind(at, ListenOptions::default())?;
//! let (opened, accepted) = tokio::join!(client.connect(at), listener.accept());
//! let (mut opened, (mut accepted, _)) = (opened?, accepted?);
//!
//! opened.write_all(b"hello").await?;
//! opened.shutdown().await?;
//! let mut text = String::new();
//! accepted.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod cable;
mod core;
mod device;
mod error;
mod listener;
mod split;
mod stack;
mod stream;

pub use cable::{Cable, cable};
pub use device::{Arrived, Device, Tun};
pub use listener::TcpListener;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
pub use stack::Stack;
pub use stream::TcpStream;
