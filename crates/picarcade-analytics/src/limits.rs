//! The bounds of values, which all stores share.
//!
//! The schemas of the databases state the bounds as constraints, and a test compares them with this
//! file. [`MemoryStore`](crate::MemoryStore) checks them here.

use crate::Event;

/// The largest amount of money in micro-dollars: one billion dollars.
pub(crate) const MAX_MICROS: u64 = 1_000_000_000_000_000;
pub(crate) const MAX_CONFIDENCE: f64 = 1.0;
pub(crate) const MAX_PROCESSING_TIME_MS: f64 = 1e15;
/// The largest magnitude of an observed value.
pub(crate) const MAX_VALUE: f64 = 1e300;

/// Returns whether every value of the event is within its bounds.
pub(crate) fn fits(event: &Event) -> bool {
    let is_money = |micros: Option<u64>| micros.is_none_or(|micros| micros <= MAX_MICROS);
    match event {
        Event::Classification(e) => {
            (0.0..=MAX_CONFIDENCE).contains(&e.confidence)
                && (0.0..=MAX_PROCESSING_TIME_MS).contains(&e.processing_time_ms)
                && is_money(Some(e.cost_micros))
                && is_money(Some(e.saved_micros))
        }
        Event::Cost(e) => is_money(Some(e.estimated_cost_micros)) && is_money(e.actual_cost_micros),
        Event::ModelSelection(e) => is_money(Some(e.estimated_cost_micros)) && is_money(e.actual_cost_micros),
        Event::SystemPerformance(e) => (-MAX_VALUE..=MAX_VALUE).contains(&e.value),
        Event::Outcome(e) => is_money(e.actual_cost_micros),
        Event::Feedback(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_state_the_same_bounds() {
        let bounds = [
            format!("confidence BETWEEN 0 AND {MAX_CONFIDENCE}"),
            format!("processing_time_ms BETWEEN 0 AND {MAX_PROCESSING_TIME_MS:e}"),
            format!("value BETWEEN -{MAX_VALUE:e} AND {MAX_VALUE:e}"),
            format!("_micros BETWEEN 0 AND {MAX_MICROS}"),
        ];
        for schema in [
            include_str!("../migrations/sqlite/0001_tables.sql"),
            include_str!("../migrations/postgres/0001_tables.sql"),
        ] {
            for line in schema.lines().filter(|line| line.contains(" BETWEEN ")) {
                assert!(bounds.iter().any(|bound| line.contains(bound)), "{line}");
            }
            for bound in &bounds {
                assert!(schema.contains(bound), "{bound}");
            }
            let amounts =
                schema.lines().filter(|line| line.contains("_micros ") && !line.contains("GENERATED"));
            assert_eq!(amounts.filter(|line| line.contains(&bounds[3])).count(), 7);
        }
    }
}
