//! Parses CSV bytes into rows and reports every wrong cell with line and column.
//!
//! Parsing continues after a problem: an unreadable cell is missing only in its own row.

use csv::{ReaderBuilder, StringRecord, Trim};

use super::draft::{Condition, Draft};
use crate::goal::Goal;
use crate::problem::Problem;
use crate::table::is_column;

/// The columns, as `rules show --csv` writes them; the first is optional.
const COLUMNS: [&str; 8] =
    ["#", "goal", "active_image", "active_video", "references", "prompt_type", "model", "enhancement"];

const NUMBER: &str = "#";

/// The maximum number of rows. Five goals and eight kinds of media need at most forty, and every
/// row is compared with those above it.
const MAX_ROWS: u32 = 1_000;

/// Reads all rows as far as possible, and reports the problems.
pub(super) fn rows(csv: &[u8]) -> (Vec<Draft>, Vec<Problem>) {
    let (mut drafts, mut problems) = (Vec::new(), Vec::new());
    let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(csv);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            problems.push(Problem::error(1, numbered(field(&error)), "the header is not UTF-8"));
            return (drafts, problems);
        }
    };
    let Some(columns) = Columns::read(&header, &mut problems) else { return (drafts, problems) };
    let mut place = 0;
    let mut record = StringRecord::new();
    loop {
        let from = usize::try_from(reader.position().byte()).unwrap_or(csv.len());
        let line = line_of(csv, from);
        let read = reader.read_record(&mut record);
        if matches!(read, Ok(false)) {
            return (drafts, problems);
        }
        if place == MAX_ROWS {
            problems.push(Problem::error(line, "goal", format!("more than {MAX_ROWS} rows")));
            // The missing columns may be in the rest of the file.
            drafts.push(Draft { line, ..Draft::default() });
            return (drafts, problems);
        }
        place += 1;
        match read {
            Ok(_) => {
                let mut cells = Cells { line, columns: &columns, record: &record, problems: &mut problems };
                drafts.push(cells.draft(place));
            }
            Err(error) => {
                problems.push(Problem::error(line, columns.name(field(&error)), "the row is not UTF-8"));
                drafts.push(Draft { line, ..Draft::default() });
                if reader.is_done() {
                    return (drafts, problems);
                }
            }
        }
    }
}

/// Returns the line after the last one, where a missing row could be added.
pub(super) fn end(csv: &[u8]) -> u64 {
    let unfinished = csv.last().is_some_and(|&byte| byte != b'\n');
    lines_in(csv) + u64::from(unfinished) + 1
}

/// Returns the line of the record that begins at or after `from`: line breaks before a record
/// belong to the previous one.
fn line_of(csv: &[u8], from: usize) -> u64 {
    let rest = csv.get(from..).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    lines_in(csv.get(..from + skipped).unwrap_or(csv)) + 1
}

fn lines_in(csv: &[u8]) -> u64 {
    csv.split(|&byte| byte == b'\n').skip(1).count() as u64
}

/// The mapping from columns to cells of a record.
struct Columns {
    /// The position in a record of each of [`COLUMNS`].
    places: [Option<usize>; COLUMNS.len()],
    width: usize,
}

impl Columns {
    /// Returns `None` if a column is missing or duplicated: then no row can be read.
    fn read(header: &StringRecord, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mut places = [None; COLUMNS.len()];
        for (place, name) in header.iter().enumerate() {
            let name = name.to_ascii_lowercase().replace([' ', '-'], "_");
            let known = COLUMNS.iter().position(|column| is_column(&name, column));
            match known.and_then(|index| places.get_mut(index)) {
                Some(slot @ None) => *slot = Some(place),
                Some(Some(_)) => {
                    problems.push(Problem::error(1, name.clone(), format!("column {name} is there twice")));
                }
                None => {
                    problems.push(Problem::error(
                        1,
                        numbered(place),
                        format!("unknown column {}", shown(&name)),
                    ));
                }
            }
        }
        for (column, place) in COLUMNS.into_iter().zip(places) {
            if place.is_none() && column != NUMBER {
                problems.push(Problem::error(1, column, format!("missing column {column}")));
            }
        }
        (problems.len() == before).then_some(Self { places, width: header.len() })
    }

    fn place(&self, column: &str) -> Option<usize> {
        COLUMNS.iter().zip(self.places).find(|(name, _)| **name == column).and_then(|(_, place)| place)
    }

    /// Returns the name of the column of a cell, or its number without such a column.
    fn name(&self, place: usize) -> String {
        let named = COLUMNS.into_iter().zip(self.places).find(|(_, at)| *at == Some(place));
        named.map_or_else(|| numbered(place), |(name, _)| name.to_owned())
    }
}

/// One record with the positions of its cells.
struct Cells<'a> {
    line: u64,
    columns: &'a Columns,
    record: &'a StringRecord,
    problems: &'a mut Vec<Problem>,
}

impl Cells<'_> {
    /// Returns the row as far as it can be read. Every cell is read, so that all problems are
    /// reported.
    fn draft(&mut self, place: u32) -> Draft {
        if self.record.len() != self.columns.width {
            let message = format!("{} cells where the header has {}", self.record.len(), self.columns.width);
            // The first missing cell, or the first excess one.
            let column = self.columns.name(self.record.len().min(self.columns.width));
            self.problems.push(Problem::error(self.line, column, message));
            return Draft { line: self.line, ..Draft::default() };
        }
        Draft {
            line: self.line,
            number: self.number(place),
            goals: self.goals(),
            facts: ["active_image", "active_video", "references"].map(|column| self.fact(column)),
            prompt_type: self.word("prompt_type"),
            model: self.filled("model").map(ToOwned::to_owned),
            enhancement: self.word("enhancement"),
        }
    }

    fn problem(&mut self, column: &'static str, message: impl Into<String>) {
        self.problems.push(Problem::error(self.line, column, message));
    }

    fn cell(&self, column: &str) -> &str {
        self.columns.place(column).and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    fn filled(&mut self, column: &'static str) -> Option<&str> {
        if self.cell(column).is_empty() {
            self.problem(column, "the cell is empty");
            return None;
        }
        Some(self.cell(column))
    }

    fn number(&mut self, place: u32) -> Option<u32> {
        if self.columns.place(NUMBER).is_none() {
            return Some(place);
        }
        let number = self.filled(NUMBER)?.parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            let message = format!("{} is not a whole number from 1", shown(self.cell(NUMBER)));
            self.problem(NUMBER, message);
        }
        number
    }

    fn goals(&mut self) -> Option<Vec<Goal>> {
        let cell = self.filled("goal")?.to_owned();
        if cell == "-" {
            return Some(Goal::ALL.to_vec());
        }
        let before = self.problems.len();
        let mut goals = Vec::new();
        for word in cell.split(',').map(str::trim) {
            match word.parse::<Goal>() {
                Ok(goal) if goals.contains(&goal) => self.problem("goal", format!("{goal} is named twice")),
                Ok(goal) => goals.push(goal),
                Err(_) => self.problem("goal", format!("unknown word {}", shown(word))),
            }
        }
        goals.sort_unstable();
        (self.problems.len() == before).then_some(goals)
    }

    fn fact(&mut self, column: &'static str) -> Option<Condition> {
        match self.filled(column)?.to_ascii_uppercase().as_str() {
            "YES" => Some(Condition(Some(true))),
            "NO" => Some(Condition(Some(false))),
            "-" => Some(Condition(None)),
            _ => {
                let message = format!("unknown word {}: write YES, NO or -", shown(self.cell(column)));
                self.problem(column, message);
                None
            }
        }
    }

    fn word<T: std::str::FromStr>(&mut self, column: &'static str) -> Option<T> {
        let word = self.filled(column)?.parse().ok();
        if word.is_none() {
            let message = format!("unknown word {}", shown(self.cell(column)));
            self.problem(column, message);
        }
        word
    }
}

/// Quotes foreign text and shortens it to a length that fits into a message.
fn shown(word: &str) -> String {
    const SHOWN: usize = 40;
    let short: String = word.chars().take(SHOWN).collect();
    if short.len() < word.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// Returns the column of a cell that cannot be decoded.
fn field(error: &csv::Error) -> usize {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => err.field(),
        _ => 0,
    }
}

/// Formats a column by its number, from 1.
fn numbered(place: usize) -> String {
    (place + 1).to_string()
}
