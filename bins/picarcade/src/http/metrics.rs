//! `/metrics` as Prometheus text, and the measuring of requests.
//!
//! Requests are measured as they pass; everything else is read from the parts when somebody asks. Labels are route
//! templates, methods and status codes: bounded sets, never a path, a user or a prompt.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use metrics::{Unit, counter, describe_counter, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use picarcade_cache::Statistics;
use picarcade_ratelimit::Mode;

use crate::http::app::App;
use crate::http::health::operators_only;
use crate::http::problem::Problem;

/// The media type of Prometheus text.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Upper bounds of the request time, in seconds: from a hit in process to an AI call that takes all its time.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

const REQUESTS: &str = "picarcade_http_requests_total";
const DURATION: &str = "picarcade_http_request_duration_seconds";

/// Installs the process's recorder.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &SECONDS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, "Requests, by route, method and status");
    describe_histogram!(DURATION, Unit::Seconds, "The time to an answer, by route");
    describe_counter!("picarcade_cache_lookups_total", "Lookups of a cache level, by how they ended");
    describe_counter!(
        "picarcade_cache_saved_micros_total",
        "What the hits would have cost as loads, in micro-dollars"
    );
    describe_counter!("picarcade_limiter_decisions_total", "Decisions of the limiter");
    Ok(handle)
}

/// Counts and times a request.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(&request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str).to_owned();
    histogram!(DURATION, "route" => route.clone()).record(started.elapsed().as_secs_f64());
    counter!(REQUESTS, "route" => route, "method" => method, "status" => response.status().as_str().to_owned())
        .increment(1);
    response
}

pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    operators_only(&app, &headers)?;
    publish(&app);
    let mut response = app.metrics.render().into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    Ok(response)
}

/// A method may be any word; only the usual ones become labels.
fn method(request: &Request) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn publish(app: &App) {
    for level in app.flow.caches().statistics() {
        publish_level(&level);
    }
    app.flow.breakers().publish_metrics();
    let limiter = app.flow.limiter().statistics();
    for (decision, count) in [
        ("admitted", limiter.admitted),
        ("denied", limiter.denied),
        ("failed", limiter.failed),
        ("local", limiter.local),
    ] {
        counter!("picarcade_limiter_decisions_total", "decision" => decision).absolute(count);
    }
    gauge!("picarcade_limiter_local").set(if limiter.mode == Mode::Local { 1.0 } else { 0.0 });
    if let Some(redis) = &app.redis {
        let status = redis.status();
        gauge!("picarcade_redis_connected").set(if status.connected { 1.0 } else { 0.0 });
        gauge!("picarcade_redis_latency_seconds").set(status.latency_ms.unwrap_or(0.0) / 1e3);
    }
}

fn publish_level(level: &Statistics) {
    let name = level.name.clone();
    for (result, count) in [
        ("l1", level.hits_l1),
        ("l2", level.hits_l2),
        ("stale", level.stale),
        ("miss", level.misses),
        ("bypass", level.bypasses),
    ] {
        counter!("picarcade_cache_lookups_total", "cache" => name.clone(), "result" => result)
            .absolute(count);
    }
    counter!("picarcade_cache_loads_total", "cache" => name.clone()).absolute(level.loads);
    counter!("picarcade_cache_load_errors_total", "cache" => name.clone()).absolute(level.load_errors);
    counter!("picarcade_cache_coalesced_total", "cache" => name.clone()).absolute(level.coalesced);
    counter!("picarcade_cache_evictions_total", "cache" => name.clone()).absolute(level.evictions);
    counter!("picarcade_cache_remote_errors_total", "cache" => name.clone()).absolute(level.remote_errors);
    counter!("picarcade_cache_saved_micros_total", "cache" => name.clone()).absolute(level.saved_micros);
    gauge!("picarcade_cache_entries", "cache" => name.clone()).set(level.entries as f64);
    gauge!("picarcade_cache_bytes", "cache" => name).set(level.bytes as f64);
}
