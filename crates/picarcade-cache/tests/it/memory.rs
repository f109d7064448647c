//! The limits of the first level: bytes, overhead, allocations.

use allocation_counter::measure;
use picarcade_cache::Cache;
use proptest::prelude::*;

use crate::support::{Runs, key};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_hit_in_memory_allocates_nothing() {
    runtime().block_on(async {
        for beta in [0.0, 1.0] {
            let builder = Cache::<String>::builder("test").refresh_ahead(beta);
            let cache = builder.cost_micros(|value| value.len() as u64).build().unwrap();
            let key = key(1);
            let runs = Runs::default();
            cache.get_or_load(key, runs.load("value".to_string(), std::time::Duration::ZERO)).await.unwrap();
            // A plain closure, because a boxed loader would allocate.
            let load = || async { Ok::<_, std::io::Error>(String::new()) };
            let hit = cache.get_or_load(key, load).await.unwrap();
            let peeked = measure(|| assert!(cache.peek(key).is_some()));
            assert_eq!(peeked.count_total, 0, "peek and key");
            let mut polled = Box::pin(cache.get_or_load(key, load));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let mut ready = None;
            let asked = measure(|| ready = Some(polled.as_mut().poll(&mut context)));
            assert_eq!(asked.count_total, 0, "get_or_load");
            assert!(matches!(ready, Some(std::task::Poll::Ready(Ok(answer))) if answer.value == hit.value));
        }
    });
}

#[test]
fn an_entry_costs_at_most_two_hundred_bytes_plus_its_value() {
    runtime().block_on(async {
        const ENTRIES: u64 = 50_000;
        const VALUE: usize = 100;
        let cache = Cache::<Vec<u8>>::builder("test")
            .weigher(|value| value.capacity() + size_of::<Vec<u8>>())
            .max_bytes(64 << 20)
            .build()
            .unwrap();
        let keys: Vec<_> = (0..ENTRIES).map(key).collect();
        let cost = measure(|| {
            for key in &keys {
                let mut insert = Box::pin(cache.insert(key, vec![7; VALUE]));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(insert.as_mut().poll(&mut context).is_ready());
            }
        });
        let statistics = cache.statistics();
        assert_eq!(statistics.entries, ENTRIES, "none evicted");
        let held = cost.bytes_current as f64 / ENTRIES as f64;
        let overhead = held - (VALUE + size_of::<Vec<u8>>()) as f64;
        assert!(overhead <= 200.0, "{overhead} bytes an entry");
        let counted = statistics.bytes as f64 / ENTRIES as f64;
        assert!((held / counted - 1.0).abs() < 0.25, "held {held}, counted {counted}");
    });
}

/// Compares the bytes that the allocator counts with the limit.
#[test]
fn allocated_bytes_stay_within_a_tenth_of_the_limit() {
    const BOUND: u64 = 8 << 20;
    runtime().block_on(async {
        let mut random = fastrand::Rng::with_seed(3);
        let sizes: Vec<usize> = (0..60_000)
            .map(|n| match n % 10 {
                0..7 => random.usize(1..300),
                7 | 8 => random.usize(300..4_000),
                _ => random.usize(4_000..60_000),
            })
            .collect();
        let keys: Vec<_> = (0..sizes.len() as u64).map(key).collect();
        let mut cache = None;
        let cost = measure(|| {
            let built = Cache::<Vec<u8>>::builder("test")
                .weigher(|value| value.capacity() + size_of::<Vec<u8>>())
                .max_bytes(BOUND)
                .max_entry_bytes(64 << 10)
                .build()
                .unwrap();
            for (key, size) in keys.iter().zip(&sizes) {
                let mut insert = Box::pin(built.insert(key, vec![7; *size]));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(insert.as_mut().poll(&mut context).is_ready());
            }
            cache = Some(built);
        });
        let statistics = cache.unwrap().statistics();
        assert!(statistics.evictions > 0 && statistics.bytes > BOUND / 2, "{statistics:?}");
        let held = cost.bytes_current as f64 / BOUND as f64;
        assert!((0.5..1.1).contains(&held), "{held} of the bound");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// For any sizes, the stored bytes stay within the limit and use it.
    #[test]
    fn counted_bytes_stay_within_the_limit_for_mixed_sizes(sizes in proptest::collection::vec(prop_oneof![
        8 => 1_usize..2_000,
        2 => 2_000_usize..60_000,
    ], 400..600), shift in 0_u64..1000) {
        const BOUND: u64 = 2 << 20;
        runtime().block_on(async {
            let cache = Cache::<Vec<u8>>::builder("test")
                .weigher(Vec::len)
                .max_bytes(BOUND)
                .max_entry_bytes(64 << 10)
                .build()
                .unwrap();
            let mut given = 0;
            for round in 0..4 {
                for (n, size) in sizes.iter().enumerate() {
                    cache.insert(key(shift + round * 10_000 + n as u64), vec![0; *size]).await.unwrap();
                    given += *size as u64;
                    let bytes = cache.statistics().bytes;
                    prop_assert!(bytes <= BOUND + BOUND / 10, "{bytes} bytes");
                }
            }
            let statistics = cache.statistics();
            prop_assert!(given < BOUND * 2 || statistics.bytes > BOUND / 2, "{} bytes used", statistics.bytes);
            prop_assert!(given < BOUND * 2 || statistics.evictions > 0);
            Ok(())
        })?;
    }
}
