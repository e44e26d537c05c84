//! `hairpin inspect --live` on a loopback interface and on one of a pair: what it says is what the application has read.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Child, Command, Stdio};

use hairpin::net::netlink::Netlink;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::Pid;
use serde_json::Value;

use crate::run::{CLIENT, interfaces, neighbour};
use crate::scrub::{GATEWAY_INSIDE, at};

/// The program, listening on `interface`.
fn listen(interface: &str, arguments: &[&str]) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hairpin"))
        .args(["inspect", "--live", interface, "--json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut said = String::new();
    let stderr = child.stderr.as_mut().expect("a pipe");
    // One octet at a time: what comes later is left in the pipe.
    BufReader::with_capacity(1, stderr).read_line(&mut said).expect("it says that it listens");
    assert!(said.contains(&format!("listening on {interface}")), "{said}");
    child
}

fn objects(child: Child) -> Vec<Value> {
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// An exchange with a listener at `address`, to which `connect` connects; what its late reader has read.
fn exchange(address: Ipv4Addr, connect: impl FnOnce(SocketAddr) -> TcpStream) -> String {
    let listener = TcpListener::bind((address, 0)).expect("a listener");
    let client = connect(listener.local_addr().expect("an address"));
    client.set_nodelay(true).expect("a socket");
    let (mut server, _) = listener.accept().expect("a connection");
    // More than a segment: where there are offloads it goes as one, and with its checksum not finished.
    let long = "x".repeat(20_000);
    let (oob, none) = (MsgFlags::MSG_OOB, MsgFlags::empty());
    for (text, flags) in [("ab!", oob), (&long, none), ("cd?", oob), ("ef", none)] {
        let sent = send(client.as_raw_fd(), text.as_bytes(), flags).expect("there is room");
        assert_eq!(sent, text.len());
    }
    client.shutdown(Shutdown::Write).expect("a socket");
    // The reader is late: all of it has arrived, the FIN too.
    let mut fds = [PollFd::new(server.as_fd(), PollFlags::from_bits_retain(libc::POLLRDHUP))];
    assert_eq!(poll(&mut fds, PollTimeout::from(10_000_u16)).expect("poll"), 1, "the FIN arrives");
    let mut read = String::new();
    server.read_to_string(&mut read).expect("it ends");
    read
}

fn exchange_at_home() -> String {
    exchange(Ipv4Addr::LOCALHOST, |server| TcpStream::connect(server).expect("a connection"))
}

/// What was told of the exchange on `interface` is what was read.
fn told(objects: &[Value], interface: &str, read: &str) {
    assert_eq!(objects.len(), 2, "a flow and the totals: {objects:?}");
    let groups = objects[0]["streams"][0]["groups"].as_array().expect("a list");
    let late = serde_json::json!({ "host": "linux-2.6.15", "reader": "lazy" });
    let is_late = |group: &&Value| group["views"].as_array().is_some_and(|views| views.contains(&late));
    let group = groups.iter().find(is_late).expect("there is such a view");
    assert_eq!(group["reading"], read);
    // Both directions were heard, and nothing twice.
    assert_eq!(objects[0]["streams"][0]["urgent_segments"], 2);
    assert_eq!(objects[0]["streams"][1]["mid_stream"], false);
    assert_eq!(objects[1]["capture"], interface);
}

fn loopback_up() {
    let netlink = Netlink::open().expect("netlink");
    let index = netlink.link_index("lo").expect("netlink").expect("a loopback interface");
    netlink.link_up(index).expect("it goes up");
}

// covers: L1, L5
#[test]
fn an_interface_is_listened_on_until_the_interrupt() {
    crate::in_new_namespace(|| {
        loopback_up();
        let child = listen("lo", &[]);
        let read = exchange_at_home();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it is there");
        told(&objects(child), "lo", &read);
    });
}

// covers: L1, L5
#[test]
fn one_end_of_a_pair_is_listened_on_offloads_and_all() {
    crate::in_new_namespace(|| {
        let netlink = interfaces();
        let client = neighbour("client", "in1", CLIENT, Some(GATEWAY_INSIDE), &netlink);
        let child = listen("in0", &[]);
        let read = exchange(GATEWAY_INSIDE, |server| {
            at(&client, move || TcpStream::connect(server).expect("a connection"))
        });
        kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("it is there");
        told(&objects(child), "in0", &read);
    });
}

// covers: L5
#[test]
fn listening_ends_after_so_many_packets() {
    crate::in_new_namespace(|| {
        loopback_up();
        let child = listen("lo", &["--count", "3", "--all"]);
        exchange_at_home();
        let objects = objects(child);
        assert_eq!(objects.last().expect("totals")["totals"]["packets"], 3);
    });
}

// covers: L5
#[test]
fn listening_ends_after_its_time_and_a_wrong_interface_is_named() {
    crate::in_new_namespace(|| {
        loopback_up();
        let objects = objects(listen("lo", &["--for", "0"]));
        assert_eq!(objects.len(), 1, "totals: {objects:?}");
        let wrong = Command::new(env!("CARGO_BIN_EXE_hairpin")).args(["inspect", "--live", "eth7"]).output();
        let trouble = String::from_utf8(wrong.expect("the program runs").stderr).expect("text");
        assert!(trouble.contains("no interface eth7") && trouble.contains("ip link"), "{trouble}");
    });
}
