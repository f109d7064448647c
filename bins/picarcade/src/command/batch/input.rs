//! `picarcade classify --batch`: answers many requests and writes one row for each, in the same
//! order.
//!
//! A bad row yields an error row and affects no other row; the command exits with 1 after the last
//! one. Rows are read, answered and written as a stream, so a file may be larger than memory.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use picarcade_flow::{CacheControl, Caller, FieldProblem, FlowRequest, FlowService};
use serde_json::{Map, Value, json};

use crate::cli::{ClassifyArguments, Format};
use crate::command::Failure;
use crate::config::Config;
use crate::http::{Problem, check_json, json_members, parse_request};
use crate::wiring;

/// The longest row in bytes: far more than 8,000 characters need in any encoding.
const MAX_ROW: u64 = 1 << 20;

/// How many rows are answered at the same time.
const CONCURRENCY: usize = 16;

/// How long the recorder may take to write the events of the command.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// The columns of CSV results.
const COLUMNS: [&str; 17] = [
    "id",
    "success",
    "prompt_type",
    "model_to_use",
    "fallback_models",
    "enhanced_prompt",
    "reasoning",
    "confidence",
    "source",
    "corrected_from",
    "estimated_cost",
    "estimated_time",
    "cache_hit",
    "used_fallback",
    "degraded",
    "generation_id",
    "error",
];

/// One row of the input: the request and its id.
#[derive(Debug)]
struct Input {
    /// The line in the file, from 1; blank lines count.
    line: u64,
    id: Option<Value>,
    request: Result<FlowRequest, Problem>,
}

pub(crate) async fn run(
    config: &Config,
    file: &Path,
    arguments: &ClassifyArguments,
) -> Result<ExitCode, Failure> {
    let mut reader = open(file)?;
    if arguments.output.as_deref().is_some_and(|output| is_same(file, output)) {
        return Err(Failure::usage("the output would overwrite the input"));
    }
    let is_csv = is_csv(file, &mut reader)?;
    let mut writer = Writer::open(arguments)?;
    let wired = wiring::wire(config, wiring::Purpose::Command)
        .await
        .map_err(|error| Failure::wiring(config, &error))?;
    let inputs = if is_csv { csv_rows(reader)? } else { json_rows(reader) };
    let progress = progress();
    let user = arguments.user.as_deref().unwrap_or("anonymous");
    let mut results = std::pin::pin!(answers(&wired.flow, inputs, user));
    let mut failed = 0_u64;
    while let Some(result) = results.next().await {
        failed += u64::from(result.get("success") != Some(&Value::Bool(true)));
        writer.write(&result)?;
        progress.inc(1);
    }
    writer.finish()?;
    progress.finish_and_clear();
    wired.flow.shutdown(FLUSH_TIMEOUT).await;
    if failed > 0 {
        Err(Failure::work(format!("{failed} of {} rows failed", progress.position())))
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

fn answers<'a>(
    flow: &'a FlowService,
    inputs: impl Iterator<Item = Input> + 'a,
    user: &'a str,
) -> impl Stream<Item = Map<String, Value>> + 'a {
    stream::iter(inputs).map(move |input| answer(flow, input, user)).buffered(CONCURRENCY)
}

async fn answer(flow: &FlowService, input: Input, user: &str) -> Map<String, Value> {
    let mut row = Map::new();
    match input.id {
        Some(id) => row.insert("id".to_owned(), id),
        None if input.request.is_err() => row.insert("line".to_owned(), input.line.into()),
        None => None,
    };
    let result = match input.request {
        Ok(request) => {
            let caller = Caller::user(request.user_id.as_deref().unwrap_or(user)).at("classify");
            flow.process(request, &caller, CacheControl::Use).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match result.map(|processed| serde_json::to_value(processed.answer)) {
        Ok(Ok(Value::Object(fields))) => row.extend(fields),
        Ok(_) => row.extend(failure(json!({ "title": "the answer could not be written" }))),
        Err(problem) => row.extend(failure(problem.to_value())),
    }
    row
}

fn failure(problem: Value) -> Map<String, Value> {
    Map::from_iter([("success".to_owned(), Value::Bool(false)), ("error".to_owned(), problem)])
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, Failure> {
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

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Returns whether the input is CSV: by the name of the file, or by a first line that is a header
/// with a prompt.
fn is_csv(file: &Path, reader: &mut Box<dyn BufRead>) -> Result<bool, Failure> {
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
        && names.any(|name| name.trim_ascii().trim_ascii_end().eq_ignore_ascii_case(b"prompt")))
}

fn json_rows(reader: Box<dyn BufRead>) -> Box<dyn Iterator<Item = Input>> {
    let lines = Lines { reader, broken: false }.zip(1..);
    Box::new(lines.filter_map(|(line, number)| match line {
        Ok(line) if line.trim_ascii().is_empty() => None,
        Ok(line) => Some(json_row(&line, number)),
        Err(problem) => Some(Input { line: number, id: None, request: Err(problem) }),
    }))
}

fn json_row(line: &[u8], number: u64) -> Input {
    let failed = |detail: String| Input {
        line: number,
        id: None,
        request: Err(Problem::fields(vec![FieldProblem::new("", detail)])),
    };
    let Ok(text) = std::str::from_utf8(line) else { return failed("the row is not UTF-8".to_owned()) };
    if let Err(error) = check_json(text) {
        return failed(format!("the row is not JSON (column {})", error.column()));
    }
    let id = json_members(text, ["id"]).and_then(|[id]| serde_json::from_str::<Value>(id?.get()).ok());
    Input { line: number, id: id.filter(|id| !id.is_null()), request: parse_request(text) }
}

/// Lines of bytes. A line that is too long is cut, and its rest is skipped.
struct Lines {
    reader: Box<dyn BufRead>,
    /// Whether the reader has failed. It is not read again, because it might fail forever.
    broken: bool,
}

impl Iterator for Lines {
    type Item = Result<Vec<u8>, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let problem = |detail: String| Some(Err(Problem::fields(vec![FieldProblem::new("", detail)])));
        if self.broken {
            return None;
        }
        let mut line = Vec::new();
        match (&mut self.reader).take(MAX_ROW).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.len() as u64 == MAX_ROW && !line.ends_with(b"\n") => {
                match self.reader.skip_until(b'\n') {
                    Ok(_) => problem(format!("the row has more than {MAX_ROW} bytes")),
                    Err(_) => None,
                }
            }
            Ok(_) => Some(Ok(line)),
            Err(error) => {
                self.broken = true;
                problem(format!("the row cannot be read: {error}"))
            }
        }
    }
}

fn csv_rows(reader: Box<dyn BufRead>) -> Result<Box<dyn Iterator<Item = Input>>, Failure> {
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
        Err(error) => {
            let detail = format!("the row cannot be read: {error}");
            Input { line, id: None, request: Err(Problem::fields(vec![FieldProblem::new("", detail)])) }
        }
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
    let request = match parse_request(&Value::Object(fields).to_string()) {
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

/// The destination of the results, in the chosen format.
enum Writer {
    Jsonl(Box<dyn Write>),
    Csv(Box<csv::Writer<Box<dyn Write>>>),
}

impl Writer {
    fn open(arguments: &ClassifyArguments) -> Result<Self, Failure> {
        let out: Box<dyn Write> = match &arguments.output {
            Some(path) => Box::new(BufWriter::new(
                create(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?,
            )),
            None => Box::new(BufWriter::new(std::io::stdout())),
        };
        Ok(match arguments.format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS).map_err(|error| Failure::work(error.to_string()))?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    fn write(&mut self, row: &Map<String, Value>) -> Result<(), Failure> {
        match self {
            Self::Jsonl(out) => serde_json::to_writer(&mut *out, row)
                .map_err(|error| Failure::work(error.to_string()))
                .and_then(|()| out.write_all(b"\n").map_err(|error| Failure::work(error.to_string()))),
            Self::Csv(writer) => writer
                .write_record(COLUMNS.map(|name| cell(row.get(name))))
                .map_err(|error| Failure::work(error.to_string())),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Jsonl(mut out) => out.flush(),
            Self::Csv(mut writer) => writer.flush(),
        }
        .map_err(|error| Failure::work(error.to_string()))
    }
}

/// Creates the file of the results, or empties the one that is there. A regular file becomes
/// readable for its owner alone, because results hold users' words. A pipe, a device and a file of
/// another owner keep their mode.
fn create(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        match file.set_permissions(Permissions::from_mode(0o600)) {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(file)
}

/// Returns a value as a cell of CSV. Numbers and booleans are written unchanged.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(value) => inert(text(value)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields.get("detail").map_or_else(|| value.to_string(), text),
        other => other.to_string(),
    }
}

/// Puts an apostrophe before text that a spreadsheet would run as a formula (OWASP, CSV injection).
fn inert(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text
    }
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos} rows, {per_sec}, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new_spinner().with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_a_spreadsheet_would_run_is_escaped_and_numbers_are_not() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(cell(Some(&json!(text))), format!("'{text}"));
            assert_eq!(cell(Some(&json!([text, "b"]))), format!("'{text} b"));
            assert_eq!(cell(Some(&json!({ "detail": text }))), format!("'{text}"));
        }
        for (value, expected) in [
            (json!(-1.5), "-1.5"),
            (json!(true), "true"),
            (json!("a=b"), "a=b"),
            (json!(["a", "=b"]), "a =b"),
            (json!({"title": "=x"}), "{\"title\":\"=x\"}"),
            (json!(null), ""),
        ] {
            assert_eq!(cell(Some(&value)), expected);
        }
    }
}
