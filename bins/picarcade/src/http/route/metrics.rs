//! `GET /metrics`: metrics as Prometheus text. A scrape reads what each part already knows and
//! makes no call.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use metrics::{counter, gauge};
use picarcade_flow::HealthStatus;
use picarcade_ratelimit::{Limiter, Mode};

use crate::http::app::App;

/// The media type of Prometheus text.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns the metrics as Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    publish(&app);
    let mut response = app.metrics.render().into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// Publishes the metrics that are not recorded when they change.
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
    if let Some(store) = &app.shared_store {
        store.publish_metrics();
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

/// Publishes the dollar limits that all users share, as the last background check found them.
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

fn one_if(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}
