//! Two threads on one cache in memory: one key, many keys, and Zipf keys of which a fifth fits.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cached::{Cached, LruTtlCache};
use criterion::{Criterion, Throughput};
use picarcade_cache::{Cache, Key};

use crate::set_up::{KEYS, key, local, runtime, value, zipf};

/// Two threads that call `one` until `count` calls are made, with numbers from `from` on.
fn from_two_threads(from: u64, count: u64, one: impl Fn(u64) + Sync) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let one = &one;
            scope.spawn(move || (0..count / 2 + 1).for_each(|n| one(from + n * 2 + thread)));
        }
    });
    began.elapsed()
}

pub(crate) fn contended(c: &mut Criterion) {
    let runtime = runtime();
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let ours = local();
    let moka =
        moka::sync::Cache::builder().time_to_live(Duration::from_secs(3600)).max_capacity(KEYS).build();
    let quick = quick_cache::sync::Cache::<Key, Arc<String>>::new(KEYS as usize * 2);
    for key in &keys {
        runtime.block_on(ours.insert(key, value())).unwrap();
        moka.insert(*key, Arc::new(value()));
        quick.insert(*key, Arc::new(value()));
    }
    for (name, spread) in [("contended/one_key", 1), ("contended/many_keys", KEYS)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let pick = |n: u64| &keys[(n % spread) as usize];
        group.bench_function("picarcade", |b| {
            b.iter_custom(|count| from_two_threads(0, count, |n| drop(black_box(ours.peek(pick(n))))));
        });
        group.bench_function("moka sync", |b| {
            b.iter_custom(|count| from_two_threads(0, count, |n| drop(black_box(moka.get(pick(n))))));
        });
        group.bench_function("quick_cache", |b| {
            b.iter_custom(|count| from_two_threads(0, count, |n| drop(black_box(quick.get(pick(n))))));
        });
        group.finish();
    }
}

/// Two threads, Zipf keys, room for a fifth of them: missing values are created and stored.
pub(crate) fn contended_zipf(c: &mut Criterion) {
    const ROOM: u64 = KEYS / 5;
    let runtime = runtime();
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let asked = zipf(1_000_000);
    let pick = |n: u64| &keys[asked[n as usize % asked.len()] as usize];
    // The weight of one of these entries.
    let ours = Cache::<String>::builder("bench").max_bytes(ROOM * 494).build().unwrap();
    let moka =
        moka::sync::Cache::builder().time_to_live(Duration::from_secs(3600)).max_capacity(ROOM).build();
    let quick = quick_cache::sync::Cache::<Key, Arc<String>>::new(ROOM as usize);
    let timed =
        LruTtlCache::builder().max_size(ROOM as usize).ttl(Duration::from_secs(3600)).build().unwrap();
    let timed = std::sync::Mutex::new(timed);
    let mut group = c.benchmark_group("contended/zipf");
    group.throughput(Throughput::Elements(1));
    let mut compare = |name: &str, get: &(dyn Fn(&Key) -> bool + Sync), put: &(dyn Fn(&Key) + Sync)| {
        let (hits, all) = (AtomicU64::new(0), AtomicU64::new(0));
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                // Starts where the previous sample ended. From the beginning, each sample would
                // find the keys that the last one left.
                let from = all.load(Ordering::Relaxed);
                from_two_threads(from, count, |n| {
                    let hit = get(pick(n));
                    if !hit {
                        put(pick(n));
                    }
                    hits.fetch_add(u64::from(hit), Ordering::Relaxed);
                    all.fetch_add(1, Ordering::Relaxed);
                })
            });
        });
        if let all @ 1.. = all.load(Ordering::Relaxed) {
            eprintln!("    {name}: hit rate {:.4}", hits.load(Ordering::Relaxed) as f64 / all as f64);
        }
    };
    compare("picarcade", &|key| ours.peek(key).is_some(), &|key| {
        drop(runtime.block_on(ours.insert(key, value())));
    });
    compare("moka sync", &|key| moka.get(key).is_some(), &|key| moka.insert(*key, Arc::new(value())));
    compare("quick_cache", &|key| quick.get(key).is_some(), &|key| quick.insert(*key, Arc::new(value())));
    compare("cached LruTtlCache", &|key| timed.lock().unwrap().cache_get(key).cloned().is_some(), &|key| {
        drop(timed.lock().unwrap().cache_set(*key, Arc::new(value())))
    });
    group.finish();
}
