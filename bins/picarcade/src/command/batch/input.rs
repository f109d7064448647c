//! The rows of the input: JSON, one request a line, or CSV with a header. Both may be in UTF-16,
//! and CSV may have semicolons or tabs, as spreadsheets write it.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use picarcade_flow::{FieldProblem, FlowRequest};
use picarcade_intent::table;
use serde_json::{Map, Value};

use crate::command::Failure;
use crate::http::{Problem, check_json, json_members, parse_request_text};

/// The longest row in bytes: far more than 8,000 characters need in any encoding.
const MAX_ROW: u64 = 1 << 20;

/// The fields of a request, which are the columns of CSV.
const FIELDS: [&str; 10] = [
    "id",
    "prompt",
    "active_image",
    "active_video",
    "uploaded_image",
    "referenced_image",
    "user_id",
    "session_id",
    "context",
    "reserve",
];

/// The format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv { separator: u8 },
}

/// One row of the input: the request and its id.
#[derive(Debug)]
pub(super) struct Input {
    /// The line in the file, from 1; blank lines count.
    pub(super) line: u64,
    pub(super) id: Option<Value>,
    pub(super) request: Result<FlowRequest, Problem>,
}

impl Input {
    /// Returns a row without a request, with the problem of the whole row.
    fn unreadable(line: u64, detail: impl Into<String>) -> Self {
        Self { line, id: None, request: Err(Problem::fields(vec![FieldProblem::new("", detail)])) }
    }
}

/// Opens the input; `-` is standard input.
pub(super) fn open(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
    let unreadable = |error| Failure::usage(format!("{}: {error}", file.display()));
    if file == Path::new("-") {
        return table::utf8(BufReader::new(std::io::stdin())).map_err(unreadable);
    }
    if file.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", file.display())));
    }
    File::open(file).and_then(|opened| table::utf8(BufReader::new(opened))).map_err(unreadable)
}

/// Returns the format of the input, and the whole input. It is CSV by the name of the file, or by a
/// first line that is a header with a prompt.
pub(super) fn recognize(
    file: &Path,
    mut reader: Box<dyn BufRead>,
) -> Result<(Format, Box<dyn BufRead>), Failure> {
    let mut first = Vec::new();
    (&mut reader)
        .take(MAX_ROW)
        .read_until(b'\n', &mut first)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let separator = table::separator(&first);
    let is_named_csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let mut names = first.split(|byte| *byte == separator).map(String::from_utf8_lossy);
    let is_csv = is_named_csv
        || (!first.trim_ascii_start().starts_with(b"{")
            && names.any(|name| table::is_column(name.trim().trim_matches('"'), "prompt")));
    let format = if is_csv { Format::Csv { separator } } else { Format::Json };
    Ok((format, Box::new(Cursor::new(first).chain(reader))))
}

/// Returns the rows of the input.
pub(super) fn rows(
    format: Format,
    reader: Box<dyn BufRead>,
) -> Result<Box<dyn Iterator<Item = Input>>, Failure> {
    match format {
        Format::Json => Ok(json_rows(reader)),
        Format::Csv { separator } => csv_rows(reader, separator),
    }
}

/// Returns the rows of JSON lines.
fn json_rows(reader: Box<dyn BufRead>) -> Box<dyn Iterator<Item = Input>> {
    let lines = Lines { reader, broken: false }.zip(1..);
    Box::new(lines.filter_map(|(line, number)| match line {
        Ok(line) if line.trim_ascii().is_empty() => None,
        Ok(line) => Some(json_row(&line, number)),
        Err(detail) => Some(Input::unreadable(number, detail)),
    }))
}

fn json_row(line: &[u8], number: u64) -> Input {
    let Ok(text) = std::str::from_utf8(line) else {
        return Input::unreadable(number, "the row is not UTF-8");
    };
    if let Err(error) = check_json(text) {
        return Input::unreadable(number, format!("the row is not JSON (column {})", error.column()));
    }
    let id = json_members(text, ["id"]).and_then(|[id]| serde_json::from_str::<Value>(id?.get()).ok());
    Input { line: number, id: id.filter(|id| !id.is_null()), request: parse_request_text(text) }
}

/// Lines of bytes. A line that is too long is cut, and its rest is skipped.
struct Lines {
    reader: Box<dyn BufRead>,
    /// Whether the reader has failed. It is not read again, because it might fail forever.
    broken: bool,
}

impl Iterator for Lines {
    /// A line, or why it cannot be read.
    type Item = Result<Vec<u8>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let mut line = Vec::new();
        match (&mut self.reader).take(MAX_ROW).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.len() as u64 == MAX_ROW && !line.ends_with(b"\n") => {
                match self.reader.skip_until(b'\n') {
                    Ok(_) => Some(Err(format!("the row has more than {MAX_ROW} bytes"))),
                    Err(_) => None,
                }
            }
            Ok(_) => Some(Ok(line)),
            Err(error) => {
                self.broken = true;
                Some(Err(format!("the row cannot be read: {error}")))
            }
        }
    }
}

/// Returns the rows of CSV.
fn csv_rows(reader: Box<dyn BufRead>, separator: u8) -> Result<Box<dyn Iterator<Item = Input>>, Failure> {
    let mut rows = csv::ReaderBuilder::new().flexible(true).delimiter(separator).from_reader(reader);
    let headers = rows
        .byte_headers()
        .map_err(|error| Failure::usage(format!("the CSV header cannot be read: {error}")))?;
    let headers: Vec<String> = headers.iter().map(|name| field(&String::from_utf8_lossy(name))).collect();
    if !headers.iter().any(|name| name == "prompt") {
        return Err(Failure::usage("the CSV header has no column \"prompt\""));
    }
    // Line 1 is the header. A quoted cell may span lines, so this counts rows.
    Ok(Box::new(rows.into_byte_records().zip(2..).map(move |(record, line)| match record {
        Ok(record) => csv_row(&headers, &record, line),
        Err(error) => Input::unreadable(line, format!("the row cannot be read: {error}")),
    })))
}

/// Returns the name of the field that a header means.
fn field(header: &str) -> String {
    let known = FIELDS.into_iter().find(|field| table::is_column(header, field));
    known.map_or_else(|| header.trim().to_ascii_lowercase(), str::to_owned)
}

fn csv_row(headers: &[String], record: &csv::ByteRecord, line: u64) -> Input {
    let mut fields = Map::new();
    let mut problems = Vec::new();
    if record.len() > headers.len() {
        let detail = format!("the row has {} cells and the header {}", record.len(), headers.len());
        problems.push(FieldProblem::new("", detail));
    }
    for (name, bytes) in headers.iter().zip(record) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            problems.push(FieldProblem::new(format!("/{name}"), "is not UTF-8"));
            continue;
        };
        if let Some(value) = csv_value(name, text) {
            fields.insert(name.clone(), value);
        }
    }
    let id = fields.get("id").cloned();
    let request = match parse_request_text(&Value::Object(fields).to_string()) {
        Ok(_) if !problems.is_empty() => Err(Problem::fields(problems)),
        Err(problem) => Err(problem.with_fields_before(problems)),
        request => request,
    };
    Input { line, id, request }
}

/// Returns a cell as JSON. An empty cell counts as missing. A cell that is not a boolean stays
/// text, so that validation names it.
fn csv_value(name: &str, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    if trimmed.is_empty() && name != "prompt" {
        return None;
    }
    Some(match name {
        "active_image" | "active_video" | "uploaded_image" | "referenced_image" | "reserve" => {
            match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Value::Bool(true),
                "false" | "0" | "no" => Value::Bool(false),
                _ => Value::String(text.to_owned()),
            }
        }
        "context" => serde_json::from_str(trimmed).unwrap_or_else(|_| Value::String(text.to_owned())),
        _ => Value::String(text.to_owned()),
    })
}
