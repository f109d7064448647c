//! What happens around every request: its id, a place on the server, the measuring, the line in the log, and the last
//! word on errors.
//!
//! One layer for all of it: each layer of its own costs every request two boxes and a copy of what is below it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::StatusCode;

use crate::http::layer::load_shed;
use crate::http::layer::request_id::{Line, RequestId, X_REQUEST_ID};
use crate::http::layer::span::RequestSpan;
use crate::http::problem::{self, Problem};
use crate::http::route::metrics;

pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let span = RequestSpan::begin(&request);
    request.extensions_mut().insert(span.span());
    let begun = metrics::Begun::new(&request);
    let logged = tracing::enabled!(tracing::Level::DEBUG).then(|| (Instant::now(), Line::of(&request)));
    let answer = match load_shed::enter(request.uri().path()) {
        Ok(_place) => answered(request, next).await,
        Err(full) => full.into_response(),
    };
    let mut response = problem::dress(answer);
    begun.answered(response.status());
    span.answered(response.status());
    if let Some((started, line)) = logged {
        line.write(&id, response.status(), started);
    }
    response.headers_mut().insert(X_REQUEST_ID, id.0);
    response
}

/// The answer, also of a request that met a defect of the program. What the panic says stays out of the log: it may quote
/// the request.
async fn answered(request: Request, next: Next) -> Response {
    // Nothing of a request is used again after it has panicked.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be answered")
            .into_response(),
    }
}
