//! The counters of a recorder through the `metrics` facade. Labels are tables and reasons, which
//! are bounded sets.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::Counters;

/// A series: its name, its description and its value.
type Series = (&'static str, &'static str, fn(&Counters) -> u64);

const DROPPED: &str = "picarcade_analytics_dropped_total";

const COUNTERS: [Series; 4] = [
    (
        "picarcade_analytics_accepted_total",
        "Events accepted: the sum of the committed, queued, spooled, dead-lettered and dropped",
        |it| it.accepted,
    ),
    ("picarcade_analytics_committed_total", "Events that the database has acknowledged", |it| it.committed),
    ("picarcade_analytics_dead_lettered_total", "Events that the database rejected, kept in a file", |it| {
        it.dead_lettered
    }),
    ("picarcade_analytics_retries_total", "Writes to the database that were retried", |it| it.retries),
];

const GAUGES: [Series; 4] = [
    ("picarcade_analytics_queued_rows", "Events in memory on their way to the database", |it| it.queued),
    ("picarcade_analytics_queued_bytes", "Bytes of the events in memory", |it| it.queued_bytes),
    ("picarcade_analytics_spooled_rows", "Events on disk that wait for the database", |it| it.spooled),
    ("picarcade_analytics_spooled_bytes", "Bytes of the events on disk", |it| it.spooled_bytes),
];

/// Describes every series of this crate to the installed recorder. Does nothing without one.
pub fn describe_metrics() {
    for (name, help, _) in COUNTERS {
        describe_counter!(name, help);
    }
    describe_counter!(DROPPED, "Events dropped, by table and reason");
    for (name, help, _) in GAUGES {
        describe_gauge!(name, help);
    }
}

/// Sets every series to its current value.
pub(crate) fn publish(counters: &Counters) {
    for (name, _, count) in COUNTERS {
        counter!(name).absolute(count(counters));
    }
    for dropped in &counters.dropped_by {
        let table = dropped.table.map_or("unknown", crate::Table::as_str);
        counter!(DROPPED, "table" => table, "reason" => dropped.reason.as_str()).absolute(dropped.rows);
    }
    for (name, _, amount) in GAUGES {
        gauge!(name).set(amount(counters) as f64);
    }
}
