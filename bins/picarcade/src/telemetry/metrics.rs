//! The recorder of metrics, and the description of each series, which `/metrics` shows as HELP.
//!
//! The crates write their own series. They are described here, because the binary installs the
//! recorder and gives the reader one page. A test lets `promtool` check that page.

use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) const REQUESTS: &str = "picarcade_http_requests_total";
pub(crate) const DURATION: &str = "picarcade_http_request_duration_seconds";

/// Upper bounds of the request time, in seconds: from a hit in process to an AI call that takes as
/// long as it may.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// How often recorded times are put into their buckets. Until then each takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder of the process. Call it inside the runtime.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &SECONDS)?
        .install_recorder()?;
    describe();
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

const COUNTERS: [(&str, &str); 29] = [
    (REQUESTS, "Requests, by route, method and status"),
    ("picarcade_cache_lookups_total", "Lookups of a cache level, by result"),
    ("picarcade_cache_loads_total", "Loads after a miss of a cache level"),
    ("picarcade_cache_load_errors_total", "Loads that ended without a value"),
    ("picarcade_cache_load_panics_total", "Loads that panicked"),
    ("picarcade_cache_coalesced_total", "Lookups that waited for the load of another caller"),
    ("picarcade_cache_refreshes_total", "Loads that began before the value expired"),
    ("picarcade_cache_timeouts_total", "Loads that timed out, and callers that stopped waiting"),
    ("picarcade_cache_overloaded_total", "Lookups refused because of too many loads or waiters"),
    ("picarcade_cache_evictions_total", "Entries evicted for lack of memory"),
    ("picarcade_cache_invalidations_total", "Keys, tags and clears invalidated here or by other instances"),
    ("picarcade_cache_suspicions_total", "How often invalidations may have been missed"),
    ("picarcade_cache_too_large_total", "Values that were not cached because of their size"),
    ("picarcade_cache_not_serializable_total", "Values that could not be written as JSON"),
    (
        "picarcade_cache_late_writes_total",
        "Values that were not cached because of an invalidation during their load",
    ),
    ("picarcade_cache_remote_errors_total", "Calls to the second cache tier that failed"),
    ("picarcade_cache_undecodable_total", "Entries of the second cache tier that could not be decoded"),
    (
        "picarcade_cache_writes_dropped_total",
        "Writes to the second cache tier dropped because of too many concurrent ones",
    ),
    ("picarcade_limiter_decisions_total", "Decisions of the limiter"),
    ("picarcade_limiter_mode_changes_total", "Changes between shared limits and limits of this instance"),
    ("picarcade_breaker_calls_total", "Calls through a breaker, by result"),
    ("picarcade_breaker_slow_calls_total", "Calls that were slow by the breaker's policy"),
    ("picarcade_breaker_opened_total", "How often a breaker opened"),
    ("picarcade_breaker_transitions_total", "Changes of a breaker's state, by the new state and the cause"),
    (
        "picarcade_analytics_accepted_total",
        "Events accepted: the sum of the committed, queued, spooled, dead-lettered and dropped",
    ),
    ("picarcade_analytics_committed_total", "Events that the database has acknowledged"),
    ("picarcade_analytics_dead_lettered_total", "Events that the database rejected, kept in a file"),
    ("picarcade_analytics_dropped_total", "Events dropped, by table and reason"),
    ("picarcade_analytics_retries_total", "Writes to the database that were retried"),
];

const GAUGES: [(&str, &str); 28] = [
    ("picarcade_build_info", "1; the version is the label"),
    ("picarcade_draining", "1 while the service is stopping"),
    ("picarcade_component_status", "The health of a part: 0 healthy, 1 degraded, 2 unhealthy"),
    ("picarcade_cache_entries", "Entries of a cache level in process"),
    ("picarcade_cache_bytes", "Bytes that a cache level takes in process"),
    ("picarcade_cache_max_bytes", "The most bytes that a cache level may take in process"),
    ("picarcade_cache_loads_in_flight", "Concurrent loads of a cache level"),
    ("picarcade_cache_load_seconds", "Time spent in loads of a cache level since the start"),
    (
        "picarcade_cache_saved_dollars",
        "What the hits of a cache level would have cost as loads, in US dollars",
    ),
    ("picarcade_limiter_mode", "1 for the mode in which the limiter decides now"),
    ("picarcade_limiter_subjects", "Subjects that the limiter counts in process"),
    ("picarcade_limiter_open_reservations", "Reservations in process that wait for their bill"),
    ("picarcade_budget_limit_dollars", "A limit in US dollars that all users share, by window"),
    ("picarcade_budget_used_dollars", "The spent and reserved part of the limit in US dollars"),
    (
        "picarcade_budget_reserved_dollars",
        "The part of the limit in US dollars that is reserved for later bills",
    ),
    ("picarcade_breaker_consecutive_failures", "Consecutive failures, now or when the breaker opened"),
    ("picarcade_breaker_state", "1 for the state of a breaker"),
    ("picarcade_analytics_queued_rows", "Events in memory on their way to the database"),
    ("picarcade_analytics_queued_bytes", "Bytes of the events in memory"),
    ("picarcade_analytics_spooled_rows", "Events on disk that wait for the database"),
    ("picarcade_analytics_spooled_bytes", "Bytes of the events on disk"),
    ("picarcade_classifications_in_flight", "Concurrent AI calls"),
    ("picarcade_classifications_queued", "Requests that wait for an AI call"),
    ("picarcade_redis_connected", "1 while Redis can be reached"),
    ("picarcade_redis_endpoint", "1 for the endpoint of Redis that serves"),
    ("picarcade_redis_latency_seconds", "How long the last probe of Redis took"),
    ("picarcade_redis_used_memory_bytes", "Memory that the serving Redis uses"),
    ("picarcade_redis_pending_invalidations", "Invalidations that wait for an unavailable Redis"),
];

/// Describes every series.
fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
    }
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
    }
    describe_histogram!(DURATION, Unit::Seconds, "The time to a response, by route");
}
