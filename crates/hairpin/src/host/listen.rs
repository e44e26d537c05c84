//! `tcp listen`.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::task::Poll;

use clap::ValueEnum;
use miette::miette;
use streams::{Stack, TcpListener, TcpStream};
use tcp::ListenOptions;
use tokio::task::JoinSet;

use super::Options;
use super::reader::{Journal, Reader};
use super::service::{Service, serve};

/// Arguments of `tcp listen`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Ports, each with its service: `7=echo 9=discard 19=chargen 8080=stdio`. Without one, 7, 9 and 19 have the
    /// services that are theirs, and others the standard streams.
    #[arg(value_name = "PORT[=SERVICE]", default_values = ["7", "9", "19"])]
    ports: Vec<Port>,
    /// End after so many connections, whatever ports they are to.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    options: Options,
}

/// A port and what is served there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Port {
    port: u16,
    service: Service,
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (port, service) = text.split_once('=').map_or((text, None), |(port, name)| (port, Some(name)));
        let port = port.parse().ok().filter(|&port| port != 0).ok_or("a port is a number from 1 to 65535")?;
        let service = match service {
            Some(name) => Service::from_str(name, true)
                .map_err(|_| format!("no service \"{name}\": echo, discard, chargen or stdio"))?,
            None => Service::of_port(port).unwrap_or(Service::Stdio),
        };
        Ok(Self { port, service })
    }
}

pub(super) fn run(args: &Args) -> miette::Result<ExitCode> {
    let journal = args.options.journal()?;
    args.options.run(|stack| listen(args, stack, journal))
}

/// Accepts on all ports, until there were as many connections as are wanted and all of them are over.
async fn listen(args: &Args, stack: Stack, journal: Arc<Journal>) -> miette::Result<()> {
    let mut listeners = Vec::new();
    for &Port { port, service } in &args.ports {
        listeners.push((bind(args, &stack, port, service)?, service));
    }
    let options = Arc::new(args.options.clone());
    let mut connections = JoinSet::new();
    for number in 1..=args.count.unwrap_or(u64::MAX) {
        let (stream, service) =
            accept(&mut listeners).await.map_err(|error| super::over("accepting", &error))?;
        let (options, journal) = (Arc::clone(&options), Arc::clone(&journal));
        connections.spawn(async move { attend(&stream, service, number, &options, &journal).await });
        while connections.try_join_next().is_some() {}
    }
    // Whoever comes now is refused, instead of waiting for nobody.
    drop(listeners);
    while connections.join_next().await.is_some() {}
    Ok(())
}

fn bind(args: &Args, stack: &Stack, port: u16, service: Service) -> miette::Result<TcpListener> {
    let at = SocketAddrV4::new(args.options.address.addr(), port);
    let listener = stack
        .bind(at, ListenOptions::default())
        .map_err(|error| miette!(help = "name each port once", "listening on {at}: {error}"))?;
    let name = service.to_possible_value().map(|value| value.get_name().to_owned());
    eprintln!("listening on {at}: {}", name.unwrap_or_default());
    Ok(listener)
}

/// The next connection to any of the ports. The one that gave a connection is asked last the next time.
async fn accept(listeners: &mut [(TcpListener, Service)]) -> io::Result<(TcpStream, Service)> {
    poll_fn(|cx| {
        for at in 0..listeners.len() {
            let Some((listener, service)) = listeners.get_mut(at) else { continue };
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                let accepted = accepted.map(|(stream, _)| (stream, *service));
                listeners.get_mut(at..).unwrap_or_default().rotate_left(1);
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// Serves connection `number`, and says what went over it.
async fn attend(stream: &TcpStream, service: Service, number: u64, options: &Options, journal: &Journal) {
    let (peer, port) = (stream.peer_addr(), stream.local_addr().port());
    let reader = Reader::new(stream, journal, number, options.read, options.late());
    match serve(service, stream, reader).await {
        Ok(traffic) => eprintln!("{peer} to port {port}: {traffic}"),
        Err(error) => eprintln!("{peer} to port {port}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn a_port_has_the_service_that_is_named_or_its_own() {
        let port = |text: &str| text.parse::<Port>().map(|port| (port.port, port.service));
        assert_eq!(port("7"), Ok((7, Service::Echo)));
        assert_eq!(port("9"), Ok((9, Service::Discard)));
        assert_eq!(port("19"), Ok((19, Service::Chargen)));
        assert_eq!(port("8080"), Ok((8080, Service::Stdio)));
        assert_eq!(port("7=discard"), Ok((7, Service::Discard)));
        assert!(port("0").is_err() && port("65536=echo").is_err() && port("=echo").is_err());
        assert!(port("80=gopher").is_err_and(|error| error.contains("gopher")));
    }
}
