//! The recorder over a failing store: no row is lost needlessly, and the counters always balance.

mod shutdown;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use picarcade_analytics::{
    ClassificationEvent, Config, CostEvent, DropReason, Event, FeedbackEvent, HashKey, MemoryStore, Privacy,
    Recorder, Store, SystemPerformanceEvent, Table, new_id,
};

use crate::counters::until;
use crate::events::{classification, cost, feedback, mixed};
use crate::flaky::Flaky;

fn config() -> Config {
    Config { batch_rows: 50, queue_rows: 1_000, maintain_interval: None, ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn rows_are_committed_in_batches_and_in_order() {
    let store = Flaky::new();
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for n in 0..205 {
        recorder.record(mixed(n));
    }
    assert_eq!(recorder.counters().queued, 205);
    recorder.flush().await.unwrap();
    let counters = recorder.counters();
    assert_eq!((counters.accepted, counters.committed, counters.queued), (205, 205, 0));
    assert_eq!(store.writes.load(Ordering::SeqCst), 5);
    assert_eq!(store.inner.rows().len(), 205);
}

#[tokio::test(start_paused = true)]
async fn a_row_waits_no_longer_than_the_interval() {
    let store = Arc::new(MemoryStore::new());
    let interval = Duration::from_secs(2);
    let recorder = Recorder::start(
        Arc::clone(&store) as Arc<dyn Store>,
        Config { flush_interval: interval, ..config() },
    );
    let started = tokio::time::Instant::now();
    recorder.record(mixed(3));
    until(&recorder, |counters| counters.committed == 1).await;
    assert!(started.elapsed() <= interval + Duration::from_millis(20));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_full_by_its_bytes_too() {
    let store = Flaky::new();
    let recorder = Recorder::start(
        Arc::clone(&store) as Arc<dyn Store>,
        Config { batch_bytes: 10_000, flush_interval: Duration::from_secs(3_600), ..config() },
    );
    for _ in 0..10 {
        recorder.record(Event::Classification(ClassificationEvent {
            prompt: "x".repeat(2_000).into(),
            ..classification("u")
        }));
    }
    // There are two batches of four rows; the remaining row waits for the interval.
    let counters = until(&recorder, |counters| counters.committed > 0).await;
    assert!(counters.committed >= 4, "{counters:?}");
    until(&recorder, |counters| counters.committed == 8).await;
    assert_eq!(store.writes.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_for_rows_of_any_size() {
    let store = Flaky::gated();
    let bytes = 1 << 20;
    let recorder = Recorder::start(
        Arc::clone(&store) as Arc<dyn Store>,
        Config { queue_bytes: bytes, queue_rows: 50_000, ..config() },
    );
    let text = "x".repeat(10_000);
    for n in 0..500 {
        recorder.record(match n % 3 {
            0 => Event::SystemPerformance(SystemPerformanceEvent {
                component: "c".into(),
                metric: "m".into(),
                value: 0.0,
                status: "healthy".into(),
                metrics: serde_json::json!({ "deep": [{ "in": text }] }),
            }),
            1 => Event::Classification(ClassificationEvent {
                source: text.clone().into(),
                ..classification("u")
            }),
            _ => Event::Cost(CostEvent { error_message: Some(text.clone()), ..cost("u", None) }),
        });
    }
    let counters = recorder.counters();
    assert!(counters.is_balanced() && counters.dropped > 350, "{counters:?}");
    assert!(
        counters.queued * 10_000 <= bytes as u64 && counters.queued_bytes <= bytes as u64,
        "{counters:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_is_retried_until_it_answers() {
    let store = Flaky::new();
    store.set_down(true);
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for n in 0..300 {
        recorder.record(mixed(n));
    }
    let counters = until(&recorder, |counters| counters.retries >= 3).await;
    assert_eq!((counters.committed, counters.queued), (0, 300));
    assert_eq!(counters.last_error, Some("unavailable"));
    assert!(recorder.spooling());
    store.set_down(false);
    let counters = until(&recorder, |counters| counters.committed == 300).await;
    assert_eq!(counters.last_error, None);
    assert!(!recorder.spooling());
    assert_eq!(store.inner.rows().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_does_not_double_rows() {
    let store = Flaky::new();
    store.forgetful.store(true, Ordering::SeqCst);
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for n in 0..120 {
        recorder.record(mixed(n));
    }
    until(&recorder, |counters| counters.retries >= 2).await;
    store.forgetful.store(false, Ordering::SeqCst);
    until(&recorder, |counters| counters.committed == 120).await;
    assert_eq!(store.inner.rows().len(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_the_least_valuable_rows_first() {
    let store = Flaky::new();
    store.set_down(true);
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for _ in 0..2_000 {
        recorder
            .record(Event::Classification(ClassificationEvent { cache_hit: true, ..classification("u") }));
    }
    for n in 0..200 {
        recorder.record(Event::Cost(cost("u", Some(n))));
    }
    let counters = recorder.counters();
    assert!(counters.is_balanced());
    assert_eq!((counters.accepted, counters.queued, counters.dropped), (2_200, 1_000, 1_200));
    assert_eq!(counters.dropped_by.len(), 1);
    assert_eq!(counters.dropped_by[0].table, Some(Table::Classification));
    assert_eq!(counters.dropped_by[0].reason, DropReason::QueueFull);
    store.set_down(false);
    until(&recorder, |counters| counters.committed == 1_000).await;
    let costs = store.inner.rows().iter().filter(|row| matches!(row.event, Event::Cost(_))).count();
    assert_eq!(costs, 200);
}

#[tokio::test(start_paused = true)]
async fn record_does_not_wait_for_a_hanging_store() {
    let store = Flaky::gated();
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for n in 0..5_000 {
        // The function is not async, so it cannot wait.
        recorder.record(mixed(n));
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let counters = recorder.counters();
    assert!(counters.is_balanced());
    assert!(counters.queued <= 1_000 && counters.queued_bytes <= 32 << 20, "{counters:?}");
    assert_eq!(counters.queued + counters.dropped, 5_000);
    store.gate.as_ref().unwrap().add_permits(1_000_000);
    until(&recorder, |counters| counters.queued == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_row_is_dead_lettered_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let recorder = Recorder::try_start(
        Arc::clone(&store) as Arc<dyn Store>,
        Config {
            spool_dir: Some(directory.path().to_owned()),
            batch_rows: 5_000,
            queue_rows: 20_000,
            ..config()
        },
    )
    .await
    .unwrap();
    for n in 0..5_000 {
        recorder.record(if n == 3_333 {
            Event::Classification(ClassificationEvent { confidence: f64::NAN, ..classification("u") })
        } else {
            Event::Classification(classification("u"))
        });
    }
    recorder.flush().await.unwrap();
    let counters = recorder.counters();
    assert!(counters.is_balanced());
    assert_eq!((counters.committed, counters.dead_lettered), (4_999, 1), "{counters:?}");
    let letters = std::fs::read_to_string(directory.path().join("0/dead-letter.jsonl")).unwrap();
    assert_eq!(letters.lines().count(), 1);
    let letter: serde_json::Value = serde_json::from_str(&letters).unwrap();
    assert_eq!(letter["reason"], "a value is out of range");
    assert_eq!(letter["record"]["event"]["classification"]["confidence"], "NaN");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_row_without_a_dead_letter_file_is_counted_as_dropped() {
    let store = Arc::new(MemoryStore::new());
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for n in 0..100 {
        let estimated = if n % 10 == 0 { u64::MAX } else { 5 };
        recorder.record(Event::Cost(CostEvent { estimated_cost_micros: estimated, ..cost("u", None) }));
    }
    recorder.flush().await.unwrap();
    let counters = recorder.counters();
    assert_eq!((counters.committed, counters.dropped), (90, 10), "{counters:?}");
    assert_eq!(counters.dropped_by[0].reason, DropReason::Rejected);
}

#[tokio::test(start_paused = true)]
async fn privacy_is_applied_before_anything_is_written() {
    let secret = "a prompt that must not be found";
    for privacy in [Privacy::Hashed(HashKey::derive("key")), Privacy::None, Privacy::Truncated(4)] {
        let directory = tempfile::tempdir().unwrap();
        let store = Flaky::new();
        store.set_down(true);
        let recorder = Recorder::try_start(
            Arc::clone(&store) as Arc<dyn Store>,
            Config { spool_dir: Some(directory.path().to_owned()), privacy, ..config() },
        )
        .await
        .unwrap();
        for _ in 0..60 {
            recorder.record(Event::Classification(ClassificationEvent {
                prompt: secret.into(),
                ..classification("u")
            }));
        }
        recorder.record(Event::Feedback(FeedbackEvent {
            comment: Some(secret.into()),
            ..feedback("u", new_id())
        }));
        until(&recorder, |counters| counters.spooled == 61).await;
        let slot = directory.path().join("0");
        let mut found = 0;
        for entry in std::fs::read_dir(&slot).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            found += bytes.len();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("must not be found"), "{text}");
        }
        assert!(found > 1_000);
        store.set_down(false);
        until(&recorder, |counters| counters.committed == 61).await;
        for row in store.inner.rows() {
            match row.event {
                Event::Classification(event) => {
                    assert!(!event.prompt.contains("must not") && !event.prompt_is_whole);
                }
                Event::Feedback(event) => {
                    assert!(event.comment.is_none_or(|comment| !comment.contains("must not")));
                }
                event => panic!("{event:?}"),
            }
        }
    }
}

#[tokio::test]
async fn unusable_settings_are_named() {
    let store = Arc::new(MemoryStore::new()) as Arc<dyn Store>;
    let zero = Config { batch_rows: 0, ..config() };
    let error = Recorder::try_start(Arc::clone(&store), zero.clone()).await.unwrap_err();
    assert!(error.to_string().contains("batch_rows"), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let unusable = Config { spool_dir: Some(file.path().to_owned()), ..config() };
    let error = Recorder::try_start(Arc::clone(&store), unusable.clone()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write to"), "{error}");
    // The other way to start corrects the settings.
    for config in [zero, unusable] {
        let recorder = Recorder::start(Arc::clone(&store), config);
        recorder.record(mixed(0));
        recorder.flush().await.unwrap();
        assert_eq!(recorder.counters().committed, 1);
    }
}
