//! The recorder of metrics, and the series of the process and of HTTP. Each crate describes and
//! publishes its own series.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use picarcade_flow::AI_CALL_DURATION;

pub(crate) const REQUESTS: &str = "picarcade_http_requests_total";
pub(crate) const REFUSED_CONNECTIONS: &str = "picarcade_http_connections_refused_total";
pub(crate) const DURATION: &str = "picarcade_http_request_duration_seconds";
const BUILD_INFO: &str = "picarcade_build_info";
const DRAINING: &str = "picarcade_draining";

/// Upper bounds of the request time, in seconds: from a hit in process to an AI call that takes as
/// long as it may.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Upper bounds of the time of an AI call, in seconds.
const AI_SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0];

/// How often recorded times are put into their buckets. Until then each takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder of the process. Call it inside the runtime.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full(AI_CALL_DURATION.to_owned()), &AI_SECONDS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, "Requests, by route, method and status");
    describe_counter!(REFUSED_CONNECTIONS, "Connections that a limit refused, by limit");
    describe_histogram!(DURATION, Unit::Seconds, "The time to a response, by route");
    describe_gauge!(BUILD_INFO, "1; the version is the label");
    describe_gauge!(DRAINING, "1 while the service is stopping or drained");
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Publishes the series of the process.
pub(crate) fn publish(is_draining: bool) {
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!(DRAINING).set(f64::from(u8::from(is_draining)));
}
