//! The states of an aging value.

use std::time::Duration;

use picarcade_cache::{Cache, CacheSource, Clock, LoadError, Loaded, Options};

use crate::support::{Broken, Runs, key};

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> picarcade_cache::Builder<u64> {
    Cache::builder("test")
        .clock(Clock::following(0))
        .ttl(SECOND * 100)
        .stale_for(SECOND * 100)
        .hold_off(SECOND * 10)
        .soft_timeout(SECOND)
        .hard_timeout(SECOND * 20)
        .jitter(0.0)
}

#[tokio::test(start_paused = true)]
async fn a_value_is_fresh_for_its_time_to_live_only() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    tokio::time::advance(SECOND * 99).await;
    let hit = cache.get_or_load(key(1), runs.load(2, Duration::ZERO)).await.unwrap();
    assert_eq!((*hit.value, hit.source, hit.age.as_secs()), (1, CacheSource::L1, 99));
    tokio::time::advance(SECOND).await;
    assert_eq!(*cache.get_or_load(key(1), runs.load(2, Duration::ZERO)).await.unwrap().value, 2);
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_expiries() {
    let cache = builder().jitter(0.05).build().unwrap();
    for n in 0..200 {
        cache.insert(key(n), n).await.unwrap();
    }
    let fresh = |cache: &Cache<u64>| (0..200).filter(|n| cache.peek(key(*n)).is_some()).count();
    tokio::time::advance(SECOND * 94).await;
    assert_eq!(fresh(&cache), 200);
    tokio::time::advance(SECOND * 6).await;
    let half = fresh(&cache);
    assert!((40..160).contains(&half), "{half}");
    tokio::time::advance(SECOND * 6).await;
    assert_eq!(fresh(&cache), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_answers_stale_and_holds_off_from_now() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    // Long past the expiry: a hold-off that started there would be over.
    tokio::time::advance(SECOND * 150).await;
    for _ in 0..5 {
        let stale = cache.get_or_load(key(1), runs.fail(1, Duration::ZERO)).await.unwrap();
        assert_eq!((*stale.value, stale.source), (1, CacheSource::Stale));
        tokio::time::advance(SECOND).await;
    }
    assert_eq!(runs.count(), 2, "one failed load in five seconds");
    tokio::time::advance(SECOND * 6).await;
    cache.get_or_load(key(1), runs.load(3, Duration::ZERO)).await.unwrap();
    assert_eq!(*cache.peek(key(1)).unwrap().value, 3);
    assert_eq!(cache.statistics().stale, 5);
}

#[tokio::test(start_paused = true)]
async fn a_value_beyond_its_stale_time_is_not_returned() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    tokio::time::advance(SECOND * 200).await;
    let answer = cache.get_or_load(key(1), runs.fail(1, Duration::ZERO)).await;
    assert!(matches!(answer, Err(LoadError::Failed(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_value_whose_stale_time_ends_during_a_failing_load_is_not_returned() {
    let (cache, runs) = (builder().soft_timeout(SECOND * 20).build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    tokio::time::advance(SECOND * 199).await;
    cache.get_or_load(key(1), runs.fail(1, SECOND * 5)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_answers_stale_after_the_soft_timeout_and_continues() {
    let (cache, runs) = (builder().build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    tokio::time::advance(SECOND * 101).await;
    let began = tokio::time::Instant::now();
    let stale = cache.get_or_load(key(1), runs.load(2, SECOND * 5)).await.unwrap();
    assert_eq!((*stale.value, stale.source, stale.refreshing), (1, CacheSource::Stale, true));
    assert_eq!(began.elapsed().as_secs(), 1);
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(*cache.peek(key(1)).unwrap().value, 2);
    assert_eq!(runs.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_load_refreshes_a_value_ahead() {
    // A load takes 10 s and beta is 1, so in the last seconds nearly every hit requests a refresh.
    let (cache, runs) = (builder().refresh_ahead(1.0).build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, SECOND * 10)).await.unwrap();
    tokio::time::advance(SECOND * 99).await;
    let mut refreshing = 0;
    for _ in 0..100 {
        let hit = cache.get_or_load(key(1), runs.load(2, SECOND * 10)).await.unwrap();
        assert_eq!((*hit.value, hit.source), (1, CacheSource::L1));
        refreshing += u32::from(hit.refreshing);
    }
    assert!(refreshing > 0);
    tokio::time::sleep(SECOND * 11).await;
    assert_eq!(*cache.peek(key(1)).unwrap().value, 2);
    assert_eq!((runs.count(), cache.statistics().refreshes), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_held_off() {
    let (cache, runs) = (builder().refresh_ahead(100.0).build().unwrap(), Runs::default());
    cache.get_or_load(key(1), runs.load(1, SECOND * 10)).await.unwrap();
    tokio::time::advance(SECOND * 95).await;
    for _ in 0..50 {
        let hit = cache.get_or_load(key(1), runs.fail(1, Duration::ZERO)).await.unwrap();
        assert_eq!((*hit.value, hit.source), (1, CacheSource::L1));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(runs.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn negative_values_have_their_own_time_to_live() {
    let cache = Cache::<Option<u64>>::builder("test")
        .clock(Clock::following(0))
        .ttl(SECOND * 100)
        .negative_ttl(SECOND * 10)
        .negative_when(Option::is_none)
        .stale_for(Duration::ZERO)
        .jitter(0.0)
        .build()
        .unwrap();
    let runs = Runs::default();
    cache.get_or_load(key(1), runs.load(None, Duration::ZERO)).await.unwrap();
    cache.get_or_load(key(2), runs.load(Some(2), Duration::ZERO)).await.unwrap();
    let said = || async { Ok::<_, Broken>(Loaded::new(Some(3)).negative()) };
    cache.get_or_load_with(key(3), Options::default(), said).await.unwrap();
    let own = || async { Ok::<_, Broken>(Loaded::new(None).ttl(SECOND * 50)) };
    cache.get_or_load_with(key(4), Options::default(), own).await.unwrap();
    tokio::time::advance(SECOND * 9).await;
    assert!((1..=4).all(|n| cache.peek(key(n)).is_some()));
    tokio::time::advance(SECOND * 2).await;
    let there: Vec<u64> = (1..=4).filter(|n| cache.peek(key(*n)).is_some()).collect();
    assert_eq!(there, [2, 4]);
}

#[tokio::test(start_paused = true)]
async fn hits_save_the_cost_of_their_loads() {
    let (cache, runs) = (builder().cost_micros(|_| 20_000).build().unwrap(), Runs::default());
    for _ in 0..11 {
        cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    }
    let statistics = cache.statistics();
    assert_eq!(statistics.saved_micros, 200_000);
    assert!((statistics.hit_rate - 10.0 / 11.0).abs() < 1e-9);
}
