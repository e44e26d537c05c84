//! Scrubbing between real kernels: urgent data by every reader, Telnet's Synch, FTP's abort, and the kernel's own
//! nftables with rules that do the same.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use hairpin::net::netlink::{MAIN_TABLE, Netlink, Route};
use hairpin::net::sysctl;
use nat::{Packet, Realm, Scrubber, Verdict};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use tun::vnet;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

use crate::in_new_namespace;
use crate::run::{CLIENT, Daemon, Directory, Job, Machine, SERVER, interfaces, neighbour};

pub(crate) const GATEWAY_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GATEWAY_OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// A port that nobody excepts.
const PORT: u16 = 4_000;

/// Whether there is a NAT between the two hosts, or a scrubber alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Between {
    Nat,
    Scrubber,
}

/// Two hosts and a daemon between.
pub(crate) struct Lab {
    pub(crate) client: Sender<Job>,
    pub(crate) server: Sender<Job>,
    daemon: Daemon,
    directory: Directory,
}

impl Lab {
    /// In the namespace of the calling thread; `scrub` are lines of `[scrub]`.
    pub(crate) fn new(between: Between, scrub: &str) -> Self {
        let netlink = interfaces();
        let directory = Directory::new();
        let client = neighbour("client", "in1", CLIENT, Some(GATEWAY_INSIDE), &netlink);
        let server = neighbour("server", "out1", SERVER, None, &netlink);
        // Nothing hides the clients from the server where there is no NAT.
        at(&server, || {
            let netlink = Netlink::open().expect("netlink");
            let destination = "10.0.0.0/24".parse().expect("a prefix");
            let route = Route { destination, via: Some(GATEWAY_OUTSIDE), device: None, table: MAIN_TABLE };
            netlink.add_route(&route).expect("a route");
        });
        let daemon = match between {
            Between::Nat => Daemon::start(&directory.0, &format!("[scrub]\n{scrub}\n")),
            Between::Scrubber => Daemon::start_with(
                &directory.0,
                &format!(
                    "mode = \"scrub\"\n[inside]\nprefixes = [\"10.0.0.0/24\"]\ninterfaces = [\"in0\"]\n\
                     [outside]\ninterfaces = [\"out0\"]\n[live]\nstate_directory = \"{}\"\n[scrub]\n{scrub}\n",
                    directory.0.display()
                ),
            ),
        };
        Self { client, server, daemon, directory }
    }

    /// Ends the daemon; its counters, and what it logged.
    pub(crate) fn end(mut self) -> (serde_json::Value, String) {
        self.daemon.signal(Signal::SIGTERM);
        let ended = self.daemon.wait();
        let said = self.daemon.errors();
        assert!(ended, "{said}");
        let stats = std::fs::read_to_string(self.directory.0.join("stats.json")).expect("it was written");
        (serde_json::from_str(&stats).expect("it is JSON"), said)
    }
}

/// Does something in a host and waits for it.
pub(crate) fn at<T: Send + 'static>(host: &Sender<Job>, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = channel();
    host.send(Box::new(move || {
        let _ = done.send(work());
    }))
    .expect("the thread is there");
    outcome.recv_timeout(Duration::from_secs(60)).expect("it comes to an end")
}

/// How an application reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    InLine,
    /// Not before everything has arrived.
    Lazy,
    /// Each octet as it comes.
    Prompt,
    /// The urgent octet first, if there is one.
    OutOfBand,
}

/// One listener for all exchanges with a port: a process that another test starts meanwhile holds what is closed here for
/// a moment more, and the port with it.
fn listen(lab: &Lab, port: u16) -> TcpListener {
    at(&lab.server, move || TcpListener::bind((SERVER, port)).expect("a listener"))
}

/// What a reader at the server gets of "abc", an urgent "!", "xyz": the stream, and what came out of band.
fn exchange(lab: &Lab, listener: &TcpListener, reader: Reader) -> (String, Option<u8>) {
    let address = listener.local_addr().expect("it is bound");
    let client = at(&lab.client, move || TcpStream::connect(address).expect("a connection"));
    let (server, _) = listener.accept().expect("a connection");
    server.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    setsockopt(&server, sockopt::OobInline, &(reader == Reader::InLine)).expect("SO_OOBINLINE");
    let reading = std::thread::spawn(move || read_all(server, reader));
    (&client).write_all(b"abc").expect("sent");
    send(client.as_raw_fd(), b"!", MsgFlags::MSG_OOB).expect("sent");
    (&client).write_all(b"xyz").expect("sent");
    client.shutdown(std::net::Shutdown::Write).expect("an end");
    reading.join().expect("it reads")
}

fn read_all(mut server: TcpStream, reader: Reader) -> (String, Option<u8>) {
    let mut out_of_band = None;
    if matches!(reader, Reader::Lazy | Reader::OutOfBand) {
        let mut ends = [PollFd::new(server.as_fd(), PollFlags::from_bits_retain(libc::POLLRDHUP))];
        assert_eq!(poll(&mut ends, PollTimeout::from(10_000_u16)).expect("poll"), 1, "the end arrives");
    }
    if reader == Reader::OutOfBand {
        let mut octet = [0];
        out_of_band = recv(server.as_raw_fd(), &mut octet, MsgFlags::MSG_OOB).ok().map(|_| octet[0]);
    }
    let mut octets = Vec::new();
    let mut piece = [0; 64];
    let most = if reader == Reader::Prompt { 1 } else { piece.len() };
    loop {
        match server.read(&mut piece[..most]).expect("octets in time") {
            0 => break,
            len => octets.extend_from_slice(&piece[..len]),
        }
    }
    (String::from_utf8(octets).expect("ASCII"), out_of_band)
}

const READERS: [Reader; 4] = [Reader::InLine, Reader::Lazy, Reader::Prompt, Reader::OutOfBand];

/// With and without translation.
fn every_reader_reads_the_same(between: Between) {
    let lab = Lab::new(between, "");
    let [plain, excepted] = [PORT, 23].map(|port| listen(&lab, port));
    for reader in READERS {
        assert_eq!(exchange(&lab, &plain, reader), ("abc!xyz".to_owned(), None), "{between:?}, {reader:?}");
    }
    // Where it is excepted, they disagree as they always did.
    assert_eq!(exchange(&lab, &excepted, Reader::InLine).0, "abc!xyz");
    assert_eq!(exchange(&lab, &excepted, Reader::Lazy), ("abcxyz".to_owned(), None));
    assert_eq!(exchange(&lab, &excepted, Reader::OutOfBand), ("abcxyz".to_owned(), Some(b'!')));
    let (counters, _) = lab.end();
    assert!(
        counters["scrubbed"]["urgent"].as_u64().expect("a number") >= READERS.len() as u64,
        "{counters:#}"
    );
    assert_eq!(counters["dropped_total"], 0, "{counters:#}");
}

// covers: C1
#[test]
fn with_urgent_cleared_every_reader_of_the_kernel_reads_the_same_octets() {
    in_new_namespace(|| every_reader_reads_the_same(Between::Nat));
    in_new_namespace(|| every_reader_reads_the_same(Between::Scrubber));
}

// covers: C1, C5, O1
#[test]
fn a_scrubber_tells_what_it_did_and_leaves_the_machine_as_it_was() {
    in_new_namespace(|| {
        let mut lab = Lab::new(Between::Scrubber, "sample = 1");
        let meanwhile = Machine::look();
        assert!(meanwhile.rules.contains("from all iif in0 lookup 6093"), "{}", meanwhile.rules);
        assert!(meanwhile.rules.contains("from all iif out0 lookup 6094"), "{}", meanwhile.rules);
        let listener = listen(&lab, PORT);
        assert_eq!(exchange(&lab, &listener, Reader::Lazy).0, "abc!xyz");
        lab.daemon.signal(Signal::SIGTERM);
        assert!(lab.daemon.wait());
        let said = lab.daemon.errors();
        assert!(said.contains("scrubbed (urgent): 4500"), "{said}");
        let afterwards = Machine::look();
        assert!(!afterwards.rules.contains("lookup 609"), "{}", afterwards.rules);
        // The same again, now with everything there that the first one needed.
        let before = Machine::look();
        let text = std::fs::read_to_string(lab.directory.0.join("hairpin.toml")).expect("its configuration");
        let mut again = Daemon::start_with(&lab.directory.0, &text);
        again.signal(Signal::SIGTERM);
        assert!(again.wait(), "{}", again.errors());
        assert_eq!(Machine::look(), before);
    });
}

/// What telnet shows of a flood of numbered lines after its user has asked for their end (AO): the largest gap.
/// telnetd answers with a Synch, an urgent DM, at which telnet throws away what has arrived before it.
fn largest_gap(lab: &Lab) -> Option<usize> {
    const FLOOD: &str = "#!/bin/sh\nstty -echo\necho READY\nread line\n\
        awk 'BEGIN { for (i = 0; i < 600000; i++) printf \"%06d %057d\\n\", i, 0; print \"END\" }'\n";
    for program in ["telnetd", "telnet", "script"] {
        let found = ["/usr/sbin", "/usr/bin"]
            .iter()
            .any(|folder| std::path::Path::new(folder).join(program).exists());
        if !found {
            eprintln!(
                "not run: {program} is not installed (apt-get install inetutils-telnetd telnet bsdutils)"
            );
            assert!(std::env::var_os("CI").is_none(), "CI must be able to run this test");
            return None;
        }
    }
    let flood = lab.directory.0.join("flood.sh");
    std::fs::write(&flood, FLOOD).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&flood, mode).expect("a file of ours");
    let listener = at(&lab.server, || TcpListener::bind((SERVER, 23)).expect("the Telnet port"));
    // Far more waits for telnet than it can show before the Synch comes, on the busiest machine.
    at(&lab.client, || {
        std::fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 33554432 33554432").expect("a setting");
    });
    let mut telnet = at(&lab.client, || {
        Command::new("script")
            .args(["-qfec", &format!("telnet {SERVER}"), "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("telnet starts")
    });
    let mut telnetd = at(&lab.server, move || {
        let (connection, _) = listener.accept().expect("telnet connects");
        let end = || Stdio::from(std::os::fd::OwnedFd::from(connection.try_clone().expect("a handle")));
        let mut command = Command::new("telnetd");
        command.arg("-E").arg(flood).stdin(end()).stdout(end()).stderr(Stdio::null());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").spawn().expect("telnetd starts")
    });
    let (mut keys, mut screen) = (telnet.stdin.take().expect("piped"), telnet.stdout.take().expect("piped"));
    let mut seen = Shown { text: Vec::new(), deadline: Instant::now() + Duration::from_secs(40) };
    seen.until(&mut screen, |text| contains(text, b"READY"));
    keys.write_all(b"go\r").expect("typed");
    seen.until(&mut screen, |text| text.len() > 200_000);
    // While its user writes a command, telnet reads nothing of the connection.
    keys.write_all(b"\x1d").expect("typed");
    seen.until(&mut screen, |text| contains(text, b"telnet> "));
    at(&lab.client, || {
        let deadline = Instant::now() + Duration::from_secs(20);
        while unread() < 4_000_000 {
            assert!(Instant::now() < deadline, "only {} octets wait", unread());
            std::thread::yield_now();
        }
    });
    keys.write_all(b"send ao\r").expect("typed");
    let so_far = seen.text.len();
    seen.until(&mut screen, |text| text.len() > so_far + 2_000_000 || contains(&text[so_far..], b"END"));
    for process in [&mut telnet, &mut telnetd] {
        let _ = process.kill();
        let _ = process.wait();
    }
    let text = String::from_utf8_lossy(&seen.text).into_owned();
    let whole = |line: &&str| line.len() == 64 && line[6..].starts_with(" 0");
    let numbers: Vec<usize> =
        text.split(['\r', '\n']).filter(whole).filter_map(|line| line[..6].parse().ok()).collect();
    assert!(numbers.len() > 3_000, "{} lines", numbers.len());
    numbers.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) - 1).max()
}

/// Octets that wait in this namespace on connections to port 23.
fn unread() -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/tcp").expect("a table");
    let waiting = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let to_telnet = fields.get(2)?.ends_with(":0017");
        let (_, queue) = fields.get(4)?.split_once(':')?;
        usize::from_str_radix(queue, 16).ok().filter(|_| to_telnet)
    };
    table.lines().filter_map(waiting).sum()
}

/// What a terminal has shown.
struct Shown {
    text: Vec<u8>,
    deadline: Instant,
}

impl Shown {
    fn until(&mut self, screen: &mut impl Read, done: impl Fn(&[u8]) -> bool) {
        let mut piece = [0; 65_536];
        while !done(&self.text) {
            assert!(Instant::now() < self.deadline, "{}", String::from_utf8_lossy(&self.text));
            let len = screen.read(&mut piece).expect("a terminal");
            assert!(len > 0, "telnet has ended: {}", String::from_utf8_lossy(&self.text));
            self.text.extend_from_slice(&piece[..len]);
        }
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    let tail = &text[text.len().saturating_sub(70_000)..];
    tail.windows(what.len()).any(|window| window == what)
}

// covers: C1
#[test]
fn telnets_synch_works_with_the_shipped_exceptions_and_not_without() {
    for between in [Between::Scrubber, Between::Nat] {
        in_new_namespace(|| {
            let Some(shipped) = largest_gap(&Lab::new(between, "")) else { return };
            println!("{between:?}, excepted: {shipped} lines thrown away at once");
            // telnetd alone throws away what is in its own buffers, 16 KiB: some 250 lines.
            assert!(shipped > 5_000, "{between:?}: {shipped} lines");
        });
        in_new_namespace(|| {
            let Some(cleared) = largest_gap(&Lab::new(between, "except_ports = []")) else { return };
            println!("{between:?}, cleared: {cleared} lines thrown away at once");
            assert!(cleared < 1_000, "{between:?}: {cleared} lines");
        });
    }
}

/// What vsftpd answers to an ABOR in the middle of a transfer that nobody reads, within so many seconds.
fn abort(lab: &Lab) -> Option<String> {
    if !std::path::Path::new("/usr/sbin/vsftpd").exists() {
        eprintln!("not run: vsftpd is not installed (apt-get install vsftpd)");
        assert!(std::env::var_os("CI").is_none(), "CI must be able to run this test");
        return None;
    }
    let (root, empty) = (lab.directory.0.join("ftp"), lab.directory.0.join("empty"));
    for folder in [&root, &empty] {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::fs::write(root.join("file"), vec![7; 64 << 20]).expect("a large file");
    let config = lab.directory.0.join("vsftpd.conf");
    let text = format!(
        "listen=YES\nlisten_address={SERVER}\nbackground=NO\nrun_as_launching_user=YES\nanonymous_enable=YES\n\
         no_anon_password=YES\nanon_root={}\nsecure_chroot_dir={}\nconnect_from_port_20=NO\nseccomp_sandbox=NO\n\
         async_abor_enable=YES\n",
        root.display(),
        empty.display()
    );
    std::fs::write(&config, text).expect("a file");
    let mut server = at(&lab.server, move || {
        Command::new("/usr/sbin/vsftpd").arg(config).stdout(Stdio::null()).spawn().expect("vsftpd starts")
    });
    let answer = at(&lab.client, || {
        let deadline = Instant::now() + Duration::from_secs(10);
        let control = loop {
            match TcpStream::connect((SERVER, 21)) {
                Ok(control) => break control,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        control.set_read_timeout(Some(Duration::from_secs(4))).expect("a timeout");
        let mut talk = Talk { control, heard: String::new() };
        talk.hear("220").expect("a greeting");
        for (command, answer) in [("USER ftp", "230"), ("TYPE I", "200")] {
            talk.say(command);
            talk.hear(answer).expect(command);
        }
        talk.say("PASV");
        let line = talk.hear("227").expect("PASV");
        let numbers: Vec<u16> = line
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .skip(1)
            .collect();
        let port = numbers[4] << 8 | numbers[5];
        let data = TcpStream::connect((SERVER, port)).expect("a data connection");
        talk.say("RETR file");
        talk.hear("150").expect("RETR");
        // As RFC 959 wants it: IP, and a Synch before the command. Nobody reads the data meanwhile.
        talk.control.write_all(&[255, 244]).expect("sent");
        send(talk.control.as_raw_fd(), &[255], MsgFlags::MSG_OOB).expect("sent");
        talk.control.write_all(&[242]).expect("sent");
        talk.say("ABOR");
        let answer = talk.hear("426").unwrap_or_else(|heard| heard);
        drop(data);
        answer
    });
    let _ = server.kill();
    let _ = server.wait();
    Some(answer)
}

/// A control connection.
struct Talk {
    control: TcpStream,
    heard: String,
}

impl Talk {
    fn say(&mut self, command: &str) {
        self.control.write_all(format!("{command}\r\n").as_bytes()).expect("sent");
    }

    /// The next line that begins like this; else what was heard in four seconds.
    fn hear(&mut self, code: &str) -> Result<String, String> {
        let mut piece = [0; 1_024];
        loop {
            if let Some(at) = self.heard.find('\n') {
                let line: String = self.heard.drain(..=at).collect();
                if line.starts_with(code) {
                    return Ok(line);
                }
                continue;
            }
            match self.control.read(&mut piece) {
                Ok(len) if len > 0 => self.heard += &String::from_utf8_lossy(&piece[..len]),
                _ => return Err("nothing".to_owned()),
            }
        }
    }
}

// covers: C1
#[test]
fn an_ftp_transfer_is_aborted_with_the_shipped_exceptions_and_not_without() {
    in_new_namespace(|| {
        let Some(answer) = abort(&Lab::new(Between::Nat, "")) else { return };
        println!("excepted: {}", answer.trim_end());
        assert!(answer.starts_with("426"), "{answer}");
    });
    in_new_namespace(|| {
        let Some(answer) = abort(&Lab::new(Between::Nat, "except_ports = []")) else { return };
        println!("cleared: {}", answer.trim_end());
        assert_eq!(answer, "nothing", "vsftpd hears of the ABOR when the transfer is over");
    });
}

/// nftables cannot take one flag off (its right hand side must be constant), so there is a rule for each
/// combination with URG.
fn ruleset() -> String {
    let combinations: String = (0..=255u16)
        .filter(|flags| flags & 0x20 != 0)
        .map(|flags| format!("  tcp flags == {flags:#x} tcp flags set {:#x} return\n", flags & !0x20))
        .collect();
    format!(
        "table ip scrub {{\n chain clear {{\n{combinations} }}\n chain forward {{\n  type filter hook forward priority 0;\n  \
         tcp urgptr != 0 tcp urgptr set 0\n  tcp flags & urg == urg jump clear\n }}\n}}\n"
    )
}

/// Segments of all flags, with several pointers, lengths and options.
fn segments() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for flags in 0..=255 {
        for (n, urgent) in [0, 1, 7, u16::MAX].into_iter().enumerate() {
            let options: &[u8] = if n % 2 == 0 { &[] } else { &[1, 1, 8, 10, 0, 1, 2, 3, 4, 5, 6, 7] };
            let payload = vec![flags; [0, 1, 6, 1_301][(n + usize::from(flags)) % 4]];
            let segment = Segment { urgent, options, ..Segment::new(40_000 + n as u16, 80, Flags(flags)) };
            let header = Header { identification: u16::from(flags), ..Header::new(CLIENT, SERVER) };
            let mut buffer = vec![0; 1_500];
            let len = craft::tcp(&mut buffer, &header, &segment, &payload).expect("it fits");
            buffer.truncate(len);
            all.push(buffer);
        }
    }
    all
}

// covers: C1
#[test]
fn packet_by_packet_the_kernel_with_rules_for_it_gives_the_same() {
    in_new_namespace(|| {
        let netlink = Netlink::open().expect("netlink");
        let mut queues = Vec::new();
        for (name, address) in [("t-in", GATEWAY_INSIDE), ("t-out", GATEWAY_OUTSIDE)] {
            queues.push(tun::create(name, 1, false).expect("a TUN device").remove(0));
            sysctl::set(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1").expect("a sysctl");
            sysctl::set(&format!("net/ipv4/conf/{name}/rp_filter"), "0").expect("a sysctl");
            let index = netlink.link_index(name).expect("an answer").expect("it is there");
            netlink.add_address(index, address, 24).expect("an address");
            netlink.link_up(index).expect("up");
        }
        sysctl::set("net/ipv4/ip_forward", "1").expect("a sysctl");
        sysctl::set("net/ipv4/conf/all/rp_filter", "0").expect("a sysctl");
        let nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn();
        let Ok(mut nft) = nft else {
            eprintln!("not run: nft is not installed (apt-get install nftables)");
            assert!(std::env::var_os("CI").is_none(), "CI must be able to run this test");
            return;
        };
        nft.stdin.take().expect("piped").write_all(ruleset().as_bytes()).expect("rules");
        assert!(nft.wait().expect("it ends").success(), "nft takes the rules");

        let mut config = nat::Config::new(Vec::new(), Vec::new());
        config.scrub.except_ports = Vec::new();
        // nftables lets illegal flags pass, so ours are to pass, too.
        let pass = nat::config::Action::Pass;
        (config.scrub.syn_fin, config.scrub.syn_rst, config.scrub.no_flags) = (pass, pass, pass);
        let mut scrubber = Scrubber::new(&config, [7; 32], rules::Instant::ZERO).expect("it makes sense");
        let mut changed = 0;
        for packet in segments() {
            let mut ours = packet.clone();
            let mut verdict = [Verdict::Held];
            let offload = nat::Offload::default();
            let one = Packet { data: &mut ours, from: Realm::Inside, offload };
            scrubber.handle_batch(&mut [one], &mut verdict, rules::Instant::ZERO);
            assert_eq!(verdict, [Verdict::Forward(Realm::Outside)]);
            changed += usize::from(ours != packet);
            // The kernel is a router, too.
            wire::rewrite::ttl(&mut ours, 63).expect("a header");
            let theirs = through(&queues, &packet);
            assert_eq!(theirs, ours, "flags {:#04x}", packet[33]);
        }
        println!("{} packets, {changed} changed, all the same", segments().len());
        // All but those without a pointer and without URG.
        assert_eq!(changed, 1_024 - 128);
    });
}

/// Puts a packet in at one device; what comes out at the other.
fn through(queues: &[std::fs::File], packet: &[u8]) -> Vec<u8> {
    let frame = [&vec![0; vnet::LENGTH][..], packet].concat();
    (&queues[0]).write_all(&frame).expect("it is taken");
    let mut buffer = vec![0; 70_000];
    let mut ready = [PollFd::new(queues[1].as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut ready, PollTimeout::from(5_000_u16)).expect("poll"), 1, "it comes out");
    let len = (&queues[1]).read(&mut buffer).expect("a frame");
    buffer[vnet::LENGTH..len].to_vec()
}
