//! A file of examples, read and checked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::evaluation::{Format, Label, Labeled, rows, text_of};
use crate::examples::outcome::outcome;
use crate::matrix::Matrix;
use crate::problem::Problem;
use crate::prompt_type::PromptType;
use crate::version::version_of;
use crate::words::words;

/// A checked file of examples.
///
/// ```
/// use picarcade_intent::Matrix;
/// use picarcade_intent::evaluation::Format;
/// use picarcade_intent::examples::ExampleList;
///
/// let file =
///     br#"{"prompt": "cinemagraph of the candle", "active_image": true, "goal": "create_video"}"#;
/// let list = ExampleList::parse(file, Format::JsonLines, &Matrix::embedded()).unwrap();
/// assert_eq!(list.examples().len(), 1);
///
/// let wrong = br#"{"prompt": "loop the smoke", "expected": "IMAGE_TO_VIDEO"}"#;
/// let problems = ExampleList::parse(wrong, Format::JsonLines, &Matrix::embedded()).unwrap_err();
/// assert!(problems[0].to_string().starts_with("line 1, column right_type: IMAGE_TO_VIDEO"));
/// ```
#[derive(Debug, Clone)]
pub struct ExampleList {
    examples: Vec<Labeled>,
    warnings: Vec<Problem>,
    version: String,
}

impl ExampleList {
    /// The largest number of examples. More would make a linear search and the time at the start
    /// noticeable.
    pub const MAX: usize = 5_000;

    /// The largest file in bytes: room for [`MAX`](Self::MAX) of the longest prompts in ASCII.
    pub const MAX_BYTES: usize = 64 << 20;

    /// Reads a file of examples in the format of
    /// [`read_labeled`](crate::evaluation::read_labeled).
    ///
    /// Two examples with the same words and the same facts are one if their labels lead to the same
    /// type under `matrix`: the later one has no effect, which is a warning.
    ///
    /// # Errors
    ///
    /// Returns every problem if at least one of them is an [error](Problem::is_error): a row that
    /// cannot be read, a type that the facts do not allow, two examples that contradict each other,
    /// no example, more than [`MAX`](Self::MAX), a file of more than 64 MiB or in another encoding.
    pub fn parse(file: &[u8], format: Format, matrix: &Matrix) -> Result<Self, Vec<Problem>> {
        if file.len() > Self::MAX_BYTES {
            let size = format!("{} bytes, and the maximum is {}", file.len(), Self::MAX_BYTES);
            return Err(vec![Problem::error(1, "1", size)]);
        }
        let text = text_of(file).map_err(|problem| vec![problem])?;
        let mut checked =
            Checked { matrix, examples: Vec::new(), seen: HashMap::new(), problems: Vec::new() };
        for (number, row) in rows(text, format).enumerate() {
            if number == Self::MAX {
                let line = row.map_or_else(|problem| problem.line, |labeled| labeled.line);
                checked.problems.push(Problem::error(line, "1", format!("more than {} examples", Self::MAX)));
                break;
            }
            match row {
                Ok(example) => checked.add(example),
                Err(problem) => checked.problems.push(problem),
            }
        }
        let Checked { examples, mut problems, .. } = checked;
        if examples.is_empty() && problems.is_empty() {
            problems.push(Problem::error(1, "1", "no examples"));
        }
        if problems.iter().any(Problem::is_error) {
            return Err(problems);
        }
        Ok(Self { examples, warnings: problems, version: version_of(file) })
    }

    /// Returns the examples in the order of their lines, without repetitions.
    pub fn examples(&self) -> &[Labeled] {
        &self.examples
    }

    /// Returns the examples that have no effect.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Returns the version of the content: the first 16 hexadecimal digits of the BLAKE3 hash of
    /// the file.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The rows that have been checked.
struct Checked<'a> {
    matrix: &'a Matrix,
    examples: Vec<Labeled>,
    /// The place among the examples of words under facts.
    seen: HashMap<(String, u8), usize>,
    problems: Vec<Problem>,
}

impl Checked<'_> {
    fn add(&mut self, example: Labeled) {
        let (line, facts) = (example.line, example.facts);
        if let Label::Type(prompt_type) = example.label
            && !self.matrix.feasible(facts).contains(prompt_type)
        {
            let possible: Vec<_> = self.matrix.feasible(facts).iter().map(PromptType::as_str).collect();
            let message =
                format!("{prompt_type} is not possible with these media, only {}", possible.join(", "));
            self.problems.push(Problem::error(line, "right_type", message));
            return;
        }
        let meant = outcome(&example, facts, self.matrix);
        match self.seen.entry((words(&example.prompt), facts.bits())) {
            Entry::Vacant(vacant) => {
                vacant.insert(self.examples.len());
                self.examples.push(example);
            }
            Entry::Occupied(occupied) => {
                let Some(first) = self.examples.get(*occupied.get()) else { return };
                let other = first.line;
                self.problems.push(if outcome(first, facts, self.matrix) == meant {
                    Problem::warning(line, "prompt", format!("a repetition of line {other}"))
                } else {
                    let (this, that) = (example.label, first.label);
                    let message = format!(
                        "the same words and media as in line {other}, where {that} is right, and not {this}"
                    );
                    Problem::error(line, "prompt", message)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Facts;
    use crate::examples::outcome::Outcome;

    fn parse(text: &str) -> Result<ExampleList, Vec<Problem>> {
        ExampleList::parse(text.as_bytes(), Format::JsonLines, &Matrix::embedded())
    }

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_problem_of_a_file_is_reported_at_once() {
        let found = problems(concat!(
            r#"{"prompt": "make it blue", "active_image": true, "expected": "EDIT_IMAGE"}"#,
            "\r\n\r\n",
            r#"{"prompt": 7, "goal": "edit"}"#,
            "\r\n",
            r#"{"prompt": " make it blue ", "active_image": true, "goal": "create_video"}"#,
            "\r\n",
            r#"{"prompt": "make it move", "expected": "IMAGE_TO_VIDEO"}"#,
            "\r\n",
            r#"{"prompt": "make it blue", "active_image": true, "goal": "edit"}"#,
        ));
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("line 3, column prompt: invalid type"), "{found:?}");
        assert_eq!(
            found[1],
            "line 4, column prompt: the same words and media as in line 1, where EDIT_IMAGE is right, and not \
             create_video"
        );
        assert!(
            found[2].starts_with("line 5, column right_type: IMAGE_TO_VIDEO is not possible"),
            "{found:?}"
        );
        assert_eq!(found[3], "line 6, column prompt, warning: a repetition of line 1");
    }

    #[test]
    fn repetitions_are_warnings_and_have_no_effect() {
        let row = r#"{"prompt": "hi", "goal": "none"}"#;
        let list = parse(&format!("\u{feff}{row}\n{row}\n")).unwrap();
        assert_eq!((list.examples().len(), list.warnings().len()), (1, 1));
        assert_ne!(list.version(), parse(row).unwrap().version());
    }

    #[test]
    fn files_of_the_wrong_kind_or_size_are_one_error() {
        assert_eq!(problems(""), ["line 1, column 1: no examples"]);
        assert_eq!(problems(" \n\n"), ["line 1, column 1: no examples"]);
        let row = |n| format!(r#"{{"prompt": "p{n}", "goal": "edit"}}"#);
        let many = (0..100_000).map(row).collect::<Vec<_>>().join("\n");
        assert_eq!(problems(&many), ["line 5001, column 1: more than 5000 examples"]);
        let large = " ".repeat(ExampleList::MAX_BYTES + 1);
        assert_eq!(problems(&large), ["line 1, column 1: 67108865 bytes, and the maximum is 67108864"]);
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let refused = ExampleList::parse(&utf16, Format::Csv, &Matrix::embedded()).unwrap_err();
        assert!(refused[0].message.contains("UTF-16"), "{refused:?}");
    }

    #[test]
    fn a_type_stands_for_the_goals_that_lead_to_it() {
        let matrix = Matrix::embedded();
        let image = Facts { active_image: true, ..Facts::default() };
        let upload = Facts { uploaded_image: true, ..image };
        let meant = |row: &str, facts| outcome(&parse(row).unwrap().examples()[0], facts, &matrix);
        let video = r#"{"prompt": "x", "active_image": true, "expected": "IMAGE_TO_VIDEO"}"#;
        assert_eq!(meant(video, image), Outcome::Type(PromptType::ImageToVideo));
        assert_eq!(meant(video, upload), Outcome::Type(PromptType::EditImageRefToVideo));
        let edit = r#"{"prompt": "x", "active_image": true, "expected": "EDIT_IMAGE"}"#;
        assert_eq!(meant(edit, image), Outcome::Type(PromptType::EditImage));
        assert_eq!(meant(edit, upload), Outcome::Open);
        assert_eq!(meant(r#"{"prompt": "x", "goal": "none"}"#, upload), Outcome::Nothing);
    }
}
