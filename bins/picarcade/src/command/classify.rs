//! `picarcade classify`: sends one request through the same flow as the service, and prints text or
//! JSON.

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use picarcade_analytics::new_id;
use picarcade_flow::{CacheControl, FlowError, FlowRequest, Response};
use picarcade_intent::Prompt;

use crate::answer::WithRequestId;
use crate::cli::ClassifyArguments;
use crate::command::local_caller::local_caller;
use crate::command::{Failure, batch, load};
use crate::telemetry::chain;
use crate::{telemetry, wiring};

/// How long the recorder may take to write the events of the command.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(arguments: ClassifyArguments) -> Result<ExitCode, Failure> {
    telemetry::start_quiet()?;
    let config = load(arguments.config.config.as_deref())?;
    if let Some(file) = &arguments.batch {
        return batch::run(&config, file, &arguments).await;
    }
    let prompt = prompt_of(arguments.prompt.as_deref().unwrap_or_default())?;
    let wired = wiring::wire(&config, wiring::Purpose::Command)
        .await
        .map_err(|error| Failure::wiring(&config, &error))?;
    let request = FlowRequest {
        prompt,
        active_image: arguments.active_image,
        active_video: arguments.active_video,
        uploaded_image: arguments.uploaded_image,
        referenced_image: arguments.referenced_image,
        user_id: arguments.user,
        ..FlowRequest::default()
    };
    let caller = local_caller(&request);
    let result = wired.flow.process(request, &caller, CacheControl::Use).await;
    wired.flow.shutdown(FLUSH_TIMEOUT).await;
    let response = result.map_err(|error| failure(&error))?.answer;
    let text = if arguments.json {
        let request_id = new_id().to_string();
        serde_json::to_string(&WithRequestId { answer: &response, request_id: &request_id })
            .map_err(|error| Failure::work(chain(&error)))?
            + "\n"
    } else {
        to_text(&response)
    };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::work)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the prompt as text. Bytes that are not UTF-8 are a wrong field, as over HTTP.
fn prompt_of(argument: &OsStr) -> Result<String, Failure> {
    let prompt = Prompt::from_utf8(argument.as_encoded_bytes());
    prompt
        .map(String::from)
        .map_err(|error| Failure::usage(format!("the request is not valid: /prompt: {error}")))
}

/// Returns the failure for an error of the flow. A wrong request is a wrong call; a reached limit
/// is failed work.
fn failure(error: &FlowError) -> Failure {
    match error {
        FlowError::Invalid(_) => Failure::usage(error),
        FlowError::Limited(denial) => {
            let names: Vec<_> = denial.violated.iter().map(|status| status.name.to_string()).collect();
            let seconds = denial.retry_after.as_secs_f64().ceil();
            Failure::work(format!("a limit is reached ({}): try again in {seconds} s", names.join(", ")))
        }
        other => Failure::work(other),
    }
}

fn to_text(response: &Response) -> String {
    let percent = (response.confidence * 100.0).round();
    let mut lines = vec![
        format!("type        {}  ({percent} %, {})", response.prompt_type, response.source.as_str()),
        format!("model       {}", response.model_to_use),
    ];
    if !response.fallback_models.is_empty() {
        lines.push(format!("fallback    {}", response.fallback_models.join(", ")));
    }
    lines.push(format!("prompt      {}", response.enhanced_prompt.replace('\n', "\n            ")));
    lines.push(format!("reasoning   {}", response.reasoning));
    lines.push(format!("estimate    ${:.2}, {} s", response.estimated_cost, response.estimated_time));
    if !response.alternatives.is_empty() {
        let percent = |probability: f64| (probability * 100.0).round();
        let others = response.alternatives.iter();
        let others = others.map(|other| format!("{} ({} %)", other.prompt_type, percent(other.probability)));
        lines.push(format!("or          {}", others.collect::<Vec<_>>().join(", ")));
    }
    if let Some(question) = &response.confirm_question {
        lines.push(format!("confirm     {question}"));
    }
    if response.unclear {
        lines.push("unclear     the words ask for no picture, video or edit".to_owned());
    }
    if let Some(from) = response.corrected_from {
        lines.push(format!("corrected   from {from}"));
    }
    if !response.degraded.is_empty() {
        let words: Vec<_> = response.degraded.iter().map(|reason| reason.as_str()).collect();
        lines.push(format!("degraded    {}", words.join(", ")));
    }
    lines.push(format!("took        {:.3} ms ({})", response.processing_time_ms, response.cache.intent));
    lines.join("\n") + "\n"
}
