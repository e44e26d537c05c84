//! `run`: what it does to the machine, and that it takes it back however it ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hairpin::net::netlink::{MAIN_TABLE, Netlink, Route};
use hairpin::net::sysctl;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::in_new_namespace;

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const POOL: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 16), Ipv4Addr::new(192, 0, 2, 17)];

/// A directory of this test, removed at its end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hairpin-run-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running `hairpin run`, in the namespace of the thread that started it.
pub(crate) struct Daemon {
    child: Child,
    /// Its standard output, up to and with the ready line, then the rest at its end.
    output: BufReader<std::process::ChildStdout>,
    said: Vec<String>,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(directory: &Path, extra: &str) -> Self {
        Self::await_ready(Self::spawn(directory, extra))
    }

    /// The same with the whole text of a configuration file.
    pub(crate) fn start_with(directory: &Path, text: &str) -> Self {
        Self::await_ready(Self::spawn_with(directory, text))
    }

    fn await_ready(mut daemon: Self) -> Self {
        while !daemon.said.last().is_some_and(|line| line.starts_with("ready:")) {
            let mut line = String::new();
            let length = daemon.output.read_line(&mut line).expect("its output");
            if length == 0 {
                let errors = daemon.errors();
                assert!(
                    daemon.said.is_empty() && errors.is_empty(),
                    "not ready: {:?}
{errors}",
                    daemon.said
                );
            }
            assert!(length > 0, "it ended before it was ready, and said nothing");
            daemon.said.push(line.trim_end().to_owned());
        }
        daemon
    }

    fn spawn(directory: &Path, extra: &str) -> Self {
        let text = format!(
            "[inside]\nprefixes = [\"10.0.0.0/24\"]\ninterfaces = [\"in0\"]\n\
             [outside]\nproxy_arp = [\"out0\"]\n\
             [[pool]]\naddresses = [\"{}-{}\"]\n\
             [live]\nstate_directory = \"{}\"\n{extra}\n",
            POOL[0],
            POOL[1],
            directory.display()
        );
        Self::spawn_with(directory, &text)
    }

    fn spawn_with(directory: &Path, text: &str) -> Self {
        let file = directory.join("hairpin.toml");
        fs::write(&file, text).expect("a configuration file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hairpin"))
            .arg("run")
            .arg("--config")
            .arg(&file)
            .arg("--stats-json")
            .arg(directory.join("stats.json"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, output, said: Vec::new() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Waits for its end; whether it ended well.
    pub(crate) fn wait(&mut self) -> bool {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("its output");
        self.said.extend(rest.lines().map(str::to_owned));
        self.child.wait().expect("it was started").success()
    }

    pub(crate) fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut text).expect("its output");
        }
        text
    }
}

/// A test that fails must not leave a daemon behind.
impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything in this namespace that `run` might touch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) rules: String,
    routes: String,
    links: String,
    proxies: String,
    sysctls: BTreeMap<PathBuf, String>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let ip = |arguments: &[&str]| {
            let output = Command::new("ip").args(arguments).output().expect("iproute2 is there");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let mut sysctls = BTreeMap::new();
        read_all(Path::new("/proc/sys/net/ipv4"), &mut sysctls);
        Self {
            rules: ip(&["rule"]),
            routes: ip(&["-4", "route", "show", "table", "all"]),
            links: ip(&["-brief", "link"]),
            proxies: ip(&["neighbour", "show", "proxy"]),
            sysctls,
        }
    }
}

fn read_all(directory: &Path, into: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory).expect("settings") {
        let path = entry.expect("a setting").path();
        if path.is_dir() {
            read_all(&path, into);
        } else if let Ok(value) = fs::read_to_string(&path) {
            into.insert(path, value);
        }
    }
}

/// A gateway's interfaces: `in0` and `out0`, and their far ends here, too.
pub(crate) fn interfaces() -> Netlink {
    let netlink = Netlink::open().expect("netlink");
    for (name, peer, address) in [("in0", "in1", [10, 0, 0, 1]), ("out0", "out1", [198, 51, 100, 1])] {
        netlink.add_veth(name, peer).expect("a pair of interfaces");
        let index = netlink.link_index(name).expect("an answer").expect("it is there");
        netlink.add_address(index, address.into(), 24).expect("an address");
        netlink.link_up(index).expect("up");
    }
    netlink
}

// covers: O1
#[test]
fn a_signal_to_end_leaves_the_machine_as_it_was() {
    in_new_namespace(|| {
        interfaces();
        // One interface has its own opinion, which the switch for all would overwrite.
        sysctl::set("net/ipv4/ip_forward", "0").expect("a sysctl");
        sysctl::set("net/ipv4/conf/out0/forwarding", "1").expect("a sysctl");
        let directory = Directory::new();
        let before = Machine::look();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let mut daemon = Daemon::start(&directory.0, "");
            let meanwhile = Machine::look();
            assert!(meanwhile.rules.contains("from all iif in0 lookup 6093"), "{}", meanwhile.rules);
            assert!(meanwhile.routes.contains("192.0.2.16/31 dev hp-out"), "{}", meanwhile.routes);
            assert!(meanwhile.routes.contains("default dev hp-in table 6093"), "{}", meanwhile.routes);
            assert!(meanwhile.proxies.contains("192.0.2.17 dev out0"), "{}", meanwhile.proxies);
            assert_eq!(sysctl::get("net/ipv4/ip_forward").expect("a sysctl"), "1");
            assert_eq!(sysctl::get("net/ipv4/conf/hp-in/rp_filter").expect("a sysctl"), "2");
            daemon.signal(signal);
            assert!(daemon.wait(), "{signal}: {}", daemon.errors());
            assert!(daemon.said.iter().any(|line| line.starts_with("rule iif in0")), "{:?}", daemon.said);
            assert_eq!(Machine::look(), before, "after {signal}");
        }
        let left: Vec<_> =
            fs::read_dir(&directory.0).expect("it is there").flatten().map(|e| e.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("journal")), "{left:?}");
    });
}

// covers: O1, O6
#[test]
fn the_next_run_repairs_what_a_killed_one_left() {
    in_new_namespace(|| {
        interfaces();
        sysctl::set("net/ipv4/ip_forward", "0").expect("a sysctl");
        let directory = Directory::new();
        let before = Machine::look();
        let mut killed = Daemon::start(&directory.0, "");
        killed.signal(Signal::SIGKILL);
        assert!(!killed.wait());
        assert_ne!(Machine::look(), before, "a killed process cannot take anything back");
        let mut next = Daemon::start(&directory.0, "");
        assert!(next.said[0].contains("the last run did not end properly"), "{:?}", next.said);
        next.signal(Signal::SIGTERM);
        assert!(next.wait(), "{}", next.errors());
        assert_eq!(Machine::look(), before);
    });
}

// covers: O1
#[test]
fn a_second_run_is_refused_and_harms_nothing() {
    in_new_namespace(|| {
        interfaces();
        let directory = Directory::new();
        let before = Machine::look();
        let mut first = Daemon::start(&directory.0, "");
        let meanwhile = Machine::look();
        let mut second = Daemon::spawn(&directory.0, "");
        assert!(!second.wait());
        let message = second.errors();
        let pid = format!("process {}", first.child.id());
        assert!(message.contains("already runs") && message.contains(&pid), "{message}");
        assert_eq!(Machine::look(), meanwhile, "the first one still works");
        first.signal(Signal::SIGTERM);
        assert!(first.wait(), "{}", first.errors());
        assert_eq!(Machine::look(), before);
    });
}

// covers: O1
#[test]
fn a_start_that_fails_half_way_takes_back_what_it_did() {
    in_new_namespace(|| {
        let netlink = interfaces();
        let out0 = netlink.link_index("out0").expect("an answer").expect("it is there");
        let taken = Route {
            destination: "192.0.2.16/31".parse().expect("a prefix"),
            via: None,
            device: Some(out0),
            table: MAIN_TABLE,
        };
        netlink.add_route(&taken).expect("a route");
        let directory = Directory::new();
        let before = Machine::look();
        let mut daemon = Daemon::spawn(&directory.0, "");
        assert!(!daemon.wait());
        let message = daemon.errors();
        assert!(message.contains("adding route 192.0.2.16/31"), "{message}");
        assert_eq!(Machine::look(), before, "somebody else's route is still there");
        netlink.delete_route(&taken).expect("it is there");

        netlink.add_address(out0, POOL[1], 32).expect("an address");
        let before = Machine::look();
        let mut daemon = Daemon::spawn(&directory.0, "");
        assert!(!daemon.wait());
        let message = daemon.errors().replace('\n', " ");
        assert!(message.contains("192.0.2.17") && message.contains("address of this machine"), "{message}");
        assert_eq!(Machine::look(), before);
    });
}

/// What a namespace's thread does.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A namespace at the end of one of the gateway's interfaces.
pub(crate) fn neighbour(
    scope: &'static str,
    peer: &str,
    address: Ipv4Addr,
    gateway: Option<Ipv4Addr>,
    netlink: &Netlink,
) -> std::sync::mpsc::Sender<Job> {
    let (work, jobs) = std::sync::mpsc::channel::<Job>();
    let (namespace, opened) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name(scope.to_owned())
        .spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("the gateway's was possible, too");
            namespace
                .send(fs::File::open("/proc/thread-self/ns/net").expect("a namespace"))
                .expect("it waits");
            for job in jobs {
                job();
            }
        })
        .expect("a thread");
    let namespace = opened.recv().expect("a namespace");
    let index = netlink.link_index(peer).expect("an answer").expect("it is there");
    netlink.move_link_to_namespace(index, namespace.as_fd()).expect("it moves");
    let peer = peer.to_owned();
    let (done, ready) = std::sync::mpsc::channel();
    work.send(Box::new(move || {
        let netlink = Netlink::open().expect("netlink");
        let index = netlink.link_index(&peer).expect("an answer").expect("it is there");
        netlink.add_address(index, address, 24).expect("an address");
        netlink.link_up(index).expect("up");
        let routes = gateway.map_or_else(
            // The outside reaches the pool by ARP alone, as on a provider's segment.
            || ("192.0.2.0/24".parse().expect("a prefix"), None, Some(index)),
            |gateway| ("0.0.0.0/0".parse().expect("a prefix"), Some(gateway), None),
        );
        let (destination, via, device) = routes;
        netlink.add_route(&Route { destination, via, device, table: MAIN_TABLE }).expect("a route");
        done.send(()).expect("it waits");
    }))
    .expect("the thread is there");
    ready.recv().expect("it is set up");
    work
}

/// A client, a server, and the gateway between them: datagrams, and a megabyte each way over TCP.
fn traffic_goes_through(extra: &str, clients: &[Ipv4Addr]) {
    let netlink = interfaces();
    let directory = Directory::new();
    let client = neighbour("client", "in1", CLIENT, Some(Ipv4Addr::new(10, 0, 0, 1)), &netlink);
    let server = neighbour("server", "out1", SERVER, None, &netlink);
    let mut daemon = Daemon::start(&directory.0, extra);
    let (listening, listens) = std::sync::mpsc::channel();
    server.send(Box::new(move || serve(&listening))).expect("the thread is there");
    listens.recv().expect("the server listens");
    let (outcome, outcomes) = std::sync::mpsc::channel();
    let addresses = clients.to_vec();
    client
        .send(Box::new(move || {
            let netlink = Netlink::open().expect("netlink");
            let index = netlink.link_index("in1").expect("an answer").expect("it is there");
            for address in addresses {
                if address != CLIENT {
                    netlink.add_address(index, address, 24).expect("an address");
                }
                outcome.send(ask(address)).expect("it waits");
            }
        }))
        .expect("the thread is there");
    for client in clients {
        let (seen, echoed) = outcomes.recv().expect("the client has come back");
        assert!(POOL.iter().any(|address| seen == address.to_string()), "{client} was seen as {seen}");
        assert_eq!(echoed, 1 << 20, "{client}: octets that came back");
    }
    daemon.signal(Signal::SIGUSR1);
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait(), "{}", daemon.errors());
    let stats = fs::read_to_string(directory.0.join("stats.json")).expect("it was written");
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("it is JSON");
    let sessions = stats["sessions_created"].as_u64().expect("a number");
    assert_eq!(sessions, 2 * clients.len() as u64, "{stats:#}");
    assert_eq!(stats["dropped_total"], 0, "{stats:#}");
    assert_eq!(stats["traffic"]["send_failed"], 0, "{stats:#}");
}

/// Answers a datagram with the address that it came from, and a connection with its octets.
fn serve(listening: &std::sync::mpsc::Sender<()>) {
    let datagrams = UdpSocket::bind((SERVER, 7)).expect("a socket");
    let connections = TcpListener::bind((SERVER, 7)).expect("a socket");
    listening.send(()).expect("it waits");
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = datagrams.recv_from(&mut buffer) {
            let _ = datagrams.send_to(from.ip().to_string().as_bytes(), from);
        }
    });
    for connection in connections.incoming() {
        let mut reader = connection.expect("a connection");
        std::thread::spawn(move || {
            let mut writer = reader.try_clone().expect("a second handle");
            let _ = std::io::copy(&mut reader, &mut writer);
        });
    }
}

/// As whom the server sees `source`, and how many octets of a megabyte it echoes.
fn ask(source: Ipv4Addr) -> (String, usize) {
    let socket = UdpSocket::bind((source, 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    socket.send_to(b"who am I?", (SERVER, 7)).expect("it is sent");
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("an answer within ten seconds");
    let seen = String::from_utf8_lossy(&buffer[..length]).into_owned();

    let socket = bound_connection(source);
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut writer = socket.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        writer.write_all(&vec![0x5a; 1 << 20]).expect("it is sent");
        writer.shutdown(std::net::Shutdown::Write).expect("an end");
    });
    let mut echoed = Vec::new();
    (&socket).read_to_end(&mut echoed).expect("an answer within ten seconds");
    assert!(echoed.iter().all(|&octet| octet == 0x5a));
    (seen, echoed.len())
}

fn bound_connection(source: Ipv4Addr) -> TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd;
    let descriptor =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    let address = |address, port| SockaddrIn::from(std::net::SocketAddrV4::new(address, port));
    bind(descriptor.as_raw_fd(), &address(source, 0)).expect("its own address");
    connect(descriptor.as_raw_fd(), &address(SERVER, 7)).expect("a connection through the gateway");
    let stream = TcpStream::from(descriptor);
    let peer: SocketAddr = stream.peer_addr().expect("it is connected");
    assert_eq!(peer, SocketAddr::from((SERVER, 7)));
    stream
}

// covers: N9
#[test]
fn traffic_goes_through_with_offloads() {
    in_new_namespace(|| traffic_goes_through("", &[CLIENT]));
}

// covers: N9
#[test]
fn traffic_goes_through_without_offloads() {
    in_new_namespace(|| traffic_goes_through("offloads = false", &[CLIENT]));
}

// covers: N9
#[test]
fn traffic_of_several_subscribers_goes_through_two_workers() {
    let clients: Vec<Ipv4Addr> = (2..10).map(|n| Ipv4Addr::new(10, 0, 0, n)).collect();
    in_new_namespace(|| traffic_goes_through("workers = 2", &clients));
}
