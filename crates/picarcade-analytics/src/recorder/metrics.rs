//! Publishes the counters through the `metrics` facade. Labels are tables and reasons, which are
//! bounded sets.

use metrics::{counter, gauge};

use crate::Counters;

/// Sets every series to its current value.
pub(crate) fn publish(counters: &Counters) {
    counter!("picarcade_analytics_accepted_total").absolute(counters.accepted);
    counter!("picarcade_analytics_committed_total").absolute(counters.committed);
    counter!("picarcade_analytics_dead_lettered_total").absolute(counters.dead_lettered);
    counter!("picarcade_analytics_retries_total").absolute(counters.retries);
    for dropped in &counters.dropped_by {
        let table = dropped.table.map_or("unknown", crate::Table::as_str);
        counter!("picarcade_analytics_dropped_total", "table" => table, "reason" => dropped.reason.as_str())
            .absolute(dropped.rows);
    }
    gauge!("picarcade_analytics_queued_rows").set(counters.queued as f64);
    gauge!("picarcade_analytics_queued_bytes").set(counters.queued_bytes as f64);
    gauge!("picarcade_analytics_spooled_rows").set(counters.spooled as f64);
    gauge!("picarcade_analytics_spooled_bytes").set(counters.spooled_bytes as f64);
}
