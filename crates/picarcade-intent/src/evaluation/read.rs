//! Reads files of labeled prompts for an evaluation.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::evaluation::labeled::Labeled;
use crate::evaluation::rows::{Format, rows, text_of};
use crate::problem::Problem;

/// The largest number of labeled prompts in a file.
const MAX_ROWS: usize = 1_000_000;

/// Why a file of labeled prompts cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabeledError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}: line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file has no rows.
    #[error("{}: no labeled prompts", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a file of labeled prompts: CSV with a header if its name ends in `.csv`, and otherwise one
/// JSON object per line.
///
/// Each row has a `prompt` and its label: a `goal`, which may be `none` for a prompt that asks for
/// no picture, or else `right_type` (also `expected` or `prompt_type`). Optional are the four facts
/// `active_image`, `active_video`, `uploaded_image` and `referenced_image`, or `facts` as letters
/// (`i`, `v`, `u`, `r`, `-`), and `language` (also `lang`) and `tag`. Other fields are ignored.
///
/// # Errors
///
/// Fails if the file cannot be read, is not UTF-8, or has no rows, and at the first row that is
/// wrong: not an object, a value of a wrong type, an unknown word, an empty or too long prompt, or
/// no label. A type that the facts do not allow is accepted, and no answer to it is right.
pub fn read_labeled(path: &Path) -> Result<Vec<Labeled>, LabeledError> {
    let bytes = std::fs::read(path).map_err(|source| LabeledError::Read { path: path.to_owned(), source })?;
    let wrong = |problem: Problem| LabeledError::Line {
        path: path.to_owned(),
        line: problem.line as usize,
        problem: format!("column {}: {}", problem.column, problem.message),
    };
    let mut labeled = Vec::new();
    for row in rows(text_of(&bytes).map_err(wrong)?, Format::of(path)) {
        let row = row.map_err(wrong)?;
        if labeled.len() == MAX_ROWS {
            return Err(wrong(Problem::error(row.line, "1", format!("more than {MAX_ROWS} rows"))));
        }
        labeled.push(row);
    }
    if labeled.is_empty() { Err(LabeledError::Empty { path: path.to_owned() }) } else { Ok(labeled) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_another_encoding_or_without_rows_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("labels.jsonl");
        std::fs::write(&path, b"{\"prompt\": \"x\", \"goal\": \"edit\"}\n{\"prompt\": \"caf\xe9\"}").unwrap();
        assert_eq!(
            read_labeled(&path).unwrap_err().to_string(),
            format!("{}: line 2: column 16: not UTF-8", path.display())
        );
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(read_labeled(&path), Err(LabeledError::Empty { .. })));
    }
}
