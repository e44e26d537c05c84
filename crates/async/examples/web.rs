//! An axum server on hairpin's own TCP, which the kernel reaches over a TUN device. As root:
//!
//! ```text
//! # cargo run -p hairpin-async --example web &
//! # ip address add 10.9.0.1/24 dev hp-web && ip link set hp-web up
//! # curl http://10.9.0.2/
//! ```

use std::net::{Ipv4Addr, SocketAddrV4};

use axum::{Router, routing::get};
use hairpin_async::{Stack, Tun};
use tcp::{EndpointConfig, ListenOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut queues = tun::create("hp-web", 1, true)?;
    let queue = queues.pop().ok_or(std::io::ErrorKind::NotFound)?;
    let address = Ipv4Addr::new(10, 9, 0, 2);
    let config = EndpointConfig { addresses: vec![address], ..EndpointConfig::default() };
    let stack = Stack::new(Tun::new(queue, true)?, config)?;
    let listener = stack.bind(SocketAddrV4::new(address, 80), ListenOptions::default())?;
    let pages = Router::new().route("/", get(|| async { "served by hairpin's own TCP\n" }));
    axum::serve(listener, pages).await
}
