//! The attribute `#[cached]`: what it caches, what belongs to the key, and what it refuses.
// Bodies of a test wait for nothing.
#![allow(clippy::unused_async)]

use std::{
    future::pending,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use picarcade_cache::{Cache, Clock, LoadError, cached};
use tokio::time::advance;

#[derive(Debug, Clone, thiserror::Error, PartialEq)]
enum Error {
    #[error("no such user")]
    NoUser,
    #[error("cache: {0}")]
    Cache(String),
}

impl From<LoadError<Self>> for Error {
    fn from(error: LoadError<Self>) -> Self {
        match error {
            LoadError::Failed(error) => (*error).clone(),
            other => Self::Cache(other.to_string()),
        }
    }
}

/// A cache whose clock follows the paused time of a test.
fn cache<V: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static>() -> Cache<V> {
    Cache::builder("test").clock(Clock::following(0)).build().unwrap()
}

#[derive(Clone)]
struct Users {
    cache: Cache<String>,
    optional: Cache<Option<String>>,
    shared: Cache<Vec<u8>>,
    loads: Arc<AtomicU64>,
}

impl Users {
    fn new() -> Self {
        let optional = Cache::builder("test")
            .negative_ttl(Duration::from_secs(5))
            .clock(Clock::following(0))
            .build()
            .unwrap();
        Self { cache: cache(), optional, shared: cache(), loads: Arc::default() }
    }

    fn count(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }

    /// Returns the name of a user.
    #[cached(cache = self.cache, key = [id, upper], ttl = "90s", tags = ["user:{id}", format!("all")])]
    async fn name(&self, id: u64, upper: bool, mut greeting: String) -> Result<String, Error> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        greeting.push_str(if upper { "USER" } else { "user" });
        if id == 0 { Err(Error::NoUser) } else { Ok(format!("{greeting} {id}")) }
    }

    #[cached(cache = self.optional, key = [id])]
    async fn nickname(&self, id: &str) -> anyhow::Result<Option<String>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(id.strip_prefix("known ").map(str::to_owned))
    }

    #[cached(cache = &self.shared, key = [ids.len()], name = "avatars", version = 2)]
    async fn avatar(self: Arc<Self>, ids: &[u8]) -> anyhow::Result<Arc<Vec<u8>>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(ids.to_vec()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_does_not_run_the_body() {
    let users = Users::new();
    assert_eq!(users.name(7, false, "hello ".into()).await.unwrap(), "hello user 7");
    assert_eq!(users.name(7, false, "ignored ".into()).await.unwrap(), "hello user 7");
    assert_eq!(users.name(7, true, "hi ".into()).await.unwrap(), "hi USER 7");
    assert_eq!(users.count(), 2);
    advance(Duration::from_secs(100)).await;
    users.name(7, false, String::new()).await.unwrap();
    assert_eq!(users.count(), 3, "the time to live of the attribute applies");
}

#[tokio::test]
async fn concurrent_calls_run_the_body_once() {
    let users = Users::new();
    let calls = (0..50).map(|_| users.name(7, false, String::new()));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(users.count(), 1);
}

#[tokio::test]
async fn a_tag_removes_the_values_of_its_arguments() {
    let users = Users::new();
    for id in [7, 8] {
        users.name(id, false, String::new()).await.unwrap();
    }
    users.cache.remove_by_tag("user:7").await;
    for id in [7, 8] {
        users.name(id, false, String::new()).await.unwrap();
    }
    assert_eq!(users.count(), 3);
    users.cache.remove_by_tag("all").await;
    users.name(8, false, String::new()).await.unwrap();
    assert_eq!(users.count(), 4);
}

#[tokio::test]
async fn an_error_of_the_body_is_returned_as_itself_and_not_cached() {
    let users = Users::new();
    for count in [1, 2] {
        assert_eq!(users.name(0, false, String::new()).await.unwrap_err(), Error::NoUser);
        assert_eq!(users.count(), count);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_value_is_cached_for_the_negative_time_to_live() {
    let users = Users::new();
    for _ in 0..2 {
        assert_eq!(users.nickname("stranger").await.unwrap(), None);
        assert_eq!(users.nickname("known Bo").await.unwrap().as_deref(), Some("Bo"));
    }
    assert_eq!(users.count(), 2);
    advance(Duration::from_secs(6)).await;
    users.nickname("stranger").await.unwrap();
    users.nickname("known Bo").await.unwrap();
    assert_eq!(users.count(), 3);
}

#[tokio::test]
async fn a_shared_value_is_not_cloned_by_a_hit() {
    let users = Arc::new(Users::new());
    let first = Arc::clone(&users).avatar(&[1, 2]).await.unwrap();
    let second = Arc::clone(&users).avatar(&[3, 4]).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "the key is the length");
    assert_eq!(*Arc::clone(&users).avatar(&[5]).await.unwrap(), [5]);
    assert_eq!(users.count(), 2);
}

static FIRST: LazyLock<Cache<String>> = LazyLock::new(|| Cache::builder("test").build().unwrap());

#[cached(cache = FIRST)]
async fn find(word: &str, place: Option<&'static str>) -> Option<String> {
    place.map(|place| format!("{word} in {place}"))
}

mod other {
    use super::FIRST;

    #[picarcade_cache::cached(cache = FIRST)]
    pub(super) async fn find(word: &str, place: Option<&'static str>) -> Option<String> {
        place.map(|place| format!("another {word} in {place}"))
    }
}

#[tokio::test]
async fn all_arguments_and_the_path_of_the_function_are_the_default_key() {
    assert_eq!(find("a", None).await, None);
    assert_eq!(find("a", Some("b")).await.unwrap(), "a in b");
    assert_eq!(find("a", Some("c")).await.unwrap(), "a in c");
    assert_eq!(other::find("a", Some("b")).await.unwrap(), "another a in b");
    let loads = FIRST.statistics().loads;
    assert_eq!(find("a", Some("b")).await.unwrap(), "a in b");
    assert_eq!(FIRST.statistics().loads, loads);
    assert_eq!(find("a", None).await, None);
    assert_eq!(FIRST.statistics().loads, loads + 1, "`None` is not cached");
}

static SLOW: LazyLock<Cache<u8>> =
    LazyLock::new(|| Cache::builder("slow").hard_timeout(Duration::from_secs(1)).build().unwrap());

#[cached(cache = SLOW)]
async fn never(n: u8) -> Result<u8, Error> {
    pending::<()>().await;
    Ok(n)
}

#[cached(cache = SLOW)]
async fn fails_to_be_a_key(map: std::collections::BTreeMap<(u8, u8), u8>) -> Result<u8, Error> {
    Ok(map.len() as u8)
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_cache_is_converted_into_the_error_of_the_function() {
    let Err(Error::Cache(message)) = never(1).await else { panic!("expected a timeout") };
    assert_eq!(message, "the load took longer than its caller waits");
    let Err(Error::Cache(message)) = fails_to_be_a_key([((1, 2), 3)].into()).await else {
        panic!("expected an unusable key")
    };
    assert!(message.starts_with("a value cannot be a part of a key"), "{message}");
}

#[cached(cache = FIRST, key = [value])]
async fn generic<T: ToString + serde::Serialize + Send + Sync + 'static>(value: T) -> anyhow::Result<String> {
    Ok(value.to_string())
}

#[tokio::test]
async fn a_generic_function_can_be_cached() {
    assert_eq!(generic(7_u8).await.unwrap(), "7");
    assert_eq!(generic("seven").await.unwrap(), "seven");
}
