//! `hairpin inspect` as a user runs it.
//!
//! | file | what is in it |
//! |---|---|
//! | `readings` | the table, damage, what is shown |
//! | `schema` | every field of the JSON, against docs/inspect.schema.json |
//! | `outputs` | ladders, Parquet, several captures at once, bounds |
//! | `guide` | docs/urgent-and-your-sensor.md shows what comes out today |

mod guide;
mod outputs;
mod readings;
mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wire::SeqNumber;
use wire::craft::{Header, Segment, tcp};
use wire::tcp::Flags;

/// A directory of its own, gone when the test is.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hairpin-inspect-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, octets).expect("a file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A segment from port `port` to a server, or the server's to it.
fn from_port(port: u16, answers: bool, fields: Segment<'_>, text: &[u8]) -> Vec<u8> {
    let (client, server) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let header = if answers { Header::new(server, client) } else { Header::new(client, server) };
    let (source, destination) = if answers { (80, port) } else { (port, 80) };
    let ports = Segment::new(source, destination, fields.flags);
    let segment =
        Segment { source_port: ports.source_port, destination_port: ports.destination_port, ..fields };
    let mut packet = vec![0; 160 + text.len()];
    let len = tcp(&mut packet, &header, &segment, text).expect("it fits");
    packet.truncate(len);
    packet
}

fn segment(seq: u32, flags: Flags, urgent: u16, text: &[u8]) -> Vec<u8> {
    let fields = Segment { seq: SeqNumber(seq), urgent, ..Segment::new(0, 0, flags) };
    from_port(4_000, false, fields, text)
}

/// A pcap file of raw IP packets, a millisecond apart.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (n, packet) in (0u32..).zip(packets) {
        for word in [1, n * 1_000, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn disputed() -> Vec<u8> {
    capture(&[
        segment(99, Flags::SYN, 0, b""),
        segment(100, Flags::ACK | Flags::URG, 7, b"maliciX"),
        segment(107, Flags::ACK, 0, b"ous"),
    ])
}

fn inspect(arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hairpin"));
    command.arg("inspect").args(arguments).args(files).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
