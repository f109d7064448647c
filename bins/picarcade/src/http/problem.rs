//! Errors as `application/problem+json` (RFC 9457).
//!
//! A problem never repeats what the client sent, and never reveals what happened behind the
//! service.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use picarcade_analytics::new_id;
use picarcade_flow::{FieldProblem, FlowError, MAX_PROBLEMS};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::rate_limit::{self, LimitBody};

/// The media type of every error.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// One error response. It is boxed, so that a `Result` with it stays small.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldProblem>,
    violated: Vec<LimitBody>,
    headers: HeaderMap,
}

/// A problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// The wrong fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
    /// The reached limits.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    violated: &'a [LimitBody],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            violated: Vec::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Returns a problem that names the wrong fields, the first [`MAX_PROBLEMS`] of them.
    pub(crate) fn fields(mut errors: Vec<FieldProblem>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.pointer, only.detail),
            more if more.len() >= MAX_PROBLEMS => format!("{MAX_PROBLEMS} or more fields are wrong"),
            more => format!("{} fields are wrong", more.len()),
        };
        errors.truncate(MAX_PROBLEMS);
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        problem.0.errors = errors;
        problem
    }

    /// Returns the problem with these wrong fields before its own.
    pub(crate) fn with_fields_before(self, mut errors: Vec<FieldProblem>) -> Self {
        if errors.is_empty() {
            return self;
        }
        errors.extend(self.0.errors);
        Self::fields(errors)
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }

    /// Returns the problem with one more header field.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    pub(crate) fn unauthorized(detail: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, detail);
        problem.0.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        problem
    }

    /// Returns the refusal of a token. Its challenge has the reason (RFC 6750, 3): a text without
    /// quotes and backslashes.
    pub(crate) fn invalid_token(detail: &'static str, reason: &'static str) -> Self {
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
        let problem = Self::unauthorized(detail);
        match HeaderValue::from_str(&challenge) {
            Ok(challenge) => problem.with_header(WWW_AUTHENTICATE, challenge),
            Err(_) => problem,
        }
    }

    pub(crate) fn unavailable(detail: &'static str, retry_after: Duration) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        problem.0.headers.insert(RETRY_AFTER, HeaderValue::from(rate_limit::whole_seconds(retry_after)));
        problem
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here")
    }

    /// Returns the problem as JSON, for places without a response of their own, such as one row of
    /// a batch.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self.body()).unwrap_or_default()
    }

    fn body(&self) -> Body<'_> {
        let title = self.0.status.canonical_reason().unwrap_or("Error");
        Body {
            kind: "about:blank",
            title,
            status: self.0.status.as_u16(),
            detail: &self.0.detail,
            errors: &self.0.errors,
            violated: &self.0.violated,
        }
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Invalid(errors) => Self::fields(errors),
            FlowError::Limited(denial) => {
                let detail = if denial.violated.is_empty() {
                    "no dollars can be reserved now, because their limits cannot be decided"
                } else {
                    "a limit is reached"
                };
                let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, detail);
                problem.0.violated = denial.violated.iter().map(LimitBody::new).collect();
                rate_limit::write_denial(&mut problem.0.headers, &denial);
                problem
            }
            FlowError::NotFound => Self::not_found(),
            FlowError::Unavailable { retry_after } => {
                Self::unavailable("the service cannot take the request now", retry_after)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be answered"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = (self.0.status, Bytes::from(body)).into_response();
        let headers = response.headers_mut();
        headers.extend(self.0.headers);
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// Returns a whole HTTP/1.1 response that ends its connection, for places without a request.
pub(crate) fn raw(status: StatusCode, detail: &'static str) -> Vec<u8> {
    let problem = Problem::new(status, detail);
    let body = serde_json::to_string(&problem.body()).unwrap_or_default();
    let retry = if status == StatusCode::SERVICE_UNAVAILABLE { "retry-after: 1\r\n" } else { "" };
    let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    let (id, length) = (new_id(), body.len());
    format!(
        "HTTP/1.1 {code} {title}\r\ncontent-type: application/problem+json\r\nx-request-id: {id}\r\n{retry}connection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Replaces an error of axum (405, a panic, a path that cannot be parsed) by a problem.
pub(crate) fn with_problem_body(response: Response) -> Response {
    let status = response.status();
    let plain = status.is_client_error() || status.is_server_error();
    if !plain || response.headers().get(CONTENT_TYPE) == Some(&PROBLEM_JSON) {
        return response;
    }
    let mut problem =
        Problem::new(status, status.canonical_reason().unwrap_or("the request could not be answered"));
    if let Some(allow) = response.headers().get(ALLOW) {
        problem.0.headers.insert(ALLOW, allow.clone());
    }
    problem.into_response()
}
