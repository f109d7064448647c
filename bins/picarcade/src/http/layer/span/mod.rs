//! Spans of requests. Without the feature `otel` they are empty.

#[cfg(not(feature = "otel"))]
#[expect(clippy::unused_self, reason = "the methods are those of the spans of `otel`")]
mod none;
#[cfg(feature = "otel")]
mod otel;

#[cfg(not(feature = "otel"))]
pub(crate) use none::{RequestSpan, Span};
#[cfg(feature = "otel")]
pub(crate) use otel::{RequestSpan, Span};
