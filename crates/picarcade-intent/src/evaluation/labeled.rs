//! Prompts with labels that people assigned.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::{Facts, Goal, Prompt, PromptType};

/// The largest number of labeled prompts in a file.
const MAX_ROWS: usize = 1_000_000;

/// The right answer to a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The goal of the words, which decides the type together with the facts.
    Goal(Goal),
    /// The type itself.
    Type(PromptType),
    /// The words ask for no picture, video or edit at all.
    Unclear,
}

/// A prompt and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labeled {
    /// The words.
    pub prompt: Prompt,
    /// The facts.
    pub facts: Facts,
    /// The right answer.
    pub label: Label,
    /// The code of the language; empty if the file does not say.
    pub language: String,
    /// Why the prompt is in the set, such as `plain` or `hard`; empty if the file does not say.
    pub tag: String,
}

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

/// A row of a file, in either format.
#[derive(Deserialize)]
struct Record {
    prompt: String,
    /// Facts as letters: `i` a working image, `v` a working video, `u` an upload, `r` a stored
    /// reference, `-` none.
    #[serde(default)]
    facts: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    active_image: bool,
    #[serde(default, deserialize_with = "flag")]
    active_video: bool,
    #[serde(default, deserialize_with = "flag")]
    uploaded_image: bool,
    #[serde(default, deserialize_with = "flag")]
    referenced_image: bool,
    #[serde(default)]
    goal: Option<String>,
    #[serde(default, alias = "expected", alias = "prompt_type")]
    right_type: Option<String>,
    #[serde(default, alias = "lang")]
    language: Option<String>,
    #[serde(default)]
    tag: Option<String>,
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
/// wrong: not an object, a wrong type, an unknown word, an empty or too long prompt, no label, or a
/// type that the facts do not allow.
pub fn read_labeled(path: &Path) -> Result<Vec<Labeled>, LabeledError> {
    let bytes = std::fs::read(path).map_err(|source| LabeledError::Read { path: path.to_owned(), source })?;
    let wrong = |line: usize, problem: String| LabeledError::Line { path: path.to_owned(), line, problem };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        wrong(before.split(|byte| *byte == b'\n').count(), "not UTF-8".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let labeled = if is_csv { read_csv(text) } else { read_json_lines(text) };
    let labeled = labeled.map_err(|(line, problem)| wrong(line, problem))?;
    if labeled.is_empty() { Err(LabeledError::Empty { path: path.to_owned() }) } else { Ok(labeled) }
}

type Rows = Result<Vec<Labeled>, (usize, String)>;

fn read_csv(text: &str) -> Rows {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().cloned().map_err(|error| (1, error.to_string()))?;
    let mut labeled = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            (line as usize, error.to_string())
        })?;
        let line = record.position().map_or(0, |position| position.line() as usize);
        let row = record.deserialize(Some(&headers)).map_err(|error| (line, error.to_string()))?;
        add(&mut labeled, row, line)?;
    }
    Ok(labeled)
}

fn read_json_lines(text: &str) -> Rows {
    let mut labeled = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if !line.trim().is_empty() {
            let row = serde_json::from_str(line).map_err(|error| (number, error.to_string()))?;
            add(&mut labeled, row, number)?;
        }
    }
    Ok(labeled)
}

fn add(labeled: &mut Vec<Labeled>, row: Record, line: usize) -> Result<(), (usize, String)> {
    if labeled.len() == MAX_ROWS {
        return Err((line, format!("more than {MAX_ROWS} rows")));
    }
    labeled.push(row.labeled().map_err(|problem| (line, problem))?);
    Ok(())
}

impl Record {
    fn labeled(self) -> Result<Labeled, String> {
        let facts = match &self.facts {
            Some(letters) => facts(letters).ok_or_else(|| format!("unknown facts {letters:?}"))?,
            None => Facts {
                active_image: self.active_image,
                active_video: self.active_video,
                uploaded_image: self.uploaded_image,
                referenced_image: self.referenced_image,
            },
        };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let label = match (given(self.right_type), given(self.goal)) {
            (_, Some(goal)) if goal == "none" => Label::Unclear,
            (_, Some(name)) => Label::Goal(name.parse().map_err(|_| format!("unknown goal {name:?}"))?),
            (Some(name), None) => Label::Type(name.parse().map_err(|_| format!("unknown type {name:?}"))?),
            (None, None) => return Err("neither right_type nor goal".to_owned()),
        };
        Ok(Labeled {
            prompt: Prompt::new(self.prompt).map_err(|error| error.to_string())?,
            facts,
            label,
            language: self.language.unwrap_or_default(),
            tag: self.tag.unwrap_or_default(),
        })
    }
}

/// Reads a fact from JSON (a boolean) or CSV (`true`, `false`, or nothing).
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or_default())
}

fn facts(letters: &str) -> Option<Facts> {
    let mut facts = Facts::default();
    for letter in letters.chars() {
        match letter {
            'i' => facts.active_image = true,
            'v' => facts.active_video = true,
            'u' => facts.uploaded_image = true,
            'r' => facts.referenced_image = true,
            '-' => {}
            _ => return None,
        }
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(rows: Rows) -> Labeled {
        rows.unwrap().remove(0)
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv = "language,facts,goal,tag,prompt\nen,iu,edit,plain,\"make it blue, please\"\n";
        let json = r#"{"prompt": "make it blue, please", "active_image": true, "uploaded_image": true,
            "goal": "edit", "lang": "en", "tag": "plain", "source": "ignored"}"#
            .replace('\n', "");
        let labeled = only(read_csv(csv));
        assert_eq!(labeled, only(read_json_lines(&json)));
        assert_eq!(labeled.label, Label::Goal(Goal::Edit));
        let flags = "prompt,active_image,active_video,right_type\nx,true,,EDIT_IMAGE\n";
        assert_eq!(only(read_csv(flags)).label, Label::Type(PromptType::EditImage));
        assert_eq!(only(read_json_lines(r#"{"prompt": "hi", "goal": "none"}"#)).label, Label::Unclear);
    }

    #[test]
    fn a_wrong_row_is_reported_with_its_line() {
        for (row, problem) in [
            (r#"{"prompt": "x"}"#, "neither"),
            (r#"{"prompt": 1, "goal": "edit"}"#, "invalid type"),
            (r#"{"prompt": "x", "goal": "shout"}"#, "unknown goal"),
            (r#"{"prompt": "x", "right_type": "SONG"}"#, "unknown type"),
            (r#"{"prompt": "", "goal": "edit"}"#, "prompt"),
            (r#"{"prompt": "x", "goal": "edit", "active_image": "yes"}"#, "invalid type"),
            ("[1]", "invalid"),
        ] {
            let good = r#"{"prompt": "x", "goal": "edit"}"#;
            let (line, found) = read_json_lines(&format!("{good}\n{row}\n")).unwrap_err();
            assert_eq!(line, 2);
            assert!(found.contains(problem), "{found}");
        }
        assert_eq!(read_csv("prompt,goal\nx,edit\ny,shout\n").unwrap_err().0, 3);
    }

    #[test]
    fn a_file_in_another_encoding_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("labels.jsonl");
        std::fs::write(&path, b"{\"prompt\": \"x\", \"goal\": \"edit\"}\n{\"prompt\": \"caf\xe9\"}").unwrap();
        assert_eq!(
            read_labeled(&path).unwrap_err().to_string(),
            format!("{}: line 2: not UTF-8", path.display())
        );
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(read_labeled(&path), Err(LabeledError::Empty { .. })));
    }
}
