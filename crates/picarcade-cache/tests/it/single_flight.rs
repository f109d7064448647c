//! One load per missing key, whatever its callers do.

use std::time::Duration;

use futures_util::future::join_all;
use picarcade_cache::{Cache, CacheSource, InsertError, LoadError, Loaded, Options, memoize};

use crate::support::{Broken, Runs, key};

const SECOND: Duration = Duration::from_secs(1);

fn cache() -> Cache<u64> {
    Cache::builder("test").hard_timeout(Duration::from_secs(20)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_misses_make_one_load() {
    let (cache, runs) = (cache(), Runs::default());
    let asks = (0..1000).map(|_| {
        let (cache, load) = (cache.clone(), runs.load(7, SECOND));
        tokio::spawn(async move { cache.get_or_load(key(1), load).await.unwrap() })
    });
    for answer in join_all(asks).await {
        let answer = answer.unwrap();
        assert_eq!((*answer.value, answer.source), (7, CacheSource::Loaded));
    }
    assert_eq!(runs.count(), 1);
    let statistics = cache.statistics();
    assert_eq!((statistics.loads, statistics.coalesced, statistics.misses), (1, 999, 1000));
    assert!((0.999..1.1).contains(&statistics.load_seconds), "{}", statistics.load_seconds);
    assert_eq!(statistics.in_flight, 0);
    assert_eq!(cache.get_or_load(key(1), runs.load(8, SECOND)).await.unwrap().source, CacheSource::L1);
}

#[tokio::test(start_paused = true)]
async fn different_keys_load_concurrently() {
    let (cache, runs) = (cache(), Runs::default());
    let began = tokio::time::Instant::now();
    join_all((0..50).map(|n| cache.get_or_load(key(n), runs.load(n, SECOND)))).await;
    assert_eq!(runs.count(), 50);
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_does_not_end_the_load() {
    let (cache, runs) = (cache(), Runs::default());
    let left = tokio::time::timeout(SECOND / 2, cache.get_or_load(key(1), runs.load(7, SECOND))).await;
    assert!(left.is_err(), "the caller has left");
    let (second, third) = tokio::join!(cache.get_or_load(key(1), runs.load(8, SECOND)), async {
        tokio::time::sleep(SECOND).await;
        cache.peek(key(1))
    });
    assert_eq!((*second.unwrap().value, *third.unwrap().value), (7, 7));
    assert_eq!(runs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_returns_its_error_to_all_waiters() {
    let (cache, runs) = (cache(), Runs::default());
    let asks = (0..100).map(|_| cache.get_or_load(key(1), runs.fail(5, SECOND)));
    for answer in join_all(asks).await {
        let Err(LoadError::Failed(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(*error, Broken(5));
    }
    assert_eq!(runs.count(), 1);
    assert_eq!(cache.statistics().load_errors, 1);
    // Errors are not stored, so the next call loads.
    assert_eq!(*cache.get_or_load(key(1), runs.load(9, SECOND)).await.unwrap().value, 9);
}

fn explode() -> u64 {
    panic!("expected by the test")
}

#[tokio::test(start_paused = true)]
async fn a_panicking_load_releases_all_waiters() {
    let cache = cache();
    let in_future = || async {
        tokio::time::sleep(SECOND).await;
        Ok::<u64, Broken>(explode())
    };
    let asks = (0..100).map(|_| cache.get_or_load(key(1), in_future));
    assert!(join_all(asks).await.iter().all(|answer| matches!(answer, Err(LoadError::Panicked))));
    let in_closure = || {
        let value = explode();
        async move { Ok::<u64, Broken>(value) }
    };
    assert!(matches!(cache.get_or_load(key(2), in_closure).await, Err(LoadError::Panicked)));
    assert_eq!(cache.statistics().load_panics, 2);
    assert_eq!(cache.statistics().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_with_different_error_types_get_their_own_errors() {
    let (cache, runs) = (cache(), Runs::default());
    let (one, other) = tokio::join!(
        cache.get_or_load(key(1), runs.fail(5, SECOND)),
        cache.get_or_load(key(1), || async { Err::<u64, String>("mine".into()) }),
    );
    assert!(matches!(one, Err(LoadError::Failed(error)) if *error == Broken(5)));
    assert!(matches!(other, Err(LoadError::Failed(error)) if *error == "mine"));
}

#[tokio::test(start_paused = true)]
async fn the_hard_timeout_bounds_the_wait_and_not_the_load() {
    let runs = Runs::default();
    let cache = Cache::<u64>::builder("test").hard_timeout(SECOND).load_limit(SECOND * 10).build().unwrap();
    let began = tokio::time::Instant::now();
    let answers = join_all((0..3).map(|_| cache.get_or_load(key(1), runs.load(7, SECOND * 5)))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(LoadError::TimedOut))));
    assert_eq!(began.elapsed().as_secs(), 1);
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(*cache.peek(key(1)).unwrap().value, 7);
    assert_eq!(runs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_load_limit_ends_a_load() {
    let cache =
        Cache::<u64>::builder("test").hard_timeout(SECOND * 3).load_limit(SECOND * 3).build().unwrap();
    let answer = cache.get_or_load(key(1), std::future::pending::<Result<u64, Broken>>).await;
    assert!(matches!(answer, Err(LoadError::TimedOut)));
    tokio::time::sleep(SECOND).await;
    assert_eq!(cache.statistics().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn loads_queued_keys_and_waiters_are_bounded() {
    let runs = Runs::default();
    let cache = Cache::<u64>::builder("test").max_in_flight(2).max_queued(3).max_waiters(4).build().unwrap();
    let began = tokio::time::Instant::now();
    let answers = join_all((0..9).map(|n| cache.get_or_load(key(n), runs.load(n, SECOND)))).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(LoadError::Overloaded))).count();
    assert_eq!((refused, runs.count()), (4, 5));
    assert_eq!(began.elapsed().as_secs(), 3, "two at a time");

    let answers = join_all((0..9).map(|_| cache.get_or_load(key(100), runs.load(1, SECOND)))).await;
    let refused = answers.iter().filter(|answer| matches!(answer, Err(LoadError::Overloaded))).count();
    assert_eq!(refused, 5);
    assert_eq!(cache.statistics().overloaded, 9);
}

#[tokio::test(start_paused = true)]
async fn no_read_no_write_and_no_store_bypass_the_cache() {
    let (cache, runs) = (cache(), Runs::default());
    let load = |n: u64| {
        let load = runs.load(n, SECOND);
        || async move { load().await.map(Loaded::new) }
    };
    cache.get_or_load(key(1), runs.load(1, SECOND)).await.unwrap();
    let fresh = cache.get_or_load_with(key(1), Options::default().no_read(), load(2)).await.unwrap();
    assert_eq!((*fresh.value, fresh.source), (2, CacheSource::Bypass));
    assert_eq!(*cache.peek(key(1)).unwrap().value, 2, "no_read still writes");
    let options = Options::default().no_read().no_write();
    assert_eq!(*cache.get_or_load_with(key(1), options, load(3)).await.unwrap().value, 3);
    assert_eq!(*cache.peek(key(1)).unwrap().value, 2, "no_write keeps nothing");
    let options = Options::default().no_write();
    assert_eq!(
        cache.get_or_load_with(key(1), options.clone(), load(4)).await.unwrap().source,
        CacheSource::L1
    );
    assert_eq!(*cache.get_or_load_with(key(2), options, load(5)).await.unwrap().value, 5);
    assert!(cache.peek(key(2)).is_none());
    let no_store = || async { Ok::<_, Broken>(Loaded::new(6).no_store()) };
    assert_eq!(*cache.get_or_load_with(key(3), Options::default(), no_store).await.unwrap().value, 6);
    assert!(cache.peek(key(3)).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_memoized_function_runs_once_per_argument() {
    let (cache, runs) = (cache(), Runs::default());
    let counted = runs.clone();
    let double = memoize(
        cache,
        |n: &u64| *key(*n),
        move |n: u64| {
            counted.one();
            async move { Ok::<_, Broken>(n * 2) }
        },
    );
    let doubles = join_all([1, 2, 1, 2, 1].map(&double)).await;
    let values: Vec<u64> = doubles.into_iter().map(|answer| *answer.unwrap().value).collect();
    assert_eq!(values, [2, 4, 2, 4, 2]);
    assert_eq!(runs.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn detached_and_bypassing_loads_are_bounded() {
    let cache = Cache::<u64>::builder("test").max_in_flight(2).max_queued(3).build().unwrap();
    let runs = Runs::default();
    let mut refused = 0;
    for _ in 0..20 {
        // The removal detaches the load, which continues, and the next call starts another load.
        let asked =
            tokio::time::timeout(SECOND, cache.get_or_load(key(1), runs.load(1, SECOND * 1000))).await;
        refused += u32::from(matches!(asked, Ok(Err(LoadError::Overloaded))));
        cache.remove(key(1)).await;
    }
    assert_eq!((refused, cache.statistics().in_flight), (15, 5));

    let cache = Cache::<u64>::builder("test").max_in_flight(2).max_queued(3).build().unwrap();
    let bypass = || {
        let load = runs.load(1, SECOND);
        let options = Options::default().no_read().no_write();
        cache.get_or_load_with(key(1), options, || async move { load().await.map(Loaded::new) })
    };
    let answers = join_all((0..9).map(|_| bypass())).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(LoadError::Overloaded))).count(), 4);
    assert_eq!(cache.statistics().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_loads_under_way() {
    let (cache, runs) = (cache(), Runs::default());
    assert!(cache.drain(SECOND).await, "nothing is");
    let left = tokio::time::timeout(SECOND, cache.get_or_load(key(1), runs.load(7, SECOND * 10))).await;
    assert!(left.is_err());
    assert!(!cache.drain(SECOND).await);
    assert!(cache.drain(SECOND * 20).await);
    assert_eq!(*cache.peek(key(1)).unwrap().value, 7);
}

#[tokio::test(start_paused = true)]
async fn insert_rejects_a_value_that_cannot_be_stored_and_removes_its_key() {
    let cache = Cache::<String>::builder("test").max_entry_bytes(10).build().unwrap();
    cache.insert(key(1), "old".to_string()).await.unwrap();
    let refused = cache.insert(key(1), "hunter2-hunter2".to_string()).await.unwrap_err();
    assert_eq!(refused, InsertError::TooLarge { bytes: 17, limit: 10 });
    assert!(!format!("{refused:?} {refused}").contains("hunter2"));
    assert!(cache.get(key(1)).await.is_none(), "the old value does not stand for the new one");
    assert_eq!(cache.statistics().too_large, 1);

    let odd = Cache::<std::collections::BTreeMap<Vec<u8>, u8>>::builder("test").build().unwrap();
    let value = [(vec![1], 1)].into_iter().collect();
    assert_eq!(odd.insert(key(1), Loaded::new(value)).await, Err(InsertError::NotSerializable));
}

#[test]
fn a_load_whose_runtime_shuts_down_is_abandoned_and_not_panicked() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (cache, loading) = (cache(), runtime());
    loading.block_on(async {
        let endless = cache.get_or_load(key(1), Runs::default().load(7, SECOND * 3600));
        assert!(tokio::time::timeout(SECOND / 100, endless).await.is_err(), "the load is a task");
    });
    let waited = runtime().block_on(async {
        let mut waiting = std::pin::pin!(cache.get_or_load(key(1), Runs::default().load(8, SECOND)));
        let joined = futures_util::future::poll_immediate(&mut waiting).await;
        assert!(joined.is_none(), "the caller joins the load");
        loading.shutdown_background();
        waiting.await
    });
    assert!(matches!(waited, Err(LoadError::Abandoned)), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_function_of_the_owner_releases_all_waiters() {
    let cache =
        Cache::<u64>::builder("test").negative_when(|_| panic!("expected by the test")).build().unwrap();
    let waited = cache.get_or_load(key(1), Runs::default().load(7, SECOND)).await;
    assert!(matches!(waited, Err(LoadError::Panicked)), "{waited:?}");
}
