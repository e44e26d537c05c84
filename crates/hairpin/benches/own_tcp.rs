//! Our own TCP over a TUN device with offloads, the kernel's TCP at the other end, both on this machine.
//!
//! `cargo bench -p hairpin --bench own_tcp` prints a line of JSON for each direction, behind `bench: `. It needs to be
//! allowed to make a network namespace, in which it stays.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use hairpin::host::link::Link;
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use streams::{Stack, Tun};
use tcp::{EndpointConfig, ListenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const PORT: u16 = 5_201;
const ROUNDS: usize = 7;
const EACH: Duration = Duration::from_secs(1);
const BLOCK: usize = 256 << 10;
/// Gbit/s each way.
const TARGET: f64 = 5.0;

fn main() -> Result<(), Box<dyn Error>> {
    // Before there is another thread: a namespace of its own, which goes with the process.
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespace: {error}; this bench needs root"))?;
    let link = Link { name: "own", kernel: KERNEL, prefix: 24, mtu: 1_500 };
    let queue = link.create(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = EndpointConfig { addresses: vec![OURS], ..EndpointConfig::default() };
        let stack = Stack::new(Tun::new(queue, true)?, config)?;
        let (mut to_us, mut to_kernel) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            to_us.push(round(&stack, true).await?);
            to_kernel.push(round(&stack, false).await?);
        }
        print("the kernel's TCP to ours", to_us);
        print("our TCP to the kernel's", to_kernel);
        Ok(())
    })
}

/// Gbit/s of one connection, as its receiver counts them.
async fn round(stack: &Stack, to_us: bool) -> Result<f64, Box<dyn Error>> {
    let mut listener = stack.bind(SocketAddrV4::new(OURS, PORT), ListenOptions::default())?;
    let kernel = thread::spawn(move || -> std::io::Result<f64> {
        let stream = TcpStream::connect(SocketAddrV4::new(OURS, PORT))?;
        if to_us { kernel_sends(stream).map(|()| 0.0) } else { kernel_receives(stream) }
    });
    let (mut stream, _) = listener.accept().await?;
    let ours = if to_us {
        let (mut buffer, mut octets, start) = (vec![0; BLOCK], 0_u64, Instant::now());
        loop {
            match stream.read(&mut buffer).await? {
                0 => break gbits(octets, start),
                len => octets += len as u64,
            }
        }
    } else {
        let (block, start) = (vec![0x5a; BLOCK], Instant::now());
        while start.elapsed() < EACH {
            stream.write_all(&block).await?;
        }
        stream.shutdown().await?;
        0.0
    };
    // The connection's last segments are the stack's task's, which needs this thread.
    let theirs = tokio::task::spawn_blocking(move || kernel.join())
        .await?
        .map_err(|_| "the kernel's side panicked")??;
    Ok(ours + theirs)
}

fn kernel_sends(mut stream: TcpStream) -> std::io::Result<()> {
    let (block, start) = (vec![0x5a; BLOCK], Instant::now());
    while start.elapsed() < EACH {
        stream.write_all(&block)?;
    }
    Ok(())
}

fn kernel_receives(mut stream: TcpStream) -> std::io::Result<f64> {
    let (mut buffer, mut octets, start) = (vec![0; BLOCK], 0_u64, Instant::now());
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(gbits(octets, start)),
            len => octets += len as u64,
        }
    }
}

fn gbits(octets: u64, start: Instant) -> f64 {
    octets as f64 * 8e-9 / start.elapsed().as_secs_f64()
}

fn print(name: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let figure = json!({
        "group": "our own TCP through TUN", "name": name, "unit": "Gbit/s",
        "ours": values[values.len() / 2], "ours_min": values[0], "ours_max": values[values.len() - 1],
        "target": TARGET, "note": "one connection, offloads on, both ends on this machine's two cores",
    });
    println!("bench: {figure}");
}
