//! `POST /api/v2/process` and `POST /api/v2/classify-only`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper::HeaderMap;
use hyper::header::CACHE_CONTROL;
use picarcade_flow::{CacheControl, Caller, FlowRequest};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::identity::Presented;
use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::request_id::RequestId;

pub(crate) async fn process(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let (request, caller) = match read(&headers, body, &presented, "process").await {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, "process", problem).await,
    };
    match app.flow.process(request, &caller, cache_control(&headers)).await {
        Ok(mut processed) => {
            processed.answer.request_id = Some(id.as_str().to_owned());
            let mut response = Json(&processed.answer).into_response();
            limits::write(response.headers_mut(), &processed.limits);
            Ok(response)
        }
        Err(error) => Ok(limits::told(&app, &caller, Problem::from(error)).await),
    }
}

pub(crate) async fn classify_only(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let (request, caller) = match read(&headers, body, &presented, "classify-only").await {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, "classify-only", problem).await,
    };
    match app.flow.classify_only(request, &caller, cache_control(&headers)).await {
        Ok(mut processed) => {
            processed.answer.request_id = Some(id.as_str().to_owned());
            let mut response = Json(&processed.answer).into_response();
            limits::write(response.headers_mut(), &processed.limits);
            Ok(response)
        }
        Err(error) => Ok(limits::told(&app, &caller, Problem::from(error)).await),
    }
}

/// Reads a request, after identity: a stranger learns nothing about the body.
async fn read(
    headers: &HeaderMap,
    body: Body,
    presented: &Presented,
    endpoint: &'static str,
) -> Result<(FlowRequest, Caller), Problem> {
    let bytes = body::read(headers, body, MAX_BODY).await?;
    let request = body::parse(&bytes)?;
    let caller = presented.caller(headers, request.user_id.as_deref(), endpoint)?;
    Ok((request, caller))
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
