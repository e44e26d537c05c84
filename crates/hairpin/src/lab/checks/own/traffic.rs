//! Octets in bulk, short connections, many at once, one direction closed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use streams::TcpStream as OwnStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{KERNEL, dial, listen, play};
use crate::lab::checks::pattern::Pattern;
use crate::lab::checks::{During, Failure, Finding, Scale, ensure};
use crate::lab::sockets::{PATIENCE, at, patient, tcp_listen};
use crate::lab::world::World;

const PORT: u16 = 5_100;

/// Connections that are open at the same time.
const AT_ONCE: usize = 200;

/// Both ways at the same time, accepted by us and opened by us.
pub(in crate::lab::checks) fn bulk(world: &World, scale: Scale) -> Finding {
    let pattern = &Pattern::new(0xb01d);
    let start = Instant::now();
    play(
        world,
        async |stack, begin| {
            let mut listener = listen(&stack, PORT)?;
            begin.now();
            let (stream, _) = listener.accept().await?;
            both_ways(pattern, stream, scale.bulk).await?;
            let stream = stack.connect(at(KERNEL, PORT)).await?;
            both_ways(pattern, stream, scale.bulk).await
        },
        || {
            let listener = tcp_listen(&world.server, at(KERNEL, PORT))?;
            kernel_both_ways(pattern, &dial(world, PORT)?, scale.bulk)?;
            let (stream, _) = listener.accept()?;
            patient(&stream, PATIENCE)?;
            kernel_both_ways(pattern, &stream, scale.bulk)
        },
    )?;
    let rate = 4.0 * scale.bulk as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9;
    Ok(format!("{} MiB each way at once, twice; every octet right; {rate:.1} Gbit/s", scale.bulk >> 20))
}

async fn both_ways(pattern: &Pattern, stream: OwnStream, octets: u64) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.into_split();
    let send = async {
        pattern.send_async(&mut writer, octets).await?;
        writer.shutdown().await
    };
    tokio::try_join!(send, pattern.receive_async(&mut reader, octets))?;
    Ok(())
}

fn kernel_both_ways(pattern: &Pattern, stream: &TcpStream, octets: u64) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let send = scope.spawn(|| -> io::Result<()> {
            pattern.send(&mut &*stream, octets)?;
            stream.shutdown(Shutdown::Write)
        });
        pattern.receive(&mut &*stream, octets)?;
        super::join(send).map_err(Failure::from)
    })
}

/// One after the other, each with a question and its answer.
pub(in crate::lab::checks) fn short(world: &World, scale: Scale) -> Finding {
    let count = scale.connections * 5 / 2;
    play(
        world,
        async |stack, begin| {
            let mut listener = listen(&stack, PORT)?;
            begin.now();
            for _ in 0..count {
                let (stream, _) = listener.accept().await?;
                answer(stream).await?;
            }
            Ok(())
        },
        || (0..count).try_for_each(|n| ask(&mut dial(world, PORT)?, n).during(&format!("connection {n}"))),
    )?;
    Ok(format!("{count} connections, each answered"))
}

/// All open before the first one is asked.
pub(in crate::lab::checks) fn many(world: &World, _: Scale) -> Finding {
    play(
        world,
        async |stack, begin| {
            let mut listener = listen(&stack, PORT)?;
            begin.now();
            let mut answers = JoinSet::new();
            for _ in 0..AT_ONCE {
                answers.spawn(answer(listener.accept().await?.0));
            }
            while let Some(answered) = answers.join_next().await {
                answered.map_err(io::Error::other)??;
            }
            Ok(())
        },
        || {
            let streams: io::Result<Vec<_>> = (0..AT_ONCE).map(|_| dial(world, PORT)).collect();
            let mut asked = streams?.into_iter().enumerate();
            asked.try_for_each(|(n, mut stream)| ask(&mut stream, n).during(&format!("connection {n}")))
        },
    )?;
    Ok(format!("{AT_ONCE} connections open at once, each answered"))
}

/// Says what it was told, once the other side has finished.
async fn answer(mut stream: OwnStream) -> io::Result<()> {
    let mut question = Vec::new();
    stream.read_to_end(&mut question).await?;
    stream.write_all(&question).await?;
    stream.shutdown().await
}

fn ask(stream: &mut TcpStream, number: usize) -> Result<(), Failure> {
    let (question, mut answer) = (format!("this is connection {number}"), String::new());
    stream.write_all(question.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_string(&mut answer)?;
    ensure!(answer == question, "asked \"{question}\", got \"{answer}\"");
    Ok(())
}

/// A mebibyte after the FIN of the other side, each way.
pub(in crate::lab::checks) fn half_close(world: &World, _: Scale) -> Finding {
    const OCTETS: u64 = 1 << 20;
    let pattern = &Pattern::new(0x4a1f);
    play(
        world,
        async |stack, begin| {
            let mut listener = listen(&stack, PORT)?;
            begin.now();
            let (mut stream, _) = listener.accept().await?;
            ensure!(stream.read(&mut [0]).await? == 0, "octets that nobody has sent");
            pattern.send_async(&mut stream, OCTETS).await?;
            stream.shutdown().await?;

            let (mut stream, _) = listener.accept().await?;
            stream.shutdown().await?;
            Ok(pattern.receive_async(&mut stream, OCTETS).await?)
        },
        || {
            let mut stream = dial(world, PORT)?;
            stream.shutdown(Shutdown::Write)?;
            pattern.receive(&mut stream, OCTETS).during("after its own FIN")?;

            let mut stream = dial(world, PORT)?;
            ensure!(stream.read(&mut [0])? == 0, "octets that nobody has sent");
            pattern.send(&mut stream, OCTETS)?;
            Ok(())
        },
    )?;
    Ok("1 MiB arrived after the FIN of the other side, each way".to_owned())
}
