//! Flush and shutdown.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{Config, DropReason, Error, Event, Recorder, Store};

use super::config;
use crate::counters::until;
use crate::events::{cost, mixed};
use crate::flaky::Flaky;

#[tokio::test(start_paused = true)]
async fn shutdown_writes_what_is_queued() {
    let store = Flaky::new();
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    for n in 0..777 {
        recorder.record(mixed(n));
    }
    let counters = recorder.shutdown(Duration::from_secs(5)).await;
    assert_eq!((counters.committed, counters.queued), (777, 0));
    recorder.record(mixed(0));
    let counters = recorder.counters();
    assert!(counters.is_balanced());
    assert_eq!(counters.dropped_by[0].reason, DropReason::Closed);
    // A second shutdown and a flush after it return.
    recorder.flush().await.unwrap();
    recorder.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_keeps_its_deadline_and_spools_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let with_spool = Config { spool_dir: Some(directory.path().to_owned()), ..config() };
    let store = Flaky::gated();
    let recorder =
        Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, with_spool.clone()).await.unwrap();
    for n in 0..400 {
        recorder.record(mixed(n));
    }
    let started = tokio::time::Instant::now();
    let counters = recorder.shutdown(Duration::from_secs(3)).await;
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!((counters.spooled, counters.queued, counters.dropped), (400, 0, 0), "{counters:?}");
    drop(recorder);

    let store = Flaky::new();
    let recorder = Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, with_spool).await.unwrap();
    let counters = until(&recorder, |counters| counters.committed == 400).await;
    assert_eq!((counters.recovered, counters.spooled), (400, 0));
    assert_eq!(store.inner.rows().len(), 400);
}

#[tokio::test(start_paused = true)]
async fn shutdown_of_a_full_queue_loses_nothing() {
    for away in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let with_spool = Config { spool_dir: Some(directory.path().to_owned()), ..config() };
        let store = Flaky::new();
        store.set_down(away);
        let recorder = Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, with_spool).await.unwrap();
        // The writer has not run yet, so the queue is as full as possible.
        for n in 0..2_000 {
            recorder.record(Event::Cost(cost("u", Some(n))));
        }
        let full = recorder.counters();
        assert_eq!((full.queued, full.dropped), (1_000, 1_000), "{full:?}");
        let counters = recorder.shutdown(Duration::from_secs(5)).await;
        assert!(counters.is_balanced() && counters.queued == 0 && counters.dropped == 1_000, "{counters:?}");
        let (committed, spooled) = if away { (0, 1_000) } else { (1_000, 0) };
        assert_eq!((counters.committed, counters.spooled), (committed, spooled), "{counters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_drains() {
    let store = Flaky::new();
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    let clone = recorder.clone();
    clone.record(mixed(3));
    drop(recorder);
    clone.record(mixed(4));
    drop(clone);
    for _ in 0..1_000 {
        if store.inner.rows().len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("rows were left behind");
}

#[tokio::test(start_paused = true)]
async fn a_flush_without_a_spool_fails_if_the_store_stays_unavailable() {
    let store = Flaky::new();
    store.set_down(true);
    let settings = Config { retry_max: Duration::from_secs(1), ..config() };
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, settings);
    recorder.record(mixed(0));
    let before = tokio::time::Instant::now();
    let error = recorder.flush().await.unwrap_err();
    assert!(matches!(error, Error::NotWritten { .. }) && error.is_transient(), "{error:?}");
    assert_eq!(before.elapsed(), config().write_timeout);
    // No row is lost, and the flush waits for a store that recovers in time.
    assert_eq!(recorder.counters().queued, 1);
    let back = async {
        tokio::time::sleep(config().write_timeout / 2).await;
        store.set_down(false);
    };
    let (flushed, ()) = tokio::join!(recorder.flush(), back);
    flushed.unwrap();
    assert_eq!(recorder.counters().committed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_a_slow_store() {
    let store = Flaky::gated();
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, config());
    let rows = config().batch_rows * 5;
    for n in 0..rows {
        recorder.record(mixed(n));
    }
    let writes = async {
        for _ in 0..10 {
            tokio::time::sleep(config().write_timeout.mul_f64(0.9)).await;
            store.gate.as_ref().unwrap().add_permits(1);
        }
    };
    let (flushed, ()) = tokio::join!(recorder.flush(), writes);
    flushed.unwrap();
    assert_eq!(recorder.counters().committed, rows as u64);
}
