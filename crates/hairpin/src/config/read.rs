//! From the text of a file to [`Loaded`] settings, or to everything that is wrong with it.

use core::ops::Range;
use std::collections::{BTreeMap, HashSet};

use nat::config::{Pool, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use super::parts::Parts;
use super::store::described;
use super::table::{self, Setting, all_settings};
use super::words::nearest;
use super::{Profile, Settings, live};

/// How many faults of syntax are told: those after the first are often echoes of it.
const SYNTAX_FAULTS: usize = 4;

/// Settings, and where each of them was said.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The profile that decided the defaults.
    pub profile: Profile,
    /// Line of each setting that the file has, from 1, by its path (`pool[0].ports`).
    pub lines: BTreeMap<String, usize>,
}

/// Reads the text of a file called `name`.
pub(crate) fn read(name: &str, text: &str) -> Result<Loaded, Faults> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(Faults::new(name, text, syntax(text, &errors)));
    }
    let mut reader = Reader::new(profile_of(document.get_ref()));
    reader.document(document.get_ref());
    reader.judge();
    if !reader.faults.is_empty() {
        return Err(Faults::new(name, text, reader.faults));
    }
    let line = |offset: usize| text.as_bytes()[..offset].iter().filter(|&&octet| octet == b'\n').count() + 1;
    let lines = reader.places.into_iter().map(|(path, span)| (path, line(span.start))).collect();
    Ok(Loaded { settings: reader.settings, profile: reader.profile, lines })
}

fn syntax(text: &str, errors: &[toml::de::Error]) -> Vec<Fault> {
    let mut lines = HashSet::new();
    let mut faults = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let (start, end) = (span.start.min(text.len()), span.end.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|&&octet| octet == b'\n').count();
        // One fault for each line: what follows on the same line is an echo.
        if faults.len() < SYNTAX_FAULTS && lines.insert(line) {
            faults.push(Fault {
                message: format!("not TOML: {}", error.message()),
                span: start..end.max(start),
                label: "here".into(),
                other: None,
                help:
                    "a line is `name = value`; texts, times and addresses stand in \"quotes\", lists in [ ], \
                       and tables begin with [name]"
                        .into(),
            });
        }
    }
    faults
}

/// The profile decides the defaults, so it is looked at before everything else.
fn profile_of(document: &DeTable<'_>) -> Profile {
    let named = document.get("profile").and_then(|value| value.get_ref().as_str());
    named.and_then(Profile::from_name).unwrap_or_default()
}

pub(super) struct Reader {
    pub(super) settings: Settings,
    pub(super) profile: Profile,
    pub(super) faults: Vec<Fault>,
    /// Where each table, setting and element stands.
    pub(super) places: BTreeMap<String, Range<usize>>,
    /// Settings whose value could not be read: what follows from their absence is not told as well.
    pub(super) unread: HashSet<String>,
    /// What the table of a list that is being read has said so far.
    pub(super) parts: Parts,
}

impl Reader {
    fn new(profile: Profile) -> Self {
        Self::on(super::defaults(profile), profile)
    }

    fn on(settings: Settings, profile: Profile) -> Self {
        Self {
            settings,
            profile,
            faults: Vec::new(),
            places: BTreeMap::new(),
            unread: HashSet::new(),
            parts: Parts::default(),
        }
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            match (name, value.get_ref()) {
                (list @ ("pool" | "static"), DeValue::Array(tables)) => {
                    for (index, table) in tables.iter().enumerate() {
                        match list {
                            "pool" => self.pool(index, table),
                            _ => self.fixed(index, table),
                        }
                    }
                    self.places.insert(list.into(), span);
                }
                (list @ ("pool" | "static"), DeValue::Table(_)) => {
                    self.unread.insert(list.into());
                    let help = format!("write [[{list}]], with two brackets: there can be several");
                    self.fault(format!("{list} is a list of tables"), span, "this is one table", help);
                }
                ("profile" | "mode", _) => self.setting(name, None, span, value),
                (name, DeValue::Table(entries)) if is_table(name) => {
                    self.places.insert(name.to_owned(), span);
                    for (key, value) in entries {
                        self.setting(&format!("{name}.{}", key.get_ref()), None, key.span(), value);
                    }
                }
                (name, other) if is_table(name) => {
                    self.unread
                        .extend(all_settings().filter(|s| s.key.starts_with(name)).map(|s| s.key.to_owned()));
                    let problem = format!("{name} is a table, not {}", described(other));
                    let help = match name {
                        "pool" | "static" => format!("begin each with a line [[{name}]]"),
                        _ => format!("begin it with a line [{name}]"),
                    };
                    self.unread.insert(name.to_owned());
                    self.fault(problem, value.span(), "not a table", help);
                }
                (name, _) => self.unknown("", name, span),
            }
        }
    }

    fn pool(&mut self, index: usize, value: &Spanned<DeValue<'_>>) {
        self.settings.engine.pools.push(Pool::new(Vec::new(), super::DEFAULT_PORTS));
        if !self.entries("pool", index, value) {
            self.unread.insert(format!("pool[{index}].addresses"));
            return;
        }
        match self.parts.blocks() {
            Ok(blocks) => {
                if let Some(pool) = self.settings.engine.pools.get_mut(index) {
                    pool.blocks = blocks;
                }
            }
            Err((name, help)) => {
                let path = format!("pool[{index}].{name}");
                let span = self.place(&path).0;
                self.fault(format!("{path}: this pool has no blocks"), span, "here", help);
            }
        }
    }

    /// One `[[static]]`.
    fn fixed(&mut self, index: usize, value: &Spanned<DeValue<'_>>) {
        let unread = self.faults.len();
        let complete = self.entries("static", index, value).then(|| self.parts.fixed());
        match complete {
            Some(Ok(mapping)) => self.settings.engine.statics.push(mapping),
            // What could not be read has been told.
            Some(Err((problem, help))) if self.faults.len() == unread => {
                self.fault(format!("static[{index}]: {problem}"), value.span(), "here", help);
            }
            _ => {}
        }
        if self.faults.len() > unread {
            self.unread.insert("static".to_owned());
        }
    }

    /// The entries of a table of a list, into its place and [`Self::parts`]; whether it is a table.
    fn entries(&mut self, list: &str, index: usize, value: &Spanned<DeValue<'_>>) -> bool {
        self.places.insert(format!("{list}[{index}]"), value.span());
        self.parts = Parts::default();
        let Some(entries) = value.get_ref().as_table() else {
            let problem = format!("a {list} is a table, not {}", described(value.get_ref()));
            self.fault(problem, value.span(), "not a table", format!("begin each with a line [[{list}]]"));
            return false;
        };
        for (key, value) in entries {
            self.setting(&format!("{list}.{}", key.get_ref()), Some(index), key.span(), value);
        }
        true
    }

    /// One `key = value`; `element` is the index of the table of a list that it belongs to.
    fn setting(&mut self, key: &str, element: Option<usize>, at: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        let Some(setting) = table::find(key) else {
            return self.unknown(table, name, at);
        };
        let path = match element {
            Some(index) => format!("{table}[{index}].{name}"),
            None => key.to_owned(),
        };
        self.places.insert(path.clone(), value.span());
        if let Err((problem, help)) = self.store(setting, &path, element, value) {
            self.unread.insert(path.clone());
            self.fault(format!("{path}: {problem}"), value.span(), "here", help);
        }
    }

    /// What the settings mean together.
    fn judge(&mut self) {
        let mut problems = self.settings.engine_problems();
        problems.extend(live::problems(&self.settings));
        for Problem { error, clashes_with } in problems {
            let unread = self.unread.contains(&error.setting)
                || (error.setting == "live.workers"
                    && self.unread.iter().any(|path| path.starts_with("pool")))
                || (error.setting == "pool" && self.unread.contains("pool"))
                // The numbers in its name would be those of another mapping.
                || (error.setting.starts_with("static") && self.unread.contains("static"));
            if unread {
                continue;
            }
            let (span, found) = self.place(&error.setting);
            let label = if found { "here" } else { "missing in this file" };
            let other = clashes_with.map(|(path, label)| (self.place(&path).0, label));
            self.faults.push(Fault {
                message: format!("{}: {}", without_element(&error.setting), error.problem),
                span,
                label: label.into(),
                other,
                help: error.remedy,
            });
        }
    }

    /// Where a setting stands; else what it would stand in; else the beginning of the file.
    fn place(&self, path: &str) -> (Range<usize>, bool) {
        let mut path = path;
        loop {
            if let Some(span) = self.places.get(path) {
                return (span.clone(), true);
            }
            let Some(end) = path.rfind(['.', '[']) else {
                return (0..0, false);
            };
            path = &path[..end];
        }
    }

    fn unknown(&mut self, table: &str, name: &str, at: Range<usize>) {
        let names = table::names_below(table);
        let place = match table {
            "" => "at the top of the file".to_owned(),
            "pool" | "static" => format!("in [[{table}]]"),
            table => format!("in [{table}]"),
        };
        let help = suggest(name, &names, &format!("possible {place}: {}", names.join(", ")));
        self.fault(format!("there is no \"{name}\" {place}"), at, "unknown", help);
    }

    pub(super) fn fault(
        &mut self,
        message: impl Into<String>,
        span: Range<usize>,
        label: &str,
        help: impl Into<String>,
    ) {
        let (message, label, help) = (message.into(), label.into(), help.into());
        self.faults.push(Fault { message, span, label, other: None, help });
    }
}

fn is_table(name: &str) -> bool {
    all_settings().any(|setting| setting.key.split_once('.').is_some_and(|(table, _)| table == name))
}

/// `pool[1].addresses[0]` without its last index: the underlined text says which element.
fn without_element(path: &str) -> &str {
    path.strip_suffix(']').and_then(|path| path.rsplit_once('[')).map_or(path, |(path, _)| path)
}

/// "did you mean", if a name is near, or the same name exists in another table; then `otherwise`.
pub(super) fn suggest(wrong: &str, names: &[&str], otherwise: &str) -> String {
    let suggestion = nearest(wrong, names, otherwise);
    if suggestion != otherwise {
        return suggestion;
    }
    let elsewhere: Vec<&str> =
        all_settings().map(|s| s.key).filter(|key| key.rsplit('.').next() == Some(wrong)).collect();
    match elsewhere.as_slice() {
        [] => otherwise.to_owned(),
        keys => format!("did you mean {}? {otherwise}", keys.join(" or ")),
    }
}

/// Sets what `behave-update-01` wants otherwise. A row that cannot be read is left at its default;
/// a test reads them all.
pub(crate) fn apply_update_01<'a>(rows: impl Iterator<Item = &'a Setting>, settings: &mut Settings) {
    for row in rows {
        if let Some(literal) = row.update_01 {
            apply(row, literal, settings);
        }
    }
}

/// Puts `literal`, a value as the file writes it, into the place of `row`; whether that could be.
pub(crate) fn apply(row: &Setting, literal: &str, settings: &mut Settings) -> bool {
    let Ok(value) = DeValue::parse(literal) else {
        return false;
    };
    let mut reader = Reader::on(settings.clone(), Profile::default());
    let stored = reader.store(row, row.key, None, &value).is_ok() && reader.faults.is_empty();
    if stored {
        *settings = reader.settings;
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::super::table::Slot;
    use super::super::value;
    use super::*;

    const FILE: &str =
        "[inside]\nprefixes = [\"10.0.0.0/8\"]\n[[pool]]\naddresses = [\"192.0.2.1-192.0.2.250\"]\n";

    fn good() -> Settings {
        read("good.toml", FILE).expect("a good file").settings
    }

    // covers: O1
    #[test]
    fn every_bound_in_the_table_is_itself_allowed() {
        for row in all_settings() {
            let Some((least, most)) = row.allowed else { continue };
            // More workers than addresses are refused whatever the table says.
            let most = if row.key == "live.workers" { "250" } else { most };
            for bound in [least, most] {
                let mut settings = good();
                assert!(apply(row, bound, &mut settings), "{} = {bound} can be read", row.key);
                assert_eq!(settings.engine.problems(), [], "{} = {bound}", row.key);
                assert_eq!(live::problems(&settings), [], "{} = {bound}", row.key);
                let shown = value::show(row.slot, &settings);
                assert!(shown.is_some() || matches!(row.slot, Slot::Pool(_)), "{} can be shown", row.key);
            }
        }
    }

    // covers: O1
    #[test]
    fn what_a_row_shows_it_reads() {
        for row in all_settings() {
            if let Some(shown) = value::show(row.slot, &good()) {
                let mut settings = good();
                assert!(apply(row, &shown, &mut settings), "{} = {shown}", row.key);
                assert_eq!(value::show(row.slot, &settings), Some(shown), "{}", row.key);
            }
        }
    }

    // covers: O1
    #[test]
    fn a_profile_changes_the_defaults_that_its_rows_name() {
        let row = table::find("tcp.opening").expect("a row");
        let mut settings = good();
        let changed = Setting { update_01: Some("\"1m\""), ..*row };
        apply_update_01(core::iter::once(&changed), &mut settings);
        assert_eq!(settings.engine.tcp.opening.as_secs(), 60);
        for row in all_settings() {
            let literal = row.update_01.unwrap_or("");
            assert!(literal.is_empty() || apply(row, literal, &mut settings), "{} = {literal}", row.key);
        }
    }

    // covers: O1
    #[test]
    fn both_profiles_are_accepted() {
        for profile in Profile::ALL {
            let text = format!("profile = \"{}\"\n{FILE}", profile.name());
            assert_eq!(read("profile.toml", &text).expect("a good file").profile, profile);
        }
    }

    // covers: O1, B5, N5, N8, N9, N10, B1.4787-5a
    #[test]
    fn lists_of_tables_words_and_ports_arrive() {
        let text = "[filtering]\ntcp = \"address-dependent\"\ntcp_ports = [22, \"5000-5999\"]\n[udp]\nport_timeouts = \
             [\"53 10s\"]\n[[static]]\ninternal = \"10.0.0.2:8080\"\nexternal = \"192.0.2.1:80\"\nprotocol = \"tcp\"\n";
        let other = "[[pool]]\naddresses = [\"192.0.2.251\"]\npooling = \"arbitrary\"\n";
        let engine = read("x", &format!("{FILE}block_size = 512\n{other}{text}"))
            .expect("a good file")
            .settings
            .engine;
        assert_eq!(engine.filtering.tcp, nat::config::Behaviour::AddressDependent);
        assert_eq!(engine.filtering.tcp_ports, [22..=22, 5_000..=5_999]);
        assert_eq!(engine.udp.port_timeouts, [(53, core::time::Duration::from_secs(10))]);
        let blocks = engine.pools[0].blocks.expect("it has blocks");
        assert_eq!((blocks.size, blocks.max_per_subscriber, blocks.deterministic), (512, 4, false));
        assert_eq!(engine.pools[1].pooling, nat::config::Pooling::Arbitrary);
        let endpoint = |address: [u8; 4], port| nat::Endpoint { address: address.into(), port };
        let expected = nat::config::StaticMapping::Port {
            protocol: nat::Protocol::Tcp,
            internal: endpoint([10, 0, 0, 2], 8_080),
            external: endpoint([192, 0, 2, 1], 80),
        };
        assert_eq!(engine.statics, [expected]);
    }

    // covers: O1, N3, N6, N7, N11
    #[test]
    fn update_01_differs_in_what_its_text_says_otherwise() {
        let differing: Vec<&str> =
            all_settings().filter(|row| row.update_01.is_some()).map(|row| row.key).collect();
        let expected =
            ["filtering.protocol_independent", "tcp.rst", "tcp.time_wait", "tcp.paws", "tcp.resend_last_ack"];
        assert_eq!(differing, expected);
        let text = format!("profile = \"behave-update-01\"\n{FILE}");
        let engine = read("x", &text).expect("a good file").settings.engine;
        let checks = engine.tcp_checks;
        assert_eq!(checks.rst, nat::config::RstPolicy::Delete);
        assert_eq!(checks.time_wait, nat::config::TimeWaitPolicy::Rfc6191);
        assert!(checks.paws && checks.resend_last_ack && !checks.monotonic_rewrite);
        assert!(engine.filtering.protocol_independent);
        let kept = read("x", &format!("{text}[tcp]\nrst = \"hold\"\n")).expect("a good file").settings.engine;
        assert_eq!(kept.tcp_checks.rst, nat::config::RstPolicy::Hold, "the file goes first");
    }
}
