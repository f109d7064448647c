//! The language of comments and documents: no comment wider than 100 columns, and none of the words
//! in `words.txt`.
//!
//! Comments are lines that begin with the comment sign of their language. Documents are Markdown
//! outside of code blocks; their lines may have any width.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::house::files;
use crate::step::{report, root};

/// The widest comment, in columns, with its indentation.
const MAX_COLUMNS: usize = 100;

/// Phrases and their replacements, one per line.
const WORDS: &str = include_str!("words.txt");

/// The text that the AI is sent is data: it contains prompts as people write them.
const INSTRUCTIONS: &str = "crates/picarcade-intent/data/instructions.md";

/// Fails with one line for each place.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let words = words(WORDS);
    let mut faults = Vec::new();
    for file in files(&root)? {
        let Some(kind) = Kind::of(&file).filter(|_| !file.ends_with(INSTRUCTIONS)) else { continue };
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        faults.extend(faults_of(&text, kind, &words).map(|fault| format!("{}:{fault}", file.display())));
    }
    report(faults)
}

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Code whose comment lines begin with this sign.
    Code(&'static str),
    Markdown,
}

impl Kind {
    fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "rs" => Some(Self::Code("//")),
            "lua" | "sql" => Some(Self::Code("--")),
            "toml" | "yaml" => Some(Self::Code("#")),
            "md" => Some(Self::Markdown),
            _ => None,
        }
    }
}

fn faults_of<'a>(
    text: &'a str,
    kind: Kind,
    words: &'a [(&'a str, &'a str)],
) -> impl Iterator<Item = String> + 'a {
    let mut is_code = false;
    let prose = text.lines().enumerate().filter(move |(_, line)| {
        let line = line.trim_start();
        match kind {
            Kind::Code(sign) => line.starts_with(sign),
            Kind::Markdown => {
                let is_fence = line.starts_with("```");
                is_code ^= is_fence;
                !is_code && !is_fence
            }
        }
    });
    prose.flat_map(move |(index, line)| {
        let width = line.chars().count();
        let wide = (kind != Kind::Markdown && width > MAX_COLUMNS)
            .then(|| format!("{}: the comment has {width} columns of {MAX_COLUMNS}", index + 1));
        let lower = without_code(line).to_lowercase();
        let found = words.iter().filter(move |(phrase, _)| contains(&lower, phrase));
        wide.into_iter()
            .chain(found.map(move |(phrase, better)| format!("{}: \"{phrase}\": write {better}", index + 1)))
    })
}

/// Returns a line without the code in it: names between backticks are not prose.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Whether `text` contains `phrase` between two places that are no letters.
fn contains(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(start, _)| {
        let before = text.get(..start).and_then(|text| text.chars().next_back());
        let after = text.get(start + phrase.len()..).and_then(|text| text.chars().next());
        ![before, after].into_iter().flatten().any(|sign| sign.is_alphanumeric() || sign == '_')
    })
}

fn words(list: &str) -> Vec<(&str, &str)> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" => ")).map(|(phrase, better)| (phrase.trim(), better)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Kind, WORDS, faults_of, words};

    fn faults(text: &str, kind: Kind) -> Vec<String> {
        faults_of(text, kind, &[("told", "recorded")]).collect()
    }

    #[test]
    fn a_comment_wider_than_the_limit_is_reported() {
        let wide = format!("    // {}", "x".repeat(94));
        assert_eq!(faults(&wide, Kind::Code("//")), ["1: the comment has 101 columns of 100"]);
        assert!(faults(&wide[..100], Kind::Code("//")).is_empty());
        assert!(faults(&wide.replace("//", ""), Kind::Code("//")).is_empty());
    }

    #[test]
    fn a_word_of_the_list_is_reported_with_its_replacement() {
        assert_eq!(faults("x\n/// It is Told.", Kind::Code("//")), ["2: \"told\": write recorded"]);
        assert!(faults("let told = 1; // told\n// untold, told_by, `told`", Kind::Code("//")).is_empty());
    }

    #[test]
    fn documents_are_read_outside_of_their_code_blocks() {
        assert_eq!(faults("```\ntold\n```\ntold", Kind::Markdown), ["4: \"told\": write recorded"]);
    }

    #[test]
    fn every_line_of_the_list_has_a_replacement() {
        let lines = WORDS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(words(WORDS).len(), lines);
    }
}
