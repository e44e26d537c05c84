//! `hairpin tcp` as a person uses it, and a web server on our own TCP; the other side is the kernel's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use hairpin::host::link::Link;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::Pid;
use serde_json::{Value, json};
use streams::{Stack, Tun};
use tcp::{EndpointConfig, ListenOptions};

use crate::in_new_namespace;

/// The defaults of the command.
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// A running `hairpin tcp`.
struct Program {
    child: Child,
    says: BufReader<ChildStderr>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hairpin"))
            .arg("tcp")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let says = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, says }
    }

    /// Reads on until a line that begins so.
    fn wait_for(&mut self, beginning: &str) -> String {
        let mut said = String::new();
        loop {
            let start = said.len();
            assert!(self.says.read_line(&mut said).expect("its output") > 0, "it ended: {said}");
            if said[start..].starts_with(beginning) {
                return said.split_off(start);
            }
        }
    }

    fn end(mut self) -> String {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).expect("it runs");
        self.finish()
    }

    /// Waits for its end, which must be a good one; what it said since.
    fn finish(&mut self) -> String {
        let mut said = String::new();
        self.says.read_to_string(&mut said).expect("its output");
        let status = self.child.wait().expect("it was started");
        assert!(status.success(), "{status}: {said}");
        said
    }
}

fn dial(port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddrV4::new(OURS, port)).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    stream
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("hairpin-{}-{name}", std::process::id()))
}

// covers: O1, T11
#[test]
fn listen_serves_echo_discard_and_chargen_at_once_and_its_device_is_gone_afterwards() {
    in_new_namespace(|| {
        let mut program = Program::start(&["listen"]);
        program.wait_for("listening on 10.9.0.2:19");
        let (mut echo, mut discard, mut chargen) = (dial(7), dial(9), dial(19));
        echo.write_all(b"hello").expect("written");
        discard.write_all(b"nobody reads this").expect("written");
        let mut line = [0; 74];
        chargen.read_exact(&mut line).expect("a line");
        assert!(line.starts_with(b" !\"#$") && line.ends_with(b"\r\n"), "{line:?}");
        echo.shutdown(Shutdown::Write).expect("open");
        let mut text = String::new();
        echo.read_to_string(&mut text).expect("an echo");
        assert_eq!(text, "hello");
        discard.shutdown(Shutdown::Write).expect("open");
        assert_eq!(discard.read(&mut [0]).expect("the end"), 0);
        let report = program.wait_for("10.9.0.1:");
        assert!(report.contains("5 octets in") || report.contains("17 octets in"), "{report}");
        drop(chargen);
        program.end();
        assert!(!PathBuf::from("/proc/sys/net/ipv4/conf/hp-tcp").exists(), "the device is gone");
    });
}

/// What the log says that a connection read, without its first and last lines.
fn log_of(extra: &[&str], name: &str) -> Vec<Value> {
    let log = file(name);
    let mut arguments = vec!["listen", "9", "--count", "1", "--log", log.to_str().expect("UTF-8")];
    arguments.extend(extra);
    let mut program = Program::start(&arguments);
    program.wait_for("listening on 10.9.0.2:9");
    let mut stream = dial(9);
    stream.write_all(b"ab").expect("written");
    send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).expect("urgent");
    stream.write_all(b"cd").expect("written");
    stream.shutdown(Shutdown::Write).expect("open");
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    program.finish();
    let text = std::fs::read_to_string(&log).expect("the log");
    std::fs::remove_file(&log).expect("ours");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

// covers: U6, U11
#[test]
fn the_log_says_what_was_read_octet_by_octet_with_marks() {
    in_new_namespace(|| {
        let late = ["--read", "late"];
        let lines = log_of(&late, "in-line");
        assert_eq!(lines[0]["event"], "open");
        let reads: Vec<_> = lines.iter().filter(|line| line["event"] == "read").collect();
        assert_eq!(reads[0]["octets"], json!(b"ab!"), "{lines:?}");
        assert_eq!((&reads[0]["urgent"], &reads[0]["at_mark"]), (&json!(true), &json!(true)));
        assert_eq!(reads[1]["octets"], json!(b"cd"));
        assert_eq!(reads[1]["urgent"], false);
        assert!(lines.iter().any(|line| line["event"] == "urgent" && line["mode"] == "entered"), "{lines:?}");

        let linux = ["--host-profile", "linux", "--tun", "hp-two"];
        let lines = log_of(&[late.as_slice(), &linux].concat(), "out-of-band");
        let octets: Vec<_> = lines.iter().filter(|line| line["event"] == "urgent-octet").collect();
        assert_eq!(octets.len(), 1, "{lines:?}");
        assert_eq!(octets[0]["octet"], b'!');
        let read = lines.iter().filter(|line| line["event"] == "read");
        let read: Vec<_> = read.flat_map(|line| line["octets"].as_array().expect("octets").clone()).collect();
        assert_eq!(json!(read), json!(b"abcd"));
    });
}

// covers: U6, U7
#[test]
fn of_two_octets_out_of_band_a_late_reader_gets_the_newer_one_or_both_from_a_queue() {
    in_new_namespace(|| {
        for (taken, tun, expected) in
            [("out-of-band", "hp-one", b"?".as_slice()), ("queued", "hp-queue", b"!?".as_slice())]
        {
            let log = file(taken);
            let path = log.to_str().expect("UTF-8");
            let late = ["--read", "late", "--late", "500", "--urgent", taken, "--tun", tun];
            let listen = ["listen", "9", "--count", "1", "--log", path];
            let mut program = Program::start(&[listen.as_slice(), &late].concat());
            program.wait_for("listening on 10.9.0.2:9");
            let mut stream = dial(9);
            for (text, octet) in [(b"ab", b"!"), (b"cd", b"?")] {
                stream.write_all(text).expect("written");
                send(stream.as_raw_fd(), octet, MsgFlags::MSG_OOB).expect("urgent");
            }
            stream.write_all(b"e").expect("written");
            stream.shutdown(Shutdown::Write).expect("open");
            assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
            program.finish();
            let text = std::fs::read_to_string(&log).expect("the log");
            std::fs::remove_file(&log).expect("ours");
            let lines: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let octets = lines.iter().filter(|line| line["event"] == "urgent-octet");
            let octets: Vec<_> = octets.map(|line| line["octet"].clone()).collect();
            assert_eq!(json!(octets), json!(expected), "{taken}: {text}");
        }
    });
}

// covers: O1, T11
#[test]
fn connect_carries_standard_input_and_output_and_reports() {
    in_new_namespace(|| {
        // The device that the kernel's listener stands on is made by the program: any address will do before.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 5_000)).expect("a listener");
        let mut program = Program::start(&["connect", "10.9.0.1:5000"]);
        let (mut stream, peer) = listener.accept().expect("a connection");
        assert_eq!(peer.ip(), OURS);
        assert_eq!(stream.local_addr().expect("open").ip(), KERNEL);
        let mut stdin = program.child.stdin.take().expect("it is piped");
        stdin.write_all(b"to the kernel").expect("it reads");
        drop(stdin);
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("a text");
        assert_eq!(text, "to the kernel");
        stream.write_all(b"from the kernel").expect("open");
        drop(stream);
        let said = program.finish();
        assert!(said.contains("15 octets in") && said.contains("13 octets out"), "{said}");
        let mut out = String::new();
        program.child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("its output");
        assert_eq!(out, "from the kernel");
    });
}

// covers: T11
#[test]
fn bulk_without_offloads_is_the_same_octets_both_ways() {
    in_new_namespace(|| {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 5_000)).expect("a listener");
        let mut program = Program::start(&["connect", "10.9.0.1:5000", "--no-offloads"]);
        // No two places of it look alike.
        let text: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
        let mut stdin = program.child.stdin.take().expect("it is piped");
        let mut stdout = program.child.stdout.take().expect("it is piped");
        let (mut stream, _) = listener.accept().expect("a connection");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut back = Vec::new();
                stdout.read_to_end(&mut back).expect("its output");
                assert!(back == text, "{} octets came back", back.len());
            });
            scope.spawn(|| {
                stdin.write_all(&text).expect("it reads");
                drop(stdin);
            });
            let mut came = Vec::new();
            stream.read_to_end(&mut came).expect("open");
            assert!(came == text, "{} octets came", came.len());
            stream.write_all(&came).expect("open");
            stream.shutdown(Shutdown::Write).expect("open");
        });
        let said = program.finish();
        assert!(said.contains("20000000 octets in") && said.contains("20000000 octets out"), "{said}");
    });
}

// covers: O1
#[test]
fn connect_says_why_it_could_not() {
    in_new_namespace(|| {
        let output = Command::new(env!("CARGO_BIN_EXE_hairpin"))
            .args(["tcp", "connect", "10.9.0.1:5001"])
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("connection refused"), "{said}");
    });
}

// covers: O1
#[test]
fn count_is_over_all_ports_and_then_the_program_ends_and_refuses_others() {
    in_new_namespace(|| {
        let mut program = Program::start(&["listen", "7", "9", "19", "--count", "2"]);
        program.wait_for("listening on 10.9.0.2:19");
        let (mut echo, mut discard) = (dial(7), dial(9));
        echo.write_all(b"a").expect("written");
        echo.read_exact(&mut [0]).expect("an echo");
        // The second was given to its service before this one was asked for.
        discard.write_all(b"b").expect("written");
        discard.shutdown(Shutdown::Write).expect("open");
        assert_eq!(discard.read(&mut [0]).expect("the end"), 0);
        assert!(TcpStream::connect(SocketAddrV4::new(OURS, 19)).is_err(), "two were wanted");
        drop(echo);
        program.finish();
        let output = Command::new(env!("CARGO_BIN_EXE_hairpin"))
            .args(["tcp", "listen", "--count", "0"])
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(2), "a wrong argument, and no panic");
    });
}

// covers: U6
#[test]
fn a_late_reader_stays_late_while_its_service_writes() {
    in_new_namespace(|| {
        let log = file("late");
        let path = log.to_str().expect("UTF-8");
        let late = ["--read", "late", "--late", "1000000"];
        let mut program = Program::start(&[["listen", "19", "--log", path].as_slice(), &late].concat());
        program.wait_for("listening on 10.9.0.2:19");
        let mut stream = dial(19);
        stream.write_all(b"stop").expect("written");
        stream.read_exact(&mut vec![0; 4 << 20]).expect("characters");
        drop(stream);
        program.end();
        let text = std::fs::read_to_string(&log).expect("the log");
        std::fs::remove_file(&log).expect("ours");
        assert!(text.contains(r#""event":"open""#) && !text.contains(r#""event":"read""#), "{text}");
    });
}

// covers: S3, T11
#[test]
fn connect_to_the_own_address_and_port_is_a_pipe() {
    in_new_namespace(|| {
        let mut program = Program::start(&["connect", "10.9.0.2:7", "--port", "7"]);
        program.wait_for("connected: 10.9.0.2:7 to 10.9.0.2:7");
        program.child.stdin.take().expect("it is piped").write_all(b"to myself").expect("it reads");
        let said = program.finish();
        assert!(said.contains("9 octets in") && said.contains("9 octets out"), "{said}");
        let mut out = String::new();
        program.child.stdout.take().expect("it is piped").read_to_string(&mut out).expect("its output");
        assert_eq!(out, "to myself");
    });
}

// covers: T11
#[test]
fn the_kernel_reads_from_a_web_server_on_our_own_tcp() {
    in_new_namespace(|| {
        let link = Link { name: "web", kernel: KERNEL, prefix: 24, mtu: 1_500 };
        let queue = link.create(true).expect("a TUN device");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let page: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        let expected = page.clone();
        runtime.block_on(async {
            let config = EndpointConfig { addresses: vec![OURS], ..EndpointConfig::default() };
            let stack = Stack::new(Tun::new(queue, true).expect("a queue"), config).expect("a stack");
            let listener =
                stack.bind(SocketAddrV4::new(OURS, 80), ListenOptions::default()).expect("it is free");
            let pages = axum::Router::new().route("/", axum::routing::get(|| async { page }));
            let server = tokio::spawn(async { axum::serve(listener, pages).await });
            let stream = dial_first();
            let client = tokio::task::spawn_blocking(move || get(stream));
            let answer = client.await.expect("the client");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
            assert!(body == expected, "{} of {} octets", body.len(), expected.len());
            server.abort();
        });
    });
}

/// A socket of the namespace of this thread, not yet connected: the stack has to run for that.
fn dial_first() -> std::os::fd::OwnedFd {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket")
}

fn get(socket: std::os::fd::OwnedFd) -> String {
    let at = nix::sys::socket::SockaddrIn::from(SocketAddrV4::new(OURS, 80));
    nix::sys::socket::connect(socket.as_raw_fd(), &at).expect("somebody listens");
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ours\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
