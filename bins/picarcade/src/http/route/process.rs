//! `POST /api/v2/process` and `POST /api/v2/classify-only`.
//!
//! These are the hot routes. They check the caller and write the limits themselves instead of
//! behind the access layer of the API, because a layer costs every request two boxes and a shared
//! cell.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{CacheControl, Caller, Classified, FlowError, FlowRequest, Processed};
use picarcade_ratelimit::Report;
use serde::Serialize;

use crate::answer::WithRequestId;
use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::identity::{Presented, current_limits};
use crate::http::layer::log::{self, AnswerFacts};
use crate::http::layer::request_id::RequestId;
use crate::http::layer::span::Span;
use crate::http::problem::Problem;
use crate::http::rate_limit;

/// A size in bytes that is enough for nearly every response.
const USUAL_SIZE: usize = 2048;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

type ProcessResponse = WithRequestId<'static, picarcade_flow::Response>;
type ClassifyResponse = WithRequestId<'static, Classified>;

/// Understands, routes and enhances one request.
#[utoipa::path(
    post,
    path = "/api/v2/process",
    params(("cache-control" = String, Header)),
    request_body = FlowRequest,
    responses((status = 200, body = ProcessResponse), (status = 403)),
)]
pub(crate) async fn process(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(span): Extension<Span>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (request, caller) = read(&app, &span, &headers, body, "process").await?;
    let result = app.flow.process(request, &caller, cache_control(&headers)).await;
    let record = |answer: &picarcade_flow::Response| {
        let facts = [
            ("picarcade.prompt_type", answer.prompt_type.as_str()),
            ("picarcade.source", answer.source.as_str()),
            ("picarcade.cache.intent", answer.cache.intent),
            ("picarcade.cache.enhancement", answer.cache.enhancement),
            ("picarcade.cache.parameters", answer.cache.parameters),
        ];
        span.record(&facts, &answer.degraded);
    };
    let facts = |answer: &picarcade_flow::Response| AnswerFacts {
        source: answer.source.as_str(),
        prompt_type: answer.prompt_type.as_str(),
        intent_cache: answer.cache.intent,
        enhancement_cache: Some(answer.cache.enhancement),
        parameters_cache: Some(answer.cache.parameters),
        degraded: answer.degraded.clone(),
        estimated_cost: Some(answer.estimated_cost),
    };
    Ok(respond(&app, &id, &span, &caller, result, record, facts).await)
}

/// Classifies one request and shows the derivation.
#[utoipa::path(
    post,
    path = "/api/v2/classify-only",
    operation_id = "classifyOnly",
    params(("cache-control" = String, Header)),
    request_body = FlowRequest,
    responses((status = 200, body = ClassifyResponse), (status = 403)),
)]
pub(crate) async fn classify_only(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(span): Extension<Span>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (request, caller) = read(&app, &span, &headers, body, "classify-only").await?;
    let result = app.flow.classify_only(request, &caller, cache_control(&headers)).await;
    let intent = |answer: &Classified| if answer.cache_hit { "hit" } else { "miss" };
    let record = |answer: &Classified| {
        let facts = [
            ("picarcade.prompt_type", answer.prompt_type.as_str()),
            ("picarcade.source", answer.source.as_str()),
            ("picarcade.cache.intent", intent(answer)),
        ];
        span.record(&facts, &answer.degraded);
    };
    let facts = |answer: &Classified| AnswerFacts {
        source: answer.source.as_str(),
        prompt_type: answer.prompt_type.as_str(),
        intent_cache: intent(answer),
        enhancement_cache: None,
        parameters_cache: None,
        degraded: answer.degraded.clone(),
        estimated_cost: None,
    };
    Ok(respond(&app, &id, &span, &caller, result, record, facts).await)
}

/// Reads a request and its caller. The credentials are checked first, so that a caller without them
/// learns nothing about its body.
async fn read(
    app: &App,
    span: &Span,
    headers: &HeaderMap,
    body: Body,
    endpoint: &'static str,
) -> Result<(FlowRequest, Caller), Problem> {
    let presented = app.identities.check(headers).await?;
    match parse(headers, body, &presented, endpoint).await {
        Ok((request, caller)) => Ok((request, caller.traced(span.trace()))),
        Err(mut problem) => {
            if let Ok(caller) = presented.caller(None, endpoint)
                && let Some(report) = current_limits(&app.flow, &caller).await
            {
                rate_limit::write(problem.headers_mut(), &report);
            }
            Err(problem)
        }
    }
}

async fn parse(
    headers: &HeaderMap,
    body: Body,
    presented: &Presented,
    endpoint: &'static str,
) -> Result<(FlowRequest, Caller), Problem> {
    let bytes = body::read(headers, body, MAX_BODY).await?;
    let request = body::parse_request(&bytes)?;
    let caller = presented.caller_of_request(&request, endpoint)?;
    Ok((request, caller))
}

/// Returns the response to a request, with the caller's limits. `record` records an answer in the
/// trace, `facts` are those of its log line.
async fn respond<T: Serialize>(
    app: &App,
    id: &RequestId,
    span: &Span,
    caller: &Caller,
    result: Result<Processed<T>, FlowError>,
    record: impl FnOnce(&T),
    facts: impl FnOnce(&T) -> AnswerFacts,
) -> Response {
    record_limits(span, result.as_ref().map(|processed| &processed.limits));
    match result {
        Ok(processed) => {
            record(&processed.answer);
            let mut response = json(&WithRequestId { answer: &processed.answer, request_id: id.as_str() });
            rate_limit::write(response.headers_mut(), &processed.limits);
            if log::is_wanted() {
                facts(&processed.answer).add_to(&mut response);
            }
            response
        }
        Err(error) => {
            let mut response = Problem::from(error).into_response();
            if !rate_limit::is_written(response.headers())
                && let Some(report) = current_limits(&app.flow, caller).await
            {
                rate_limit::write(response.headers_mut(), &report);
            }
            response
        }
    }
}

/// Records the decision of the limiter in the trace.
fn record_limits(span: &Span, decision: Result<&Report, &FlowError>) {
    let word = match decision {
        Ok(report) if report.local => "admitted_locally",
        Ok(_) => "admitted",
        Err(FlowError::Limited(_)) => "denied",
        Err(_) => return,
    };
    span.record(&[("picarcade.limits", word)], &[]);
}

/// Returns the answer as JSON, in a buffer that is large enough for most answers.
fn json(answer: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(USUAL_SIZE);
    match serde_json::to_writer(&mut body, answer) {
        Ok(()) => ([(CONTENT_TYPE, JSON)], body).into_response(),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer has no JSON").into_response(),
    }
}

pub(crate) fn cache_control(headers: &HeaderMap) -> CacheControl {
    let mut control = CacheControl::Use;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if directive.eq_ignore_ascii_case("no-store") {
                return CacheControl::NoStore;
            }
            if directive.eq_ignore_ascii_case("no-cache") {
                control = CacheControl::NoCache;
            }
        }
    }
    control
}
