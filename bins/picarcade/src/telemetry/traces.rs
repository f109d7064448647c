//! Traces: spans are exported in batches by OTLP over HTTP, as the standard `OTEL_*` environment
//! configures. Without an endpoint no span is created.
//!
//! Spans use OpenTelemetry's own interface and not `tracing`. So the export depends neither on the
//! log's filter nor on its layers, and no log line changes. If the collector is unavailable, spans
//! are dropped and no request is delayed: the queue is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`), and a
//! thread of its own empties it.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Request, Response};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use super::error_chain::chain;
use crate::config::http_url;

/// The tracer, once an export is configured.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// How long the collector may take for a batch, unless the environment sets it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the tracer if traces are exported.
pub(crate) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// The running export, which must be finished at the end of the process.
#[derive(Debug)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts the export if the environment configures one. Call it inside the runtime.
    ///
    /// The error is one line that names the wrong variable.
    pub(crate) fn start() -> Result<Self, String> {
        let endpoint = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
            .into_iter()
            .find_map(|name| Some((name, set(name)?)));
        let is = |name, word| set(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
        let Some((name, endpoint)) = endpoint else { return Ok(Self(None)) };
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(Self(None));
        }
        // The exporter's own error quotes the address, which may hold a password.
        if http_url(&endpoint).is_err() {
            return Err(format!("environment {name}: must be an http or https URL"));
        }
        let wrong = |error: &dyn std::error::Error| format!("OTEL_*: {}", chain(error));
        let client = Client::new().map_err(|error| wrong(&error))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let exporter = exporter.map_err(|error| wrong(&error))?;
        let mut resource = Resource::builder();
        let named = set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
        if set("OTEL_SERVICE_NAME").is_none() && !named {
            resource = resource.with_service_name("picarcade");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        // A process has one service, so no tracer is set before this one.
        let _ = TRACER.set(provider.tracer("picarcade"));
        Ok(Self(Some(provider)))
    }

    /// Exports the remaining spans within `timeout`.
    pub(crate) async fn finish(self, timeout: Duration) {
        let Some(provider) = self.0 else { return };
        let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(timeout));
        if !matches!(tokio::time::timeout(timeout, sent).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last traces may not have been exported");
        }
    }
}

/// Returns a variable of the environment. An empty one counts as unset.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The HTTP client of the exporter's thread, which has no runtime of its own.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Client {
    fn new() -> Result<Self, reqwest::Error> {
        let timeout = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
            .into_iter()
            .find_map(set)
            .and_then(|millis| millis.parse().ok())
            .map_or(TIMEOUT, Duration::from_millis);
        let http = reqwest::Client::builder().timeout(timeout).build()?;
        Ok(Self { http, runtime: Handle::current(), failing: AtomicBool::new(false) })
    }

    /// Logs one line when exports begin to fail and one when they succeed again.
    fn log_change(&self, failure: Option<&str>) {
        match (failure, self.failing.swap(failure.is_some(), Ordering::Relaxed)) {
            (Some(reason), false) => tracing::warn!(reason, "traces cannot be exported and are dropped"),
            (None, true) => tracing::info!("traces are exported again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sending = self.runtime.spawn(async move { http.send_bytes(request).await });
        let answer = sending.await.map_err(HttpError::from).and_then(|answer| answer);
        match answer {
            Ok(response) => {
                let status = response.status();
                self.log_change((!status.is_success()).then_some(status.as_str()));
                Ok(response)
            }
            Err(error) => {
                // An address may hold a password.
                let reason = match error.downcast::<reqwest::Error>() {
                    Ok(error) => chain(&error.without_url()),
                    Err(_) => "no answer that can be read".to_owned(),
                };
                self.log_change(Some(&reason));
                Err(reason.into())
            }
        }
    }
}
