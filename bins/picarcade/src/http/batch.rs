//! `POST /api/v2/batch`: up to 256 requests at once, each with its own result or problem, in order.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{Caller, FieldProblem, FlowRequest};
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::body;
use crate::http::identity::Presented;
use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::process::cache_control;
use crate::http::request_id::RequestId;
use crate::http::span::Span;

/// The most requests of one batch.
const MAX_REQUESTS: usize = 256;

/// The largest body of a batch, in bytes: 256 prompts of 8,000 four-byte characters.
const MAX_BATCH_BODY: usize = 8 << 20;

pub(crate) async fn batch(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(span): Extension<Span>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let asking = presented.caller(&headers, None, "batch")?;
    let answer = match body::read(&headers, body, MAX_BATCH_BODY)
        .await
        .and_then(|bytes| items(body::value(&bytes)?))
    {
        Ok(items) => Ok(Json(run(&app, &id, &span, &headers, &presented, items).await)),
        Err(problem) => Err(problem),
    };
    Ok(limits::told(&app, &asking, answer).await)
}

async fn run(
    app: &App,
    id: &RequestId,
    span: &Span,
    headers: &HeaderMap,
    presented: &Presented,
    items: Vec<Value>,
) -> Value {
    let parsed: Vec<_> = items.into_iter().map(|item| parse(item, presented, span, headers)).collect();
    let mut requests = Vec::new();
    let mut slots = Vec::new();
    for item in parsed {
        slots.push(item.map(|request| requests.push(request)));
    }
    let mut answers = app.flow.process_batch(requests, cache_control(headers)).await.into_iter();
    let results: Vec<Value> = slots
        .into_iter()
        .map(|slot| match slot.and_then(|()| answers.next().transpose().map_err(Problem::from)) {
            Ok(Some(mut processed)) => {
                processed.answer.request_id = Some(id.as_str().to_owned());
                serde_json::to_value(processed.answer).unwrap_or_default()
            }
            Ok(None) => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request got no answer").to_value()
            }
            Err(problem) => problem.to_value(),
        })
        .collect();
    let succeeded = results.iter().filter(|result| result.get("success") == Some(&Value::Bool(true))).count();
    json!({
        "total": results.len(),
        "succeeded": succeeded,
        "failed": results.len() - succeeded,
        "results": results,
        "request_id": id.as_str(),
    })
}

/// The requests: a list, or an object with a list `requests`.
fn items(body: Value) -> Result<Vec<Value>, Problem> {
    let problem =
        |pointer: &str, detail: String| Err(Problem::fields(vec![FieldProblem::new(pointer, detail)]));
    let (pointer, list) = match body {
        Value::Array(items) => ("", Some(items)),
        Value::Object(mut fields) => match fields.remove("requests") {
            Some(Value::Array(items)) => ("/requests", Some(items)),
            _ => ("/requests", None),
        },
        _ => ("", None),
    };
    match list {
        None => problem(pointer, "must be a list of requests".to_owned()),
        Some(items) if items.is_empty() => problem(pointer, "must not be empty".to_owned()),
        Some(items) if items.len() > MAX_REQUESTS => {
            problem(pointer, format!("must have at most {MAX_REQUESTS} requests"))
        }
        Some(items) => Ok(items),
    }
}

fn parse(
    item: Value,
    presented: &Presented,
    span: &Span,
    headers: &HeaderMap,
) -> Result<(FlowRequest, Caller), Problem> {
    let request = body::from_value(item).map_err(Problem::fields)?;
    let caller = presented.caller(headers, request.user_id.as_deref(), "batch")?;
    Ok((request, caller.traced(span.trace())))
}
