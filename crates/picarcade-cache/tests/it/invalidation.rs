//! Invalidation wins over loads, on one instance and on several.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use picarcade_cache::{Cache, CacheSource, Clock, Loaded, Options, Reach, Remote};

use crate::{
    in_memory::InMemoryRemote,
    support::{Broken, Faulty, Runs, eventually, key},
};

const SECOND: Duration = Duration::from_secs(1);

fn local() -> Cache<u64> {
    Cache::builder("test").build().unwrap()
}

fn member(remote: &Arc<InMemoryRemote>) -> Cache<u64> {
    Cache::builder("test")
        .remote(Arc::clone(remote) as Arc<dyn Remote>)
        .clock(Clock::following(1_700_000_000_000))
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_load_from_before_a_removal_is_not_stored() {
    let runs = Runs::default();
    let remote = Arc::new(InMemoryRemote::new());
    for cache in [local(), member(&remote)] {
        for way in 0..4 {
            let k = key(way);
            let options = Options::default().tag("t");
            let load = runs.load(1, SECOND);
            let loading = cache.get_or_load_with(k, options, || async { load().await.map(Loaded::new) });
            let removing = async {
                tokio::time::sleep(SECOND / 2).await;
                match way {
                    0 => cache.remove(k).await,
                    1 => cache.remove_by_tag("t").await,
                    2 => cache.clear().await,
                    _ => cache.insert(k, 9).await.unwrap(),
                }
            };
            let (loaded, _) = tokio::join!(loading, removing);
            assert_eq!(*loaded.unwrap().value, 1, "the waiters get the value");
            let kept = cache.get(k).await.map(|found| *found.value);
            assert_eq!(kept, (way == 3).then_some(9), "way {way}");
        }
        assert_eq!(cache.statistics().late_writes, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_after_a_removal_does_not_get_the_load_from_before() {
    let (cache, runs) = (local(), Runs::default());
    let before = cache.get_or_load(key(1), runs.load(1, SECOND));
    let after = async {
        tokio::time::sleep(SECOND / 2).await;
        cache.remove(key(1)).await;
        cache.get_or_load(key(1), runs.load(2, SECOND)).await
    };
    let (before, after) = tokio::join!(before, after);
    assert_eq!((*before.unwrap().value, *after.unwrap().value), (1, 2));
    assert_eq!(*cache.peek(key(1)).unwrap().value, 2);
}

#[tokio::test(start_paused = true)]
async fn removing_a_tag_removes_only_its_values() {
    let remote = Arc::new(InMemoryRemote::new());
    for cache in [local(), member(&remote)] {
        for n in 0..10 {
            let tag = format!("user:{}", n % 2);
            let load = move || async move { Ok::<_, Broken>(Loaded::new(n).tag(tag)) };
            cache.get_or_load_with(key(n), Options::default().tag("all"), load).await.unwrap();
        }
        cache.remove_by_tag("user:0").await;
        let mut left = Vec::new();
        for n in 0..10 {
            left.extend(cache.get(key(n)).await.map(|found| *found.value));
        }
        assert_eq!(left, [1, 3, 5, 7, 9]);
        cache.remove_by_tag("all").await;
        for n in 0..10 {
            assert!(cache.get(key(n)).await.is_none());
        }
        cache.get_or_load(key(1), Runs::default().load(1, SECOND)).await.unwrap();
        assert!(cache.peek(key(1)).is_some(), "a removed tag does not outlive its removal");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_reaches_every_instance() {
    let remote = Arc::new(InMemoryRemote::new());
    let fleet = [member(&remote), member(&remote), member(&remote)];
    tokio::time::sleep(SECOND).await;
    for way in 0..4 {
        let (k, runs) = (key(way), Runs::default());
        let load = || async { Ok::<_, Broken>(Loaded::new(1).tag("t")) };
        for cache in &fleet {
            cache.get_or_load_with(k, Options::default(), load).await.unwrap();
            assert!(cache.peek(k).is_some());
        }
        let reach = match way {
            0 => fleet[0].remove(k).await,
            1 => fleet[0].remove_by_tag("t").await,
            2 => fleet[0].clear().await,
            _ => fleet[0].insert(k, 9).await.unwrap(),
        };
        assert_eq!(reach, Reach::Fleet);
        for cache in &fleet[1..] {
            eventually("the others have forgotten", async || cache.peek(k).is_none()).await;
            let now = cache.get_or_load(k, runs.load(2, Duration::ZERO)).await.unwrap();
            assert_eq!(*now.value, if way == 3 { 9 } else { 2 }, "way {way}");
        }
        assert_eq!(runs.count(), usize::from(way != 3), "the second instance got it from the second level");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_is_detected_and_memory_is_verified() {
    let remote = Arc::new(InMemoryRemote::new());
    let (one, other) = (member(&remote), member(&remote));
    tokio::time::sleep(SECOND * 6).await;
    one.insert(key(1), 1).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(*other.get(key(1)).await.unwrap().value, 1);
    // The removal reaches the second level, but its message reaches no instance.
    remote.remove("test", key(1), SECOND * 100).await.unwrap();
    let lost = Faulty::new(Arc::clone(&remote) as Arc<dyn Remote>);
    lost.loses_messages.store(true, Ordering::SeqCst);
    let deaf = Cache::<u64>::builder("test").remote(lost as Arc<dyn Remote>).build().unwrap();
    deaf.remove(key(1)).await;
    assert!(other.peek(key(1)).is_some(), "the message was lost");
    // The next `Alive` message of the sender reveals the gap.
    eventually("the gap is noticed", async || other.statistics().suspicions > 0).await;
    assert!(other.peek(key(1)).is_none());
    assert!(other.get(key(1)).await.is_none_or(|found| found.source == CacheSource::Stale));
    assert_eq!(*other.get_or_load(key(1), Runs::default().load(2, SECOND)).await.unwrap().value, 2);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_verifies_memory_and_keeps_valid_values() {
    let remote = Arc::new(InMemoryRemote::new());
    let (cache, runs) = (member(&remote), Runs::default());
    tokio::time::sleep(SECOND).await;
    cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    cache.get_or_load(key(2), runs.load(2, Duration::ZERO)).await.unwrap();
    tokio::time::sleep(SECOND).await;
    remote.set_down(true);
    // Memory continues to serve while no messages arrive.
    assert_eq!(cache.get_or_load(key(1), runs.load(0, SECOND)).await.unwrap().source, CacheSource::L1);
    remote.remove("test", key(1), SECOND * 100).await.unwrap_err();
    remote.set_down(false);
    eventually("the reconnect is noticed", async || cache.statistics().suspicions > 0).await;
    let good = cache.get_or_load(key(2), runs.load(0, SECOND)).await.unwrap();
    assert_eq!((*good.value, good.source), (2, CacheSource::L2), "checked, not loaded anew");
    assert_eq!(*cache.get_or_load(key(1), runs.load(3, SECOND)).await.unwrap().value, 3, "removed meanwhile");
    assert_eq!(runs.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_removal_completes_even_if_its_caller_leaves() {
    let remote = Arc::new(InMemoryRemote::new());
    let (one, other) = (member(&remote), member(&remote));
    tokio::time::sleep(SECOND).await;
    one.insert(key(1), 1).await.unwrap();
    other.get(key(1)).await.unwrap();
    let slow = Cache::<u64>::builder("test")
        .remote(Faulty::new(Arc::clone(&remote) as Arc<dyn Remote>))
        .build()
        .unwrap();
    {
        let mut leaving = std::pin::pin!(slow.remove(key(1)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(leaving.as_mut().poll(&mut context).is_pending());
    }
    for cache in [&one, &other] {
        eventually("both instances forget the key", async || cache.get(key(1)).await.is_none()).await;
    }
}
