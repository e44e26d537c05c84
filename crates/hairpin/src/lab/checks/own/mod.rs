//! Our own TCP against the kernel's: a stack on a TUN device in the server's namespace, kernel sockets behind it.

mod opening;
mod traffic;
mod urgent;

pub(super) use opening::{abort, simultaneous};
pub(super) use traffic::{bulk, half_close, many, short};
pub(super) use urgent::run as urgent;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use streams::{Stack, TcpListener, Tun};
use tcp::{EndpointConfig, ListenOptions};

use super::bulk::join;
use super::{During, Failure, World};
use crate::host::link::Link;
use crate::lab::sockets::{ANY, PATIENCE, at, tcp_connect};

/// Our own address.
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The kernel's, on the same device.
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// How long our side of a check may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Lets the kernel's side begin.
struct Begin(Sender<()>);

impl Begin {
    fn now(self) {
        // Nobody waits for it any more: then the other side has failed, and says why.
        let _ = self.0.send(());
    }
}

/// Plays both sides: `ours` on a stack of its own, and, when it says so, `theirs` on a thread.
fn play<F: Future<Output = Result<(), Failure>>>(
    world: &World,
    ours: impl FnOnce(Stack, Begin) -> F,
    theirs: impl FnOnce() -> Result<(), Failure> + Send,
) -> Result<(), Failure> {
    let link = Link { name: "own", kernel: KERNEL, prefix: 24, mtu: 1_500 };
    let queue = world.server.run(|| link.create(true))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (begin, begun) = channel();
    thread::scope(|scope| {
        let theirs = scope.spawn(move || -> Result<(), Failure> {
            wait_for(&begun)?;
            theirs()
        });
        let ours = runtime.block_on(async {
            let config = EndpointConfig { addresses: vec![OURS], ..EndpointConfig::default() };
            let stack = Stack::new(Tun::new(queue, true)?, config)?;
            let outcome = tokio::time::timeout(LIMIT, ours(stack.clone(), Begin(begin))).await;
            // What was written last has to arrive before the device goes.
            stack.drain(PATIENCE).await;
            outcome.unwrap_or_else(|_| Err(Failure::new("it did not end")))
        });
        let theirs = join(theirs);
        ours.during("our side")?;
        theirs.during("the kernel's side")
    })
}

fn wait_for(begun: &Receiver<()>) -> Result<(), Failure> {
    begun.recv().map_err(|_| Failure::new("our side ended before it began"))
}

fn listen(stack: &Stack, port: u16) -> io::Result<TcpListener> {
    // As many as the check that opens most of them at once.
    let options = ListenOptions { backlog: 1_024, ..ListenOptions::default() };
    stack.bind(SocketAddrV4::new(OURS, port), options)
}

/// A kernel's connection to our stack.
fn dial(world: &World, port: u16) -> io::Result<TcpStream> {
    tcp_connect(&world.server, ANY, at(OURS, port))
}
