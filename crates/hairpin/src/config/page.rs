//! `docs/configuration.md`, written from the table of settings.

use core::net::Ipv4Addr;

use nat::config::Pool;

use super::table::{PoolSlot, Setting, Slot, all_settings};
use super::{DEFAULT_PORTS, Profile, defaults, value};

const HEAD: &str = "\
# Configuration

<!-- Written from crates/hairpin/src/config/table.rs. After a change there: BLESS=1 cargo test -p hairpin --test config -->

One TOML file. `hairpin check -c FILE` says what is wrong with it, by line, and what to write instead;
`hairpin explain -c FILE` prints every effective setting, where it comes from and the requirement behind it.
Every setting has a default except `inside.prefixes` and, unless `mode` is `\"scrub\"`, at least one `[[pool]]` with `addresses`.

- Times are texts with units, the larger one first: `\"2h4m\"`, `\"240s\"`, `\"500ms\"`.
- Addresses of a pool are single ones, ranges and prefixes: `[\"192.0.2.16-192.0.2.31\", \"192.0.2.77\", \"198.51.100.0/28\"]`.
- No two pools may share an address, and none may lie in an inside prefix.
- Lists of ports have ports and ranges: `[22, \"5000-5999\"]`.
- What the file does not say, the profile decides: [choosing a profile](profiles.md). What the settings cost and
  protect, and which go together: [guide](settings-guide.md).

Examples: [lab](../examples/lab.toml), [small office](../examples/small-office.toml), [carrier](../examples/carrier.toml),
[scrubber alone](../examples/scrubber.toml): [what it does](scrubber.md).
";

/// The page.
pub fn page() -> String {
    let mut text = HEAD.to_owned();
    let mut section = None;
    for setting in all_settings() {
        let (table, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if section != Some(table) {
            section = Some(table);
            text += &match table {
                "" => "\n## At the top\n".to_owned(),
                "pool" | "static" => format!("\n## [[{table}]]\n"),
                table => format!("\n## [{table}]\n"),
            };
            text += "\n| setting | default | from, to | requirement | meaning |\n|---|---|---|---|---|\n";
        }
        let (default, allowed) = (default_of(setting), allowed(setting));
        let requirements = setting.requirements.join(", ");
        text += &format!("| `{name}` | {default} | {allowed} | {requirements} | {} |\n", setting.meaning);
    }
    text
}

/// Gateways of several sizes: subscribers, external addresses, sessions and mappings.
const SIZES: [(&str, u32, u32, u32); 5] = [
    ("an office", 512, 1, 65_536),
    ("a village", 2_000, 8, 262_144),
    ("the defaults", 65_536, 16, 1_048_576),
    ("a town", 65_536, 256, 8_388_608),
    ("a carrier's site", 262_144, 1_024, 33_554_432),
];

/// The table of sizes in `docs/settings-guide.md`.
pub fn sizing() -> String {
    let mut text =
        "| | subscribers | addresses | ports a subscriber, average | sessions and mappings | memory at \
                    most |\n|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for (name, subscribers, addresses, sessions) in SIZES {
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
        let range = Ipv4Addr::from(first)..=Ipv4Addr::from(first + addresses - 1);
        let mut config = nat::Config::new(Vec::new(), vec![Pool::new(vec![range], DEFAULT_PORTS)]);
        config.limits.subscribers = subscribers;
        config.limits.sessions = sessions;
        config.limits.mappings = sessions;
        let ports = u64::from(addresses) * DEFAULT_PORTS.len() as u64 / u64::from(subscribers);
        let memory = config.memory_bound().div_ceil(1 << 20);
        text += &format!("| {name} | {subscribers} | {addresses} | {ports} | {sessions} | {memory} MiB |\n");
    }
    text
}

fn default_of(setting: &Setting) -> String {
    let profile = Profile::default();
    let usual = match setting.slot {
        Slot::Profile => format!("\"{}\"", profile.name()),
        Slot::Pool(PoolSlot::Addresses) | Slot::Static(_) => return "none".into(),
        Slot::Pool(slot) => value::show_pool(slot, &Pool::new(Vec::new(), DEFAULT_PORTS)),
        slot => value::show(slot, &defaults(profile)).unwrap_or_default(),
    };
    match setting.update_01 {
        Some(other) => format!("`{usual}`; `{other}` under behave-update-01"),
        None => format!("`{usual}`"),
    }
}

fn allowed(setting: &Setting) -> String {
    if let Some(words) = setting.slot.words() {
        return words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    }
    match setting.allowed {
        Some((least, most)) => format!("`{least}` to `{most}` {}", setting.unit).trim_end().to_owned(),
        None => String::new(),
    }
}
