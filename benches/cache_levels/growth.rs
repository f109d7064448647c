//! The effect of the number of keys on the time of a hit.

use std::{cell::Cell, hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput};
use picarcade_cache::{Cache, Key};

use crate::set_up::{KEYS, Redis, from_64_tasks, key, local, one_thread, redis, runtime, two_levels, value};

/// Keys in an order that the caches of the processor cannot predict.
fn shuffled(mut keys: Vec<Key>) -> Vec<Key> {
    fastrand::Rng::with_seed(7).shuffle(&mut keys);
    keys
}

/// Memory with ten keys, with ten thousand, and full: 64 MiB with evictions. The peers hold the
/// same keys.
pub(crate) fn growth_in_memory(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("growth/memory");
    for (name, count) in [("10 keys", 10), ("10,000 keys", KEYS), ("full", 300_000)] {
        let ours = local();
        let moka = moka::sync::Cache::builder()
            .time_to_live(Duration::from_secs(3600))
            .max_capacity(1 << 20)
            .build();
        let quick = quick_cache::sync::Cache::<Key, Arc<String>>::new(1 << 20);
        let mut asked = Vec::new();
        // Only if a bench really runs, because filling takes time.
        let mut fill = || {
            if asked.is_empty() {
                for key in (0..count).map(key) {
                    runtime.block_on(ours.insert(&key, value())).unwrap();
                }
                let kept: Vec<Key> = (0..count).map(key).filter(|key| ours.peek(key).is_some()).collect();
                eprintln!("    {} keys kept", kept.len());
                for key in &kept {
                    moka.insert(*key, Arc::new(value()));
                    quick.insert(*key, Arc::new(value()));
                }
                asked = shuffled(kept);
            }
            asked.clone().into_iter().cycle()
        };
        group.bench_function(format!("picarcade, {name}"), |b| {
            let mut asked = fill();
            b.iter(|| ours.peek(black_box(&asked.next().unwrap())).unwrap());
        });
        group.bench_function(format!("moka sync, {name}"), |b| {
            let mut asked = fill();
            b.iter(|| moka.get(black_box(&asked.next().unwrap())).unwrap());
        });
        group.bench_function(format!("quick_cache, {name}"), |b| {
            let mut asked = fill();
            b.iter(|| quick.get(black_box(&asked.next().unwrap())).unwrap());
        });
    }
    group.finish();
}

/// Fills a server to `all` keys, of which `asked` belong to the cache.
async fn fill(redis: &Redis, cache: &Cache<String>, filled: &Cell<u64>, asked: u64, all: u64) {
    if filled.get() >= all {
        return;
    }
    for n in 0..asked {
        cache.insert(&key(n), value()).await.unwrap();
    }
    filled.set(filled.get().max(asked));
    while filled.get() < all {
        // A few at a time, so that the connections survive.
        let count = (all - filled.get()).min(100_000);
        let (count_text, prefix) = (count.to_string(), format!("other:{}", filled.get()));
        redis.server.command(&["DEBUG", "POPULATE", &count_text, &prefix, "16"]).await.unwrap();
        filled.set(filled.get() + count);
    }
    // A growing table is moved step by step. The move belongs to the fill and is accelerated.
    redis.server.command(&["CONFIG", "SET", "hz", "500"]).await.unwrap();
    while redis.server.command(&["DEBUG", "HTSTATS", "0"]).await.unwrap().contains("rehashing target") {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    redis.server.command(&["CONFIG", "SET", "hz", "10"]).await.unwrap();
    redis.remote.handle().ready(Duration::from_secs(30)).await.unwrap();
}

/// Redis with ten keys and with up to ten million (about 1 GB), of which at most 10,000 are read.
pub(crate) fn growth_in_redis(c: &mut Criterion) {
    let (one_thread, runtime) = (one_thread(), runtime());
    let (redis, filled) = (runtime.block_on(redis()), Cell::new(0));
    let ours = {
        let _inside = runtime.enter();
        two_levels(&redis.remote, 1)
    };
    let by_one_thread = one_thread.block_on(async {
        let remote = crate::set_up::remote(&redis.server, picarcade_redis::DriverKind::Redis).await;
        two_levels(&remote, 1)
    });
    let mut group = c.benchmark_group("growth/redis");
    group.throughput(Throughput::Elements(1));
    for (name, all) in [("10", 10), ("10,000", KEYS), ("1,000,000", 1_000_000), ("10,000,000", 10_000_000)] {
        let keys = Arc::new(shuffled((0..all.min(KEYS)).map(key).collect()));
        group.bench_function(format!("one at a time, {name} keys"), |b| {
            runtime.block_on(fill(&redis, &ours, &filled, all.min(KEYS), all));
            let mut asked = keys.iter().cycle();
            b.to_async(&one_thread).iter(|| {
                let (ours, key) = (&by_one_thread, asked.next().unwrap());
                async move { black_box(ours.get(key).await.unwrap()) }
            });
        });
        if all < KEYS {
            // 64 tasks at ten keys would read the same keys and share their reads, which is another
            // question.
            continue;
        }
        group.bench_function(format!("64 tasks, {name} keys"), |b| {
            runtime.block_on(fill(&redis, &ours, &filled, all.min(KEYS), all));
            b.iter_custom(|count| {
                let (ours, keys) = (ours.clone(), Arc::clone(&keys));
                runtime.block_on(from_64_tasks(count, move |n| {
                    let (ours, key) = (ours.clone(), keys[n as usize % keys.len()]);
                    async move { drop(black_box(ours.get(&key).await.unwrap())) }
                }))
            });
        });
    }
    group.finish();
}
