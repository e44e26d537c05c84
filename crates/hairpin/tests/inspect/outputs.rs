//! Ladders, Parquet, standard input, several captures at once, bounds.

use std::io::Write as _;
use std::process::{Command, Stdio};

use wire::SeqNumber;
use wire::craft::Segment;
use wire::tcp::Flags;

use super::{Directory, capture, disputed, from_port, inspect, stdout};

/// `flows` flows of one disputed segment each.
fn many(flows: u16) -> Vec<u8> {
    let packets = (0..flows).flat_map(|n| {
        let send = |seq, flags, urgent, text: &[u8]| {
            let fields = Segment { seq: SeqNumber(seq), urgent, ..Segment::new(0, 0, flags) };
            from_port(5_000 + n, false, fields, text)
        };
        [send(9, Flags::SYN, 0, b""), send(10, Flags::ACK | Flags::URG, 2, b"a!b")]
    });
    capture(&packets.collect::<Vec<_>>())
}

// covers: L5
#[test]
fn standard_input_is_a_capture_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hairpin"))
        .args(["inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().expect("a pipe").write_all(&disputed()).expect("it reads");
    let text = stdout(&child.wait_with_output().expect("it ends"));
    assert!(text.contains("3 readings from octet 6 on") && text.contains("-: 1 flows"), "{text}");
}

// covers: L5
#[test]
fn several_captures_are_told_in_the_order_of_their_names() {
    let directory = Directory::new("several");
    let files: Vec<_> = (0..12)
        .map(|n| directory.file(&format!("{n:02}.pcap"), &many(if n % 2 == 0 { 400 } else { 1 })))
        .collect();
    let files: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
    let together = stdout(&inspect(&["--jobs", "4"], &files));
    let one_by_one = stdout(&inspect(&["--jobs", "1"], &files));
    assert_eq!(together, one_by_one);
    let ends: Vec<_> = together.lines().filter(|line| line.contains("TCP segments of")).collect();
    assert_eq!(ends.len(), 12);
    for (n, end) in ends.iter().enumerate() {
        assert!(end.contains(&format!("{n:02}.pcap: {} flows", if n % 2 == 0 { 400 } else { 1 })), "{end}");
    }
    assert!(
        together.contains("00.pcap: 192.0.2.1:5000 > 192.0.2.2:80"),
        "a flow says which capture it is of"
    );
}

// covers: L4
#[test]
fn bounds_are_options_and_what_is_given_up_is_told() {
    let directory = Directory::new("bounds");
    let file = directory.file("many.pcap", &many(50));
    let text = stdout(&inspect(&["--max-flows", "10"], &[&file]));
    assert!(text.contains("50 flows") && text.contains("40 flows ended early"), "{text}");
    let text = stdout(&inspect(&["--max-urgent", "0"], &[&file]));
    assert!(text.contains("given up: the places of 1 urgent octets"), "{text}");
    let wrong = inspect(&["--max-memory", "much"], &[&file]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("64K or 256M"), "{wrong:?}");
}

// covers: L5
#[test]
fn a_flow_is_drawn_with_its_text_and_its_readings() {
    let directory = Directory::new("ladder");
    let file = directory.file("many.pcap", &many(3));
    let drawing = directory.0.join("flow.svg");
    let drawing_name = drawing.to_str().expect("a name");
    stdout(&inspect(&["--ladder", drawing_name], &[&file]));
    let first = std::fs::read_to_string(&drawing).expect("it was drawn");
    for wanted in ["<svg", "192.0.2.1:5000", "CTL=SYN", "&lt;URG=2&gt;", "\"a[!]b\"", "is read by"] {
        assert!(first.contains(wanted), "{wanted}: {first}");
    }
    stdout(&inspect(&["--ladder", drawing_name, "--flow", "4"], &[&file]));
    let second = std::fs::read_to_string(&drawing).expect("it was drawn");
    assert!(second.contains("192.0.2.1:5001") && !second.contains("192.0.2.1:5000"));
    let none = inspect(&["--ladder", drawing_name, "--flow", "99"], &[&file]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("frame 99 has no TCP segment"), "{none:?}");
    let two = inspect(&["--ladder", drawing_name], &[&file, &file]);
    assert!(String::from_utf8_lossy(&two.stderr).contains("name one file"), "{two:?}");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn without_the_feature_parquet_is_refused_with_what_to_do() {
    let directory = Directory::new("no-parquet");
    let file = directory.file("one.pcap", &disputed());
    let output = inspect(&["--parquet", directory.0.to_str().expect("a name")], &[&file]);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && trouble.contains("--features parquet"), "{trouble}");
}

// covers: L5
#[cfg(feature = "parquet")]
#[test]
fn parquet_has_a_row_for_each_group_of_readers_of_every_flow() {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    let directory = Directory::new("parquet");
    let file = directory.file("many.pcap", &many(3));
    let fleet = directory.0.join("fleet");
    stdout(&inspect(&["--parquet", fleet.to_str().expect("a name")], &[&file, &file]));
    let rows = |table: &str, number: u32| {
        let path = fleet.join(table).join(format!("{number:05}-many.parquet"));
        let reader = SerializedFileReader::new(std::fs::File::open(path).expect("a file")).expect("Parquet");
        let rows = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row"));
        let fields = |row: parquet::record::Row| {
            row.get_column_iter().map(|(name, field)| (name.clone(), field.to_string())).collect()
        };
        rows.map(fields).collect::<Vec<std::collections::BTreeMap<String, String>>>()
    };
    for number in 0..2 {
        let readings = rows("readings", number);
        // What the client sent has three readings, what the server sent (nothing) has one.
        assert_eq!(readings.len(), 3 * (3 + 1));
        let of_first: Vec<_> =
            readings.iter().filter(|row| row["flow"] == "0" && row["direction"] == "\"client\"").collect();
        let mut read: Vec<_> = of_first.iter().map(|row| row["reading"].as_str()).collect();
        read.sort_unstable();
        assert_eq!(read, ["\"a!\"", "\"a!b\"", "\"ab\""]);
        for row in of_first {
            for (column, wanted) in [("readings", "3"), ("client_port", "5000"), ("first_frame", "1")] {
                assert_eq!(row[column], wanted, "{column}");
            }
            assert!(row["views"].contains("(in line)") || row["views"].contains("linux"), "{row:?}");
            assert_eq!((row["acknowledged"].as_str(), row["first_difference"].as_str()), ("null", "1"));
        }
        assert!(rows("wars", number).is_empty());
    }
}
