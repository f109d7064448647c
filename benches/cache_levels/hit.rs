//! A hit in memory, with a ready key and with one that must be computed.

use std::{hint::black_box, sync::Arc, time::Duration};

use cached::{Cached, TtlCache};
use criterion::Criterion;
use picarcade_cache::Key;

use crate::set_up::{KEYS, PROMPT, key, load, local, runtime, value};

pub(crate) fn hit(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("hit");
    let (ours, k) = (local(), key(1));
    runtime.block_on(ours.insert(&k, value())).unwrap();
    group.bench_function("picarcade peek", |b| b.iter(|| ours.peek(black_box(&k)).unwrap()));
    group.bench_function("picarcade get_or_load", |b| {
        b.to_async(&runtime).iter(async || ours.get_or_load(black_box(&k), load).await.unwrap());
    });
    let moka =
        moka::sync::Cache::builder().time_to_live(Duration::from_secs(3600)).max_capacity(KEYS).build();
    moka.insert(k, Arc::new(value()));
    group.bench_function("moka sync", |b| b.iter(|| moka.get(black_box(&k)).unwrap()));
    let moka =
        moka::future::Cache::builder().time_to_live(Duration::from_secs(3600)).max_capacity(KEYS).build();
    runtime.block_on(moka.insert(k, Arc::new(value())));
    group.bench_function("moka future", |b| {
        b.to_async(&runtime).iter(async || moka.get(black_box(&k)).await.unwrap());
    });
    let quick = quick_cache::sync::Cache::<Key, Arc<String>>::new(KEYS as usize);
    quick.insert(k, Arc::new(value()));
    group.bench_function("quick_cache", |b| b.iter(|| quick.get(black_box(&k)).unwrap()));
    // It locks and clones outside of itself, as its macros do.
    let mut timed = TtlCache::builder().ttl(Duration::from_secs(3600)).build().unwrap();
    timed.cache_set(k, Arc::new(value()));
    let timed = std::sync::Mutex::new(timed);
    group.bench_function("cached TtlCache", |b| {
        b.iter(|| timed.lock().unwrap().cache_get(black_box(&k)).cloned().unwrap());
    });
    group.finish();
}

pub(crate) fn key_and_hit(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("key_and_hit");
    let ours = local();
    runtime.block_on(ours.insert(&key(1), value())).unwrap();
    group.bench_function("picarcade", |b| b.iter(|| ours.peek(&key(black_box(1))).unwrap()));
    // The same bytes as the key, in one piece.
    let mut bytes = Vec::new();
    for part in
        [&5_u64.to_le_bytes()[..], b"bench", &1_u32.to_le_bytes(), &(PROMPT.len() as u64).to_le_bytes()]
    {
        bytes.extend_from_slice(part);
    }
    bytes.extend_from_slice(PROMPT.as_bytes());
    bytes.extend_from_slice(&[0xff; 8]);
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    group.bench_function("blake3 alone", |b| b.iter(|| blake3::hash(black_box(&bytes))));
    group.finish();
}
