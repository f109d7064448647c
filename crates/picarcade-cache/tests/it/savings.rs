//! What lookups save: the cost of the value, once for each lookup that needed no load of its own.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use picarcade_cache::{Builder, Cache, CacheSource, Clock, Loaded, Options, Remote};

use crate::{
    in_memory::InMemoryRemote,
    support::{Runs, key},
};

const SECOND: Duration = Duration::from_secs(1);

/// Builds caches whose values are their own cost.
fn builder() -> Builder<u64> {
    Cache::builder("test")
        .clock(Clock::following(0))
        .ttl(SECOND * 100)
        .stale_for(SECOND * 100)
        .jitter(0.0)
        .cost_micros(|value| *value)
}

#[tokio::test(start_paused = true)]
async fn hits_save_what_their_value_cost() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    for (n, cost) in [(1, 700), (2, 30), (3, 0)] {
        let mut saved = Vec::new();
        for _ in 0..3 {
            let lookup = cache.get_or_load(key(n), runs.load(cost, Duration::ZERO)).await.unwrap();
            saved.push(lookup.saved_micros);
        }
        assert_eq!(saved, [0, cost, cost]);
    }
    assert_eq!(cache.peek(key(1)).unwrap().saved_micros, 700);
    assert_eq!(cache.get(key(2)).await.unwrap().saved_micros, 30);
    assert_eq!(cache.statistics().saved_micros, 3 * 700 + 3 * 30);
}

#[tokio::test(start_paused = true)]
async fn each_caller_of_a_shared_load_except_the_first_saves_it_once() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    let lookups = join_all((0..10).map(|_| cache.get_or_load(key(1), runs.load(700, SECOND)))).await;
    let saved: Vec<u64> = lookups.into_iter().map(|lookup| lookup.unwrap().saved_micros).collect();
    assert_eq!(saved.iter().filter(|saved| **saved == 0).count(), 1, "{saved:?}");
    let statistics = cache.statistics();
    assert_eq!((statistics.coalesced, statistics.saved_micros, runs.count()), (9, 9 * 700, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_saves_nothing_and_a_stale_answer_saves_its_value() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    let failed = join_all((0..3).map(|_| cache.get_or_load(key(1), runs.fail(1, SECOND)))).await;
    assert!(failed.iter().all(Result::is_err));
    assert_eq!(cache.statistics().saved_micros, 0);
    cache.get_or_load(key(1), runs.load(700, SECOND)).await.unwrap();
    tokio::time::advance(SECOND * 150).await;
    // Three share the failed load, and the fourth is answered during the hold-off.
    let stale = join_all((0..3).map(|_| cache.get_or_load(key(1), runs.fail(1, SECOND)))).await;
    let held = cache.get_or_load(key(1), runs.fail(1, SECOND)).await;
    for lookup in stale.into_iter().chain([held]) {
        let lookup = lookup.unwrap();
        assert_eq!((lookup.source, lookup.saved_micros), (CacheSource::Stale, 700));
    }
    assert_eq!(cache.statistics().saved_micros, 4 * 700);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_does_not_read_the_cache_saves_nothing() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(700, Duration::ZERO)).await.unwrap();
    let load = || async { Ok::<_, std::io::Error>(Loaded::new(700)) };
    let fresh = cache.get_or_load_with(key(1), Options::default().no_read(), load).await.unwrap();
    assert_eq!((fresh.source, fresh.saved_micros), (CacheSource::Bypass, 0));
    assert_eq!(cache.statistics().saved_micros, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_of_another_instance_save_once_each() {
    let remote: Arc<dyn Remote> = Arc::new(InMemoryRemote::new());
    let (one, other) = (
        builder().remote(Arc::clone(&remote)).build().unwrap(),
        builder().remote(Arc::clone(&remote)).build().unwrap(),
    );
    let runs = Runs::default();
    one.get_or_load(key(1), runs.load(700, SECOND)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let lookups = join_all((0..10).map(|_| other.get_or_load(key(1), runs.load(0, SECOND)))).await;
    let saved: Vec<u64> = lookups.into_iter().map(|lookup| lookup.unwrap().saved_micros).collect();
    assert_eq!(saved, [700; 10]);
    assert!(other.statistics().hits_l2 > 0);
    assert_eq!((one.statistics().saved_micros, other.statistics().saved_micros), (0, 10 * 700));
}
