//! Which settings of the machine around the engine make sense.

use nat::config::Problem;
use nat::{Config, ConfigError};

use super::value::Complaint;
use super::{LiveSettings, Mode, Settings};

/// Threads of one gateway at most: far above what one machine has.
const MAX_WORKERS: u16 = 1_024;

/// The kernel's own routing tables (`RT_TABLE_DEFAULT`, `_MAIN`, `_LOCAL`).
const KERNEL_TABLES: core::ops::RangeInclusive<u32> = 253..=255;

/// A name that the kernel accepts for an interface.
pub(crate) fn interface(name: &str) -> Result<String, Complaint> {
    // IFNAMSIZ is 16 with the terminating zero; dev_valid_name() refuses the rest.
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(bad) {
        let problem = format!("\"{name}\" cannot be the name of an interface");
        return Err((
            problem,
            "write 1 to 15 characters without blanks, colons and slashes, e.g. \"eth0\"".into(),
        ));
    }
    Ok(name.to_owned())
}

/// Everything that is wrong with `settings.live`, the number of workers against the pools included.
pub(crate) fn problems(settings: &Settings) -> Vec<Problem> {
    let live = &settings.live;
    let mut found = Vec::new();
    let mut add = |setting: &str, problem: String, remedy: &str| {
        let error = ConfigError { setting: setting.into(), problem, remedy: remedy.into() };
        found.push(Problem { error, clashes_with: None });
    };
    if live.workers == 0 {
        add("live.workers", "without a worker nothing is translated".into(), "write 1 or more");
    }
    if live.workers > MAX_WORKERS {
        add("live.workers", format!("{} workers are too many", live.workers), "write 1024 or less");
    }
    if live.route_table == 0 || KERNEL_TABLES.contains(&live.route_table) {
        let problem = format!("routing table {} belongs to the kernel", live.route_table);
        add("live.route_table", problem, "write another number, or leave the line out for 6093");
    }
    if !live.state_directory.is_absolute() {
        let problem = format!("\"{}\" is no absolute path", live.state_directory.display());
        add("live.state_directory", problem, "begin it with a slash, e.g. \"/run/hairpin\"");
    }
    if live.inside_device == live.outside_device {
        let problem = format!("both devices would be called {}", live.inside_device);
        add("live.outside_device", problem, "write two different names, e.g. \"hp-in\" and \"hp-out\"");
    }
    if settings.mode == Mode::Nat && !live.outside_interfaces.is_empty() {
        let problem = "the NAT finds what is for it by the pools' addresses".to_owned();
        add("outside.interfaces", problem, "leave the line out, or write mode = \"scrub\"");
    }
    if settings.mode == Mode::Scrub && live.workers > 1 && settings.engine.scrub.flows.is_some() {
        let problem = "the two directions of a connection may come to two workers".to_owned();
        add("live.workers", problem, "write 1, or scrub.flows = \"off\"");
    }
    if settings.mode == Mode::Scrub && live.route_table == u32::MAX {
        add("live.route_table", "the table behind it is needed, too".into(), "write a smaller number");
    }
    let devices = [&live.inside_device, &live.outside_device];
    for (list, names) in [
        ("inside.interfaces", &live.inside_interfaces),
        ("outside.interfaces", &live.outside_interfaces),
        ("outside.proxy_arp", &live.proxy_arp),
    ] {
        for (index, name) in names.iter().enumerate() {
            let setting = format!("{list}[{index}]");
            if devices.contains(&name) {
                let problem = format!("{name} is the gateway's own device");
                add(&setting, problem, "write the interface that the packets come from");
            }
            if names[..index].contains(name) {
                add(&setting, format!("{name} is here twice"), "write it once");
            }
        }
    }
    if settings.mode == Mode::Nat && (2..=MAX_WORKERS).contains(&live.workers) {
        let mut sharded: Config = settings.engine.clone();
        sharded.shard.count = live.workers;
        found
            .extend(sharded.problems().into_iter().filter(|problem| problem.error.setting == "live.workers"));
    }
    found
}

impl LiveSettings {
    /// The defaults.
    pub(crate) fn usual() -> Self {
        Self {
            inside_interfaces: Vec::new(),
            outside_interfaces: Vec::new(),
            proxy_arp: Vec::new(),
            workers: 1,
            offloads: true,
            inside_device: "hp-in".into(),
            outside_device: "hp-out".into(),
            route_table: 6_093,
            state_directory: "/run/hairpin".into(),
        }
    }
}
