//! docs/inspect.schema.json describes every line of `--json`, and every field of it is to be seen.

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

use std::collections::BTreeSet;

use serde_json::Value;
use wire::SeqNumber;
use wire::craft::Segment;
use wire::tcp::Flags;

use super::{Directory, capture, from_port, inspect, repository, stdout};

/// As much of JSON Schema as the file uses; anything else in it fails.
struct Schema {
    root: Value,
    /// Properties that were seen, by the description of their object.
    seen: BTreeSet<String>,
}

impl Schema {
    /// What is wrong with `value` at `place`.
    fn check(&mut self, name: &str, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        for (keyword, wanted) in schema.as_object().expect("an object") {
            let right = match keyword.as_str() {
                "description" | "required" | "additionalProperties" | "title" | "$schema" | "$defs" => true,
                "$ref" => {
                    let name =
                        wanted.as_str().and_then(|it| it.strip_prefix("#/$defs/")).expect("a definition");
                    let schema = self.root["$defs"][name].clone();
                    self.check(name, &schema, value, place)?;
                    true
                }
                "oneOf" => {
                    let schemas = wanted.as_array().expect("a list").clone();
                    let outcomes: Vec<_> =
                        schemas.iter().map(|it| self.check(name, it, value, place)).collect();
                    let right = outcomes.iter().filter(|outcome| outcome.is_ok()).count() == 1;
                    return if right { Ok(()) } else { Err(format!("{place}: {outcomes:?}")) };
                }
                "type" => match wanted {
                    Value::Array(types) => types.iter().any(|it| is_of_type(value, it)),
                    one => is_of_type(value, one),
                },
                "const" => value == wanted,
                "enum" => wanted.as_array().is_some_and(|all| all.contains(value)),
                "minimum" => value.as_f64().is_none_or(|number| Some(number) >= wanted.as_f64()),
                "minItems" => value.as_array().map(Vec::len) >= wanted.as_u64().map(|it| it as usize),
                "maxItems" => value.as_array().map(Vec::len) <= wanted.as_u64().map(|it| it as usize),
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(name, wanted, item, &format!("{place}[{n}]"))?;
                    }
                    true
                }
                "properties" => {
                    self.properties(name, schema, value, place)?;
                    true
                }
                other => panic!("{name}: what is {other}?"),
            };
            if !right {
                return Err(format!("{place}: {value} is not {keyword} {wanted}"));
            }
        }
        Ok(())
    }

    fn properties(&mut self, name: &str, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let fields = value.as_object().ok_or_else(|| format!("{place}: no object"))?;
        for required in schema["required"].as_array().expect("a list") {
            if !fields.contains_key(required.as_str().expect("a name")) {
                return Err(format!("{place}: {required} is missing"));
            }
        }
        for (field, value) in fields {
            let schema =
                schema["properties"].get(field).ok_or_else(|| format!("{place}: what is {field}?"))?;
            self.check(&format!("{name}.{field}"), schema, value, &format!("{place}.{field}"))?;
            self.seen.insert(format!("{name}.{field}"));
        }
        Ok(())
    }

    /// All properties that are described.
    fn described(&self) -> BTreeSet<String> {
        let definitions = self.root["$defs"].as_object().expect("definitions");
        let of = |(name, schema): (&String, &Value)| {
            let properties = schema["properties"].as_object().expect("properties");
            properties.keys().map(|field| format!("{name}.{field}")).collect::<Vec<_>>()
        };
        definitions.iter().flat_map(of).collect()
    }
}

fn is_of_type(value: &Value, wanted: &Value) -> bool {
    match wanted.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        other => panic!("what is the type {other:?}?"),
    }
}

/// A flow with two marks, copies that differ and an old timestamp, and one with a war.
fn everything() -> Vec<u8> {
    let timestamp = |value: u32| {
        let mut options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        options[4..8].copy_from_slice(&value.to_be_bytes());
        options
    };
    let send = |port, answers, seq: u32, ack: u32, flags, urgent, options: &[u8], text: &[u8]| {
        let (seq, ack) = (SeqNumber(seq), SeqNumber(ack));
        let fields = Segment { seq, ack, urgent, options, ..Segment::new(0, 0, flags) };
        from_port(port, answers, fields, text)
    };
    let (ack, urg) = (Flags::ACK, Flags::ACK | Flags::URG);
    let client = |seq, flags, urgent, text: &[u8]| {
        send(4_000, false, seq, 300, flags, urgent, &timestamp(1_000), text)
    };
    let mut packets = vec![
        client(99, Flags::SYN, 0, b""),
        send(4_000, true, 299, 100, Flags::SYN | ack, 0, &timestamp(1), b""),
        client(100, urg, 3, b"ab!"),
        client(103, urg, 3, b"cd?"),
        client(110, ack, 0, b"evil"),
        client(110, ack, 0, b"good"),
        send(4_000, false, 106, 300, ack, 0, &timestamp(900), b"xxxx"),
        client(106, ack, 0, b"efgh"),
        send(4_000, true, 300, 114, ack, 0, &timestamp(2), b""),
    ];
    let fin = Flags::FIN | ack;
    let war = |answers, seq, ack, flags| send(4_001, answers, seq, ack, flags, 0, &[], b"");
    packets.extend([war(false, 98, 0, Flags::SYN), war(true, 298, 99, Flags::SYN | ack)]);
    packets.extend([war(false, 99, 299, ack), war(false, 99, 299, fin), war(true, 299, 99, fin)]);
    packets.extend(std::iter::repeat_n([war(false, 99, 300, fin), war(true, 299, 100, fin)], 20).flatten());
    capture(&packets)
}

// covers: L5
#[test]
fn every_field_is_described_and_every_described_field_appears() {
    let text = std::fs::read_to_string(repository("docs/inspect.schema.json")).expect("the schema is there");
    let mut schema = Schema { root: serde_json::from_str(&text).expect("it is JSON"), seen: BTreeSet::new() };
    let directory = Directory::new("schema");
    let file = directory.file("everything.pcap", &everything());
    let lines = stdout(&inspect(&["--json", "--all"], &[&file]));
    assert_eq!(lines.lines().count(), 3, "two flows and the totals: {lines}");
    for line in lines.lines() {
        let object = serde_json::from_str(line).expect("an object a line");
        let root = schema.root.clone();
        schema.check("line", &root, &object, "line").unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    let never: Vec<_> = schema.described().difference(&schema.seen).cloned().collect();
    assert!(never.is_empty(), "described and never seen: {never:?}\n{lines}");
}

// covers: L5
#[test]
fn a_field_that_is_not_described_would_be_noticed() {
    let text = std::fs::read_to_string(repository("docs/inspect.schema.json")).expect("the schema is there");
    let mut schema = Schema { root: serde_json::from_str(&text).expect("it is JSON"), seen: BTreeSet::new() };
    let root = schema.root.clone();
    let directory = Directory::new("schema-wrong");
    let file = directory.file("everything.pcap", &everything());
    let lines = stdout(&inspect(&["--json"], &[&file]));
    let mut object: Value = serde_json::from_str(lines.lines().next().expect("a flow")).expect("an object");
    object["surprise"] = 1.into();
    assert!(schema.check("line", &root, &object, "line").is_err_and(|wrong| wrong.contains("surprise")));
    object.as_object_mut().expect("an object").remove("surprise");
    object["wars"] = "none".into();
    assert!(schema.check("line", &root, &object, "line").is_err());
}

// covers: L1, L3, L6
#[test]
fn marks_copies_that_differ_and_a_war_are_all_in_the_table() {
    let directory = Directory::new("everything");
    let file = directory.file("everything.pcap", &everything());
    let text = stdout(&inspect(&[], &[&file]));
    for wanted in [
        "2 with URG: frames 3, 4",
        "1 copies that differ: frames 6",
        "1 segments with an old timestamp",
        "(last copy wins, PAWS)",
        "at other moments a reader on linux-2.6.15 may miss octet 2 as well",
        "war (fin):",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}
