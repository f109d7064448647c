//! Rows of labeled prompts as JSON lines or CSV, and what is wrong with them.

use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::evaluation::labeled::{Label, Labeled};
use crate::problem::Problem;
use crate::{Facts, Goal, Prompt, PromptType, table};

/// How many characters of a wrong word an error repeats.
const SHOWN: usize = 40;

/// The names of the member with the right type.
const RIGHT_TYPE: [&str; 3] = ["right_type", "expected", "prompt_type"];

/// The columns of CSV.
const COLUMNS: [&str; 13] = [
    "prompt",
    "facts",
    "active_image",
    "active_video",
    "uploaded_image",
    "referenced_image",
    "right_type",
    "expected",
    "prompt_type",
    "goal",
    "language",
    "lang",
    "tag",
];

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    JsonLines,
    /// CSV with a header.
    Csv,
}

impl Format {
    /// Returns the format of a file: CSV if its name ends in `.csv`, and otherwise JSON lines.
    pub fn of(path: &Path) -> Self {
        let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_csv { Self::Csv } else { Self::JsonLines }
    }
}

/// A row, or what is wrong with it.
pub(crate) type Row = Result<Labeled, Problem>;

/// Returns the text of a file without a byte order mark.
///
/// # Errors
///
/// Fails if the bytes are not UTF-8. Editors and spreadsheets also write UTF-16, which is named.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    // Text has no NUL, and UTF-16 has one for each character of ASCII.
    let is_utf16 = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]);
    if is_utf16 {
        return Err(Problem::error(1, "1", "UTF-16, and must be UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let (mut line, mut column) = (1, 1);
        for character in String::from_utf8_lossy(before).chars() {
            (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        Problem::error(line, column.to_string(), "not UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads every row of a text, also after a wrong one.
pub(crate) fn rows(text: &str, format: Format) -> Box<dyn Iterator<Item = Row> + '_> {
    match format {
        Format::JsonLines => Box::new(json_lines(text)),
        Format::Csv => Box::new(csv(text)),
    }
}

fn json_lines(text: &str) -> impl Iterator<Item = Row> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(|(number, line)| {
        let Members(members) = serde_json::from_str(line).map_err(|error| {
            let text = error.to_string();
            // The line of the error is the line within this text, which is always the first.
            let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
            Problem::error(number, error.column().max(1).to_string(), message)
        })?;
        labeled(&members, number)
    })
}

fn csv(text: &str) -> impl Iterator<Item = Row> {
    let separator = table::separator(text.lines().next().unwrap_or_default().as_bytes());
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).delimiter(separator).from_reader(text.as_bytes());
    let header = reader.headers().map(|header| header.iter().map(column).collect::<csv::StringRecord>());
    let header = header.map_err(|error| Problem::error(1, "1", error.to_string()));
    let (header, wrong) = match header {
        Ok(header) => (header, None),
        Err(problem) => (csv::StringRecord::new(), Some(Err(problem))),
    };
    let records = reader.into_records().map(move |record| {
        let record = record.map_err(|error| {
            let line = line_at(text, error.position());
            let message = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} cells where the header has {expected_len}")
                }
                _ => error.to_string(),
            };
            Problem::error(line, "1", message)
        })?;
        let line = line_at(text, record.position());
        // An empty cell is an absent one.
        let cell = |cell: &str| if cell.is_empty() { Value::Null } else { cell.into() };
        let cells = header.iter().zip(&record);
        let members: Vec<_> = cells.map(|(name, value)| (name.to_owned(), cell(value))).collect();
        labeled(&members, line)
    });
    wrong.into_iter().chain(records)
}

/// Returns the name of the member that a header means.
fn column(header: &str) -> &str {
    COLUMNS.into_iter().find(|column| table::is_column(header, column)).unwrap_or(header)
}

/// Returns the line of the record at a position, which may be before line breaks that belong to the
/// record above it.
fn line_at(text: &str, position: Option<&csv::Position>) -> u64 {
    let (line, byte) = position.map_or((1, 0), |position| (position.line(), position.byte() as usize));
    let rest = text.as_bytes().get(byte..).unwrap_or_default();
    let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    line + breaks.filter(|byte| **byte == b'\n').count() as u64
}

/// The members of a JSON object in their order, so that one that is there twice is noticed.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// The name of the member that is wrong, and the reason.
type Wrong = (&'static str, String);

fn labeled(members: &[(String, Value)], line: u64) -> Row {
    read(members, line).map_err(|(column, message)| Problem::error(line, column, message))
}

fn read(members: &[(String, Value)], line: u64) -> Result<Labeled, Wrong> {
    let prompt = text(members, &["prompt"])?;
    let prompt = prompt.ok_or_else(|| ("prompt", "missing field `prompt`".to_owned()))?;
    let facts = match text(members, &["facts"])? {
        Some(letters) => facts(letters).ok_or_else(|| {
            ("facts", format!("unknown facts {:?}, expected i, v, u, r or -", shown(letters)))
        })?,
        None => Facts {
            active_image: flag(members, "active_image")?,
            active_video: flag(members, "active_video")?,
            uploaded_image: flag(members, "uploaded_image")?,
            referenced_image: flag(members, "referenced_image")?,
        },
    };
    let given = |names| Ok(text(members, names)?.filter(|text| !text.is_empty()));
    let label = match (given(&RIGHT_TYPE)?, given(&["goal"])?) {
        (_, Some("none")) => Label::Unclear,
        (_, Some(name)) => Label::Goal(name.parse().map_err(|_| {
            let known = Goal::ALL.map(Goal::as_str).join(", ");
            ("goal", format!("unknown goal {:?}, expected {known} or none", shown(name)))
        })?),
        (Some(name), None) => Label::Type(name.parse().map_err(|_| {
            let known = PromptType::ALL.map(PromptType::as_str).join(", ");
            ("right_type", format!("unknown type {:?}, expected one of {known}", shown(name)))
        })?),
        (None, None) => return Err(("right_type", "neither right_type nor goal".to_owned())),
    };
    Ok(Labeled {
        line,
        prompt: Prompt::new(prompt).map_err(|error| ("prompt", error.to_string()))?,
        facts,
        label,
        language: text(members, &["language", "lang"])?.unwrap_or_default().to_owned(),
        tag: text(members, &["tag"])?.unwrap_or_default().to_owned(),
    })
}

/// Returns the text of a member that has one of these names.
fn text<'a>(
    members: &'a [(String, Value)],
    names: &'static [&'static str],
) -> Result<Option<&'a str>, Wrong> {
    match member(members, names)? {
        (_, None | Some(Value::Null)) => Ok(None),
        (_, Some(Value::String(text))) => Ok(Some(text)),
        (name, Some(other)) => Err((name, invalid(other, "a string"))),
    }
}

/// Returns a fact. CSV has it as text.
fn flag(members: &[(String, Value)], name: &'static str) -> Result<bool, Wrong> {
    match members.iter().filter(|(other, _)| other == name).collect::<Vec<_>>()[..] {
        [] => Ok(false),
        [(_, value)] => match value {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) => text.parse().map_err(|_| (name, invalid(value, "true or false"))),
            other => Err((name, invalid(other, "true or false"))),
        },
        _ => Err((name, format!("duplicate field `{name}`"))),
    }
}

/// Returns the member that has one of these names, with the name.
fn member<'a>(
    members: &'a [(String, Value)],
    names: &'static [&'static str],
) -> Result<(&'static str, Option<&'a Value>), Wrong> {
    let mut found = (names.first().copied().unwrap_or_default(), None);
    for (name, value) in members {
        let Some(name) = names.iter().find(|known| *known == name) else { continue };
        if found.1.is_some() {
            return Err((name, format!("duplicate field `{name}`")));
        }
        found = (name, Some(value));
    }
    Ok(found)
}

fn invalid(value: &Value, expected: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("invalid type: {found}, expected {expected}")
}

fn shown(word: &str) -> String {
    word.chars().take(SHOWN).collect()
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

    fn only(text: &str, format: Format) -> Labeled {
        Labeled { line: 0, ..rows(text, format).next().unwrap().unwrap() }
    }

    fn problems(text: &str, format: Format) -> Vec<String> {
        rows(text, format).filter_map(Result::err).map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv = "language,facts,goal,tag,prompt\nen,iu,edit,plain,\"make it blue, please\"\n";
        let json = r#"{"prompt": "make it blue, please", "active_image": true, "uploaded_image": true,
            "goal": "edit", "lang": "en", "tag": "plain", "source": "ignored"}"#
            .replace('\n', "");
        let labeled = only(csv, Format::Csv);
        assert_eq!(labeled, only(&json, Format::JsonLines));
        assert_eq!(labeled.label, Label::Goal(Goal::Edit));
        let flags = "prompt,active_image,active_video,right_type\nx,true,,EDIT_IMAGE\n";
        assert_eq!(only(flags, Format::Csv).label, Label::Type(PromptType::EditImage));
        let excel = "Prompt;Active Image;Right Type\r\n\"make it blue; please\";true;EDIT_IMAGE\r\n";
        let excel = only(excel, Format::Csv);
        assert_eq!((excel.prompt.as_str(), excel.facts.active_image), ("make it blue; please", true));
        assert_eq!(excel.label, Label::Type(PromptType::EditImage));
        let none = r#"{"prompt": "hi", "goal": "none"}"#;
        assert_eq!(only(none, Format::JsonLines).label, Label::Unclear);
    }

    #[test]
    fn every_wrong_row_is_reported_with_its_line_its_member_and_the_expected_value() {
        let good = r#"{"prompt": "x", "goal": "edit"}"#;
        for (row, problem) in [
            (r#"{"prompt": "x"}"#, "right_type: neither"),
            (r#"{"goal": "edit"}"#, "prompt: missing field"),
            (r#"{"prompt": 1, "goal": "edit"}"#, "prompt: invalid type: a number, expected a string"),
            (r#"{"prompt": "x", "goal": ["edit"]}"#, "goal: invalid type: a list, expected a string"),
            (r#"{"prompt": "x", "goal": "shout"}"#, "goal: unknown goal \"shout\", expected create_image"),
            (r#"{"prompt": "x", "expected": "SONG"}"#, "right_type: unknown type \"SONG\", expected one of"),
            (r#"{"prompt": "x", "expected": 3}"#, "expected: invalid type: a number"),
            (r#"{"prompt": " ", "goal": "edit"}"#, "prompt: prompt must not be empty"),
            (r#"{"prompt": "x", "goal": "edit", "active_image": "yes"}"#, "active_image: invalid type"),
            (r#"{"prompt": "x", "goal": "edit", "active_image": 1}"#, "expected true or false"),
            (r#"{"prompt": "x", "goal": "edit", "goal": "edit"}"#, "goal: duplicate field"),
            (r#"{"prompt": "x", "expected": "NEW_IMAGE", "right_type": "NEW_IMAGE"}"#, "duplicate field"),
            (r#"{"prompt": "x", "goal": "edit", "facts": "q"}"#, "facts: unknown facts \"q\""),
            ("[1]", "invalid type: sequence, expected an object"),
            (r#"{"prompt": "x", "goal""#, "column 22: EOF"),
        ] {
            let found = problems(&format!("{good}\r\n{row}\r\n\r\n{row}\n{good}\n"), Format::JsonLines);
            assert_eq!(found.len(), 2, "{row}: {found:?}");
            assert!(found[0].starts_with("line 2, column ") && found[0].contains(problem), "{found:?}");
            assert!(found[1].starts_with("line 4, column "), "{found:?}");
        }
    }

    #[test]
    fn every_wrong_row_of_a_csv_is_reported_with_its_line() {
        let text = "prompt,goal\nx,edit\n\"two\nlines\",shout\nz,edit,more\n,edit\n";
        let found = problems(text, Format::Csv);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("line 3, column goal: unknown goal \"shout\""), "{found:?}");
        assert!(found[1].ends_with("line 5, column 1: 3 cells where the header has 2"), "{found:?}");
        assert!(found[2].starts_with("line 6, column prompt: missing"), "{found:?}");
        assert_eq!(problems(&text.replace('\n', "\r\n"), Format::Csv), found);
        assert_eq!(problems("a,b\n1,2\n", Format::Csv).len(), 1);
        assert_eq!(rows("", Format::Csv).count(), 0);
    }

    #[test]
    fn another_encoding_is_named() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for bytes in [utf16("\u{feff}{}"), utf16("{}"), b"\xfe\xff\0{".to_vec(), b"\0{\0}".to_vec()] {
            assert_eq!(
                text_of(&bytes).unwrap_err().to_string(),
                "line 1, column 1: UTF-16, and must be UTF-8"
            );
        }
        let latin = b"{\"prompt\": \"x\"}\n{\"prompt\": \"caf\xe9\"}";
        assert_eq!(text_of(latin).unwrap_err().to_string(), "line 2, column 16: not UTF-8");
        assert_eq!(text_of("\u{feff}a".as_bytes()).unwrap(), "a");
        assert_eq!(text_of(b"").unwrap(), "");
    }
}
