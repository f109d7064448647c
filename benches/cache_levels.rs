//! What each level of the cache costs, beside its peers in the same run.
//!
//! `cargo bench -p picarcade-benches --bench cache_levels`. Servers, keys and values are made outside of the loops. The
//! groups answer one question each: `hit` (a ready key in memory), `key_and_hit` (a key from its parts, then memory),
//! `second_level` (one at a time, and 64 tasks), `levels` (Zipf keys over no cache, one level, the other, both; cold and
//! warm), `contended` (two threads on one key, on many, and on Zipf keys of which a fifth fits). Hit rates are printed beside
//! the times of those that have one.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    convert::Infallible,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cached::{Cached, LruTtlCache, TtlCache};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use fred::{
    clients::Client as Fred,
    interfaces::{ClientLike, KeysInterface},
    types::{Builder, config::Config as FredConfig},
};
use picarcade_cache::{Cache, Key, RedisRemote, Remote};
use picarcade_redis::{Config, DriverKind, RedisHandle};
use picarcade_testkit::RedisServer;
use tokio::runtime::Runtime;

const KEYS: u64 = 10_000;
const PROMPT: &str =
    "put the cat from the first picture on the sofa of the second one, and make the light warmer, please";

fn value() -> String {
    "v".repeat(300)
}

fn key(n: u64) -> Key {
    Key::builder("bench", 1).part(PROMPT).part_u64(n).finish()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn load() -> Result<String, Infallible> {
    Ok(value())
}

fn local() -> Cache<String> {
    Cache::builder("bench").build().unwrap()
}

/// A cache over a server; `memory` is the bound of its first level (1 keeps nothing there).
fn two_levels(remote: &Arc<RedisRemote>, memory: u64) -> Cache<String> {
    Cache::builder("bench").remote(Arc::clone(remote) as Arc<dyn Remote>).max_bytes(memory).build().unwrap()
}

struct Redis {
    server: RedisServer,
    remote: Arc<RedisRemote>,
}

async fn redis() -> Redis {
    let server = RedisServer::start().await.unwrap();
    let remote = remote(&server, DriverKind::Redis).await;
    Redis { server, remote }
}

async fn remote(server: &RedisServer, driver: DriverKind) -> Arc<RedisRemote> {
    let handle = RedisHandle::connect(Config { driver, ..Config::new(server.url()) }).unwrap();
    handle.ready(Duration::from_secs(10)).await.unwrap();
    RedisRemote::new(handle)
}

/// fred by itself, made as quick as ours: no delay.
async fn raw_fred(server: &RedisServer) -> Fred {
    let mut builder = Builder::from_config(FredConfig::from_url(&server.url()).unwrap());
    builder.with_connection_config(|config| config.tcp.nodelay = Some(true));
    let client = builder.build().unwrap();
    client.init().await.unwrap();
    client
}

/// Keys as users ask them: Zipf with exponent 1 over `KEYS`, from a fixed seed.
fn zipf(count: usize) -> Vec<u64> {
    let mut sums = Vec::with_capacity(KEYS as usize);
    let mut sum = 0.0;
    for rank in 1..=KEYS {
        sum += 1.0 / rank as f64;
        sums.push(sum);
    }
    let mut random = fastrand::Rng::with_seed(7);
    (0..count).map(|_| sums.partition_point(|at| *at < random.f64() * sum) as u64).collect()
}

fn hit(c: &mut Criterion) {
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
    // It locks and clones outside of itself: that is how its macros use it.
    let mut timed = TtlCache::builder().ttl(Duration::from_secs(3600)).build().unwrap();
    timed.cache_set(k, Arc::new(value()));
    let timed = std::sync::Mutex::new(timed);
    group.bench_function("cached TtlCache", |b| {
        b.iter(|| timed.lock().unwrap().cache_get(black_box(&k)).cloned().unwrap());
    });
    group.finish();
}

fn key_and_hit(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("key_and_hit");
    let ours = local();
    runtime.block_on(ours.insert(&key(1), value())).unwrap();
    group.bench_function("picarcade", |b| b.iter(|| ours.peek(&key(black_box(1))).unwrap()));
    // The same bytes that the key is made of, in one piece.
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

/// Runs `one` from 64 tasks until `count` calls are made, and returns how long that took.
async fn from_64_tasks<F, Fut>(count: u64, one: F) -> Duration
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let began = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut n = task;
                while n < count {
                    one(n % KEYS).await;
                    n += 64;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    began.elapsed()
}

fn second_level(c: &mut Criterion) {
    let runtime = runtime();
    let redis = runtime.block_on(redis());
    let ours = {
        let _inside = runtime.enter();
        two_levels(&redis.remote, 1)
    };
    let by_fred = runtime.block_on(async { two_levels(&remote(&redis.server, DriverKind::Fred).await, 1) });
    let fred = runtime.block_on(raw_fred(&redis.server));
    let keys: Arc<Vec<Key>> = Arc::new((0..KEYS).map(key).collect());
    let raw = redis::Client::open(redis.server.url()).unwrap();
    // As the handle does it: no delay, so that the peer is not slowed down by a default.
    let info = raw.get_connection_info().clone();
    let raw =
        redis::Client::open(info.set_tcp_settings(redis::io::tcp::TcpSettings::default().set_nodelay(true)))
            .unwrap();
    let raw = runtime.block_on(raw.get_multiplexed_async_connection()).unwrap();
    let names: Arc<Vec<String>> = Arc::new(keys.iter().map(|key| format!("raw:{key}")).collect());
    runtime.block_on(async {
        for (key, name) in keys.iter().zip(names.iter()) {
            ours.insert(key, value()).await.unwrap();
            let mut raw = raw.clone();
            redis::cmd("SET").arg(name).arg(value()).exec_async(&mut raw).await.unwrap();
        }
    });
    let get = |raw: &redis::aio::MultiplexedConnection, name: &str| {
        let (mut raw, mut command) = (raw.clone(), redis::cmd("GET"));
        command.arg(name);
        async move {
            let bytes: Vec<u8> = command.query_async(&mut raw).await.unwrap();
            black_box(bytes);
        }
    };

    let get_by_fred = |fred: &Fred, name: &str| {
        let (fred, name) = (fred.clone(), name.to_owned());
        async move {
            let bytes: Vec<u8> = fred.get(name).await.unwrap();
            black_box(bytes);
        }
    };

    let mut group = c.benchmark_group("second_level/one");
    group.bench_function("picarcade get", |b| {
        b.to_async(&runtime).iter(async || ours.get(&keys[7]).await.unwrap());
    });
    group.bench_function("picarcade get_or_load", |b| {
        b.to_async(&runtime).iter(async || ours.get_or_load(&keys[7], load).await.unwrap());
    });
    group.bench_function("redis-rs GET", |b| b.to_async(&runtime).iter(|| get(&raw, &names[7])));
    group.bench_function("picarcade get, fred", |b| {
        b.to_async(&runtime).iter(async || by_fred.get(&keys[7]).await.unwrap());
    });
    group.bench_function("fred GET", |b| b.to_async(&runtime).iter(|| get_by_fred(&fred, &names[7])));
    group.finish();

    let mut group = c.benchmark_group("second_level/64_tasks");
    group.throughput(Throughput::Elements(1));
    for (name, cache) in [("picarcade get", &ours), ("picarcade get, fred", &by_fred)] {
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let (cache, keys) = (cache.clone(), Arc::clone(&keys));
                runtime.block_on(from_64_tasks(count, move |n| {
                    let (cache, key) = (cache.clone(), keys[n as usize]);
                    async move { drop(black_box(cache.get(&key).await.unwrap())) }
                }))
            });
        });
    }
    group.bench_function("fred GET", |b| {
        b.iter_custom(|count| {
            let (fred, names) = (fred.clone(), Arc::clone(&names));
            runtime.block_on(from_64_tasks(count, move |n| get_by_fred(&fred, &names[n as usize])))
        });
    });
    group.bench_function("redis-rs GET", |b| {
        b.iter_custom(|count| {
            let (raw, names) = (raw.clone(), Arc::clone(&names));
            runtime.block_on(from_64_tasks(count, move |n| get(&raw, &names[n as usize])))
        });
    });
    group.finish();
}

/// What a load costs here: far less than an AI call, far more than a hit.
async fn work() -> Result<String, Infallible> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(200) {
        std::hint::spin_loop();
    }
    Ok(value())
}

fn levels(c: &mut Criterion) {
    let runtime = runtime();
    let redis = runtime.block_on(redis());
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let asked = zipf(100_000);
    let mut group = c.benchmark_group("levels");
    let walk = |name: &str, group: &mut BenchmarkGroup<'_, WallTime>, cache: Option<&Cache<String>>| {
        let mut at = 0;
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                runtime.block_on(async {
                    let began = Instant::now();
                    for _ in 0..count {
                        at = (at + 1) % asked.len();
                        let key = &keys[asked[at] as usize];
                        match cache {
                            Some(cache) => drop(black_box(cache.get_or_load(key, work).await)),
                            None => drop(black_box(work().await)),
                        }
                    }
                    began.elapsed()
                })
            });
        });
        if let Some(cache) = cache {
            let s = cache.statistics();
            eprintln!(
                "    {name}: hit rate {:.4} (l1 {}, l2 {}, loads {})",
                s.hit_rate, s.hits_l1, s.hits_l2, s.loads
            );
        }
    };
    let inside = runtime.enter();
    let warm = local();
    let small = Cache::<String>::builder("bench").max_bytes(1 << 20).build().unwrap();
    let (second, both) = (two_levels(&redis.remote, 1), two_levels(&redis.remote, 64 << 20));
    let both_small = two_levels(&redis.remote, 1 << 20);
    drop(inside);
    runtime.block_on(async {
        for key in &keys {
            warm.insert(key, value()).await.unwrap();
            both.insert(key, value()).await.unwrap();
        }
    });
    walk("no cache", &mut group, None);
    walk("memory, warm", &mut group, Some(&warm));
    walk("memory of a fifth", &mut group, Some(&small));
    walk("redis, warm", &mut group, Some(&second));
    walk("memory and redis, warm", &mut group, Some(&both));
    walk("memory of a fifth and redis, warm", &mut group, Some(&both_small));
    // Cold: every key is asked for the first time, in both levels.
    let mut fresh = KEYS;
    group.bench_function("memory and redis, cold", |b| {
        b.iter_custom(|count| {
            runtime.block_on(async {
                let began = Instant::now();
                for _ in 0..count {
                    fresh += 1;
                    drop(black_box(both.get_or_load(&key(fresh), work).await));
                }
                began.elapsed()
            })
        });
    });
    group.finish();
}

/// Two threads that call `one` until `count` calls are made, with the numbers from `from` on.
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

fn contended(c: &mut Criterion) {
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

/// Two threads, Zipf keys, room for a fifth of them: what is missing is made and stored.
fn contended_zipf(c: &mut Criterion) {
    const ROOM: u64 = KEYS / 5;
    let runtime = runtime();
    let keys: Vec<Key> = (0..KEYS).map(key).collect();
    let asked = zipf(1_000_000);
    let pick = |n: u64| &keys[asked[n as usize % asked.len()] as usize];
    // What one of these entries weighs here.
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
                // Where the sample before it ended: from the start, each would find the keys that the last one left.
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
        let rate = hits.load(Ordering::Relaxed) as f64 / all.load(Ordering::Relaxed).max(1) as f64;
        eprintln!("    {name}: hit rate {rate:.4}");
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

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = settings();
    targets = hit, key_and_hit, second_level, levels, contended, contended_zipf
}
criterion_main!(benches);
