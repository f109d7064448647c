//! The run of a batch.
//!
//! A bad row yields an error row and affects no other row; the command exits with 1 after the last
//! one, and also if an AI did not answer most of the rows that needed it. Rows are read, answered
//! and written as a stream, so a file may be larger than memory.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use picarcade_flow::{CacheControl, FlowService};
use serde_json::{Map, Value, json};

use super::input::{self, Input};
use super::output::ResultWriter;
use super::resume::Earlier;
use super::summary::{Spent, Summary};
use crate::cli::ClassifyArguments;
use crate::command::Failure;
use crate::command::local_caller::local_caller;
use crate::config::Config;
use crate::http::Problem;
use crate::wiring;

/// How many rows are answered at the same time.
const CONCURRENCY: usize = 16;

/// How long the recorder may take to write the events of the command.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn run(
    config: &Config,
    file: &Path,
    arguments: &ClassifyArguments,
) -> Result<ExitCode, Failure> {
    let reader = input::open(file)?;
    let earlier = earlier(file, arguments)?;
    let (format, reader) = input::recognize(file, reader)?;
    let mut inputs = input::rows(format, reader)?;
    skip(&mut inputs, &earlier)?;
    let wired = wiring::wire(config, wiring::Purpose::Command)
        .await
        .map_err(|error| Failure::wiring(config, &error))?;
    // Only now, so that a wrong call leaves no empty file.
    let mut writer = ResultWriter::open(arguments, earlier.length)?;
    let mut summary = Summary::new(&earlier);
    let progress = progress();
    let batch =
        Batch { flow: &wired.flow, user: arguments.user.as_deref(), spent: Arc::new(summary.spent()) };
    let mut results = std::pin::pin!(answers(&batch, inputs.zip(earlier.rows + 1..)));
    while let Some(result) = results.next().await {
        summary.count(&result);
        writer.write(&result)?;
        progress.set_message(summary.failed().to_string());
        progress.inc(1);
    }
    writer.finish()?;
    progress.finish_and_clear();
    wired.flow.shutdown(FLUSH_TIMEOUT).await;
    say(&summary);
    summary.end()
}

/// Returns the results that are kept of the output file. Without `--resume` there are none, and
/// without `--force` the file must not exist.
fn earlier(input: &Path, arguments: &ClassifyArguments) -> Result<Earlier, Failure> {
    let Some(output) = arguments.output.as_deref() else { return Ok(Earlier::default()) };
    if is_same(input, output) {
        return Err(Failure::usage("the output would overwrite the input"));
    }
    if arguments.resume {
        return Earlier::read(output, arguments.format);
    }
    // A pipe or a device holds no results.
    if output.is_file() && !arguments.force {
        let output = output.display();
        return Err(Failure::usage(format!(
            "{output} exists: --force replaces it, and --resume continues an interrupted batch"
        )));
    }
    Ok(Earlier::default())
}

/// Skips the rows that have a result. Rows and results are matched by their order.
fn skip(inputs: &mut impl Iterator<Item = Input>, earlier: &Earlier) -> Result<(), Failure> {
    for number in 1..=earlier.rows {
        let Some(input) = inputs.next() else {
            return Err(Failure::usage("the output has more rows than the input"));
        };
        if number == earlier.rows && !earlier.ends_with(input.id.as_ref()) {
            return Err(Failure::usage(format!(
                "row {number} has another id in the output than in the input"
            )));
        }
    }
    Ok(())
}

/// What every row of a batch needs.
struct Batch<'a> {
    flow: &'a FlowService,
    user: Option<&'a str>,
    spent: Arc<Spent>,
}

fn answers<'a>(
    batch: &'a Batch<'a>,
    inputs: impl Iterator<Item = (Input, u64)> + 'a,
) -> impl Stream<Item = Map<String, Value>> + 'a {
    stream::iter(inputs).map(move |(input, number)| answer(batch, input, number)).buffered(CONCURRENCY)
}

async fn answer(batch: &Batch<'_>, input: Input, number: u64) -> Map<String, Value> {
    let mut row = Map::new();
    match input.id {
        Some(id) => row.insert("id".to_owned(), id),
        None if input.request.is_err() => row.insert("line".to_owned(), input.line.into()),
        None => None,
    };
    let result = match input.request {
        Ok(mut request) => {
            request.user_id = request.user_id.or_else(|| batch.user.map(str::to_owned));
            let caller = local_caller(&request).traced(Some(Arc::<Spent>::clone(&batch.spent)));
            batch.flow.process(request, &caller, CacheControl::Use).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match result.map(|processed| serde_json::to_value(processed.answer)) {
        Ok(Ok(Value::Object(fields))) => row.extend(fields),
        Ok(_) => row.extend(failure(number, json!({ "title": "the answer could not be written" }))),
        Err(problem) => row.extend(failure(number, problem.to_value())),
    }
    row
}

/// Returns the members of a row that failed, with its number from 1.
fn failure(number: u64, problem: Value) -> Map<String, Value> {
    Map::from_iter([
        ("success".to_owned(), Value::Bool(false)),
        ("row".to_owned(), number.into()),
        ("error".to_owned(), problem),
    ])
}

#[expect(clippy::print_stderr, reason = "this is the command line's answer")]
fn say(summary: &Summary) {
    eprintln!("{summary}");
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos} rows, {msg} failed, {per_sec}, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new_spinner().with_style(style).with_message("0")
}
