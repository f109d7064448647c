//! `/metrics` as Prometheus text, and the measuring of requests.
//!
//! Requests are measured as they pass; everything else is read from the parts when somebody asks, as they last knew it: a
//! scrape costs no call. Labels are route templates, methods and status codes: bounded sets, never a path, a user or a prompt.

mod describe;

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::RwLock;
use picarcade_flow::HealthStatus;
use picarcade_ratelimit::{Limiter, Mode};
use picarcade_redis::{RedisHandle, Role};

use crate::http::app::App;
use crate::http::health::operators_only;
use crate::http::problem::Problem;

/// The media type of Prometheus text.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Upper bounds of the request time, in seconds: from a hit in process to an AI call that takes all its time.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

pub(super) const REQUESTS: &str = "picarcade_http_requests_total";
pub(super) const DURATION: &str = "picarcade_http_request_duration_seconds";

/// How often recorded times are put into their buckets; until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// The series of one route: method, status, count and times. Found again without making their labels anew.
type Series = (&'static str, StatusCode, Counter, Histogram);

/// By route. The process's, as the recorder is.
static SERIES: LazyLock<RwLock<HashMap<Box<str>, Vec<Series>>>> = LazyLock::new(RwLock::default);

/// Installs the process's recorder. Call it inside the runtime.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &SECONDS)?
        .install_recorder()?;
    describe::all();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// What is kept of a request to count and time it.
#[derive(Debug)]
pub(crate) struct Begun {
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl Begun {
    pub(crate) fn new(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { started: Instant::now(), method: method(request), route }
    }

    pub(crate) fn answered(self, status: StatusCode) {
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        measured(route, self.method, status, self.started.elapsed());
    }
}

fn measured(route: &str, method: &'static str, status: StatusCode, elapsed: Duration) {
    let record = |(_, _, count, times): &Series| {
        count.increment(1);
        times.record(elapsed.as_secs_f64());
    };
    let find = |series: &&Series| series.0 == method && series.1 == status;
    if let Some(series) = SERIES.read().get(route).and_then(|of_route| of_route.iter().find(find)) {
        return record(series);
    }
    let (label, code) = (route.to_owned(), status.as_str().to_owned());
    let count = counter!(REQUESTS, "route" => label.clone(), "method" => method, "status" => code);
    // Two requests that find none make two handles of the same series, which is no harm.
    let series = (method, status, count, histogram!(DURATION, "route" => label));
    record(&series);
    SERIES.write().entry(route.into()).or_default().push(series);
}

pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    operators_only(&app, &headers)?;
    publish(&app);
    let mut response = app.metrics.render().into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    Ok(response)
}

/// A method may be any word; only the usual ones become labels.
pub(super) fn method(request: &Request) -> &'static str {
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

/// Reads everything that is not counted as it passes.
fn publish(app: &App) {
    gauge!("picarcade_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("picarcade_draining").set(one_if(app.is_draining()));
    let health = app.flow.health();
    for (name, component) in &health.components {
        gauge!("picarcade_component_status", "component" => *name).set(match component.status {
            HealthStatus::Healthy => 0.0,
            HealthStatus::Degraded => 1.0,
            HealthStatus::Unhealthy => 2.0,
        });
    }
    for level in app.flow.caches().statistics() {
        level.publish_metrics();
    }
    app.flow.breakers().publish_metrics();
    app.flow.recorder().publish_metrics();
    let (in_flight, queued) = app.flow.classifications();
    gauge!("picarcade_classifications_in_flight").set(in_flight as f64);
    gauge!("picarcade_classifications_queued").set(queued as f64);
    publish_limiter(app.flow.limiter());
    publish_budget(&app.flow.budget());
    if let Some(redis) = &app.redis {
        publish_redis(redis);
    }
}

fn publish_limiter(limiter: &Limiter) {
    let statistics = limiter.statistics();
    for (decision, count) in [
        ("admitted", statistics.admitted),
        ("denied", statistics.denied),
        ("failed", statistics.failed),
        ("local", statistics.local),
    ] {
        counter!("picarcade_limiter_decisions_total", "decision" => decision).absolute(count);
    }
    counter!("picarcade_limiter_mode_changes_total").absolute(statistics.mode_changes);
    for mode in [Mode::Exact, Mode::Local] {
        gauge!("picarcade_limiter_mode", "mode" => mode.as_str()).set(one_if(mode == statistics.mode));
    }
    gauge!("picarcade_limiter_subjects").set(statistics.subjects as f64);
    gauge!("picarcade_limiter_open_reservations").set(statistics.open_reservations as f64);
}

/// The dollar limits that belong to no single subject, as a background check found them.
fn publish_budget(budget: &[picarcade_ratelimit::Status]) {
    for status in budget {
        let window = status.window.to_string();
        for (name, micros) in [
            ("picarcade_budget_limit_dollars", status.limit),
            ("picarcade_budget_used_dollars", status.used),
            ("picarcade_budget_reserved_dollars", status.reserved),
        ] {
            gauge!(name, "window" => window.clone()).set(micros as f64 / 1e6);
        }
    }
}

fn publish_redis(redis: &RedisHandle) {
    let status = redis.status();
    gauge!("picarcade_redis_connected").set(one_if(status.connected));
    for role in [Role::Primary, Role::Backup] {
        let serves = status.connected && role == status.active;
        gauge!("picarcade_redis_endpoint", "endpoint" => role.as_str()).set(one_if(serves));
    }
    gauge!("picarcade_redis_latency_seconds").set(status.latency_ms.unwrap_or(0.0) / 1e3);
    gauge!("picarcade_redis_used_memory_bytes").set(status.used_memory_bytes.unwrap_or(0) as f64);
    gauge!("picarcade_redis_pending_invalidations").set(status.pending_invalidations as f64);
}

fn one_if(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}
