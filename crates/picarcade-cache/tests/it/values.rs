//! Which values can be stored: values that are not JSON, and types that change their names.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use picarcade_cache::{Cache, CacheStatistics, Loaded, Remote};
use tracing::{Event, Metadata, Subscriber, span};

use crate::{
    in_memory::InMemoryRemote,
    support::{Broken, key},
};

/// A map whose keys are not text, which JSON cannot represent.
type NotJson = BTreeMap<Vec<u8>, u8>;

fn not_json() -> NotJson {
    [(vec![1], 1)].into_iter().collect()
}

/// A count of the warnings of the cache.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().starts_with("picarcade_cache")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

async fn load_twice(cache: &Cache<NotJson>) -> CacheStatistics {
    for _ in 0..2 {
        let load = || async { Ok::<_, Broken>(not_json()) };
        assert_eq!(*cache.get_or_load(key(1), load).await.unwrap().value, not_json());
        assert!(cache.drain(Duration::from_secs(20)).await);
    }
    cache.statistics()
}

#[tokio::test]
async fn a_value_that_is_not_json_counts_the_same_with_and_without_a_second_level() {
    let remote = || Arc::new(InMemoryRemote::new()) as Arc<dyn Remote>;
    let counts = |s: &CacheStatistics| (s.loads, s.not_serializable, s.too_large, s.entries);
    let alone = Cache::<NotJson>::builder("test").build().unwrap();
    let shared = Cache::<NotJson>::builder("test").remote(remote()).build().unwrap();
    assert_eq!(counts(&load_twice(&alone).await), (2, 2, 0, 0));
    assert_eq!(counts(&load_twice(&shared).await), (2, 2, 0, 0));
    for cache in [alone, shared] {
        cache.insert(key(1), Loaded::new(not_json())).await.unwrap_err();
        assert_eq!(counts(&cache.statistics()), (2, 3, 0, 0));
    }

    // With a weigher, memory needs no JSON. The second level still does.
    let weighed = || Cache::<NotJson>::builder("test").weigher(|_| 1);
    let alone = weighed().build().unwrap();
    let shared = weighed().remote(remote()).build().unwrap();
    assert_eq!(counts(&load_twice(&alone).await), (1, 0, 0, 1));
    assert_eq!(counts(&load_twice(&shared).await), (1, 1, 0, 1));
}

#[tokio::test]
async fn the_log_warns_once_about_values_that_are_not_json() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let cache = Cache::<NotJson>::builder("test").build().unwrap();
    load_twice(&cache).await;
    cache.insert(key(2), Loaded::new(not_json())).await.unwrap_err();
    assert_eq!(warnings.0.load(Ordering::SeqCst), 1);
}

mod before {
    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    pub struct Answer {
        pub text: String,
    }
}

mod after {
    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    pub struct Renamed {
        pub text: String,
    }
}

#[tokio::test]
async fn a_type_that_moves_to_another_module_still_reads_stored_values() {
    let remote = Arc::new(InMemoryRemote::new());
    let builder = |version| {
        Cache::<after::Renamed>::builder("test")
            .schema_version(version)
            .remote(Arc::clone(&remote) as Arc<dyn Remote>)
    };
    let old = Cache::<before::Answer>::builder("test").schema_version(3).remote(Arc::clone(&remote) as _);
    old.build().unwrap().insert(key(1), before::Answer { text: "kept".to_owned() }).await.unwrap();
    let new = builder(3).build().unwrap();
    assert_eq!(new.get(key(1)).await.unwrap().value.text, "kept");
    assert!(builder(4).build().unwrap().get(key(1)).await.is_none(), "another version is another value");
}
