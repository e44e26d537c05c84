//! The classic small services, and the standard streams.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use streams::{TcpStream, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::reader::Reader;

/// Octets of a read.
const CHUNK: usize = 256 * 1024;

/// What is done with a connection.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Sends back what comes (RFC 862).
    Echo,
    /// Throws away what comes (RFC 863).
    Discard,
    /// Sends characters until it is told to stop (RFC 864).
    Chargen,
    /// Standard input goes out, what comes goes to standard output.
    Stdio,
}

impl Service {
    /// The service that port numbers have had since 1983.
    #[must_use]
    pub const fn of_port(port: u16) -> Option<Self> {
        match port {
            7 => Some(Self::Echo),
            9 => Some(Self::Discard),
            19 => Some(Self::Chargen),
            _ => None,
        }
    }
}

/// What went over a connection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traffic {
    /// Octets read, those out of band included.
    pub received: u64,
    /// Octets written.
    pub sent: u64,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64().max(1e-9);
        let rate = |octets: u64| octets as f64 * 8.0 / seconds / 1e6;
        write!(
            f,
            "{} octets in ({:.1} Mbit/s), {} octets out ({:.1} Mbit/s), {seconds:.3} s",
            self.received,
            rate(self.received),
            self.sent,
            rate(self.sent)
        )
    }
}

/// Serves one connection until its end.
///
/// # Errors
/// Why the connection ended before that.
pub async fn serve(service: Service, stream: &TcpStream, mut reader: Reader<'_>) -> io::Result<Traffic> {
    let start = Instant::now();
    let mut writer = stream.write_half();
    let sent = match service {
        Service::Echo => echo(&mut reader, &mut writer).await,
        Service::Discard => discard(&mut reader, &mut writer).await,
        Service::Chargen => chargen(&mut reader, &mut writer).await,
        Service::Stdio => converse(&mut reader, &mut writer, true, true).await,
    }?;
    Ok(Traffic { received: reader.octets + reader.urgent_octets, sent, time: start.elapsed() })
}

async fn echo(reader: &mut Reader<'_>, writer: &mut WriteHalf<'_>) -> io::Result<u64> {
    let (mut buf, mut sent) = (vec![0; CHUNK], 0);
    loop {
        let len = reader.read(&mut buf).await?;
        if len == 0 {
            writer.shutdown().await?;
            return Ok(sent);
        }
        writer.write_all(&buf[..len]).await?;
        sent += len as u64;
    }
}

async fn discard(reader: &mut Reader<'_>, writer: &mut WriteHalf<'_>) -> io::Result<u64> {
    let mut buf = vec![0; CHUNK];
    while reader.read(&mut buf).await? > 0 {}
    writer.shutdown().await?;
    Ok(0)
}

/// Lines of 72 characters, each a turn of the same ring of 95, until the peer has closed.
async fn chargen(reader: &mut Reader<'_>, writer: &mut WriteHalf<'_>) -> io::Result<u64> {
    let lines: Vec<u8> = (0..95 * 10_usize).flat_map(line).collect();
    let (mut buf, mut sent) = (vec![0; 4_096], 0);
    let mut at = 0;
    loop {
        tokio::select! {
            biased;
            read = reader.read(&mut buf) => {
                if read? == 0 {
                    writer.shutdown().await?;
                    return Ok(sent);
                }
            }
            taken = writer.write(&lines[at..]) => {
                let taken = taken?;
                sent += taken as u64;
                at = (at + taken) % lines.len();
            }
        }
    }
}

fn line(number: usize) -> impl Iterator<Item = u8> {
    (0..72).map(move |column| b' ' + ((number + column) % 95) as u8).chain(*b"\r\n")
}

/// Both directions at once, each to its end. Says how much was sent.
pub(super) async fn converse(
    reader: &mut Reader<'_>,
    writer: &mut WriteHalf<'_>,
    from_stdin: bool,
    to_stdout: bool,
) -> io::Result<u64> {
    let outwards = async {
        let mut sent = 0;
        if from_stdin {
            let (mut stdin, mut buf) = (tokio::io::stdin(), vec![0; CHUNK]);
            loop {
                let len = stdin.read(&mut buf).await?;
                if len == 0 {
                    break;
                }
                writer.write_all(&buf[..len]).await?;
                sent += len as u64;
            }
        }
        writer.shutdown().await?;
        Ok(sent)
    };
    let inwards = receive(reader, to_stdout);
    let (sent, ()) = tokio::try_join!(outwards, inwards)?;
    Ok(sent)
}

/// Reads to the end; to standard output or to nowhere.
pub(super) async fn receive(reader: &mut Reader<'_>, to_stdout: bool) -> io::Result<()> {
    let (mut stdout, mut buf) = (tokio::io::stdout(), vec![0; CHUNK]);
    loop {
        let len = reader.read(&mut buf).await?;
        if len == 0 {
            return Ok(());
        }
        if to_stdout {
            stdout.write_all(&buf[..len]).await?;
            stdout.flush().await?;
        }
    }
}
