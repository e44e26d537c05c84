//! `hairpin drill` as a person runs it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const OPEN: &str = "   0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
  +0 bind(3, ..., ...) = 0
  +0 listen(3, 1) = 0
  +0 < S 0:0(0) win 65535 <mss 1000>
  +0 > S. 0:0(0) ack 1 <mss 1460>
";

/// A folder of scripts, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, scripts: &[(&str, &[u8])]) -> Self {
        let path = std::env::temp_dir().join(format!("hairpin-drill-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        for (name, text) in scripts {
            fs::write(path.join(name), text).expect("a script");
        }
        Self(path)
    }

    /// What the program says to both streams, and whether it was content.
    fn drill(&self, args: &[&str]) -> (String, bool) {
        let program = env!("CARGO_BIN_EXE_hairpin");
        let output = Command::new(program).arg("drill").args(args).current_dir(&self.0).output();
        let Output { status, stdout, stderr } = output.expect("the program runs");
        let said = [stdout, stderr].map(|octets| String::from_utf8_lossy(&octets).into_owned());
        (said.concat(), status.success())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// covers: O1, T1
#[test]
fn a_failure_shows_the_line_both_packets_and_a_ladder() {
    let wrong = OPEN.replace("mss 1460", "mss 1461");
    let folder = Folder::new("failure", &[("right.pkt", OPEN.as_bytes()), ("wrong.pkt", wrong.as_bytes())]);
    let (said, content) = folder.drill(&["."]);
    assert!(!content);
    for shown in [
        "wrong.pkt:5:",
        "expected > S. 0:0(0) ack 1 <mss 1461>",
        "actual   > S. 0:0(0) ack 1 win 65535 <mss 1460>",
        "<SEQ=300><ACK=101><CTL=SYN,ACK>",
        "2 scripts in",
        "1 failed, 1 passed",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    assert!(folder.drill(&["right.pkt"]).1);
}

// covers: O1
#[test]
fn what_is_not_supported_is_named_and_is_no_failure_of_the_endpoint() {
    let code = format!("{OPEN}  +0 %{{ assert tcpi_snd_cwnd == 10 }}%\n");
    let folder = Folder::new("code", &[("code.pkt", code.as_bytes())]);
    let (said, content) = folder.drill(&["--summary", "code.pkt"]);
    assert!(!content && said.contains("not supported\tcode.pkt: line 6: not supported: code"), "{said}");
    assert!(folder.drill(&["--ignore-code", "code.pkt"]).1);
}

// covers: O1
#[test]
fn odd_files_and_wrong_arguments_are_told_apart() {
    let latin = [b"// Caf\xe9\n".as_slice(), OPEN.as_bytes()].concat();
    let symbol = OPEN.replace("mss 1460", "mss WHAT");
    let scripts =
        [("latin.pkt", latin.as_slice()), ("symbol.pkt", symbol.as_bytes()), ("noise.pkt", b"\xff\0")];
    let folder = Folder::new("odd", &scripts);
    std::os::unix::fs::symlink(".", folder.0.join("loop")).expect("a link");
    assert!(folder.drill(&["latin.pkt"]).1, "a comment of another encoding");
    let (said, content) = folder.drill(&["--summary", "."]);
    assert!(!content && said.contains("3 scripts in"), "the link is not followed: {said}");
    assert!(folder.drill(&["-D", "WHAT=1460", "symbol.pkt"]).1);
    for (args, told) in [
        (["-D", "WHAT", "symbol.pkt"].as_slice(), "NAME=VALUE"),
        (&["--set", "nosuch=1", "latin.pkt"], "known are timestamps"),
        (&["missing.pkt"], "missing.pkt: cannot be read"),
        (&[], "FILE.pkt|DIRECTORY"),
    ] {
        let (said, content) = folder.drill(args);
        assert!(!content && said.contains(told), "{args:?}: {said}");
    }
}
