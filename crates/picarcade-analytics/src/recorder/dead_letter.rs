//! A file of rejected rows for people to read: one JSON object per line.
//!
//! ```text
//! {"at":"2026-01-02T03:04:05.678Z","code":"23514","reason":"new row … violates …","record":{…}}
//! ```
//!
//! The size is bounded: a full file is renamed to `dead-letter.jsonl.old` and replaces the previous
//! one. If the file cannot be written, the row is counted as dropped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::Error;
use crate::private_file;
use crate::record::Record;
use crate::timestamp::{micros, rfc3339};

#[derive(Debug)]
pub(crate) struct DeadLetters {
    path: PathBuf,
    max_bytes: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    code: &'a str,
    reason: String,
    record: &'a Record,
}

impl DeadLetters {
    pub(crate) fn new(directory: &Path, max_bytes: u64) -> Self {
        Self { path: directory.join("dead-letter.jsonl"), max_bytes }
    }

    /// Returns the line for a rejected record. The line is empty if the record cannot be written as
    /// JSON.
    pub(crate) fn line(record: &Record, error: &Error, now: SystemTime) -> Vec<u8> {
        let code = match error {
            Error::Rejected { code, .. } => code,
            other => other.kind(),
        };
        let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        let line = Line { at: rfc3339(micros(now)), code, reason, record };
        serde_json::to_vec(&line).map_or_else(
            |_| Vec::new(),
            |mut line| {
                line.push(b'\n');
                line
            },
        )
    }

    /// Appends a line. Returns `false` if it is empty.
    pub(crate) fn append(&self, line: &[u8]) -> Result<bool, Error> {
        let failed = |source| Error::directory(&self.path, source);
        if line.is_empty() {
            return Ok(false);
        }
        let size = fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        if size > 0 && size + line.len() as u64 > self.max_bytes {
            fs::rename(&self.path, self.path.with_extension("jsonl.old")).map_err(failed)?;
        }
        let mut file = private_file::options().create(true).append(true).open(&self.path).map_err(failed)?;
        file.write_all(line).map_err(failed)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CostEvent, Event};

    #[test]
    fn lines_name_the_reason_and_the_file_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(directory.path(), 600);
        let record = Record::new(
            1_700_000_000_000_000,
            Event::Cost(CostEvent {
                user_id: "u".into(),
                operation_type: "classification".into(),
                generation_id: None,
                estimated_cost_micros: u64::MAX,
                actual_cost_micros: None,
                model_used: "m".into(),
                success: None,
                error_message: None,
            }),
        );
        let error = Error::Rejected { code: "22003".to_owned(), source: "out of range".into() };
        let line = DeadLetters::line(&record, &error, SystemTime::UNIX_EPOCH);
        for _ in 0..5 {
            assert!(letters.append(&line).unwrap());
        }
        let text = fs::read_to_string(directory.path().join("dead-letter.jsonl")).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["code"], "22003");
        assert_eq!(first["reason"], "out of range");
        let back: Record = serde_json::from_value(first["record"].clone()).unwrap();
        assert_eq!(back, record);
        assert!(text.len() <= 600);
        assert!(directory.path().join("dead-letter.jsonl.old").exists());
    }
}
