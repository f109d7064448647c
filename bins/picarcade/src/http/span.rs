//! The span of a request, for traces: method, route template and status, below the caller's span if it sent a
//! `traceparent`. Never a path, a user or a prompt.

use axum::extract::{MatchedPath, Request};
use hyper::StatusCode;
use opentelemetry::trace::{
    Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::Span as SdkSpan;

use crate::http::metrics;
use crate::http::request_id::{TRACEPARENT, trace_parent};
use crate::telemetry::traces;

/// A request on its way. One that nobody waits for any more ends without a status.
#[derive(Debug)]
pub(crate) struct RequestSpan(SdkSpan);

impl RequestSpan {
    /// A span, where traces are exported.
    pub(crate) fn begin(request: &Request) -> Option<Self> {
        let tracer = traces::tracer()?;
        let method = metrics::method(request);
        let mut attributes = vec![KeyValue::new("http.request.method", method)];
        let name = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
            Some(route) => {
                attributes.push(KeyValue::new("http.route", route.to_owned()));
                format!("{method} {route}")
            }
            None => method.to_owned(),
        };
        let parent = parent(request)
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let builder = tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        Some(Self(tracer.build_with_context(builder, &parent)))
    }

    pub(crate) fn answered(mut self, status: StatusCode) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The caller's span.
fn parent(request: &Request) -> Option<SpanContext> {
    let (trace, parent, flags) = request.headers().get(&TRACEPARENT).and_then(trace_parent)?;
    let trace = TraceId::from_hex(trace).ok()?;
    let parent = SpanId::from_hex(parent).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    Some(SpanContext::new(trace, parent, flags, true, TraceState::default()))
}
