//! One value of the file, into its place.

use nat::config::{Pool, SharedPorts};
use toml::Spanned;
use toml::de::DeValue;

use super::Profile;
use super::live;
use super::read::{Reader, suggest};
use super::table::{PoolSlot, Setting, Slot, StaticSlot};
use super::value::{self, Complaint};
use super::words::{self, Word};

impl Reader {
    /// Puts a value into its place. Faults of single elements of a list are told here; the value as
    /// a whole has failed if something is returned.
    pub(super) fn store(
        &mut self,
        setting: &Setting,
        path: &str,
        element: Option<usize>,
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
            Slot::Count8(at) => *at(&mut self.settings) = number(setting, value, u8::MAX.into())? as u8,
            Slot::Maybe32(at) => {
                *at(&mut self.settings) = maybe(setting, value, u32::MAX.into())?.map(|number| number as u32);
            }
            Slot::Maybe16(at) => {
                *at(&mut self.settings) = maybe(setting, value, u16::MAX.into())?.map(|number| number as u16);
            }
            Slot::Flag(at) => *at(&mut self.settings) = flag(value)?,
            Slot::Address(at) => {
                *at(&mut self.settings) = value::address(&text(value, "an address", "\"192.0.0.8\"")?)?;
            }
            Slot::Prefixes(at) => {
                let prefixes = self.list(path, value, "\"100.64.0.0/10\"", value::prefix)?;
                *at(&mut self.settings) = prefixes;
            }
            Slot::Ports(at) => {
                let ports = self.list(path, value, "21", value::port)?;
                *at(&mut self.settings) = ports;
            }
            Slot::PortRanges(at) => {
                let ports = self.list(path, value, "\"5000-5999\"", value::ports)?;
                *at(&mut self.settings) = ports;
            }
            Slot::PortTimes(at) => {
                let times = self.list(path, value, "\"53 10s\"", value::port_time)?;
                *at(&mut self.settings) = times;
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
            Slot::Behaviour(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::Urgent(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::Action(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::Watch(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::Mode(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::Kinds(at) => {
                let kinds = self.list(path, value, "8", value::kind)?;
                *at(&mut self.settings) = kinds;
            }
            Slot::Rst(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::TimeWait(at) => *at(&mut self.settings) = word(setting, value)?,
            Slot::Pool(slot) => self.store_pool(slot, setting, path, element, value)?,
            Slot::Static(slot) => match slot {
                StaticSlot::Internal => self.parts.internal = Some(endpoint(value)?),
                StaticSlot::External => self.parts.external = Some(endpoint(value)?),
                StaticSlot::Protocol => self.parts.protocol = Some(word(setting, value)?),
            },
        }
        Ok(())
    }

    fn store_pool(
        &mut self,
        slot: PoolSlot,
        setting: &Setting,
        path: &str,
        element: Option<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Complaint> {
        match slot {
            PoolSlot::Addresses => {
                let addresses = self.list(path, value, "\"192.0.2.16-192.0.2.31\"", value::addresses)?;
                self.in_pool(element, |pool| pool.addresses = addresses);
            }
            PoolSlot::Ports => {
                let ports = value::ports(&text(value, "a range of ports", "\"1024-65535\"")?)?;
                self.in_pool(element, |pool| pool.ports = ports);
            }
            PoolSlot::Kind => {
                let kind = word(setting, value)?;
                self.in_pool(element, |pool| pool.kind = kind);
            }
            PoolSlot::Subscribers => {
                let subscribers = self.list(path, value, "\"100.64.0.0/16\"", value::prefix)?;
                self.in_pool(element, |pool| pool.subscribers = subscribers);
            }
            PoolSlot::Pooling => {
                let pooling = word(setting, value)?;
                self.in_pool(element, |pool| pool.pooling = pooling);
            }
            PoolSlot::BlockSize => {
                self.parts.block_size = maybe(setting, value, u16::MAX.into())?.map(|number| number as u16);
            }
            PoolSlot::MaxBlocks => {
                self.parts.max_blocks = Some(number(setting, value, u16::MAX.into())? as u16);
            }
            PoolSlot::SharedPorts => {
                let last = maybe(setting, value, u16::MAX.into())?;
                self.parts.shared_ports = last.map(|number| SharedPorts::Last(number as u16));
            }
            PoolSlot::Deterministic => self.parts.deterministic = flag(value)?,
        }
        Ok(())
    }

    fn in_pool(&mut self, index: Option<usize>, change: impl FnOnce(&mut Pool)) {
        if let Some(pool) = index.and_then(|index| self.settings.engine.pools.get_mut(index)) {
            change(pool);
        }
    }

    /// A list of texts, or of numbers where `example` is one. Elements that cannot be read are told one by one and left out.
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
            match element(item, example).and_then(|text| read(&text)) {
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
}

fn text(value: &Spanned<DeValue<'_>>, what: &str, example: &str) -> Result<String, Complaint> {
    value.get_ref().as_str().map(str::to_owned).ok_or_else(|| wrong_type(value, what, example))
}

/// An element of a list as text. A port may be written as a number.
fn element(item: &Spanned<DeValue<'_>>, example: &str) -> Result<String, Complaint> {
    let ports =
        example.trim_matches('"').starts_with(|first: char| first.is_ascii_digit()) && !example.contains('.');
    match item.get_ref().as_integer() {
        Some(number) if ports => Ok(number.as_str().to_owned()),
        _ => text(item, "a text", example),
    }
}

/// An endpoint, or an address alone.
fn endpoint(value: &Spanned<DeValue<'_>>) -> Result<value::MaybeEndpoint, Complaint> {
    value::endpoint(&text(value, "an endpoint", "\"100.64.0.2:8080\"")?)
}

/// `true` or `false`.
fn flag(value: &Spanned<DeValue<'_>>) -> Result<bool, Complaint> {
    value.get_ref().as_bool().ok_or_else(|| wrong_type(value, "a switch", "true or false"))
}

/// One word of a few.
fn word<T: Word>(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Result<T, Complaint> {
    let words = words::all::<T>();
    let text = text(value, "a word", &format!("\"{}\"", words.first().unwrap_or(&"")))?;
    words::read(&text).map_err(|(problem, remedy)| {
        // The policy and the time of TIME-WAIT have names that are easy to take for one another.
        match setting.key {
            "tcp.time_wait" if value::duration(&text).is_ok() => {
                (problem, format!("{remedy}; a time is written as time_wait_timeout = \"{text}\""))
            }
            _ => (problem, remedy),
        }
    })
}

/// A whole number, or `"off"`.
fn maybe(setting: &Setting, value: &Spanned<DeValue<'_>>, most: i64) -> Result<Option<i64>, Complaint> {
    if value.get_ref().as_str() == Some("off") {
        return Ok(None);
    }
    let read = number(setting, value, most).map(Some);
    read.map_err(|(problem, remedy)| (problem, format!("{remedy}, or \"off\"")))
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

pub(super) fn described(value: &DeValue<'_>) -> &'static str {
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
