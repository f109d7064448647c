//! Two levels and several instances, with a second level that can be switched off.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use picarcade_cache::{Builder, Cache, CacheSource, Clock, LoadError, Loaded, Options, Remote};

use crate::{
    in_memory::InMemoryRemote,
    support::{Broken, Faulty, Runs, eventually, key},
};

const SECOND: Duration = Duration::from_secs(1);
const NOW: u64 = 1_700_000_000_000;

fn builder(remote: &Arc<InMemoryRemote>, clock: &Clock) -> Builder<String> {
    Cache::builder("test")
        .ttl(SECOND * 100)
        .stale_for(SECOND * 100)
        .jitter(0.0)
        .remote(Arc::clone(remote) as Arc<dyn Remote>)
        .clock(clock.clone())
}

#[tokio::test(start_paused = true)]
async fn another_instance_reads_the_value_with_its_age() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let (one, other) = (builder(&remote, &clock).build().unwrap(), builder(&remote, &clock).build().unwrap());
    let runs = Runs::default();
    one.get_or_load(key(1), runs.load("value".to_string(), SECOND)).await.unwrap();
    tokio::time::sleep(SECOND * 40).await;
    let found = other.get_or_load(key(1), runs.load(String::new(), SECOND)).await.unwrap();
    assert_eq!((found.value.as_str(), found.source, found.age.as_secs()), ("value", CacheSource::L2, 40));
    assert_eq!(
        other.get_or_load(key(1), runs.load(String::new(), SECOND)).await.unwrap().source,
        CacheSource::L1
    );
    // The first level does not outlive the second.
    tokio::time::sleep(SECOND * 61).await;
    assert!(other.peek(key(1)).is_none());
    assert_eq!(runs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_loads_a_key_once() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let runs = Runs::default();
    let fleet: Vec<_> = (0..4).map(|_| builder(&remote, &clock).build().unwrap()).collect();
    let asks = (0..1000).map(|n| {
        let (cache, load) = (fleet[n % 4].clone(), runs.load("v".to_string(), SECOND * 5));
        tokio::spawn(async move { cache.get_or_load(key(1), load).await.unwrap() })
    });
    for answer in join_all(asks).await {
        assert_eq!(answer.unwrap().value.as_str(), "v");
    }
    assert_eq!(runs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_instance_loads_when_the_holder_of_the_lease_dies() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let cache = builder(&remote, &clock).lease(SECOND * 3).build().unwrap();
    assert!(remote.acquire("test", key(1), 99, SECOND * 3).await.unwrap());
    let began = tokio::time::Instant::now();
    cache.get_or_load(key(1), Runs::default().load("v".to_string(), SECOND)).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!((3.5..5.0).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_lease_is_bounded() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let cache = builder(&remote, &clock).lease_wait(SECOND * 2).build().unwrap();
    assert!(remote.acquire("test", key(1), 99, SECOND * 3600).await.unwrap());
    cache.get_or_load(key(1), Runs::default().load("v".to_string(), SECOND)).await.unwrap();
    assert_eq!(cache.statistics().loads, 1);
}

#[tokio::test(start_paused = true)]
async fn half_of_the_hard_timeout_is_left_for_the_load_after_waiting_for_a_lease() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let cache = builder(&remote, &clock).hard_timeout(SECOND * 4).build().unwrap();
    assert!(remote.acquire("test", key(1), 99, SECOND * 3600).await.unwrap());
    let loaded = cache.get_or_load(key(1), Runs::default().load("v".to_string(), SECOND)).await.unwrap();
    assert_eq!(loaded.source, CacheSource::Loaded);
}

#[tokio::test(start_paused = true)]
async fn a_load_without_a_lease_does_not_wait() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    for n in 1..4 {
        assert!(remote.acquire("test", key(n), 99, SECOND * 3600).await.unwrap());
    }
    let (runs, began) = (Runs::default(), tokio::time::Instant::now());
    let cache = builder(&remote, &clock).build().unwrap();
    let load = runs.load(Loaded::new("v".to_string()), SECOND);
    cache.get_or_load_with(key(1), Options::default().no_lease(), load).await.unwrap();
    assert_eq!(began.elapsed(), SECOND);
    let never = builder(&remote, &clock).no_lease().build().unwrap();
    never.get_or_load(key(2), runs.load("v".to_string(), SECOND)).await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 2);
    // A load whose value is not written takes no lease either, because no other instance could get
    // the value.
    let load = runs.load(Loaded::new("v".to_string()), SECOND);
    cache.get_or_load_with(key(3), Options::default().no_write(), load).await.unwrap();
    assert_eq!(began.elapsed(), SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_loses_its_lease_after_the_lease_wait() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let cache = builder(&remote, &clock).lease(SECOND).lease_wait(SECOND * 10).build().unwrap();
    let (load, limit) = (Runs::default().load("v".to_string(), SECOND * 3600), SECOND * 9);
    assert!(tokio::time::timeout(limit, cache.get_or_load(key(1), load)).await.is_err());
    assert!(!remote.acquire("test", key(1), 99, SECOND).await.unwrap(), "it is renewed");
    tokio::time::sleep(SECOND * 3).await;
    assert!(remote.acquire("test", key(1), 99, SECOND).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_stopped_for_longer_than_tombstones_last_writes_nothing() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let faulty = Faulty::new(Arc::clone(&remote) as Arc<dyn Remote>);
    // A stopped process receives its messages too late, which has the same effect.
    faulty.loses_messages.store(true, Ordering::SeqCst);
    let stopped = builder(&remote, &clock).build().unwrap();
    let other = builder(&remote, &clock).remote(faulty).build().unwrap();
    let load = async move || {
        other.remove(key(1)).await;
        // The clock advances while no task of the process runs, so its deadlines do not fire.
        tokio::time::advance(SECOND * 3000).await;
        Ok::<_, Broken>("old".to_string())
    };
    let waited = stopped.get_or_load(key(1), load).await;
    assert!(matches!(waited, Err(LoadError::TimedOut)), "{waited:?}");
    assert!(stopped.drain(SECOND).await);
    assert!(remote.read("test", key(1)).await.unwrap().entry.is_none());
    let counts = stopped.statistics();
    assert_eq!((counts.loads, counts.load_errors, counts.late_writes), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_long_load_keeps_its_lease() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let runs = Runs::default();
    let build = || {
        let builder = builder(&remote, &clock).lease(SECOND).lease_wait(SECOND * 60);
        builder.hard_timeout(SECOND * 120).build().unwrap()
    };
    let (one, other) = (build(), build());
    let (a, b) = tokio::join!(
        one.get_or_load(key(1), runs.load("v".to_string(), SECOND * 20)),
        other.get_or_load(key(1), runs.load("v".to_string(), SECOND * 20)),
    );
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(runs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_falls_back_to_a_stale_value_of_the_second_level() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let (one, other) = (builder(&remote, &clock).build().unwrap(), builder(&remote, &clock).build().unwrap());
    let runs = Runs::default();
    one.get_or_load(key(1), runs.load("old".to_string(), SECOND)).await.unwrap();
    tokio::time::sleep(SECOND * 120).await;
    for _ in 0..3 {
        let stale = other.get_or_load(key(1), runs.fail(1, SECOND)).await.unwrap();
        assert_eq!((stale.value.as_str(), stale.source), ("old", CacheSource::Stale));
    }
    assert_eq!(runs.count(), 2, "and holds off");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_refreshes_ahead_once() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let runs = Runs::default();
    let fleet: Vec<_> =
        (0..4).map(|_| builder(&remote, &clock).refresh_ahead(100.0).build().unwrap()).collect();
    for cache in &fleet {
        cache.get_or_load(key(1), runs.load("one".to_string(), SECOND * 10)).await.unwrap();
    }
    tokio::time::sleep(SECOND * 85).await;
    assert_eq!(runs.count(), 1);
    let asks = fleet.iter().flat_map(|cache| [cache; 20]);
    join_all(asks.map(|cache| cache.get_or_load(key(1), runs.load("two".to_string(), SECOND * 8)))).await;
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(runs.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_level_serves_without_the_second() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let (cache, runs) = (builder(&remote, &clock).build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load("a".to_string(), SECOND)).await.unwrap();
    remote.set_down(true);
    assert_eq!(
        cache.get_or_load(key(1), runs.load(String::new(), SECOND)).await.unwrap().source,
        CacheSource::L1
    );
    let loaded = cache.get_or_load(key(2), runs.load("b".to_string(), SECOND)).await.unwrap();
    assert_eq!((loaded.value.as_str(), loaded.source), ("b", CacheSource::Loaded));
    assert_eq!(
        cache.get_or_load(key(2), runs.load(String::new(), SECOND)).await.unwrap().source,
        CacheSource::L1
    );
    assert!(cache.statistics().remote_errors > 0);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_entry_is_a_miss_counted_and_overwritten() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let (writer, runs) = (builder(&remote, &clock).build().unwrap(), Runs::default());
    writer.get_or_load(key(0), runs.load("x".repeat(10_000), SECOND)).await.unwrap();
    let good = remote.read("test", key(0)).await.unwrap().entry.unwrap();
    assert!(good.len() < 1000, "compressed: {}", good.len());
    let mut flipped = good.to_vec();
    flipped[good.len() / 2] ^= 4;
    let damaged = [
        Bytes::new(),
        Bytes::from_static(b"{}"),
        good.slice(..good.len() - 1),
        good.slice(1..),
        flipped.into(),
    ];
    let reader = builder(&remote, &clock).build().unwrap();
    for (n, bytes) in (1..).zip(damaged) {
        remote.put_raw("test", key(n), bytes, SECOND * 100);
        let loaded = reader.get_or_load(key(n), runs.load("new".to_string(), SECOND)).await.unwrap();
        assert_eq!(loaded.source, CacheSource::Loaded);
        assert!(reader.statistics().undecodable >= n, "entry {n}");
        let other = builder(&remote, &clock).build().unwrap();
        assert_eq!(other.get(key(n)).await.unwrap().value.as_str(), "new", "entry {n} was overwritten");
    }
    // Values of another schema, and values larger than this cache accepts.
    let schema = builder(&remote, &clock).schema_version(2).build().unwrap();
    assert!(schema.get(key(0)).await.is_none());
    assert_eq!(schema.statistics().undecodable, 1);
    let small = builder(&remote, &clock).max_entry_bytes(100).build().unwrap();
    assert!(small.get(key(0)).await.is_none());
    assert_eq!(small.statistics().undecodable, 1);
    // A value from the future, written by a clock that is a day ahead.
    let ahead = builder(&remote, &Clock::following(NOW + 86_400_000)).build().unwrap();
    ahead.insert(key(50), "tomorrow".to_string()).await.unwrap();
    assert!(reader.get(key(50)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn values_that_are_too_large_are_returned_and_not_stored() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let cache = builder(&remote, &clock).max_entry_bytes(1000).build().unwrap();
    let huge = cache.get_or_load(key(1), Runs::default().load("x".repeat(2000), SECOND)).await.unwrap();
    assert_eq!(huge.value.len(), 2000);
    assert!(cache.peek(key(1)).is_none());
    assert!(remote.read("test", key(1)).await.unwrap().entry.is_none());
    assert_eq!(cache.statistics().too_large, 1);
}

#[tokio::test(start_paused = true)]
async fn the_hard_timeout_covers_the_second_level_and_the_lease() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let began = tokio::time::Instant::now();
    let faulty = Faulty::new(Arc::clone(&remote) as Arc<dyn Remote>);
    let cache = builder(&remote, &clock)
        .remote(Arc::clone(&faulty) as Arc<dyn Remote>)
        .hard_timeout(SECOND * 2)
        .build()
        .unwrap();
    // Another instance holds the lease.
    assert!(remote.acquire("test", key(1), 99, SECOND * 3600).await.unwrap());
    let waited = cache.get_or_load(key(1), Runs::default().load("v".to_string(), SECOND * 2)).await;
    assert!(matches!(waited, Err(LoadError::TimedOut)), "{waited:?}");
    assert_eq!(began.elapsed().as_secs(), 2);
    faulty.hangs_reading.store(true, Ordering::SeqCst);
    let waited = cache.get_or_load(key(2), Runs::default().load("v".to_string(), SECOND)).await;
    assert!(matches!(waited, Err(LoadError::TimedOut)), "{waited:?}");
    assert_eq!(began.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn writes_under_way_are_bounded() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let faulty = Faulty::new(Arc::clone(&remote) as Arc<dyn Remote>);
    let cache = builder(&remote, &clock).remote(Arc::clone(&faulty) as Arc<dyn Remote>).build().unwrap();
    faulty.hangs_writing.store(true, Ordering::SeqCst);
    for n in 0..1030 {
        // The value is returned before it is written.
        cache.get_or_load(key(n), Runs::default().load("v".to_string(), Duration::ZERO)).await.unwrap();
    }
    eventually("the rest is given up", async || cache.statistics().writes_dropped == 6).await;
    assert!(cache.peek(key(1029)).is_some(), "memory has it all the same");
}

#[tokio::test(start_paused = true)]
async fn readers_that_wait_for_a_load_are_bounded() {
    let (remote, clock) = (Arc::new(InMemoryRemote::new()), Clock::following(NOW));
    let cache = builder(&remote, &clock).max_waiters(3).build().unwrap();
    let (loaded, answers) =
        tokio::join!(cache.get_or_load(key(1), Runs::default().load("v".to_string(), SECOND)), async {
            tokio::time::sleep(SECOND / 2).await;
            join_all((0..9).map(|_| cache.get(key(1)))).await
        },);
    loaded.unwrap();
    // The leader counts as a waiter.
    assert_eq!(answers.iter().filter(|answer| answer.is_some()).count(), 2);
}
