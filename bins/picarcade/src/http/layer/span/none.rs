//! Empty spans without the feature `otel`. They cost nothing.

use std::sync::Arc;

use axum::extract::Request;
use hyper::StatusCode;
use picarcade_flow::{Degraded, Trace};

/// The span of a request.
#[derive(Debug)]
pub(crate) struct RequestSpan;

/// A handle of the span, for handlers.
#[derive(Clone, Debug)]
pub(crate) struct Span;

impl RequestSpan {
    pub(crate) const fn begin(_: &Request) -> Self {
        Self
    }

    pub(crate) const fn span(&self) -> Span {
        Span
    }

    pub(crate) const fn end(self, _: StatusCode) {}
}

impl Span {
    pub(crate) const fn trace(&self) -> Option<Arc<dyn Trace>> {
        None
    }

    pub(crate) const fn record(&self, _: &[(&'static str, &'static str)], _: &[Degraded]) {}
}
