//! `tcp connect`.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use miette::miette;
use streams::{Stack, TcpStream};
use tokio::io::AsyncWriteExt;

use super::Options;
use super::reader::{Journal, Reader};
use super::service::{Traffic, converse, receive};

/// Arguments of `tcp connect`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Whom to: ADDRESS:PORT. Where it is not the kernel's own address on the device, the machine must forward.
    #[arg(value_name = "ADDRESS:PORT", value_parser = remote)]
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
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
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

/// Somebody who can be connected to.
fn remote(text: &str) -> Result<SocketAddrV4, String> {
    let remote: SocketAddrV4 =
        text.parse().map_err(|_| "an IPv4 address and a port, such as 10.9.0.1:80".to_owned())?;
    if remote.port() == 0 {
        return Err("a port is a number from 1 to 65535".to_owned());
    }
    if rules::address::is_martian(*remote.ip()) {
        return Err(format!("{} is no host's address on a network", remote.ip()));
    }
    Ok(remote)
}

/// What can be done about a connection that does not open.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "see that somebody listens there, and that no firewall refuses",
        io::ErrorKind::AddrInUse => "name another port with --port, or none",
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => {
            "see that the machine forwards (sysctl net.ipv4.ip_forward) and that answers find the way to the device"
        }
        _ => "see whether the TUN device is still there",
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
        .map_err(|error| miette!(help = remedy(&error), "connecting to {}: {error}", args.remote))?;
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
    fn whom_nobody_can_connect_to_is_told_at_once() {
        assert!(remote("10.9.0.1:80").is_ok());
        for (wrong, told) in [
            ("foo", "10.9.0.1:80"),
            ("10.9.0.1", "10.9.0.1:80"),
            ("10.9.0.1:0", "from 1 to 65535"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("255.255.255.255:80", "no host's address"),
        ] {
            assert!(remote(wrong).is_err_and(|said| said.contains(told)), "{wrong}");
        }
    }

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
