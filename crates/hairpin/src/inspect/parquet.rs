//! Parquet files of a fleet of captures: `readings/` and `wars/`, in each a file for each capture.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lens::{FlowReport, Group, StreamReport, escaped};
use miette::miette;
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Rows that are held before they are written.
const ROWS: usize = 32_768;

/// Columns of a flow, in both tables.
const FLOW: &[&str] = &[
    "required binary capture (UTF8)",
    "required int64 flow",
    "required binary client (UTF8)",
    "required int64 client_port",
    "required binary server (UTF8)",
    "required int64 server_port",
    "required int64 first_frame",
    "required int64 last_frame",
    "required int64 began (TIMESTAMP(NANOS,true))",
    "required int64 ended (TIMESTAMP(NANOS,true))",
    "required boolean reset",
];
/// Of a direction, and of a group of readers that read the same of it.
const READINGS: &[&str] = &[
    "required binary direction (UTF8)",
    "required int64 octets",
    "optional int64 acknowledged",
    "required boolean mid_stream",
    "required boolean complete",
    "required int64 segments",
    "required int64 urgent_segments",
    "required int64 outside_window",
    "required int64 contradictions",
    "required int64 old_timestamps",
    "optional int64 first_difference",
    "repeated binary given_up (UTF8)",
    "required int64 readings",
    "required int64 reading_number",
    "repeated binary views (UTF8)",
    "repeated binary policies (UTF8)",
    "repeated binary timing_matters_on (UTF8)",
    "required int64 octets_read",
    "required int64 octets_removed",
    "required int64 reading_from",
    "required binary reading (UTF8)",
];
/// Of a war.
const WARS: &[&str] = &[
    "required binary scenario (UTF8)",
    "required int64 war_segments",
    "required int64 war_first_frame",
    "required int64 war_last_frame",
    "required int64 war_nanos",
    "required double rate",
    "required boolean unfinished",
];

/// A field of a row.
enum Cell {
    Text(String),
    Texts(Vec<String>),
    Int(u64),
    MaybeInt(Option<u64>),
    Flag(bool),
    Real(f64),
}

/// The files of one capture.
pub(super) struct Tables {
    capture: String,
    flows: u64,
    readings: Table,
    wars: Table,
}

impl Tables {
    /// Of capture number `index`, below `directory`.
    ///
    /// # Errors
    /// Names the file that cannot be made.
    pub(super) fn create(directory: &Path, capture: &Path, index: usize) -> miette::Result<Self> {
        let stem = capture.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        // Captures of different directories may have the same name.
        let name = format!("{index:05}-{}.parquet", if stem == "-" { "stdin" } else { &stem });
        Ok(Self {
            capture: capture.display().to_string(),
            flows: 0,
            readings: Table::create(directory.join("readings"), &name, READINGS)?,
            wars: Table::create(directory.join("wars"), &name, WARS)?,
        })
    }

    pub(super) fn flow(&mut self, report: &FlowReport) -> miette::Result<()> {
        let number = self.flows;
        self.flows += 1;
        for (direction, stream) in ["client", "server"].into_iter().zip(&report.streams) {
            for (place, group) in stream.groups.iter().enumerate() {
                let mut row = flow(&self.capture, number, report);
                row.push(Cell::Text(direction.to_owned()));
                row.extend(reading(stream, place, group));
                self.readings.push(row)?;
            }
        }
        for war in &report.wars {
            let mut row = flow(&self.capture, number, report);
            row.extend([
                Cell::Text(super::text::scenario(war)),
                Cell::Int(war.segments),
                Cell::Int(war.frames.0),
                Cell::Int(war.frames.1),
                Cell::Int(war.nanos),
                Cell::Real(war.rate()),
                Cell::Flag(war.unfinished),
            ]);
            self.wars.push(row)?;
        }
        Ok(())
    }

    /// Writes what is left, and what makes the files whole.
    pub(super) fn finish(self) -> miette::Result<()> {
        self.readings.finish()?;
        self.wars.finish()
    }
}

fn flow(capture: &str, number: u64, report: &FlowReport) -> Vec<Cell> {
    vec![
        Cell::Text(capture.to_owned()),
        Cell::Int(number),
        Cell::Text(report.client.0.to_string()),
        Cell::Int(report.client.1.into()),
        Cell::Text(report.server.0.to_string()),
        Cell::Int(report.server.1.into()),
        Cell::Int(report.frames.0),
        Cell::Int(report.frames.1),
        Cell::Int(report.nanos.0),
        Cell::Int(report.nanos.1),
        Cell::Flag(report.reset),
    ]
}

fn reading(stream: &StreamReport, place: usize, group: &Group) -> Vec<Cell> {
    let mut timing: Vec<String> =
        group.depends_on_timing.iter().flat_map(|it| &it.hosts).map(ToString::to_string).collect();
    timing.dedup();
    vec![
        Cell::Int(stream.octets),
        Cell::MaybeInt(stream.acknowledged),
        Cell::Flag(stream.mid_stream),
        Cell::Flag(stream.complete),
        Cell::Int(stream.segments),
        Cell::Int(stream.urgent_segments),
        Cell::Int(stream.outside_window),
        Cell::Int(stream.contradictions),
        Cell::Int(stream.old_timestamps),
        Cell::MaybeInt(stream.first_difference),
        Cell::Texts(stream.given_up.clone()),
        Cell::Int(stream.groups.len() as u64),
        Cell::Int(place as u64),
        Cell::Texts(group.views.iter().map(ToString::to_string).collect()),
        Cell::Texts(group.policies.iter().map(ToString::to_string).collect()),
        Cell::Texts(timing),
        Cell::Int(group.octets),
        Cell::Int(group.removed),
        Cell::Int(stream.reading_from),
        Cell::Text(escaped(&group.reading)),
    ]
}

/// A file that grows by row groups.
struct Table {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    fn create(directory: PathBuf, name: &str, columns: &[&str]) -> miette::Result<Self> {
        let path = directory.join(name);
        let help = "name a directory that can be written";
        let trouble =
            |error: &dyn std::fmt::Display| miette!(help = help, "--parquet {}: {error}", path.display());
        std::fs::create_dir_all(&directory).map_err(|error| trouble(&error))?;
        let file = File::create(&path).map_err(|error| trouble(&error))?;
        let fields: String = FLOW.iter().chain(columns).map(|field| format!("{field};\n")).collect();
        let schema =
            parse_message_type(&format!("message flows {{\n{fields}}}")).map_err(|error| trouble(&error))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(|error| trouble(&error))?;
        Ok(Self { path, writer, rows: Vec::new() })
    }

    fn push(&mut self, row: Vec<Cell>) -> miette::Result<()> {
        self.rows.push(row);
        if self.rows.len() < ROWS { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> miette::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        write(&mut self.writer, &rows).map_err(|error| {
            miette!(help = "see whether the disk is full", "--parquet {}: {error}", self.path.display())
        })
    }

    fn finish(mut self) -> miette::Result<()> {
        if !self.rows.is_empty() {
            self.write()?;
        }
        let path = self.path.display().to_string();
        self.writer
            .close()
            .map(drop)
            .map_err(|error| miette!(help = "see whether the disk is full", "--parquet {path}: {error}"))
    }
}

/// A row group.
fn write(writer: &mut SerializedFileWriter<File>, rows: &[Vec<Cell>]) -> parquet::errors::Result<()> {
    let mut group = writer.next_row_group()?;
    let mut number = 0;
    while let Some(mut column) = group.next_column()? {
        let cells = rows.iter().filter_map(|row| row.get(number));
        match column.untyped() {
            ColumnWriter::BoolColumnWriter(column) => {
                let values: Vec<bool> = cells.filter_map(Cell::flag).collect();
                column.write_batch(&values, None, None)?;
            }
            ColumnWriter::DoubleColumnWriter(column) => {
                let values: Vec<f64> = cells.filter_map(Cell::real).collect();
                column.write_batch(&values, None, None)?;
            }
            ColumnWriter::Int64ColumnWriter(column) => {
                let values: Vec<Option<i64>> = cells.map(Cell::int).collect();
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let values: Vec<i64> = values.into_iter().flatten().collect();
                column.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(column) => {
                let (mut values, mut there, mut again) = (Vec::new(), Vec::new(), Vec::new());
                for cell in cells {
                    cell.texts(&mut values, &mut there, &mut again);
                }
                column.write_batch(&values, Some(&there), Some(&again))?;
            }
            _ => {}
        }
        column.close()?;
        number += 1;
    }
    group.close().map(drop)
}

impl Cell {
    fn flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    fn real(&self) -> Option<f64> {
        if let Self::Real(real) = self { Some(*real) } else { None }
    }

    fn int(&self) -> Option<i64> {
        let number = match self {
            Self::Int(number) => Some(*number),
            Self::MaybeInt(number) => *number,
            _ => None,
        };
        number.map(|number| i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Values, whether each is there, and whether it goes on in the list of the one before (the format's levels).
    fn texts(&self, values: &mut Vec<ByteArray>, there: &mut Vec<i16>, again: &mut Vec<i16>) {
        let texts = match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Texts(texts) => texts,
            _ => &[],
        };
        if texts.is_empty() {
            there.push(0);
            again.push(0);
        }
        for (place, text) in texts.iter().enumerate() {
            values.push(ByteArray::from(text.as_str()));
            there.push(1);
            again.push(i16::from(place > 0));
        }
    }
}
