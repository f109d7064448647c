//! The results that an interrupted batch has left.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::output::COLUMNS;
use crate::cli::Format;
use crate::command::Failure;

/// The complete rows of an output file.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pub(super) rows: u64,
    pub(super) failed: u64,
    /// The length of the complete rows in bytes; a torn one may follow.
    pub(super) length: u64,
    /// The last row, if the format is JSON lines.
    last: Option<Map<String, Value>>,
}

impl Earlier {
    /// Reads an output file. One that does not exist has no rows.
    pub(super) fn read(path: &Path, format: Format) -> Result<Self, Failure> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let open = || File::open(path).map(BufReader::new);
        let length = open().and_then(|reader| complete(reader, format));
        let length = length.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let reader = open().map_err(Failure::work)?.take(length);
        let mut earlier = Self { length, ..Self::default() };
        let read = match format {
            Format::Jsonl => earlier.read_json(reader),
            Format::Csv => earlier.read_csv(reader),
        };
        match read {
            Ok(()) => Ok(earlier),
            Err(reason) => Err(Failure::usage(format!("{}: {reason}", path.display()))),
        }
    }

    /// Returns whether the last row can be the result of the request with this id.
    pub(super) fn ends_with(&self, id: Option<&Value>) -> bool {
        self.last.as_ref().is_none_or(|last| last.get("id") == id)
    }

    fn read_json(&mut self, reader: impl BufRead) -> Result<(), String> {
        for line in reader.lines() {
            let line = line.map_err(|error| error.to_string())?;
            let row: Option<Map<String, Value>> = serde_json::from_str(&line).ok();
            let row = row.filter(|row| row.get("success").is_some_and(Value::is_boolean));
            let Some(row) = row else {
                return Err(format!("line {} is not a result of a batch", self.rows + 1));
            };
            self.count(row.get("success") == Some(&Value::Bool(true)));
            self.last = Some(row);
        }
        Ok(())
    }

    fn read_csv(&mut self, reader: impl Read) -> Result<(), String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(reader);
        for (number, record) in reader.byte_records().enumerate() {
            let record = record.map_err(|error| error.to_string())?;
            match number {
                0 if record.iter().eq(COLUMNS.map(str::as_bytes)) => {}
                0 => return Err("the header is not that of the results of a batch".to_owned()),
                _ => self.count(record.get(1) == Some(b"true")),
            }
        }
        Ok(())
    }

    fn count(&mut self, is_good: bool) {
        self.rows += 1;
        self.failed += u64::from(!is_good);
    }
}

/// Returns the length of the complete rows: up to the last line break, which in CSV must not be in
/// quotes.
fn complete(mut reader: impl BufRead, format: Format) -> std::io::Result<u64> {
    let (mut at, mut end, mut is_quoted) = (0, 0, false);
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(end);
        }
        for byte in chunk {
            at += 1;
            match byte {
                b'"' if format == Format::Csv => is_quoted = !is_quoted,
                b'\n' if !is_quoted => end = at,
                _ => {}
            }
        }
        let read = chunk.len();
        reader.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_complete_with_its_line_break_outside_of_quotes() {
        let complete = |text: &str, format| complete(text.as_bytes(), format).unwrap();
        assert_eq!(complete("{}\n{}\n", Format::Jsonl), 6);
        assert_eq!(complete("{}\n{\"a\": \"", Format::Jsonl), 3);
        assert_eq!(complete("{", Format::Jsonl), 0);
        assert_eq!(complete("a,b\n1,\"x\ny\"\n2,\"z\n", Format::Csv), 12);
        assert_eq!(complete("a,\"\"\"\n\"\n", Format::Csv), 8);
    }
}
