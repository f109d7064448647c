//! The rows of the input: JSON, one request a line, or CSV with a header.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use picarcade_flow::{FieldProblem, FlowRequest};
use serde_json::{Map, Value};

use crate::command::Failure;
use crate::http::{Problem, check_json, json_members, parse_request_text};

/// The longest row in bytes: far more than 8,000 characters need in any encoding.
const MAX_ROW: u64 = 1 << 20;

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
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    if file.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", file.display())));
    }
    match File::open(file) {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(error) => Err(Failure::usage(format!("{}: {error}", file.display()))),
    }
}

/// Returns whether the input is CSV: by the name of the file, or by a first line that is a header
/// with a prompt.
pub(super) fn is_csv(file: &Path, reader: &mut Box<dyn BufRead>) -> Result<bool, Failure> {
    let begin = reader.fill_buf().map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let bom = begin.strip_prefix(b"\xef\xbb\xbf").map_or(0, |_| 3);
    let first = begin
        .get(bom..)
        .and_then(|text| text.split(|byte| *byte == b'\n').next())
        .unwrap_or_default()
        .to_vec();
    reader.consume(bom);
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
        return Ok(true);
    }
    let mut names = first.split(|byte| *byte == b',');
    Ok(!first.trim_ascii_start().starts_with(b"{")
        && names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"prompt")))
}

/// Returns the rows of JSON lines.
pub(super) fn json_rows(reader: Box<dyn BufRead>) -> Box<dyn Iterator<Item = Input>> {
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
pub(super) fn csv_rows(reader: Box<dyn BufRead>) -> Result<Box<dyn Iterator<Item = Input>>, Failure> {
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let headers = rows
        .byte_headers()
        .map_err(|error| Failure::usage(format!("the CSV header cannot be read: {error}")))?;
    let headers: Vec<String> = headers
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_ascii_lowercase())
        .collect();
    if !headers.iter().any(|name| name == "prompt") {
        return Err(Failure::usage("the CSV header has no column \"prompt\""));
    }
    // Line 1 is the header. A quoted cell may span lines, so this counts rows.
    Ok(Box::new(rows.into_byte_records().zip(2..).map(move |(record, line)| match record {
        Ok(record) => csv_row(&headers, &record, line),
        Err(error) => Input::unreadable(line, format!("the row cannot be read: {error}")),
    })))
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
