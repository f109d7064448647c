//! The span of a request: method, route template, status and the source of the answer. Its parent
//! is the client's span, if the client sent a `traceparent`. Each call of an AI provider has a
//! child span with the attributes of OpenTelemetry's conventions for generative AI. No attribute
//! has a path, a user or a prompt.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use hyper::StatusCode;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::Span as SdkSpan;
use picarcade_flow::{AiCall, Degraded, Trace};
use picarcade_intent::{Answer, ProviderError};

use crate::http::layer::metrics;
use crate::http::layer::trace_context::{TRACEPARENT, trace_parent};
use crate::telemetry::traces;

/// The span of a request. A request that its client abandons ends without a status.
#[derive(Debug)]
pub(crate) struct RequestSpan(Span);

/// A handle of the span, for handlers. It is empty if no traces are exported.
#[derive(Clone, Debug)]
pub(crate) struct Span(Option<Context>);

impl RequestSpan {
    /// Begins the span, if traces are exported.
    pub(crate) fn begin(request: &Request) -> Self {
        let Some(tracer) = traces::tracer() else { return Self(Span(None)) };
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
        Self(Span(Some(Context::new().with_span(tracer.build_with_context(builder, &parent)))))
    }

    pub(crate) fn span(&self) -> Span {
        self.0.clone()
    }

    pub(crate) fn end(self, status: StatusCode) {
        let Some(context) = &self.0.0 else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
    }
}

/// The span ends on drop. An AI call that its client abandons may end later.
impl Drop for RequestSpan {
    fn drop(&mut self) {
        if let Some(context) = &self.0.0 {
            context.span().end();
        }
    }
}

impl Span {
    /// Returns the trace for the flow, which knows no tracing system.
    pub(crate) fn trace(&self) -> Option<Arc<dyn Trace>> {
        self.0.clone().map(|context| Arc::new(Calls(context)) as _)
    }

    /// Records the source of the answer, in words from bounded sets.
    pub(crate) fn record(&self, facts: &[(&'static str, &'static str)], degraded: &[Degraded]) {
        let Some(context) = &self.0 else { return };
        let span = context.span();
        span.set_attributes(facts.iter().map(|(name, word)| KeyValue::new(*name, *word)));
        if !degraded.is_empty() {
            let words: Vec<StringValue> = degraded.iter().map(|reason| reason.as_str().into()).collect();
            span.set_attribute(KeyValue::new("picarcade.degraded", Value::Array(Array::String(words))));
        }
    }
}

/// The spans of AI calls in a request.
#[derive(Debug)]
struct Calls(Context);

impl Trace for Calls {
    fn ai_call(&self, provider: &str, model: &str) -> Box<dyn AiCall> {
        let span = traces::tracer().map(|tracer| {
            let attributes = vec![
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.provider.name", provider.to_owned()),
                KeyValue::new("gen_ai.request.model", model.to_owned()),
                KeyValue::new("gen_ai.output.type", "json"),
            ];
            let builder = tracer.span_builder(format!("chat {model}"));
            let builder = builder.with_kind(SpanKind::Client).with_attributes(attributes);
            tracer.build_with_context(builder, &self.0)
        });
        Box::new(Call(span))
    }
}

/// The span of one AI call.
struct Call(Option<SdkSpan>);

impl AiCall for Call {
    fn ended(self: Box<Self>, result: &Result<Answer, ProviderError>, cost_micros: u64) {
        let Some(mut span) = self.0 else { return };
        let tokens = match result {
            Ok(answer) => answer.tokens,
            Err(error) => {
                span.set_attribute(KeyValue::new("error.type", error.kind.as_str()));
                if let Some(status) = error.status {
                    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
                }
                span.set_status(Status::error(""));
                error.tokens
            }
        };
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(tokens) = tokens {
            span.set_attribute(KeyValue::new("gen_ai.usage.input_tokens", number(tokens.input)));
            span.set_attribute(KeyValue::new("gen_ai.usage.output_tokens", number(tokens.output)));
        }
        span.set_attribute(KeyValue::new("picarcade.cost_micros", number(cost_micros)));
        span.end();
    }
}

/// Returns the client's span.
fn parent(request: &Request) -> Option<SpanContext> {
    let (trace, parent, flags) = request.headers().get(&TRACEPARENT).and_then(trace_parent)?;
    let trace = TraceId::from_hex(trace).ok()?;
    let parent = SpanId::from_hex(parent).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    Some(SpanContext::new(trace, parent, flags, true, TraceState::default()))
}
