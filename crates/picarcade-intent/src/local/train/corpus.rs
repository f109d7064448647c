//! The training corpus: templates and free prompts, one text file for each language.
//!
//! ```text
//! # a comment
//! @part = the sky | the {colour} car | her (long |)hair
//! [edit]
//! make {part} (a bit|much) brighter
//! [picture bare]
//! a lighthouse in a storm
//! ```
//!
//! A line that starts with `@` and a letter defines a slot. `{slot}` takes one of its values, and
//! `(a|b|)` takes one of the alternatives. Both can be nested. `[sense]` opens a section, and every
//! line in it is one template of that sense. `bare` marks descriptions, which get no polite frame.
//! Three slots have a special meaning: `pre` and `post` frame requests ("could you …", "… please"),
//! and `then` joins two requests. An unreadable line is an error with its file and number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::local::sense::Sense;
use crate::local::train::random::Random;

/// From how many bytes a line is a long template. A character of Chinese or Hindi has three.
const LONG: usize = 150;

/// Why a corpus cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or directory could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A line is not valid in its place.
    #[error("{}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The problem.
        problem: String,
    },
}

/// All training data.
#[derive(Debug)]
pub struct Corpus {
    pub(crate) languages: Vec<Language>,
}

/// The templates of one language.
#[derive(Debug)]
pub(crate) struct Language {
    pub(crate) slots: BTreeMap<String, Vec<Pattern>>,
    pub(crate) templates: Vec<Template>,
}

/// One line of a section.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) sense: Sense,
    pub(crate) bare: bool,
    /// Whether its line has at least [`LONG`] bytes.
    pub(crate) long: bool,
    pub(crate) pattern: Pattern,
}

/// A text with choices.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Slot(String),
    Either(Vec<Pattern>),
}

impl Corpus {
    /// Reads every `train-*.txt` of a directory, in the order of their names.
    pub fn read(directory: &Path) -> Result<Self, CorpusError> {
        let failed = |source| CorpusError::Read { path: directory.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.sort();
        let mut languages = Vec::new();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("train-") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| CorpusError::Read { path: path.clone(), source })?;
                languages.push(Language::parse(&text).map_err(|(line, problem)| CorpusError::Line {
                    path: path.clone(),
                    line,
                    problem,
                })?);
            }
        }
        Ok(Self { languages })
    }

    /// Parses the corpus of some languages, one text each. An error names its line and the problem.
    #[cfg(test)]
    pub(crate) fn parse(texts: &[&str]) -> Result<Self, (u64, String)> {
        Ok(Self { languages: texts.iter().map(|text| Language::parse(text)).collect::<Result<_, _>>()? })
    }

    /// Returns the number of templates and free prompts.
    pub fn templates(&self) -> usize {
        self.languages.iter().map(|language| language.templates.len()).sum()
    }
}

impl Language {
    fn parse(text: &str) -> Result<Self, (u64, String)> {
        let mut language = Self { slots: BTreeMap::new(), templates: Vec::new() };
        let mut section = None;
        let mut used = Vec::new();
        for (number, line) in (1_u64..).zip(text.lines()) {
            let line = line.trim();
            let fail = |problem: String| (number, problem);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(definition) =
                line.strip_prefix('@').filter(|rest| rest.starts_with(char::is_alphabetic))
            {
                let (slot, values) =
                    definition.split_once('=').ok_or_else(|| fail("a slot without =".to_owned()))?;
                let Piece::Either(values) = Pattern::parse_choice(values, &mut used).map_err(fail)? else {
                    return Err(fail("a slot without values".to_owned()));
                };
                language.slots.entry(slot.trim().to_owned()).or_default().extend(values);
            } else if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let (sense, bare) = match heading.strip_suffix(" bare") {
                    Some(sense) => (sense, true),
                    None => (heading, false),
                };
                section = Some((sense.parse::<Sense>().map_err(|error| fail(error.to_string()))?, bare));
            } else {
                let (sense, bare) =
                    section.ok_or_else(|| fail("a template before the first section".to_owned()))?;
                let pattern = Pattern::parse(line, &mut used).map_err(fail)?;
                language.templates.push(Template { sense, bare, long: line.len() >= LONG, pattern });
            }
            if let Some(unknown) = used.iter().find(|slot| !language.slots.contains_key(*slot)) {
                return Err(fail(format!("unknown slot {unknown:?}")));
            }
        }
        Ok(language)
    }
}

impl Pattern {
    fn parse(text: &str, used: &mut Vec<String>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '(']) {
            let (before, after) = rest.split_at(at);
            pieces.push(Piece::Text(before.to_owned()));
            let length = matching(after).ok_or_else(|| format!("unclosed bracket in {text:?}"))?;
            let inner = after.get(1..length).unwrap_or_default();
            if after.starts_with('{') {
                used.push(inner.to_owned());
                pieces.push(Piece::Slot(inner.to_owned()));
            } else {
                pieces.push(Self::parse_choice(inner, used)?);
            }
            rest = after.get(length + 1..).unwrap_or_default();
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Parses alternatives. Spaces around `|` matter inside a template and not around the values of
    /// a slot.
    fn parse_choice(text: &str, used: &mut Vec<String>) -> Result<Piece, String> {
        let mut depth = 0_usize;
        let mut values = Vec::new();
        let mut start = 0;
        for (at, c) in text.char_indices() {
            match c {
                '(' | '{' => depth += 1,
                ')' | '}' => depth = depth.saturating_sub(1),
                '|' if depth == 0 => {
                    values.push(text.get(start..at).unwrap_or_default());
                    start = at + 1;
                }
                _ => {}
            }
        }
        values.push(text.get(start..).unwrap_or_default());
        let values = values.into_iter().map(|value| {
            let value = if text.contains(" | ") { value.trim() } else { value };
            Self::parse(value, used)
        });
        Ok(Piece::Either(values.collect::<Result<_, _>>()?))
    }

    /// Appends one variant of the pattern.
    pub(crate) fn write(&self, language: &Language, random: &mut Random, to: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Slot(slot) => language.write_slot(slot, random, to),
                Piece::Either(patterns) => {
                    if let Some(pattern) = random.choose(patterns) {
                        pattern.write(language, random, to);
                    }
                }
            }
        }
    }
}

impl Language {
    /// Appends one value of a slot, or nothing if the language does not have it.
    pub(crate) fn write_slot(&self, slot: &str, random: &mut Random, to: &mut String) {
        if let Some(pattern) = self.slots.get(slot).and_then(|values| random.choose(values)) {
            pattern.write(self, random, to);
        }
    }
}

/// Returns the position of the closing bracket.
fn matching(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let language = Language::parse(text).unwrap();
        let mut random = Random::new(1);
        let mut prompts: Vec<String> = (0..200)
            .map(|_| {
                let mut prompt = String::new();
                language.templates[0].pattern.write(&language, &mut random, &mut prompt);
                prompt
            })
            .collect();
        prompts.sort();
        prompts.dedup();
        prompts
    }

    #[test]
    fn slots_and_alternatives_nest() {
        let text = "@colour = red | blue\n@thing = cat | {colour} car\n[edit]\nmake the {thing} (very |)big";
        assert_eq!(read(text).len(), 6);
        assert!(read(text).contains(&"make the blue car very big".to_owned()));
    }

    #[test]
    fn a_faulty_line_is_reported() {
        for (text, line) in
            [("[edit]\nmake {x}", 2), ("\nhello", 2), ("[shout]", 1), ("[edit]\na (b", 2), ("@x", 1)]
        {
            assert_eq!(Language::parse(text).unwrap_err().0, line, "{text}");
        }
    }
}
