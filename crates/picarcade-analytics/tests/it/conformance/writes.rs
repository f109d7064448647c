//! Batches, and the schema.

use picarcade_analytics::{ClassificationEvent, CostEvent, Error, Event, Period, Record, Statistics};

use super::model::SECOND;
use super::subject::Subject;
use crate::events::{NOW, at, classification, cost, mixed, performance, time};

pub async fn an_empty_store_answers_zeros(subject: &impl Subject) {
    let store = subject.fresh().await;
    for period in Period::ALL {
        let statistics = store.statistics(period, time(NOW)).await.unwrap();
        let expected = Statistics {
            period: period.to_string(),
            generated_at: "2026-01-02T03:04:30.000Z".into(),
            ..Statistics::default()
        };
        assert_eq!(statistics, expected);
    }
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.statistics(Period::Week, time(NOW)).await.unwrap().total_classifications, 0);
    store.write(&[]).await.unwrap();
    store.ping().await.unwrap();
}

pub async fn a_batch_written_twice_counts_once(subject: &impl Subject) {
    let store = subject.fresh().await;
    let batch: Vec<Record> = (0..200).map(|n| at(NOW - SECOND - n as i64, mixed(n))).collect();
    store.write(&batch[..150]).await.unwrap();
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    let statistics = store.statistics(Period::Hour, time(NOW)).await.unwrap();
    assert_eq!(statistics.total_classifications, 140);
    for (table, rows) in [
        ("intent_classification_logs", 140),
        ("cost_tracking", 20),
        ("model_selection_logs", 20),
        ("system_performance_logs", 20),
    ] {
        if let Some(count) = subject.count(store.as_ref(), table).await {
            assert_eq!(count, rows, "{table}");
        }
    }
}

pub async fn a_rejected_row_leaves_nothing_of_its_batch(subject: &impl Subject) {
    let store = subject.fresh().await;
    let wrong = |change: fn(&mut ClassificationEvent)| {
        let mut event = classification("u");
        change(&mut event);
        Event::Classification(event)
    };
    let poisons = [
        wrong(|event| event.confidence = 1.5),
        wrong(|event| event.confidence = f64::NAN),
        wrong(|event| event.processing_time_ms = f64::INFINITY),
        wrong(|event| event.processing_time_ms = -1.0),
        wrong(|event| event.processing_time_ms = 2e15),
        wrong(|event| event.cost_micros = u64::MAX),
        wrong(|event| event.saved_micros = 1_000_000_000_000_001),
        Event::Cost(CostEvent { estimated_cost_micros: u64::MAX, ..cost("u", None) }),
        performance(f64::NAN),
        performance(-2e300),
    ];
    for poison in poisons {
        let batch = [
            at(NOW - 3, Event::Classification(classification("u"))),
            at(NOW - 2, poison.clone()),
            at(NOW - 1, Event::Classification(classification("u"))),
        ];
        let error = store.write(&batch).await.unwrap_err();
        assert!(error.is_rejection(), "{poison:?}: {error:?}");
        assert!(!error.is_transient());
    }
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 0);
    // The store still works.
    store.write(&[at(NOW - 1, Event::Classification(classification("u")))]).await.unwrap();
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 1);
}

pub async fn nul_is_stripped(subject: &impl Subject) {
    let store = subject.fresh().await;
    let event =
        ClassificationEvent { prompt: "a\0b".into(), model: "mo\0del".into(), ..classification("us\0er") };
    let metrics = Event::SystemPerformance(picarcade_analytics::SystemPerformanceEvent {
        component: "c".into(),
        metric: "m".into(),
        value: 1.0,
        status: "healthy".into(),
        metrics: serde_json::json!({ "a\0": "\0b" }),
    });
    store.write(&[at(NOW - 1, Event::Classification(event)), at(NOW - 1, metrics)]).await.unwrap();
    if subject.count(store.as_ref(), "intent_classification_logs").await.is_some() {
        let statistics = store.user_statistics("user", Period::Day, time(NOW)).await.unwrap();
        assert_eq!(statistics.by_model.keys().collect::<Vec<_>>(), ["model"]);
    }
}

pub async fn the_schema_is_current(subject: &impl Subject) {
    let store = subject.fresh().await;
    assert!(store.schema().await.unwrap().is_current());
    store.migrate().await.unwrap();
    assert!(store.schema().await.unwrap().is_current());
    let error = "3h".parse::<Period>().unwrap_err();
    assert!(matches!(error, Error::Config(_)));
}
