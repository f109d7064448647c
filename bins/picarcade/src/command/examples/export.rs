//! `picarcade examples export`: feedback as labeled prompts.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use picarcade_analytics::{Error, FeedbackRow};
use picarcade_intent::{Facts, Matrix};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::ExportArguments;
use crate::command::{Failure, load_without_ai, output_file};
use crate::config::Config;
use crate::telemetry::chain;
use crate::wiring::{self, WiringError};

/// How many rows are in memory at once.
const PAGE: u32 = 200;

const DAY: Duration = Duration::from_secs(86_400);

/// An example, with the names that [`read_labeled`](picarcade_intent::evaluation::read_labeled)
/// reads, and with the decision for a person who selects examples.
#[derive(Serialize)]
struct Example<'a> {
    prompt: &'a str,
    #[serde(flatten)]
    facts: Facts,
    expected: &'a str,
    id: Uuid,
    decided: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

/// Writes the feedback in the configured database whose whole prompt is stored, page by page.
pub(crate) async fn export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    crate::telemetry::start_quiet()?;
    let config = load_without_ai(arguments.config.config.as_deref())?;
    let failed = |error: Error| database_failure(&config, error);
    let rules = wiring::rules(&config).map_err(|error| Failure::wiring(&config, &error))?;
    let rows = wiring::feedback_rows(&config).await.map_err(failed)?;
    let since = match arguments.since {
        Some(days) => SystemTime::now().checked_sub(DAY * days).unwrap_or(SystemTime::UNIX_EPOCH),
        None => SystemTime::UNIX_EPOCH,
    };
    // The first page is read before the file is created, so a database that cannot be used leaves
    // no file.
    let mut page = rows.feedback(since, Uuid::nil(), PAGE).await.map_err(failed)?;
    let mut out: Box<dyn Write> = match &arguments.output {
        Some(path) => Box::new(BufWriter::new(open(path, arguments.force)?)),
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let [mut written, mut left_out, mut impossible] = [0_u64; 3];
    while let Some(last) = page.last().map(|row| row.generation_id) {
        for row in &page {
            match example(row) {
                // The rules may have changed, and examples with such a type are refused.
                Some(example) if !is_possible(&example, &rules.matrix) => impossible += 1,
                Some(example) => {
                    serde_json::to_writer(&mut out, &example).map_err(Failure::work)?;
                    out.write_all(b"\n").map_err(Failure::work)?;
                    written += 1;
                }
                None => left_out += 1,
            }
        }
        page = rows.feedback(since, last, PAGE).await.map_err(failed)?;
    }
    out.flush().map_err(Failure::work)?;
    summarize(written, left_out, impossible);
    Ok(ExitCode::SUCCESS)
}

/// Returns the example of a row. It needs the whole prompt and the facts.
fn example(row: &FeedbackRow) -> Option<Example<'_>> {
    Some(Example {
        prompt: row.prompt.as_deref()?,
        facts: Facts::from_bits(row.media_facts?),
        expected: &row.right_type,
        id: row.generation_id,
        decided: &row.decided_type,
        source: &row.source,
        comment: row.comment.as_deref(),
    })
}

/// Returns whether the rules in force allow the type of an example under its facts.
fn is_possible(example: &Example<'_>, matrix: &Matrix) -> bool {
    let wanted = example.expected.parse();
    wanted.is_ok_and(|wanted| matrix.feasible(example.facts).contains(wanted))
}

fn open(path: &Path, force: bool) -> Result<std::fs::File, Failure> {
    let opened = if force { output_file::replace(path) } else { output_file::create(path) };
    opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!("{} exists: --force replaces it", path.display())),
        _ => Failure::usage(format!("{}: {error}", path.display())),
    })
}

fn database_failure(config: &Config, error: Error) -> Failure {
    let is_transient = error.is_transient();
    let error = WiringError::Database(error);
    // A database that does not answer now is not a wrong setting.
    if is_transient { Failure::work(chain(&error)) } else { Failure::wiring(config, &error) }
}

#[expect(clippy::print_stderr, reason = "standard output may be the examples")]
fn summarize(written: u64, left_out: u64, impossible: u64) {
    eprintln!("{written} examples written");
    if impossible > 0 {
        eprintln!("{impossible} left out: the rules do not allow their type with their media");
    }
    if left_out > 0 {
        eprintln!(
            "{left_out} left out: their whole prompt is not stored (PICARCADE_PROMPT_PRIVACY), or no longer"
        );
    }
}
