//! Commands in backquotes, and what they mean to the endpoint: sysctl lines of Linux and FreeBSD, and the
//! endpoint's own settings in `--so_flags`.

use core::time::Duration;

use rules::acceptability::Edge;
use rules::urgent::profiles::profile;
use tcp::{CongestionControl, WindowProbe};

use crate::sockets::Host;
use crate::sockstat::sockstat;

/// What became of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    /// It was carried out, or means nothing to an endpoint.
    Yes,
    /// It names a setting that the endpoint does not have: the script goes on without it.
    Ignored(String),
    /// It cannot be carried out here.
    Unsupported(String),
    /// It asked whether something is so, and it is not.
    No(String),
}

/// Carries out a command line: several commands on lines of their own.
pub(crate) fn command(host: &mut Host, text: &str) -> Done {
    let mut ignored = Vec::new();
    let text = text.replace("\\\n", " ");
    for line in text.split(['\n', ';']).flat_map(|line| line.split("&&")) {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match one(host, &words(line)) {
            Done::Yes => {}
            Done::Ignored(what) => ignored.push(what),
            over @ (Done::Unsupported(_) | Done::No(_)) => return over,
        }
    }
    if ignored.is_empty() { Done::Yes } else { Done::Ignored(ignored.join(", ")) }
}

/// Words of a shell line; quotation marks hold one together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut depth = 0;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ' ' | '\t') if depth == 0 => {
                if !word.is_empty() {
                    words.push(core::mem::take(&mut word));
                }
            }
            _ => {
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                word.push(letter);
            }
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn one(host: &mut Host, words: &[String]) -> Done {
    let Some(program) = words.first() else { return Done::Yes };
    let name = program.rsplit('/').next().unwrap_or(program);
    match name {
        "sysctl" => sysctls(host, words.iter().skip(1).filter(|word| !word.starts_with('-'))),
        "set_sysctls.py" => sysctls(host, words.iter().skip(1)),
        "echo" => echoed(host, words),
        "sockstat" => match sockstat(host, words) {
            Some((_, true)) => Done::Yes,
            Some((found, false)) => Done::No(format!("there are {found}")),
            None => Done::Unsupported(format!("the command {:?}", words.join(" "))),
        },
        "defaults.sh" => {
            linux_defaults(host);
            Done::Yes
        }
        // They tell the kernel's devices and caches what has no counterpart here.
        "true" | "ethtool" | "tc" | "ip" | "modprobe" | ":" => Done::Yes,
        _ if name.starts_with("sysctl_restore") => Done::Yes,
        "sleep" => match words.get(1).and_then(|text| text.parse::<f64>().ok()) {
            Some(seconds) if (0.0..1e6).contains(&seconds) => {
                let to = host.now() + Duration::from_secs_f64(seconds);
                host.advance(to);
                Done::Yes
            }
            _ => Done::Unsupported(format!("the command {:?}", words.join(" "))),
        },
        _ => Done::Unsupported(format!("the command {:?}", words.join(" "))),
    }
}

fn echoed(host: &mut Host, words: &[String]) -> Done {
    match words {
        [_, value, arrow, path] if arrow == ">" && path.starts_with("/proc/sys/") => {
            sysctl(host, &path_name(path), value)
        }
        [_, _, arrow, path] if arrow == ">" && path.starts_with("/sys/") => Done::Ignored(path.clone()),
        _ => Done::Unsupported(format!("the command {:?}", words.join(" "))),
    }
}

fn path_name(path: &str) -> String {
    path.trim_start_matches("/proc/sys/").replace('/', ".")
}

fn sysctls<'a>(host: &mut Host, assignments: impl Iterator<Item = &'a String>) -> Done {
    let mut ignored = Vec::new();
    for assignment in assignments.take_while(|word| !matches!(word.as_str(), ">" | "2>&1")) {
        let Some((name, value)) = assignment.split_once('=') else { continue };
        match sysctl(host, &path_name(name), value) {
            Done::Yes => {}
            Done::Ignored(what) => ignored.push(what),
            over @ (Done::Unsupported(_) | Done::No(_)) => return over,
        }
    }
    if ignored.is_empty() { Done::Yes } else { Done::Ignored(ignored.join(", ")) }
}

/// What the public suites call their production defaults, as far as an endpoint has it.
fn linux_defaults(host: &mut Host) {
    linux_buffers(host, [4_096, 540_000, 15 << 20], [4_096, 256 << 10, 4 << 20]);
    let connection = &mut host.settings().connection;
    connection.timestamps = true;
    connection.sack = true;
    connection.syn_retries = 5;
    connection.ecn = false;
    connection.congestion = CongestionControl::Cubic;
    // Linux acknowledges the first segments of a connection at once, and these scripts are hardly longer.
    connection.delayed_ack = Duration::ZERO;
}

/// The largest receive buffer decides on the window scale, as in Linux; the default send buffer is used.
fn linux_buffers(host: &mut Host, receive: [u32; 3], send: [u32; 3]) {
    let connection = &mut host.settings().connection;
    connection.receive_buffer = receive[2];
    connection.send_buffer = send[1];
}

/// A product of numbers, as `$((15*1024*1024))` is.
fn number(text: &str) -> Option<u64> {
    let text = text.trim().trim_start_matches("$((").trim_end_matches("))");
    text.split('*').try_fold(1u64, |product, factor| {
        let factor = factor.trim();
        let value = match factor.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok()?,
            None => factor.parse().ok()?,
        };
        product.checked_mul(value)
    })
}

fn three(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text.split_whitespace().map_while(number).map(|value| value as u32).collect();
    numbers.try_into().ok()
}

fn sysctl(host: &mut Host, name: &str, value: &str) -> Done {
    let set = match name.strip_prefix("net.ipv4.") {
        Some(name) => linux(host, name, value),
        None => match name.strip_prefix("net.inet.") {
            Some(name) => {
                host.freebsd = true;
                freebsd(host, name, value)
            }
            None => None,
        },
    };
    match set {
        Some(()) => Done::Yes,
        None => Done::Ignored(format!("{name}={value}")),
    }
}

fn linux(host: &mut Host, name: &str, value: &str) -> Option<()> {
    if name == "tcp_rmem" {
        host.settings().connection.receive_buffer = three(value)?[2];
        return Some(());
    }
    if name == "tcp_wmem" {
        host.settings().connection.send_buffer = three(value)?[1];
        return Some(());
    }
    if name == "tcp_ecn" {
        host.set_ecn(value != "0", value == "1");
        return Some(());
    }
    if name == "tcp_congestion_control" {
        host.settings().connection.congestion = congestion(value)?;
        return Some(());
    }
    let value = number(value)?;
    let seconds = Duration::from_secs(value);
    let count = u8::try_from(value).unwrap_or(u8::MAX);
    let settings = host.settings();
    let connection = &mut settings.connection;
    match name {
        "tcp_timestamps" => connection.timestamps = value != 0,
        "tcp_sack" => connection.sack = value != 0,
        "tcp_window_scaling" => connection.window_scaling = value != 0,
        "tcp_syn_retries" | "tcp_synack_retries" => connection.syn_retries = count,
        "tcp_retries2" => connection.retries = count,
        "tcp_fin_timeout" => connection.fin_wait_2 = Some(seconds),
        "tcp_rfc1337" => connection.protect_time_wait = value != 0,
        "tcp_rto_min_us" => connection.min_rto = Duration::from_micros(value),
        "ip_no_pmtu_disc" => connection.path_mtu_discovery = value == 0,
        "ip_default_ttl" => settings.ttl = count,
        "tcp_challenge_ack_limit" => settings.limits.challenge_acks = count,
        "tcp_max_syn_backlog" => settings.limits.half_open = value as u32,
        "tcp_syncookies" if value == 2 => settings.limits.half_open = 0,
        "tcp_stdurg" => {
            let linux = profile(if value == 0 { "linux" } else { "linux-stdurg" })?;
            connection.urgent = *linux;
        }
        // What these choose is always so here, or concerns only the kernel's own ways.
        "tcp_syncookies"
        | "tcp_dsack"
        | "tcp_reordering"
        | "tcp_slow_start_after_idle"
        | "tcp_tso_win_divisor"
        | "tcp_no_metrics_save"
        | "tcp_fack"
        | "tcp_frto"
        | "tcp_early_retrans"
        | "tcp_recovery"
        | "tcp_fastopen"
        | "tcp_moderate_rcvbuf"
        | "tcp_autocorking"
        | "tcp_pacing_ss_ratio"
        | "tcp_pacing_ca_ratio" => {}
        _ => return None,
    }
    Some(())
}

fn freebsd(host: &mut Host, name: &str, value: &str) -> Option<()> {
    if name == "tcp.cc.algorithm" {
        host.settings().connection.congestion = congestion(value)?;
        return Some(());
    }
    let value = number(value)?;
    if name == "tcp.ecn.enable" {
        host.set_ecn(value != 0, value == 1);
        return Some(());
    }
    let millis = Duration::from_millis(value);
    let settings = host.settings();
    let connection = &mut settings.connection;
    match name {
        "tcp.rfc1323" => {
            connection.timestamps = value == 1 || value == 3;
            connection.window_scaling = value == 1 || value == 2;
        }
        "tcp.sack.enable" => connection.sack = value != 0,
        "tcp.recvspace" => connection.receive_buffer = value as u32,
        "tcp.sendspace" => connection.send_buffer = value as u32,
        "tcp.blackhole" => settings.reset_closed_ports = value == 0,
        "tcp.rexmit_initial" => connection.initial_rto = millis,
        "tcp.rexmit_min" => connection.min_rto = millis,
        "tcp.delacktime" => connection.delayed_ack = millis,
        "tcp.delayed_ack" if value == 0 => connection.delayed_ack = Duration::ZERO,
        "tcp.msl" => connection.time_wait = millis * 2,
        "tcp.path_mtu_discovery" => connection.path_mtu_discovery = value != 0,
        "tcp.mssdflt"
        | "tcp.hostcache.purgenow"
        | "tcp.delayed_ack"
        | "tcp.insecure_rst"
        | "tcp.insecure_syn"
            if value <= 1 => {}
        _ => return None,
    }
    Some(())
}

fn congestion(name: &str) -> Option<CongestionControl> {
    match name {
        "reno" | "newreno" => Some(CongestionControl::NewReno),
        "cubic" => Some(CongestionControl::Cubic),
        _ => None,
    }
}

/// The endpoint's own settings: `name=value,name=value`, as `--so_flags` gives them.
///
/// # Errors
/// The first that is not known, with what is.
pub fn flags(host: &mut Host, text: &str) -> Result<(), String> {
    for flag in text.split(',').map(str::trim).filter(|flag| !flag.is_empty()) {
        let (name, value) = flag.split_once('=').unwrap_or((flag, "1"));
        if own(host, name, value).is_none() {
            return Err(format!("{flag:?} is no setting of the endpoint: known are {KNOWN}"));
        }
    }
    Ok(())
}

/// Settings that `--so_flags` knows. Times are in milliseconds, switches 0 or 1.
pub const KNOWN: &str = "timestamps, sack, wscale, ecn, nagle, delayed_ack, initial_rto, min_rto, max_rto, \
    syn_retries, retries, user_timeout, time_wait, fin_wait_2, congestion (reno, cubic), hystart, pacing, \
    initial_window, pmtud, send_buffer, receive_buffer, mss, seq_validation (rfc793, seqval), window_probe (next, una, \
    old, empty), any_probe, protect_time_wait, urgent (a profile of RFC 6093 appendix A), oob (octets kept out of band, 0: in \
    line), challenge_acks, half_open, out_of_order_ranges, reset_closed_ports, ttl, mtu";

fn own(host: &mut Host, name: &str, value: &str) -> Option<()> {
    let settings = host.settings();
    let connection = &mut settings.connection;
    match (name, value) {
        ("congestion", _) => connection.congestion = congestion(value)?,
        ("urgent", _) => connection.urgent = *profile(value)?,
        ("seq_validation", "rfc793") => connection.seq_validation = Edge::Rfc793,
        ("seq_validation", "seqval") => connection.seq_validation = Edge::Seqval,
        ("window_probe", "next") => connection.window_probe = WindowProbe::NextOctet,
        ("window_probe", "una") => connection.window_probe = WindowProbe::OctetAtUna,
        ("window_probe", "old") => connection.window_probe = WindowProbe::OldOctet,
        ("window_probe", "empty") => connection.window_probe = WindowProbe::Empty,
        _ => return own_number(host, name, number(value)?),
    }
    Some(())
}

fn own_number(host: &mut Host, name: &str, value: u64) -> Option<()> {
    let settings = host.settings();
    let connection = &mut settings.connection;
    let (on, millis) = (value != 0, Duration::from_millis(value));
    let count = u8::try_from(value).unwrap_or(u8::MAX);
    let size = u32::try_from(value).ok()?;
    match name {
        "timestamps" => connection.timestamps = on,
        "sack" => connection.sack = on,
        "wscale" => connection.window_scaling = on,
        "ecn" => connection.ecn = on,
        "nagle" => connection.nagle = on,
        "hystart" => connection.hystart = on,
        "pacing" => connection.pacing = on,
        "pmtud" => connection.path_mtu_discovery = on,
        "any_probe" => connection.any_probe = on,
        "protect_time_wait" => connection.protect_time_wait = on,
        "delayed_ack" => connection.delayed_ack = millis,
        "initial_rto" => connection.initial_rto = millis,
        "min_rto" => connection.min_rto = millis,
        "max_rto" => connection.max_rto = millis,
        "time_wait" => connection.time_wait = millis,
        "fin_wait_2" => connection.fin_wait_2 = on.then_some(millis),
        "user_timeout" => connection.user_timeout = on.then_some(millis),
        "syn_retries" => connection.syn_retries = count,
        "retries" => connection.retries = count,
        "initial_window" => connection.initial_window = count,
        "send_buffer" => connection.send_buffer = size,
        "receive_buffer" => connection.receive_buffer = size,
        "mss" => connection.mss = u16::try_from(value).ok(),
        "oob" if on => {
            connection.urgent = connection.clone().out_of_band(u16::try_from(size).ok()?).urgent;
        }
        "oob" => connection.urgent = connection.clone().in_line().urgent,
        "challenge_acks" => settings.limits.challenge_acks = count,
        "half_open" => settings.limits.half_open = size,
        "out_of_order_ranges" => settings.limits.out_of_order_ranges = size as usize,
        "reset_closed_ports" => settings.reset_closed_ports = on,
        "ttl" => settings.ttl = count,
        "mtu" => settings.mtu = u16::try_from(value).ok()?,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    #[test]
    fn sysctl_lines_of_both_systems_set_the_endpoint() {
        let mut host = Host::new(Ipv4Addr::new(192, 168, 0, 2));
        let text = "../common/defaults.sh\nsysctl -q net.ipv4.tcp_rmem=\"4096 87380 $((15*1024*1024))\" \
                    net.ipv4.tcp_timestamps=0 # why\nsysctl -w net.inet.tcp.msl=1000";
        assert_eq!(command(&mut host, text), Done::Yes);
        let connection = &host.settings().connection;
        assert!(!connection.timestamps && connection.receive_buffer == 15 << 20);
        assert_eq!(connection.time_wait, Duration::from_secs(2));
        assert_eq!(
            command(&mut host, "sysctl -q net.ipv4.nonsense=1"),
            Done::Ignored("net.ipv4.nonsense=1".into())
        );
        assert!(matches!(command(&mut host, "rm -rf /"), Done::Unsupported(_)));
        let set = "../common/set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0";
        assert_eq!(command(&mut host, set), Done::Yes);
        assert!(!host.settings().connection.sack);
    }

    #[test]
    fn a_flag_that_is_not_known_is_named() {
        let mut host = Host::new(Ipv4Addr::new(192, 168, 0, 2));
        assert_eq!(flags(&mut host, "window_probe=empty, ttl=9"), Ok(()));
        assert_eq!(host.settings().ttl, 9);
        assert!(flags(&mut host, "frobnicate=1").is_err_and(|text| text.contains("frobnicate")));
    }
}
