//! Prompts with the goal that a person assigned, for evaluation.
//!
//! The format is CSV with the columns `language`, `facts`, `goal`, `tag` and `prompt`. Facts are
//! letters: `i` a working image, `v` a working video, `u` an upload, `r` a stored reference, and
//! `-` none. `tag` names why the prompt is interesting, such as `plain` or `hard`.

use std::path::Path;

use serde::Deserialize;

use crate::local::train::corpus::CorpusError;
use crate::{Facts, Goal, Prompt};

/// A prompt and its goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The code of the language.
    pub language: String,
    /// The facts.
    pub facts: Facts,
    /// The goal of the words.
    pub goal: Goal,
    /// Why the prompt was written.
    pub tag: String,
    /// The words.
    pub prompt: Prompt,
}

#[derive(Deserialize)]
struct Record {
    language: String,
    facts: String,
    goal: String,
    tag: String,
    prompt: String,
}

/// Reads a file of judged prompts.
pub fn read_judged(path: &Path) -> Result<Vec<Judged>, CorpusError> {
    let source = std::fs::read(path).map_err(|source| CorpusError::Read { path: path.to_owned(), source })?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source.as_slice());
    let mut judged = Vec::new();
    for (record, line) in reader.deserialize::<Record>().zip(2..) {
        let fail = |problem: String| CorpusError::Line { path: path.to_owned(), line, problem };
        let record = record.map_err(|error| fail(error.to_string()))?;
        judged.push(Judged {
            facts: facts(&record.facts).ok_or_else(|| fail(format!("unknown facts {:?}", record.facts)))?,
            goal: record.goal.parse::<Goal>().map_err(|error| fail(error.to_string()))?,
            language: record.language,
            tag: record.tag,
            prompt: Prompt::new(record.prompt).map_err(|error| fail(error.to_string()))?,
        });
    }
    Ok(judged)
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

    #[test]
    fn facts_are_read_from_their_letters() {
        let expected = Facts { active_image: true, uploaded_image: true, ..Facts::default() };
        assert_eq!(facts("iu"), Some(expected));
        assert_eq!(facts("-"), Some(Facts::default()));
        assert_eq!(facts("x"), None);
    }
}
