//! The limits in header fields: `RateLimit-Policy`, `RateLimit`, `Retry-After`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use picarcade_flow::{Caller, FlowError};
use picarcade_ratelimit::{Denial, Report, Status, headers};
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::identity::Presented;
use crate::http::problem::Problem;
use crate::http::span::Span;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How long an answer waits to be told how the limits stand; it goes without when their store takes longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The answer to an identified caller, with the caller's limits where it does not bear them yet. Reading them consumes nothing.
pub(crate) async fn told(app: &App, caller: &Caller, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if !response.headers().contains_key(&LIMIT)
        && let Ok(Ok(report)) = tokio::time::timeout(PATIENCE, app.flow.usage(caller)).await
    {
        write(response.headers_mut(), &report);
    }
    response
}

/// Takes one request from the caller's limits, then does the work. The answer carries the limits,
/// also where it is a refusal.
pub(crate) async fn limited<T: IntoResponse>(
    app: &App,
    caller: &Caller,
    work: impl Future<Output = Result<T, Problem>>,
) -> Response {
    match app.flow.check_limits(caller).await {
        Ok(report) => {
            let mut response = work.await.into_response();
            if !response.headers().contains_key(&LIMIT) {
                write(response.headers_mut(), &report);
            }
            response
        }
        Err(error) => told(app, caller, Problem::from(error)).await,
    }
}

/// Refuses a request for what its caller sent, with the caller's limits as far as the header fields
/// tell who the caller is.
pub(crate) async fn refused(
    app: &App,
    headers: &HeaderMap,
    presented: &Presented,
    endpoint: &'static str,
    problem: Problem,
) -> Result<Response, Problem> {
    Err(with_limits(app, headers, presented, endpoint, problem).await)
}

/// Adds the limits of the caller to a problem, as far as the header fields tell who the caller is.
pub(crate) async fn with_limits(
    app: &App,
    headers: &HeaderMap,
    presented: &Presented,
    endpoint: &'static str,
    mut problem: Problem,
) -> Problem {
    if let Ok(caller) = presented.caller(headers, None, endpoint)
        && let Ok(Ok(report)) = tokio::time::timeout(PATIENCE, app.flow.usage(&caller)).await
    {
        write(problem.headers_mut(), &report);
    }
    problem
}

/// Refuses a caller whose request limits are used up, before expensive work; consumes nothing. The
/// limits of users are asked only if the header fields decide who the user is.
pub(crate) async fn refuse_used_up(
    app: &App,
    presented: &Presented,
    headers: &HeaderMap,
    caller: &Caller,
) -> Result<(), Problem> {
    let asked = app.flow.denial(caller, presented.fixes_user(headers));
    // Without an answer in time the request goes on: its own decision comes later.
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Some(denial)) => Err(FlowError::Limited(Box::new(denial)).into()),
        _ => Ok(()),
    }
}

/// Tells a trace how the limits decided.
pub(crate) fn trace(span: &Span, decided: Result<&Report, &FlowError>) {
    let word = match decided {
        Ok(report) if report.local => "admitted_locally",
        Ok(_) => "admitted",
        Err(FlowError::Limited(_)) => "denied",
        Err(_) => return,
    };
    span.tell(&[("picarcade.limits", word)], &[]);
}

/// Whole seconds, rounded up: a caller that waits so long is not early.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Adds the caller's limits to a response.
pub(crate) fn write(headers: &mut HeaderMap, report: &Report) {
    for (name, value) in [(POLICY, headers::policy(report)), (LIMIT, headers::limit(report))] {
        if let Ok(value) = HeaderValue::try_from(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
}

/// Adds the limits and when to come back to a denial.
pub(crate) fn write_denial(headers: &mut HeaderMap, denial: &Denial) {
    write(headers, &denial.report);
    headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(denial.retry_after).max(1)));
}

/// One limit as it stands in `/usage` and in a denial: dollars for money, plain counts for requests, seconds until all of it
/// is free again.
pub(crate) fn status_json(status: &Status) -> Value {
    let dollars = matches!(status.unit, picarcade_ratelimit::Unit::Cost);
    let amount = |value: u64| if dollars { json!(value as f64 / 1e6) } else { json!(value) };
    json!({
        "name": status.name,
        "scope": status.scope.as_str(),
        "unit": if dollars { "usd" } else { "requests" },
        "window": status.window.to_string(),
        "limit": amount(status.limit),
        "used": amount(status.used),
        "remaining": amount(status.remaining),
        "reset": whole_seconds(status.reset_after),
    })
}
