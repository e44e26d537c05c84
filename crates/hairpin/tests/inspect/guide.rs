//! docs/urgent-and-your-sensor.md shows what comes out of the program today.

use super::{inspect, repository, stdout};

/// A real exchange with the kernel, recorded on a loopback interface.
const CAPTURE: &str = "docs/captures/urgent.pcap";

// covers: L5
#[test]
fn the_guide_shows_what_is_said_of_the_exchange() {
    let text = stdout(&inspect(&[], &[&repository(CAPTURE)]));
    let guide = std::fs::read_to_string(repository("docs/urgent-and-your-sensor.md")).expect("the guide");
    let flows: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(flows.len(), 4, "three flows and the totals: {text}");
    assert!(guide.contains(flows[0]), "the guide does not have this any longer:\n{}", flows[0]);
    // What the three servers on Linux have read, each of one of these flows.
    for (flow, reader, read) in [
        (flows[0], "linux-2.6.15 (late)", "GET /ad!min HTTP/1.0\\x0d\\x0a\\x0d\\x0a"),
        (flows[1], "linux-2.6.15 (prompt)", "GET /admin HTTP/1.0\\x0d\\x0a\\x0d\\x0a"),
        (flows[2], "rfc6093 (in line)", "GET /ad!min? HTTP/1.0\\x0d\\x0a\\x0d\\x0a"),
    ] {
        assert!(flow.contains(&format!("{reader} reads `{read}`")), "{reader}: {flow}");
        assert!(guide.contains(&read.replace("\\x0d\\x0a", "\\r\\n")), "{reader}");
    }
}

// covers: L5
#[test]
fn the_drawing_of_the_guide_is_what_is_drawn() {
    let drawn = std::env::temp_dir().join(format!("hairpin-guide-{}.svg", std::process::id()));
    stdout(&inspect(&["--ladder", drawn.to_str().expect("a name")], &[&repository(CAPTURE)]));
    let svg = std::fs::read_to_string(&drawn).expect("it was drawn");
    std::fs::remove_file(&drawn).expect("it is still there");
    let shipped = repository("docs/captures/urgent.svg");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&shipped, &svg).expect("the drawing can be written");
    }
    let there = std::fs::read_to_string(&shipped).unwrap_or_default();
    assert!(there == svg, "{} differs; if the new one is right, run with BLESS=1", shipped.display());
}
