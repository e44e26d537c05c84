//! `tcp connect`.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use streams::{Stack, TcpStream};
use tokio::io::AsyncWriteExt;

use super::Options;
use super::reader::{Journal, Reader};
use super::service::{Traffic, converse, receive};

/// Arguments of `tcp connect`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Whom to: ADDRESS:PORT. Where it is not the kernel's own address on the device, the machine must forward.
    #[arg(value_name = "ADDRESS:PORT")]
    remote: SocketAddrV4,
    /// From this port [default: an ephemeral one].
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Send so many octets instead of standard input, as fast as possible: 1000000, 64M, 2G.
    #[arg(long, value_name = "OCTETS")]
    send: Option<Octets>,
    /// Throw away what comes.
    #[arg(long)]
    discard: bool,
    /// Send this as urgent data before anything else.
    #[arg(long, value_name = "TEXT")]
    send_urgent: Option<String>,
    #[command(flatten)]
    options: Options,
}

/// A number of octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Octets(u64);

impl FromStr for Octets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
            Some(b'M') => (&text[..text.len() - 1], 20),
            Some(b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let number: Option<u64> = digits.parse().ok();
        let octets = number.and_then(|number| number.checked_mul(1 << shift));
        octets.map(Self).ok_or_else(|| "a number of octets, with k, M or G behind it if need be".to_owned())
    }
}

pub(super) fn run(args: &Args) -> miette::Result<ExitCode> {
    let journal = args.options.journal()?;
    args.options.run(|stack| connect(args, stack, journal))
}

async fn connect(args: &Args, stack: Stack, journal: Arc<Journal>) -> miette::Result<()> {
    let local = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, args.port);
    let stream = stack
        .connect_from(local, args.remote, args.options.config())
        .await
        .map_err(|error| super::over(&format!("connecting to {}", args.remote), &error))?;
    eprintln!("connected: {} to {}", stream.local_addr(), stream.peer_addr());
    let traffic = talk(args, &stream, &journal)
        .await
        .map_err(|error| super::over(&format!("the connection to {}", args.remote), &error))?;
    let again = stream.info().map_or(0, |info| info.retransmissions);
    eprintln!("{traffic}, {again} segments sent again");
    Ok(())
}

async fn talk(args: &Args, stream: &TcpStream, journal: &Journal) -> io::Result<Traffic> {
    let (options, start) = (&args.options, Instant::now());
    let mut reader = Reader::new(stream, journal, 1, options.read, options.late());
    let mut sent = 0;
    if let Some(text) = &args.send_urgent {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let taken = stream.send_urgent(rest).await?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        sent += text.len() as u64;
    }
    let mut writer = stream.write_half();
    match args.send {
        None => sent += converse(&mut reader, &mut writer, true, !args.discard).await?,
        Some(Octets(octets)) => {
            let outwards = async {
                send_octets(&mut writer, octets).await?;
                writer.shutdown().await
            };
            tokio::try_join!(outwards, receive(&mut reader, !args.discard))?;
            sent += octets;
        }
    }
    Ok(Traffic { received: reader.octets + reader.urgent_octets, sent, time: start.elapsed() })
}

async fn send_octets(writer: &mut streams::WriteHalf<'_>, octets: u64) -> io::Result<()> {
    let chunk = vec![b'.'; 256 * 1024];
    let mut left = octets;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(chunk.len()).min(chunk.len());
        writer.write_all(&chunk[..len]).await?;
        left -= len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn octets_have_units() {
        let octets = |text: &str| text.parse::<Octets>().map(|octets| octets.0).ok();
        assert_eq!(octets("1000"), Some(1_000));
        assert_eq!(octets("64M"), Some(64 << 20));
        assert_eq!(octets("2G"), Some(2 << 30));
        assert_eq!(octets("3k"), Some(3 << 10));
        for wrong in ["", "M", "-1", "1T", "99999999999999G"] {
            assert_eq!(octets(wrong), None, "{wrong}");
        }
    }
}
