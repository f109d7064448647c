//! The layer of every request: its id, its span, its place on the server, its metrics, its log
//! line, and the form of its errors.
//!
//! They are one function, because each layer of its own would cost every request two boxes and a
//! copy of everything below it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::StatusCode;

use super::load_shed;
use super::log::{self, LogLine};
use super::metrics::Measurement;
use super::request_id::{RequestId, X_REQUEST_ID};
use super::span::RequestSpan;
use crate::http::problem::{self, Problem};

pub(crate) async fn stack(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let span = RequestSpan::begin(&request);
    request.extensions_mut().insert(span.span());
    let measurement = Measurement::begin(&request);
    let logged = log::is_wanted().then(|| (Instant::now(), LogLine::of(&request)));
    let response = match load_shed::enter(request.uri().path()) {
        Ok(_permit) => run(request, next).await,
        Err(full) => full.into_response(),
    };
    let mut response = problem::with_problem_body(response);
    measurement.end(response.status());
    span.end(response.status());
    if let Some((started, line)) = logged {
        line.write(&id, &response, started);
    }
    response.headers_mut().insert(X_REQUEST_ID, id.0);
    response
}

/// Runs the handler; a panic becomes a 500. The text of the panic is not logged, because it may
/// quote the request.
async fn run(request: Request, next: Next) -> Response {
    // Nothing of a request is used again after a panic.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be answered")
            .into_response(),
    }
}
