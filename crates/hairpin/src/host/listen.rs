//! `tcp listen`.

use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use miette::miette;
use streams::{Stack, TcpListener};
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
    /// End after so many connections.
    #[arg(long, value_name = "N")]
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

/// What the connections of all ports share.
#[derive(Debug)]
struct Common {
    options: Options,
    journal: Arc<Journal>,
    /// Connections so far.
    number: AtomicU64,
    most: u64,
}

async fn listen(args: &Args, stack: Stack, journal: Arc<Journal>) -> miette::Result<()> {
    let most = args.count.unwrap_or(u64::MAX);
    let common =
        Arc::new(Common { options: args.options.clone(), journal, number: AtomicU64::new(0), most });
    let mut tasks = JoinSet::new();
    for &Port { port, service } in &args.ports {
        let at = SocketAddrV4::new(args.options.address.addr(), port);
        let listener =
            stack.bind(at, ListenOptions::default()).map_err(|error| miette!("listening on {at}: {error}"))?;
        let name = service.to_possible_value().map(|value| value.get_name().to_owned());
        eprintln!("listening on {at}: {}", name.unwrap_or_default());
        tasks.spawn(accept(listener, service, Arc::clone(&common)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| miette!("a listener failed: {error}"))??;
    }
    Ok(())
}

async fn accept(mut listener: TcpListener, service: Service, common: Arc<Common>) -> miette::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if common.number.load(Ordering::Relaxed) < common.most => {
                let (stream, _) = accepted.map_err(|error| super::over("accepting", &error))?;
                let number = common.number.fetch_add(1, Ordering::Relaxed) + 1;
                let common = Arc::clone(&common);
                connections.spawn(async move {
                    let (options, port) = (&common.options, stream.local_addr().port());
                    let reader =
                        Reader::new(&stream, &common.journal, number, options.read, options.late());
                    match serve(service, &stream, reader).await {
                        Ok(traffic) => eprintln!("{} to port {port}: {traffic}", stream.peer_addr()),
                        Err(error) => eprintln!("{} to port {port}: {error}", stream.peer_addr()),
                    }
                });
            }
            Some(_) = connections.join_next() => {
                if common.number.load(Ordering::Relaxed) >= common.most && connections.is_empty() {
                    return Ok(());
                }
            }
        }
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
