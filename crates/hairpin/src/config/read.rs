//! From the text of a file to [`Loaded`] settings, or to everything that is wrong with it.

use core::ops::Range;
use std::collections::{BTreeMap, HashSet};

use nat::config::{Pool, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use super::table::{self, SETTINGS, Setting, Slot};
use super::value::{self, Complaint};
use super::{LiveSettings, Profile, Settings, live};

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

struct Reader {
    settings: Settings,
    profile: Profile,
    faults: Vec<Fault>,
    /// Where each table, setting and element stands.
    places: BTreeMap<String, Range<usize>>,
    /// Settings whose value could not be read: what follows from their absence is not told as well.
    unread: HashSet<String>,
}

impl Reader {
    fn new(profile: Profile) -> Self {
        let settings = super::defaults(profile);
        Self { settings, profile, faults: Vec::new(), places: BTreeMap::new(), unread: HashSet::new() }
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            match (name, value.get_ref()) {
                ("pool", DeValue::Array(pools)) => {
                    for (index, pool) in pools.iter().enumerate() {
                        self.pool(index, pool);
                    }
                    self.places.insert("pool".into(), span);
                }
                ("pool", DeValue::Table(_)) => {
                    self.unread.insert("pool".into());
                    let help = "write [[pool]], with two brackets: there can be several pools";
                    self.fault("pool is a list of tables", span, "this is one table", help);
                }
                ("profile", _) => self.setting("profile", None, span, value),
                (name, DeValue::Table(entries)) if is_table(name) => {
                    self.places.insert(name.to_owned(), span);
                    for (key, value) in entries {
                        self.setting(&format!("{name}.{}", key.get_ref()), None, key.span(), value);
                    }
                }
                (name, other) if is_table(name) => {
                    self.unread.extend(
                        SETTINGS.iter().filter(|s| s.key.starts_with(name)).map(|s| s.key.to_owned()),
                    );
                    let problem = format!("{name} is a table, not {}", described(other));
                    let help = match name {
                        "pool" => "begin each pool with a line [[pool]]".to_owned(),
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
        self.places.insert(format!("pool[{index}]"), value.span());
        self.settings.engine.pools.push(Pool::new(Vec::new(), super::DEFAULT_PORTS));
        let Some(entries) = value.get_ref().as_table() else {
            self.unread.insert(format!("pool[{index}].addresses"));
            let problem = format!("a pool is a table, not {}", described(value.get_ref()));
            return self.fault(problem, value.span(), "not a table", "begin each pool with a line [[pool]]");
        };
        for (key, value) in entries {
            self.setting(&format!("pool.{}", key.get_ref()), Some(index), key.span(), value);
        }
    }

    /// One `key = value`; `pool` is the index of the pool that it belongs to.
    fn setting(&mut self, key: &str, pool: Option<usize>, at: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        let Some(setting) = table::find(key) else {
            return self.unknown(table, name, at);
        };
        let path = match pool {
            Some(index) => format!("pool[{index}].{name}"),
            None => key.to_owned(),
        };
        self.places.insert(path.clone(), value.span());
        if let Err((problem, help)) = self.store(setting, &path, pool, value) {
            self.unread.insert(path.clone());
            self.fault(format!("{path}: {problem}"), value.span(), "here", help);
        }
    }

    /// Puts a value into its place. Faults of single elements of a list are told here; the value as
    /// a whole has failed if something is returned.
    fn store(
        &mut self,
        setting: &Setting,
        path: &str,
        pool: Option<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Complaint> {
        match setting.slot {
            Slot::Profile => {
                let name = text(value, "a profile", "\"rfc7857\"")?;
                self.profile = Profile::from_name(&name).ok_or_else(|| {
                    let names = Profile::ALL.map(|profile| format!("\"{}\"", profile.name())).join(" or ");
                    (format!("there is no profile \"{name}\""), suggest(&name, &Profile::NAMES, &names))
                })?;
            }
            Slot::Duration(at) => {
                *at(&mut self.settings) = value::duration(&text(value, "a time", "\"4m\"")?)?
            }
            Slot::Count32(at) => *at(&mut self.settings) = number(setting, value, u32::MAX.into())? as u32,
            Slot::Count16(at) => *at(&mut self.settings) = number(setting, value, u16::MAX.into())? as u16,
            Slot::Maybe16(at) => {
                let off = value.get_ref().as_str() == Some("off");
                *at(&mut self.settings) =
                    if off { None } else { Some(number(setting, value, u16::MAX.into())? as u16) };
            }
            Slot::Flag(at) => {
                let flag = value.get_ref().as_bool();
                *at(&mut self.settings) =
                    flag.ok_or_else(|| wrong_type(value, "a switch", "true or false"))?;
            }
            Slot::Address(at) => {
                *at(&mut self.settings) = value::address(&text(value, "an address", "\"192.0.0.8\"")?)?;
            }
            Slot::Prefixes(at) => {
                let prefixes = self.list(path, value, "\"100.64.0.0/10\"", value::prefix)?;
                *at(&mut self.settings) = prefixes;
            }
            Slot::Names(at) => {
                let names = self.list(path, value, "\"eth0\"", live::interface)?;
                *at(&mut self.settings) = names;
            }
            Slot::Name(at) => {
                *at(&mut self.settings) = live::interface(&text(value, "a name", "\"hp-in\"")?)?
            }
            Slot::Path(at) => {
                *at(&mut self.settings) = text(value, "a directory", "\"/run/hairpin\"")?.into()
            }
            Slot::Algorithm(at) => {
                let wanted = number(setting, value, 5)?;
                *at(&mut self.settings) = value::algorithm(wanted).ok_or_else(|| {
                    (
                        "there is no algorithm 0 in RFC 6056 section 3.3".to_owned(),
                        "write a number from 1 to 5".into(),
                    )
                })?;
            }
            Slot::PoolAddresses => {
                let addresses = self.list(path, value, "\"192.0.2.16-192.0.2.31\"", value::addresses)?;
                if let Some(pool) = self.pool_mut(pool) {
                    pool.addresses = addresses;
                }
            }
            Slot::PoolPorts => {
                let ports = value::ports(&text(value, "a range of ports", "\"1024-65535\"")?)?;
                if let Some(pool) = self.pool_mut(pool) {
                    pool.ports = ports;
                }
            }
        }
        Ok(())
    }

    fn pool_mut(&mut self, index: Option<usize>) -> Option<&mut Pool> {
        self.settings.engine.pools.get_mut(index?)
    }

    /// A list of texts. Elements that cannot be read are told one by one and left out.
    fn list<T>(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        example: &str,
        read: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Result<Vec<T>, Complaint> {
        let Some(items) = value.get_ref().as_array() else {
            let example = match value.get_ref().as_str() {
                Some(alone) => format!("{alone:?}"),
                None => example.to_owned(),
            };
            return Err(wrong_type(value, "a list", &format!("[{example}]")));
        };
        let mut found = Vec::new();
        for item in items.iter() {
            match text(item, "a text", example).and_then(|text| read(&text)) {
                Ok(element) => {
                    self.places.insert(format!("{path}[{}]", found.len()), item.span());
                    found.push(element);
                }
                Err((problem, help)) => {
                    self.unread.insert(path.to_owned());
                    self.fault(format!("{path}: {problem}"), item.span(), "here", help);
                }
            }
        }
        Ok(found)
    }

    /// What the settings mean together.
    fn judge(&mut self) {
        let mut problems = self.settings.engine.problems();
        problems.extend(live::problems(&self.settings));
        for Problem { error, clashes_with } in problems {
            let unread = self.unread.contains(&error.setting)
                || (error.setting == "live.workers"
                    && self.unread.iter().any(|path| path.starts_with("pool")))
                || (error.setting == "pool" && self.unread.contains("pool"));
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
            "pool" => "in [[pool]]".to_owned(),
            table => format!("in [{table}]"),
        };
        let help = suggest(name, &names, &format!("possible {place}: {}", names.join(", ")));
        self.fault(format!("there is no \"{name}\" {place}"), at, "unknown", help);
    }

    fn fault(
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
    SETTINGS.iter().any(|setting| setting.key.split_once('.').is_some_and(|(table, _)| table == name))
}

/// `pool[1].addresses[0]` without its last index: the underlined text says which element.
fn without_element(path: &str) -> &str {
    path.strip_suffix(']').and_then(|path| path.rsplit_once('[')).map_or(path, |(path, _)| path)
}

fn text(value: &Spanned<DeValue<'_>>, what: &str, example: &str) -> Result<String, Complaint> {
    value.get_ref().as_str().map(str::to_owned).ok_or_else(|| wrong_type(value, what, example))
}

/// A whole number that fits its place; whether it makes sense, `nat::Config::problems` says.
fn number(setting: &Setting, value: &Spanned<DeValue<'_>>, most: i64) -> Result<i64, Complaint> {
    let (least, greatest) = setting.allowed.unwrap_or(("0", "as many as make sense"));
    let remedy = format!("write a whole number from {least} to {greatest}, without quotes");
    let Some(integer) = value.get_ref().as_integer() else {
        return Err((format!("a number is wanted, not {}", described(value.get_ref())), remedy));
    };
    match i64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) if (0..=most).contains(&number) => Ok(number),
        Ok(number) if number < 0 => Err(("a number below 0 makes no sense".into(), remedy)),
        _ => Err((format!("{integer} is too large"), remedy)),
    }
}

fn wrong_type(value: &Spanned<DeValue<'_>>, what: &str, example: &str) -> Complaint {
    let remedy = match (value.get_ref(), what) {
        (DeValue::Integer(number), "a time") => {
            format!("write the unit and quotes: \"{number}s\" for seconds")
        }
        _ => format!("write e.g. {example}"),
    };
    (format!("{what} is wanted, not {}", described(value.get_ref())), remedy)
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// "did you mean", if a name is near, or the same name exists in another table; then `otherwise`.
fn suggest(wrong: &str, names: &[&str], otherwise: &str) -> String {
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(wrong, name), name)).min();
    match near {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => {
            format!("did you mean {name}? {otherwise}")
        }
        _ => {
            let elsewhere: Vec<&str> =
                SETTINGS.iter().map(|s| s.key).filter(|key| key.rsplit('.').next() == Some(wrong)).collect();
            match elsewhere.as_slice() {
                [] => otherwise.to_owned(),
                keys => format!("did you mean {}? {otherwise}", keys.join(" or ")),
            }
        }
    }
}

impl LiveSettings {
    /// The defaults.
    pub(crate) fn usual() -> Self {
        Self {
            inside_interfaces: Vec::new(),
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

/// Sets what `behave-update-01` wants otherwise. A row that cannot be read is left at its default;
/// a test reads them all.
pub(crate) fn apply_update_01(rows: &[Setting], settings: &mut Settings) {
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
    let mut reader = Reader {
        settings: settings.clone(),
        profile: Profile::default(),
        faults: Vec::new(),
        places: BTreeMap::new(),
        unread: HashSet::new(),
    };
    let stored = reader.store(row, row.key, None, &value).is_ok() && reader.faults.is_empty();
    if stored {
        *settings = reader.settings;
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "[inside]\nprefixes = [\"10.0.0.0/8\"]\n[[pool]]\naddresses = [\"192.0.2.1-192.0.2.250\"]\n";

    fn good() -> Settings {
        read("good.toml", FILE).expect("a good file").settings
    }

    // covers: O1
    #[test]
    fn every_bound_in_the_table_is_itself_allowed() {
        for row in SETTINGS {
            let Some((least, most)) = row.allowed else { continue };
            // More workers than addresses are refused whatever the table says.
            let most = if row.key == "live.workers" { "250" } else { most };
            for bound in [least, most] {
                let mut settings = good();
                assert!(apply(row, bound, &mut settings), "{} = {bound} can be read", row.key);
                assert_eq!(settings.engine.problems(), [], "{} = {bound}", row.key);
                assert_eq!(live::problems(&settings), [], "{} = {bound}", row.key);
                assert_ne!(value::show(row.slot, &settings), None, "{} can be shown", row.key);
            }
        }
    }

    // covers: O1
    #[test]
    fn what_a_row_shows_it_reads() {
        for row in SETTINGS {
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
        apply_update_01(&[Setting { update_01: Some("\"1m\""), ..*row }], &mut settings);
        assert_eq!(settings.engine.tcp.opening.as_secs(), 60);
        for row in SETTINGS {
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
}
