//! `GET /metrics`: metrics as Prometheus text. A scrape reads what each part already knows and
//! makes no call.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::http::app::App;
use crate::telemetry::metrics::publish;

/// The media type of Prometheus text.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Returns the metrics as Prometheus text.
#[utoipa::path(
    get,
    path = "/metrics", operation_id = "getMetrics",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    publish(app.is_draining());
    app.flow.publish_metrics();
    if let Some(store) = &app.shared_store {
        store.publish_metrics();
    }
    let mut response = app.metrics.render().into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
