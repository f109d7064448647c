//! The log line of a request, at level `debug`. It has no path parameter, no user and no prompt.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use hyper::{Method, StatusCode};

use super::request_id::RequestId;
use super::trace_context::{TRACEPARENT, trace_parent};

/// What is kept of a request for its log line.
#[derive(Debug)]
pub(crate) struct LogLine {
    method: Method,
    route: Option<MatchedPath>,
    trace: Option<String>,
}

impl LogLine {
    pub(crate) fn of(request: &Request) -> Self {
        let trace =
            request.headers().get(&TRACEPARENT).and_then(trace_parent).map(|(trace, ..)| trace.to_owned());
        Self {
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            trace,
        }
    }

    pub(crate) fn write(self, id: &RequestId, status: StatusCode, started: Instant) {
        tracing::debug!(
            method = %self.method,
            route = self.route.as_ref().map(MatchedPath::as_str),
            status = status.as_u16(),
            micros = started.elapsed().as_micros() as u64,
            request_id = id.as_str(),
            trace_id = self.trace,
            "answered"
        );
    }
}
