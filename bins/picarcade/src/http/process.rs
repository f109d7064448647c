//! `POST /api/v2/process` and `POST /api/v2/classify-only`: one way, two answers.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response as HttpResponse};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{
    CacheControl, Caller, Classified, FlowError, FlowRequest, FlowService, Processed, Response,
};
use serde::Serialize;

use crate::answer::WithRequestId;
use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::identity::Presented;
use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::request_id::RequestId;
use crate::http::span::Span;

/// Bytes that nearly every answer fits into.
const ORDINARY: usize = 2048;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What one of the two routes answers.
pub(crate) trait Answer: Serialize + Sized {
    /// The endpoint, for its limits.
    const ENDPOINT: &'static str;

    /// Asks the flow for it.
    fn ask(
        flow: &FlowService,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> impl Future<Output = Result<Processed<Self>, FlowError>> + Send;

    /// Says how it was come by.
    fn tell(&self, span: &Span);
}

impl Answer for Response {
    const ENDPOINT: &'static str = "process";

    fn ask(
        flow: &FlowService,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> impl Future<Output = Result<Processed<Self>, FlowError>> + Send {
        flow.process(request, caller, control)
    }

    fn tell(&self, span: &Span) {
        let facts = [
            ("picarcade.prompt_type", self.prompt_type.as_str()),
            ("picarcade.source", self.source.as_str()),
            ("picarcade.cache.intent", self.cache.intent),
            ("picarcade.cache.enhancement", self.cache.enhancement),
            ("picarcade.cache.parameters", self.cache.parameters),
        ];
        span.tell(&facts, &self.degraded);
    }
}

impl Answer for Classified {
    const ENDPOINT: &'static str = "classify-only";

    fn ask(
        flow: &FlowService,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> impl Future<Output = Result<Processed<Self>, FlowError>> + Send {
        flow.classify_only(request, caller, control)
    }

    fn tell(&self, span: &Span) {
        let facts = [
            ("picarcade.prompt_type", self.prompt_type.as_str()),
            ("picarcade.source", self.source.as_str()),
            ("picarcade.cache.intent", if self.cache_hit { "hit" } else { "miss" }),
        ];
        span.tell(&facts, &self.degraded);
    }
}

pub(crate) async fn answer<A: Answer>(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(span): Extension<Span>,
    headers: HeaderMap,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let presented = app.identities.check(&headers).await?;
    let (request, caller) = match read(&headers, body, &presented, A::ENDPOINT).await {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, A::ENDPOINT, problem).await,
    };
    let caller = caller.traced(span.trace());
    match A::ask(&app.flow, request, &caller, cache_control(&headers)).await {
        Ok(processed) => {
            processed.answer.tell(&span);
            limits::trace(&span, Ok(&processed.limits));
            let mut response = json(&WithRequestId { answer: &processed.answer, request_id: id.as_str() });
            limits::write(response.headers_mut(), &processed.limits);
            Ok(response)
        }
        Err(error) => {
            limits::trace(&span, Err(&error));
            Ok(limits::told(&app, &caller, Problem::from(error)).await)
        }
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

/// The answer as JSON, in a buffer that an ordinary one fits into.
fn json(answer: &impl Serialize) -> HttpResponse {
    let mut body = Vec::with_capacity(ORDINARY);
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
