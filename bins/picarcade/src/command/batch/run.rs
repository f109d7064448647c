//! The run of a batch.
//!
//! A bad row yields an error row and affects no other row; the command exits with 1 after the last
//! one. Rows are read, answered and written as a stream, so a file may be larger than memory.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use picarcade_flow::{CacheControl, FlowService};
use serde_json::{Map, Value, json};

use super::input::{self, Input};
use super::output::ResultWriter;
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
    let mut reader = input::open(file)?;
    if arguments.output.as_deref().is_some_and(|output| is_same(file, output)) {
        return Err(Failure::usage("the output would overwrite the input"));
    }
    let is_csv = input::is_csv(file, &mut reader)?;
    let mut writer = ResultWriter::open(arguments)?;
    let wired = wiring::wire(config, wiring::Purpose::Command)
        .await
        .map_err(|error| Failure::wiring(config, &error))?;
    let inputs = if is_csv { input::csv_rows(reader)? } else { input::json_rows(reader) };
    let progress = progress();
    let mut results = std::pin::pin!(answers(&wired.flow, inputs, arguments.user.as_deref()));
    let mut failed = 0_u64;
    while let Some(result) = results.next().await {
        failed += u64::from(result.get("success") != Some(&Value::Bool(true)));
        writer.write(&result)?;
        progress.inc(1);
    }
    writer.finish()?;
    progress.finish_and_clear();
    wired.flow.shutdown(FLUSH_TIMEOUT).await;
    if failed > 0 {
        Err(Failure::work(format!("{failed} of {} rows failed", progress.position())))
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

fn answers<'a>(
    flow: &'a FlowService,
    inputs: impl Iterator<Item = Input> + 'a,
    user: Option<&'a str>,
) -> impl Stream<Item = Map<String, Value>> + 'a {
    stream::iter(inputs).map(move |input| answer(flow, input, user)).buffered(CONCURRENCY)
}

async fn answer(flow: &FlowService, input: Input, user: Option<&str>) -> Map<String, Value> {
    let mut row = Map::new();
    match input.id {
        Some(id) => row.insert("id".to_owned(), id),
        None if input.request.is_err() => row.insert("line".to_owned(), input.line.into()),
        None => None,
    };
    let result = match input.request {
        Ok(mut request) => {
            request.user_id = request.user_id.or_else(|| user.map(str::to_owned));
            let caller = local_caller(&request);
            flow.process(request, &caller, CacheControl::Use).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match result.map(|processed| serde_json::to_value(processed.answer)) {
        Ok(Ok(Value::Object(fields))) => row.extend(fields),
        Ok(_) => row.extend(failure(json!({ "title": "the answer could not be written" }))),
        Err(problem) => row.extend(failure(problem.to_value())),
    }
    row
}

fn failure(problem: Value) -> Map<String, Value> {
    Map::from_iter([("success".to_owned(), Value::Bool(false)), ("error".to_owned(), problem)])
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos} rows, {per_sec}, {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new_spinner().with_style(style)
}
