//! Generated rows, and the statistics that a person would compute from them.

use picarcade_analytics::{ClassificationEvent, Event, Period, Record, Statistics};
use proptest::prelude::*;

use crate::events::{NOW, at, classification, cost};

pub const SECOND: i64 = 1_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

fn classifications() -> impl Strategy<Value = ClassificationEvent> {
    fn word(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        proptest::sample::select(words)
    }
    (
        (
            word(&["NEW_IMAGE", "EDIT_IMAGE", "NEW_VIDEO", ""]),
            word(&["llm", "rules", "local"]),
            word(&["flux", "veo", "gen4"]),
            word(&["ann", "bob"]),
        ),
        (0.0..=1.0_f64, 0.0..30_000.0_f64, 0..100_000_u64),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((workflow, source, model, user), (confidence, ms, saved), (fallback, hit, limited))| {
                ClassificationEvent {
                    classified_workflow: workflow.into(),
                    source: source.into(),
                    model: model.into(),
                    confidence,
                    processing_time_ms: ms,
                    used_fallback: fallback,
                    cache_hit: hit,
                    rate_limited: limited,
                    saved_micros: saved,
                    ..classification(user)
                }
            },
        )
}

/// Rows over the last nine days, denser towards the end.
pub fn rows(count: usize) -> impl Strategy<Value = Vec<Record>> {
    let age = prop_oneof![0..2 * MINUTE, 0..3 * HOUR, 0..30 * HOUR, 0..9 * 24 * HOUR];
    let row = (age, observed()).prop_map(|(age, event)| at(NOW - 1 - age, event));
    proptest::collection::vec(row, 1..count)
}

pub fn observed() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => classifications().prop_map(Event::Classification),
        1 => (0..90_000_u64).prop_map(|actual| Event::Cost(cost("ann", Some(actual)))),
    ]
}

/// Returns the beginning of a period: the minute that contains its exact beginning.
pub fn start(period: Period, now: i64) -> i64 {
    let exact = now - period.duration().as_micros() as i64;
    exact - exact.rem_euclid(MINUTE)
}

/// Computes the statistics from all rows.
pub fn naive(rows: &[Record], user: Option<&str>, period: Period, now: i64) -> Statistics {
    let from = start(period, now);
    let inside = || rows.iter().filter(|row| (from..now).contains(&row.created_at()));
    let seen: Vec<&ClassificationEvent> = inside()
        .filter_map(|row| match &row.event {
            Event::Classification(event) if user.is_none_or(|user| *event.user_id == *user) => Some(event),
            _ => None,
        })
        .collect();
    let spent: u64 = inside()
        .filter_map(|row| match &row.event {
            Event::Cost(event) if user.is_none_or(|user| *event.user_id == *user) => event.actual_cost_micros,
            _ => None,
        })
        .sum();
    let n = seen.len().max(1) as f64;
    let percent = |test: fn(&ClassificationEvent) -> bool| {
        seen.iter().filter(|event| test(event)).count() as f64 * 100.0 / n
    };
    let mut times: Vec<f64> = seen.iter().map(|event| event.processing_time_ms).collect();
    times.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        let at = ((share * times.len() as f64).ceil() as usize).max(1) - 1;
        times.get(at).copied().unwrap_or(0.0)
    };
    let mut expected = Statistics {
        total_classifications: seen.len() as u64,
        avg_confidence: seen.iter().map(|event| event.confidence).sum::<f64>() / n,
        avg_processing_time_ms: times.iter().sum::<f64>() / n,
        p50_ms: rank(0.50),
        p95_ms: rank(0.95),
        p99_ms: rank(0.99),
        fallback_rate: percent(|event| event.used_fallback),
        cache_hit_rate: percent(|event| event.cache_hit),
        rate_limited_rate: percent(|event| event.rate_limited),
        spent_micros: spent,
        saved_micros: seen.iter().map(|event| event.saved_micros).sum(),
        period: period.to_string(),
        ..Statistics::default()
    };
    for event in seen {
        for (counts, key) in [
            (&mut expected.by_type, &*event.classified_workflow),
            (&mut expected.by_source, &*event.source),
            (&mut expected.by_model, &*event.model),
        ] {
            if !key.is_empty() {
                *counts.entry(key.to_owned()).or_default() += 1;
            }
        }
    }
    expected
}

/// Compares except for rounding in sums and the width of the histogram's buckets.
pub fn assert_same(found: &Statistics, expected: &Statistics) {
    let close = |a: f64, b: f64, part: f64| {
        assert!((a - b).abs() <= b.abs() * part + 1e-3, "{a} is not {b}\n{found:#?}\n{expected:#?}");
    };
    close(found.p50_ms, expected.p50_ms, 1.0 / 60.0);
    close(found.p95_ms, expected.p95_ms, 1.0 / 60.0);
    close(found.p99_ms, expected.p99_ms, 1.0 / 60.0);
    assert!((found.avg_confidence - expected.avg_confidence).abs() < 1e-9, "{found:#?}\n{expected:#?}");
    assert!((found.avg_processing_time_ms - expected.avg_processing_time_ms).abs() < 1e-6);
    let exact = Statistics {
        p50_ms: expected.p50_ms,
        p95_ms: expected.p95_ms,
        p99_ms: expected.p99_ms,
        avg_confidence: expected.avg_confidence,
        avg_processing_time_ms: expected.avg_processing_time_ms,
        generated_at: expected.generated_at.clone(),
        ..found.clone()
    };
    assert_eq!(&exact, expected);
}
