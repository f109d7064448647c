//! Spans of requests, or nothing in their place without the feature `otel`.

#[cfg(not(feature = "otel"))]
mod none;
#[cfg(feature = "otel")]
mod otel;

#[cfg(not(feature = "otel"))]
pub(crate) use none::{RequestSpan, Span};
#[cfg(feature = "otel")]
pub(crate) use otel::{RequestSpan, Span};
