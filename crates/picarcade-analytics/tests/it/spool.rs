//! The spool through the recorder: restarts, damage, two owners and a full disk.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{Config, Counters, DropReason, Error, Event, Recorder, Store};

use crate::counters::until;
use crate::events::{cost, mixed};
use crate::flaky::Flaky;

fn config(directory: &Path) -> Config {
    Config {
        batch_rows: 50,
        queue_rows: 2_000,
        spool_dir: Some(directory.to_owned()),
        spool_segment_bytes: 8 << 10,
        maintain_interval: None,
        ..Config::default()
    }
}

/// Spools `rows` rows and ends without delivering any.
async fn spool(directory: &Path, rows: usize) {
    let store = Flaky::new();
    store.set_down(true);
    let recorder = Recorder::try_start(store as Arc<dyn Store>, config(directory)).await.unwrap();
    for n in 0..rows {
        recorder.record(mixed(n));
    }
    let counters = recorder.shutdown(Duration::from_secs(1)).await;
    assert_eq!((counters.spooled, counters.dropped), (rows as u64, 0), "{counters:?}");
}

/// Starts over a healthy store and waits until the spool is empty.
async fn recover(directory: &Path) -> (Arc<Flaky>, Counters) {
    let store = Flaky::new();
    let recorder =
        Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config(directory)).await.unwrap();
    // The writer writes this row after the recovery.
    recorder.record(Event::Cost(cost("sentinel", None)));
    recorder.flush().await.unwrap();
    let counters = until(&recorder, |counters| counters.spooled == 0).await;
    recorder.shutdown(Duration::from_secs(1)).await;
    (store, counters)
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory.join("0"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "spool"))
        .collect();
    found.sort();
    found
}

#[tokio::test(start_paused = true)]
async fn rows_survive_a_restart_and_arrive_once() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 500).await;
    assert!(segments(directory.path()).len() > 3);
    let (store, counters) = recover(directory.path()).await;
    assert_eq!((counters.recovered, counters.committed), (500, 501));
    assert_eq!(store.inner.rows().len(), 501);
    // Delivered rows are gone from the disk, except for the segment that is being read.
    assert!(segments(directory.path()).len() <= 1);
    let (store, counters) = recover(directory.path()).await;
    assert_eq!((counters.recovered, store.inner.rows().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_restart_during_replay_continues_at_the_saved_position() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 500).await;
    let store = Flaky::gated();
    store.gate.as_ref().unwrap().add_permits(4);
    let recorder =
        Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config(directory.path())).await.unwrap();
    until(&recorder, |counters| counters.committed == 200).await;
    recorder.shutdown(Duration::ZERO).await;
    drop(recorder);
    let (rest, counters) = recover(directory.path()).await;
    assert_eq!(counters.recovered, 300);
    let mut ids: Vec<_> = store.inner.rows().into_iter().chain(rest.inner.rows()).map(|row| row.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 501);
}

#[tokio::test(start_paused = true)]
async fn a_torn_tail_costs_only_the_row_it_tore() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 500).await;
    let last = segments(directory.path()).pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    OpenOptions::new().write(true).open(&last).unwrap().set_len(length - 5).unwrap();
    let (store, counters) = recover(directory.path()).await;
    assert_eq!((counters.recovered, store.inner.rows().len()), (499, 500));
}

#[tokio::test(start_paused = true)]
async fn garbage_behind_the_last_row_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 500).await;
    let last = segments(directory.path()).pop().unwrap();
    OpenOptions::new().append(true).open(&last).unwrap().write_all(&[0xff; 100]).unwrap();
    let (store, counters) = recover(directory.path()).await;
    assert_eq!((counters.recovered, store.inner.rows().len()), (500, 501));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_is_skipped() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 500).await;
    let first = segments(directory.path()).remove(0);
    let mut bytes = fs::read(&first).unwrap();
    bytes[200] ^= 0x20;
    fs::write(&first, bytes).unwrap();
    let (store, counters) = recover(directory.path()).await;
    assert_eq!((counters.recovered, store.inner.rows().len()), (499, 500));
}

#[tokio::test(start_paused = true)]
async fn missing_segments_and_foreign_files_are_tolerated() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 500).await;
    let found = segments(directory.path());
    fs::remove_file(&found[1]).unwrap();
    let slot = directory.path().join("0");
    fs::write(slot.join("README"), "not ours").unwrap();
    fs::write(slot.join("segment-9999999999999999.spool"), "not ours either, but it looks so").unwrap();
    fs::write(slot.join("position"), "nonsense").unwrap();
    fs::create_dir(slot.join("segment-0000000000000099.spool")).unwrap();
    let (store, counters) = recover(directory.path()).await;
    assert!(counters.recovered > 300 && counters.recovered < 500, "{counters:?}");
    assert_eq!(store.inner.rows().len() as u64, counters.recovered + 1);
    assert!(slot.join("README").exists());
}

#[tokio::test(start_paused = true)]
async fn rows_that_vanish_while_waiting_are_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = Flaky::new();
    store.set_down(true);
    let recorder =
        Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config(directory.path())).await.unwrap();
    for n in 0..500 {
        recorder.record(mixed(n));
    }
    until(&recorder, |counters| counters.spooled == 500).await;
    fs::remove_file(&segments(directory.path())[2]).unwrap();
    store.set_down(false);
    let counters = until(&recorder, |counters| counters.spooled == 0 && counters.queued == 0).await;
    assert!(counters.dropped > 0 && counters.committed + counters.dropped == 500, "{counters:?}");
    assert_eq!((counters.dropped_by[0].table, counters.dropped_by[0].reason), (None, DropReason::Corrupt));
    assert_eq!(store.inner.rows().len() as u64, counters.committed);
}

#[tokio::test(start_paused = true)]
async fn two_owners_use_separate_slots_and_an_abandoned_slot_is_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (Flaky::new(), Flaky::new());
    one.set_down(true);
    other.set_down(true);
    let first = Recorder::try_start(one as Arc<dyn Store>, config(directory.path())).await.unwrap();
    let second = Recorder::try_start(other as Arc<dyn Store>, config(directory.path())).await.unwrap();
    for n in 0..300 {
        first.record(mixed(n));
        second.record(mixed(n));
    }
    for recorder in [first, second] {
        assert_eq!(recorder.shutdown(Duration::from_secs(1)).await.spooled, 300);
    }
    // One successor finds the rows of both.
    let (store, counters) = recover(directory.path()).await;
    assert_eq!((counters.recovered, store.inner.rows().len()), (600, 601));
}

#[tokio::test]
async fn a_directory_without_a_free_slot_is_reported_as_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let start = async || Recorder::try_start(Flaky::new() as Arc<dyn Store>, config(directory.path())).await;
    let mut held: Vec<Recorder> = Vec::new();
    for _ in 0..16 {
        held.push(start().await.unwrap());
    }
    assert!(matches!(start().await, Err(Error::SpoolLocked { .. })));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_drops_observations_and_keeps_money() {
    let directory = tempfile::tempdir().unwrap();
    let store = Flaky::new();
    store.set_down(true);
    let small = Config { spool_max_bytes: 64 << 10, ..config(directory.path()) };
    let recorder = Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, small).await.unwrap();
    let mut money = 0;
    for n in 0..3_000 {
        let event = mixed(n);
        money += u64::from(matches!(event, Event::Cost(_) | Event::ModelSelection(_)));
        recorder.record(event);
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let counters = until(&recorder, |counters| counters.dropped > 0).await;
    assert!(counters.spooled_bytes <= 64 << 10, "{counters:?}");
    let dropped: Vec<_> = counters.dropped_by.iter().map(|dropped| dropped.table.unwrap().as_str()).collect();
    assert!(
        dropped.iter().all(|table| ["intent_classification_logs", "system_performance_logs"].contains(table)),
        "{dropped:?}"
    );
    store.set_down(false);
    until(&recorder, |counters| counters.queued == 0 && counters.spooled == 0).await;
    let kept = store.inner.rows();
    let kept =
        kept.iter().filter(|row| matches!(row.event, Event::Cost(_) | Event::ModelSelection(_))).count();
    assert_eq!(kept as u64, money);
}

#[tokio::test(start_paused = true)]
async fn rows_for_a_slow_store_are_spooled() {
    let directory = tempfile::tempdir().unwrap();
    let store = Flaky::gated();
    let recorder =
        Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config(directory.path())).await.unwrap();
    for n in 0..10_000 {
        recorder.record(mixed(n));
        if n % 500 == 0 {
            until(&recorder, |counters| counters.queued < 1_200).await;
        }
    }
    let counters = recorder.counters();
    assert_eq!(counters.dropped, 0, "{counters:?}");
    store.gate.as_ref().unwrap().add_permits(1_000_000);
    until(&recorder, |counters| counters.committed == 10_000).await;
    assert_eq!(store.inner.rows().len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn replay_stays_behind_live_rows() {
    let directory = tempfile::tempdir().unwrap();
    spool(directory.path(), 1_000).await;
    let store = Flaky::gated();
    let recorder =
        Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config(directory.path())).await.unwrap();
    let counters = until(&recorder, |counters| counters.recovered == 1_000).await;
    let before = counters.spooled;
    // There are as many live rows as the writer can take at any time: 24 batches.
    for n in 0..24 {
        for m in 0..60 {
            recorder.record(mixed(n * 60 + m));
        }
        store.gate.as_ref().unwrap().add_permits(1);
        until(&recorder, |counters| counters.committed >= (n as u64 + 1) * 50).await;
    }
    let counters = recorder.counters();
    let replayed = before - counters.spooled;
    // Every eighth batch comes from the spool. The first one may have come before there were live
    // rows.
    assert!((50..=250).contains(&replayed), "{counters:?}");
    store.gate.as_ref().unwrap().add_permits(1_000_000);
    until(&recorder, |counters| counters.spooled == 0 && counters.queued == 0).await;
}
