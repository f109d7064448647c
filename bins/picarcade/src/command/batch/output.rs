//! The results as rows of JSON or CSV.

use std::io::{BufWriter, Write};

use serde_json::{Map, Value};

use crate::cli::{ClassifyArguments, Format};
use crate::command::Failure;
use crate::command::output_file;

/// The columns of CSV results.
pub(super) const COLUMNS: [&str; 19] = [
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
    "confirm",
    "unclear",
    "estimated_cost",
    "estimated_time",
    "cache_hit",
    "used_fallback",
    "degraded",
    "generation_id",
    "error",
];

/// The destination of the results, in the chosen format.
pub(super) enum ResultWriter {
    Jsonl(Box<dyn Write>),
    Csv(Box<csv::Writer<Box<dyn Write>>>),
}

impl ResultWriter {
    /// Opens the destination after its first `length` bytes, which are kept.
    pub(super) fn open(arguments: &ClassifyArguments, length: u64) -> Result<Self, Failure> {
        let out: Box<dyn Write> = match &arguments.output {
            Some(path) => Box::new(BufWriter::new(
                output_file::shorten(path, length)
                    .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?,
            )),
            None => Box::new(BufWriter::new(std::io::stdout())),
        };
        Ok(match arguments.format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
                if length == 0 {
                    writer.write_record(COLUMNS).map_err(Failure::work)?;
                }
                Self::Csv(Box::new(writer))
            }
        })
    }

    /// Writes one row. It is not kept in a buffer, because it may have cost money.
    pub(super) fn write(&mut self, row: &Map<String, Value>) -> Result<(), Failure> {
        match self {
            Self::Jsonl(out) => serde_json::to_writer(&mut *out, row)
                .map_err(Failure::work)
                .and_then(|()| out.write_all(b"\n").and_then(|()| out.flush()).map_err(Failure::work)),
            Self::Csv(writer) => {
                let mut cells = COLUMNS.map(|name| cell(row.get(name)));
                if let (Some(number), Some(error)) = (row.get("row"), cells.last_mut()) {
                    *error = format!("row {number}: {error}");
                }
                writer.write_record(cells).map_err(Failure::work)?;
                writer.flush().map_err(Failure::work)
            }
        }
    }

    /// Writes what is buffered.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Jsonl(mut out) => out.flush(),
            Self::Csv(mut writer) => writer.flush(),
        }
        .map_err(Failure::work)
    }
}

/// Returns a value as a cell of CSV. Numbers and booleans are written unchanged.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        Some(value) => escape_formula(text(value)),
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
fn escape_formula(text: String) -> String {
    let is_unseen = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    // Some programs drop invisible characters at the beginning of a cell before they read it.
    let visible = text.trim_start_matches(is_unseen);
    if text.starts_with(['\t', '\r', '\n'])
        || visible.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹢', '﹣', '﹦', '﹫'])
    {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formulas_are_escaped_and_numbers_are_not() {
        for text in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "＝1",
            "﹢1",
            "  =1",
            "\u{feff}=1",
            "\u{200b}\u{b}+1",
        ] {
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
