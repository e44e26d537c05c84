//! The FTP gateway (RFC 5382 REQ-6, B8): curl and vsftpd, active and passive, with the server outside and
//! with the server inside behind a static forward.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::pattern::Pattern;
use super::{During, Failure, Finding, ensure};
use crate::lab::gateway::{Gateway, Workshop, start};
use crate::lab::process::Process;
use crate::lab::sockets::{at, tcp_connect};
use crate::lab::world::{CLIENT1, Host, SERVER};

const OCTETS: usize = 200_000;
const PATIENCE: Duration = Duration::from_secs(20);
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
const SETTINGS: &str = "[[pool]]\naddresses = [\"192.0.2.16-192.0.2.31\"]\n[[static]]\ninternal = \
                        \"100.64.0.2:21\"\nexternal = \"192.0.2.20:21\"\nprotocol = \"tcp\"\n[alg]\nftp_ports = [21]\n";

/// The four ways to a data connection: the command of each, and how curl is told to use it alone.
const WAYS: [(&str, &[&str]); 4] = [
    ("PASV", &["--disable-epsv", "--no-ftp-skip-pasv-ip"]),
    ("EPSV", &["--no-ftp-skip-pasv-ip"]),
    ("PORT", &["--disable-eprt", "--ftp-port", "-"]),
    ("EPRT", &["--ftp-port", "-"]),
];

pub(super) fn run(workshop: &Workshop<'_>) -> Finding {
    let gateway = workshop.gateway(SETTINGS)?;
    let world = &gateway.world;
    let content = Pattern::new(0xf17).datagram(OCTETS).to_vec();
    {
        let server = serve(&gateway, &world.server, SERVER, &content).during("the server outside")?;
        for (command, options) in WAYS {
            fetch(&gateway, &world.client1, SERVER, options, &content)
                .during(&format!("{command}, from inside"))?;
            ensure!(used(&gateway, command)?, "curl did not use {command}");
        }
        drop(server);
    }
    let server = serve(&gateway, &world.client1, CLIENT1, &content).during("the server inside")?;
    for (command, options) in &WAYS[..2] {
        fetch(&gateway, &world.server, EXTERNAL, options, &content)
            .during(&format!("{command}, from outside"))?;
    }
    drop(server);
    Ok(format!(
        "{} octets each by PASV, EPSV, PORT and EPRT from inside, by PASV and EPSV from outside",
        OCTETS
    ))
}

/// vsftpd in `host`, with one file.
fn serve(gateway: &Gateway, host: &Host, address: Ipv4Addr, content: &[u8]) -> Result<Process, Failure> {
    let root = gateway.directory.join("ftp");
    let empty = gateway.directory.join("empty");
    for directory in [&root, &empty] {
        fs::create_dir_all(directory)?;
    }
    fs::write(root.join("file"), content)?;
    let config = gateway.directory.join(format!("vsftpd-{}.conf", host.name));
    fs::write(
        &config,
        format!(
            "listen=YES\nlisten_address={address}\nbackground=NO\nrun_as_launching_user=YES\nanonymous_enable=YES\n\
             no_anon_password=YES\nanon_root={}\nsecure_chroot_dir={}\nconnect_from_port_20=NO\nseccomp_sandbox=NO\n\
             xferlog_enable=YES\nlog_ftp_protocol=YES\nvsftpd_log_file={}\n",
            root.display(),
            empty.display(),
            log(&gateway.directory).display()
        ),
    )?;
    let mut server = start(host, "vsftpd", "vsftpd", &[config.as_os_str()])?;
    let deadline = Instant::now() + PATIENCE;
    while tcp_connect(host, at(address, 0), at(address, 21)).map(|stream: TcpStream| drop(stream)).is_err() {
        ensure!(Instant::now() < deadline, "vsftpd does not listen; it said:\n{}", server.log().join("\n"));
        thread::sleep(Duration::from_millis(20));
    }
    Ok(server)
}

fn log(directory: &Path) -> std::path::PathBuf {
    directory.join("vsftpd.log")
}

/// Whether the server was given this command by now.
fn used(gateway: &Gateway, command: &str) -> Result<bool, Failure> {
    Ok(fs::read_to_string(log(&gateway.directory))?.contains(&format!("\"{command}")))
}

fn fetch(
    gateway: &Gateway,
    client: &Host,
    server: Ipv4Addr,
    options: &[&str],
    content: &[u8],
) -> Result<(), Failure> {
    let got = gateway.directory.join("got");
    let (url, got_name) = (format!("ftp://{server}/file"), got.display().to_string());
    let mut arguments = vec!["-q", "-sS", "-v", "--max-time", "10", "-o", &got_name];
    arguments.extend(options);
    arguments.push(&url);
    let (succeeded, told) = start(client, "curl", "curl", &arguments)?.finish(PATIENCE)?;
    // Commands, answers, and what curl itself says at the end.
    let talk: Vec<&str> = told
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with(['<', '>']) || line.contains("curl:"))
        .collect();
    ensure!(succeeded, "curl failed: {}", talk.join("; "));
    let same = fs::read(&got)? == content;
    fs::remove_file(&got)?;
    ensure!(same, "what came is not the file");
    Ok(())
}
