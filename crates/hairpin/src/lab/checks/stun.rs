//! STUN behaviour discovery (RFC 5780): Debian's coturn asks, coturn answers, and its verdict has to be
//! what the configuration says.

use std::thread;
use std::time::Duration;

use nat::config::Behaviour::{self, AddressAndPortDependent, AddressDependent, EndpointIndependent};

use super::bulk::join;
use super::{During, Failure, Finding, ensure};
use crate::lab::gateway::{Workshop, start};
use crate::lab::world::{CLIENT1, SERVER, SERVER_SECOND};

const PACKAGE: &str = "coturn";
const START_PATIENCE: Duration = Duration::from_secs(10);
/// The tool waits for answers that a filter keeps out.
const PATIENCE: Duration = Duration::from_secs(60);

/// Mapping, filtering, and whether a socket reaches itself at its external endpoint, to which it has never
/// sent before: any filter refuses that. A mapping that depends on the remote end cannot have a weaker
/// filter, and nobody else's packet finds it.
const MATRIX: [(Behaviour, Behaviour, bool); 5] = [
    (EndpointIndependent, EndpointIndependent, true),
    (EndpointIndependent, AddressDependent, false),
    (EndpointIndependent, AddressAndPortDependent, false),
    (AddressDependent, AddressAndPortDependent, false),
    (AddressAndPortDependent, AddressAndPortDependent, false),
];

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    // Each with its own hosts, and most of the time waiting: all at once.
    thread::scope(|scope| {
        let cells: Vec<_> = MATRIX.iter().map(|cell| scope.spawn(|| discover(workshop, *cell))).collect();
        cells.into_iter().try_for_each(join)
    })?;
    let hairpins = MATRIX.iter().filter(|(_, _, hairpin)| *hairpin).count();
    Ok(format!(
        "{} configurations: mapping and filtering as configured; to oneself in {hairpins}, where nothing is filtered",
        MATRIX.len()
    ))
}

fn word(behaviour: Behaviour) -> &'static str {
    match behaviour {
        EndpointIndependent => "endpoint-independent",
        AddressDependent => "address-dependent",
        AddressAndPortDependent => "address-and-port-dependent",
    }
}

/// What the tool calls it.
fn verdict(behaviour: Behaviour, of: &str) -> String {
    let name = match behaviour {
        EndpointIndependent => "Endpoint Independent",
        AddressDependent => "Address Dependent",
        AddressAndPortDependent => "Address and Port Dependent",
    };
    format!("NAT with {name} {of}!")
}

fn discover(
    workshop: &Workshop<'_>,
    (mapping, filtering, hairpin): (Behaviour, Behaviour, bool),
) -> Result<(), Failure> {
    let what = format!("{} mapping, {} filtering", word(mapping), word(filtering));
    let settings = format!(
        "[[pool]]\naddresses = [\"192.0.2.16-192.0.2.31\"]\n[mapping]\nbehaviour = \"{}\"\n[filtering]\nudp = \"{}\"\n",
        word(mapping),
        word(filtering)
    );
    let gateway = workshop.gateway(&settings).during(&what)?;
    let (server, second, client) = (SERVER.to_string(), SERVER_SECOND.to_string(), CLIENT1.to_string());
    let pid = format!("--pidfile={}", gateway.directory.join("turnserver.pid").display());
    let arguments = [
        "-n",
        "-S",
        "-z",
        "--no-cli",
        "--no-tls",
        "--no-dtls",
        "--no-tcp",
        "--log-file=stdout",
        "--simple-log",
        &pid,
        "-p",
        "3478",
        "--alt-listening-port=3479",
        "-L",
        &server,
        "-L",
        &second,
    ];
    let mut turn = start(&gateway.world.server, "turnserver", PACKAGE, &arguments).during(&what)?;
    turn.await_line(|line| line.contains("Total General servers"), START_PATIENCE).during(&what)?;
    let ask = |test: &'static str| -> Result<Vec<String>, Failure> {
        let tool = "turnutils_natdiscovery";
        let asked = start(&gateway.world.client1, tool, PACKAGE, &[test, "-L", &client, &server]);
        Ok(asked.and_then(|asked| asked.finish(PATIENCE)).during(&what)?.1)
    };
    for (test, wanted) in [("-m", verdict(mapping, "Mapping")), ("-f", verdict(filtering, "Filtering"))] {
        let told = ask(test)?;
        let verdict = told.iter().rfind(|line| line.contains("NAT"));
        let verdict =
            verdict.ok_or_else(|| Failure::new(format!("{what}: no verdict:\n{}", told.join("\n"))))?;
        ensure!(*verdict == wanted, "{what}: the tool says \"{verdict}\"");
    }
    let met = ask("-H")?.iter().any(|line| line.contains("successful hairpinning"));
    ensure!(met == hairpin, "{what}: hairpin is {met} instead of {hairpin}");
    Ok(())
}
