//! The log line of a request: at level `info` if the access log is on, else at level `debug`. It
//! has no path parameter, no user and no prompt.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use hyper::Method;
use picarcade_flow::Degraded;

use super::request_id::RequestId;
use super::trace_context::{TRACEPARENT, trace_parent};
use crate::telemetry::ACCESS_TARGET;

/// Whether the access log is on. The log belongs to the process.
static ACCESS_LOG: AtomicBool = AtomicBool::new(false);

/// Turns the access log on or off.
pub(crate) fn set_access_log(is_on: bool) {
    ACCESS_LOG.store(is_on, Ordering::Relaxed);
}

/// Returns whether requests have log lines.
pub(crate) fn is_wanted() -> bool {
    ACCESS_LOG.load(Ordering::Relaxed) || tracing::enabled!(target: ACCESS_TARGET, tracing::Level::DEBUG)
}

/// What the log line says about an answer. A handler adds it to its response if a line is wanted.
#[derive(Clone, Debug)]
pub(crate) struct AnswerFacts {
    pub(crate) source: &'static str,
    pub(crate) prompt_type: &'static str,
    pub(crate) intent_cache: &'static str,
    pub(crate) enhancement_cache: Option<&'static str>,
    pub(crate) parameters_cache: Option<&'static str>,
    pub(crate) degraded: Vec<Degraded>,
    pub(crate) estimated_cost: Option<f64>,
}

impl AnswerFacts {
    /// Adds these facts to a response, for its log line.
    pub(crate) fn add_to(self, response: &mut Response) {
        response.extensions_mut().insert(self);
    }

    fn degraded(&self) -> String {
        self.degraded.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(",")
    }
}

/// What is kept of a request for its log line.
#[derive(Debug)]
pub(crate) struct LogLine {
    method: Method,
    route: Option<MatchedPath>,
    client: Option<SocketAddr>,
    trace: Option<String>,
}

/// Writes the line. Its level must be a constant.
macro_rules! write_line {
    ($level:ident, $line:ident, $id:ident, $response:ident, $started:ident) => {{
        let facts = $response.extensions().get::<AnswerFacts>();
        tracing::$level!(
            target: ACCESS_TARGET,
            method = %$line.method,
            route = $line.route.as_ref().map(MatchedPath::as_str),
            status = $response.status().as_u16(),
            micros = $started.elapsed().as_micros() as u64,
            request_id = $id.as_str(),
            trace_id = $line.trace,
            client = $line.client.map(|client| tracing::field::display(client.ip())),
            source = facts.map(|facts| facts.source),
            prompt_type = facts.map(|facts| facts.prompt_type),
            intent_cache = facts.map(|facts| facts.intent_cache),
            enhancement_cache = facts.and_then(|facts| facts.enhancement_cache),
            parameters_cache = facts.and_then(|facts| facts.parameters_cache),
            degraded = facts.map(AnswerFacts::degraded),
            estimated_cost = facts.and_then(|facts| facts.estimated_cost),
            "answered"
        )
    }};
}

impl LogLine {
    pub(crate) fn of(request: &Request) -> Self {
        let trace =
            request.headers().get(&TRACEPARENT).and_then(trace_parent).map(|(trace, ..)| trace.to_owned());
        Self {
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            client: request.extensions().get::<SocketAddr>().copied(),
            trace,
        }
    }

    pub(crate) fn write(self, id: &RequestId, response: &Response, started: Instant) {
        if ACCESS_LOG.load(Ordering::Relaxed) {
            write_line!(info, self, id, response, started);
        } else {
            write_line!(debug, self, id, response, started);
        }
    }
}
