//! No cache, one level, the other, both: Zipf keys, cold and warm.

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use picarcade_cache::{Cache, Key};

use crate::set_up::{KEYS, key, local, redis, runtime, two_levels, value, zipf};

/// The time of a load: much less than an AI call, much more than a hit.
async fn work() -> Result<String, Infallible> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(200) {
        std::hint::spin_loop();
    }
    Ok(value())
}

pub(crate) fn levels(c: &mut Criterion) {
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
        if let Some(s) = cache.map(Cache::statistics)
            && s.hits_l1 + s.hits_l2 + s.misses > 0
        {
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
    // Cold: every key is read for the first time, on both levels.
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
