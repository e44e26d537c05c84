//! Option lines: `--tolerance_usecs=10000`.

use core::net::Ipv4Addr;

use super::Runner;
use crate::ast::{OptionLine, Span};
use crate::fault::{Fault, Result};
use crate::settings;
use crate::sockets::Host;

/// What option lines choose.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) tolerance_usecs: i64,
    pub(super) tolerance_percent: f64,
    pub(super) local_ip: Ipv4Addr,
    pub(super) remote_ip: Ipv4Addr,
    pub(super) bind_port: u16,
    pub(super) connect_port: u16,
    /// Compares TSval with the script, one tick being so many microseconds; 0: does not.
    pub(super) ts_tick_usecs: i64,
    /// TSecr that was never sent is counted from the first TSval.
    pub(super) ecr_scaled: bool,
    /// A packet of the script is one packet, never several that follow one another.
    pub(super) strict_segments: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tolerance_usecs: 4_000,
            tolerance_percent: 12.5,
            local_ip: Ipv4Addr::new(192, 168, 0, 2),
            remote_ip: Ipv4Addr::new(192, 0, 2, 1),
            bind_port: 8_080,
            connect_port: 8_080,
            ts_tick_usecs: 0,
            ecr_scaled: false,
            strict_segments: false,
        }
    }
}

impl Runner {
    /// Takes the option lines of the command line and of the script, in this order, and makes the host.
    pub(super) fn configure(&mut self, lines: &[OptionLine]) -> Result<()> {
        let given = self.lines.clone();
        let nowhere = 0..0;
        for (name, value) in &given {
            self.option(name, Some(value), &nowhere)?;
        }
        for line in lines {
            self.option(&line.name, line.value.as_deref(), &line.span)?;
        }
        Ok(())
    }

    fn option(&mut self, name: &str, value: Option<&str>, span: &Span) -> Result<()> {
        let wrong = || Fault::syntax(span, format!("--{name} has no value that it can have"), "");
        let text = value.unwrap_or("");
        let config = &mut self.config;
        match name {
            "tolerance_usecs" => config.tolerance_usecs = text.parse().map_err(|_| wrong())?,
            "tolerance_percent" => config.tolerance_percent = text.parse().map_err(|_| wrong())?,
            "tcp_ts_tick_usecs" => config.ts_tick_usecs = text.parse().map_err(|_| wrong())?,
            "tcp_ts_ecr_scaled" => config.ecr_scaled = true,
            "strict_segments" => config.strict_segments = true,
            "bind_port" => config.bind_port = text.parse().map_err(|_| wrong())?,
            "connect_port" => config.connect_port = text.parse().map_err(|_| wrong())?,
            "remote_ip" => config.remote_ip = address(text).ok_or_else(wrong)?,
            "local_ip" => {
                config.local_ip = address(text).ok_or_else(wrong)?;
                let mut host = Host::new(config.local_ip);
                core::mem::swap(host.settings(), self.host.settings());
                host.settings().addresses = vec![config.local_ip];
                self.host = host;
            }
            "mtu" => self.host.settings().mtu = text.parse().map_err(|_| wrong())?,
            "so_flags" => settings::flags(&mut self.host, text)
                .map_err(|message| Fault::syntax(span, message, "write name=value, ..."))?,
            "ip_version" if text == "ipv4" => {}
            "ip_version" => {
                let help = "this endpoint speaks IPv4 only";
                return Err(Fault::unsupported(span, format!("--ip_version={text}"), help));
            }
            "wire_client" | "wire_server" | "wire_server_ip" | "wire_server_at" | "psp_udp_port" => {
                let help = "the endpoint is in this process";
                return Err(Fault::unsupported(span, format!("--{name}"), help));
            }
            "is_anyip" => {
                return Err(Fault::unsupported(span, "--is_anyip", "this endpoint speaks TCP only"));
            }
            "udp_encapsulation" | "udp_encaps" => {
                return Err(Fault::unsupported(span, "TCP in UDP", "write the TCP packet itself"));
            }
            // They concern the original's devices, its processes, and what it does besides.
            "gateway_ip" | "netmask_ip" | "speed" | "mss" | "init_scripts" | "wire_server_port"
            | "wire_client_dev" | "wire_server_dev" | "so_filename" | "non_fatal" | "dry_run" | "debug"
            | "verbose" | "code_command" | "code_format" | "code_sockopt" | "send_omit_free" => {}
            "define" => {}
            _ => {
                let help = "known are tolerance_usecs, tolerance_percent, local_ip, remote_ip, bind_port, \
                            connect_port, mtu, so_flags and those of the original";
                return Err(Fault::syntax(span, format!("--{name} is no option"), help));
            }
        }
        Ok(())
    }
}

fn address(text: &str) -> Option<Ipv4Addr> {
    text.split('/').next().unwrap_or(text).parse().ok()
}
