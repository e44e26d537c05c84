//! Every script under tests/scripts runs, passes, and says what it covers.

use std::fs;
use std::path::{Path, PathBuf};

use hairpin_drill::{Kind, Options, parse, run};

fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder of scripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "pkt") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_script_of_ours_passes() {
    let scripts = scripts();
    assert!(scripts.len() >= 150, "{} scripts", scripts.len());
    let mut failures = String::new();
    for path in &scripts {
        let text = fs::read_to_string(path).expect("a script");
        assert!(text.contains("// covers: "), "{} does not say what it covers", path.display());
        let outcome = run(&text, &Options::default());
        if let Err(fault) = &outcome.verdict {
            let line = fault.line(&text);
            failures += &format!("{}:{line}: {fault}: {}\n{}\n", path.display(), fault.label, fault.help);
        }
        assert!(outcome.notes.is_empty(), "{}: {:?}", path.display(), outcome.notes);
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn a_script_runs_the_same_way_every_time() {
    for path in scripts().iter().step_by(10) {
        let text = fs::read_to_string(path).expect("a script");
        let [first, second] = [(); 2].map(|()| run(&text, &Options::default()).records);
        assert_eq!(first, second, "{}", path.display());
    }
}

/// A script with one digit, flag or name changed must not pass: nothing that it says is overlooked.
#[test]
fn a_script_that_says_something_else_fails() {
    let right = "   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
  +0 < S 0:0(0) win 65535 <mss 1000,sackOK,nop,nop>
  +0 > [noecn] S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>
+.01 < . 1:1(0) ack 1 win 65535
  +0 accept(3, ..., ...) = 4
  +0 send(4, ..., 10, MSG_OOB) = 10
  +0 > [ttl 64] PU. 1:11(10) ack 1 urg 10
+.01 < . 101:201(100) ack 11 win 65535
  +0 > . 11:11(0) ack 1 <nop,nop,sack 101:201>
  +0 ioctl(4, SIOCINQ, [0]) = 0
  +0 poll([{fd=4, events=POLLOUT, revents=POLLOUT}], 1, 0) = 1
  +0 getsockopt(4, SOL_TCP, TCP_MAXSEG, [1000], [4]) = 0
";
    let verdict = |text: &str| run(text, &Options::default()).verdict;
    assert_eq!(verdict(right), Ok(()));
    for (from, to) in [
        ("S. 0:0(0) ack 1 win", "S. 0:0(0) ack 2 win"),
        ("ack 1 win 65535 <mss 1460", "ack 1 win 65534 <mss 1460"),
        ("<mss 1460,nop,nop,sackOK>", "<mss 1461,nop,nop,sackOK>"),
        ("<mss 1460,nop,nop,sackOK>", "<mss 1460,sackOK,nop,nop>"),
        ("<mss 1460,nop,nop,sackOK>", "<mss 1460>"),
        ("[noecn] S.", "[ect0] S."),
        ("[ttl 64]", "[ttl 63]"),
        ("PU. 1:11(10) ack 1 urg 10", "P. 1:11(10) ack 1"),
        ("PU. 1:11(10) ack 1 urg 10", "PU. 1:11(10) ack 1 urg 9"),
        ("PU. 1:11(10)", "PU. 2:12(10)"),
        ("PU. 1:11(10)", "PU. 1:10(9)"),
        ("sack 101:201>", "sack 101:202>"),
        ("  +0 > . 11:11(0)", "+.05 > . 11:11(0)"),
        ("= 10\n", "= 9\n"),
        ("SIOCINQ, [0]", "SIOCINQ, [1]"),
        ("revents=POLLOUT", "revents=POLLIN"),
        ("[1000], [4]", "[1001], [4]"),
        ("accept(3, ..., ...) = 4", "accept(3, ..., ...) = -1 EAGAIN (Try again)"),
    ] {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right, "{from}");
        assert!(verdict(&wrong).is_err_and(|fault| fault.kind == Kind::Failed), "{from} -> {to}");
    }
}

#[test]
fn what_is_not_supported_is_named_with_its_place() {
    let kind =
        |text: &str| run(text, &Options::default()).verdict.map_err(|fault| (fault.kind, fault.message));
    for (text, names) in [
        ("0 %{ assert tcpi_snd_cwnd == 10 }%", "code"),
        ("--ip_version=ipv6\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", "ipv6"),
        ("0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3", "not TCP"),
        ("0 < udp (100)", "UDP"),
        ("0 `rm -rf /tmp/x`", "rm -rf"),
        ("0 splice(3, ..., 4, ..., 10, 0) = 10", "splice"),
    ] {
        let Err((kind, message)) = kind(text) else { unreachable!("{text} passed") };
        assert_eq!(kind, Kind::Unsupported, "{text}: {message}");
        assert!(message.contains(names), "{text}: {message}");
    }
}

#[test]
fn what_is_not_of_the_language_is_said_with_what_to_write() {
    for (text, at, help) in [
        ("0 < . 1:1(0) ack 1", "< . 1:1(0) ack 1", "win 65535"),
        ("0 < . 1:2(0) ack 1 win 1", "1:2(0)", "1:1(0)"),
        ("0 < S 0:0(0) win 1 <mss 1,sackOK>", "<mss 1,sackOK>", "nop"),
        ("+.1~+.2 < . 1:1(0) ack 1 win 1", "+.1~+.2 < . 1:1(0) ack 1 win 1", ">"),
        ("0 > X 1:1(0)", "X", "letters"),
        ("hello", "hello", "time"),
    ] {
        let Err(fault) = parse(text, &[]) else { unreachable!("{text} was read") };
        assert_eq!((fault.kind, &text[fault.span.clone()]), (Kind::Syntax, at), "{text}: {}", fault.message);
        assert!(fault.help.contains(help), "{text}: {}", fault.help);
    }
}

/// Whatever a file holds, reading it and running it ends, and does not panic.
#[test]
fn a_damaged_script_ends_too() {
    for path in scripts().iter().step_by(7) {
        let text = fs::read_to_string(path).expect("a script");
        for at in (0..text.len()).step_by(11).filter(|at| text.is_char_boundary(*at)) {
            let (head, tail) = text.split_at(at);
            let rest = tail.get(1..).unwrap_or("");
            for damaged in
                [head.to_owned(), format!("{head}{rest}"), format!("{head}9{tail}"), format!("{head}({tail}")]
            {
                let _ = run(&damaged, &Options::default()).records.len();
            }
        }
    }
}

// covers: T1
#[test]
fn the_states_of_connections_can_be_counted_as_sockstat_does() {
    let script = |count: &str| {
        format!(
            "   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
  +0 < S 0:0(0) win 65535 <mss 1000>
  +0 > S. 0:0(0) ack 1 <mss 1460>
  +0 `sockstat -4 -P tcp -s -p 8080 | grep -c SYN_RCVD | grep {count}`
+.01 < . 1:1(0) ack 1 win 65535
  +0 accept(3, ..., ...) = 4
  +0 `sockstat -4 -P tcp -p 8080 -s | grep -c SYN_RCVD | grep 0`
  +0 close(4) = 0
  +0 > F. 1:1(0) ack 1
+.01 < F. 1:1(0) ack 2 win 65535
  +0 > . 2:2(0) ack 2
  +0 `sockstat -4 -P tcp -s | grep packetdril | grep -c TIME_WAIT | grep 1`
"
        )
    };
    let verdict =
        |text: &str| run(text, &Options::default()).verdict.map_err(|fault| (fault.kind, fault.label));
    assert_eq!(verdict(&script("1")), Ok(()));
    assert_eq!(verdict(&script("2")), Err((Kind::Failed, "there are 1".to_owned())));
    let other = verdict("0 `sockstat -4 | wc -l`").map_err(|(kind, _)| kind);
    assert_eq!(other, Err(Kind::Unsupported));
}

// covers: O1
#[test]
fn the_page_names_every_setting_and_the_error_every_one_of_the_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drill.md"));
    let page = page.expect("docs/drill.md");
    let table = page.split("## ").find(|part| part.starts_with("Settings")).expect("its section");
    let rows = table.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    for setting in
        hairpin_drill::settings::KNOWN.split([',', '(', ')', ' ']).filter(|word| word.contains('_'))
    {
        assert!(named.contains(&setting), "{setting} is not on the page");
    }
    let known: Vec<_> = hairpin_drill::settings::KNOWN.split([',', '(', ')', ' ']).collect();
    for name in named {
        assert!(known.contains(&name), "{name} is on the page, and the error does not name it");
    }
}
