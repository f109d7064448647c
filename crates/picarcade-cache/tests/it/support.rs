//! Fixtures: keys, a counting loader, a faulty second level.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use picarcade_cache::{Key, KeyVersion, Record, Remote, RemoteError, RemoteEvent, Scope, TagVersion};
pub use picarcade_testkit::eventually;

/// Runs each test with every driver.
#[cfg(any(feature = "redis", feature = "fred"))]
macro_rules! with_every_driver {
    ($($test:ident),* $(,)?) => {
        #[cfg(feature = "redis")]
        mod redis_rs {
            $(#[tokio::test]
            async fn $test() {
                super::$test(picarcade_redis::DriverKind::Redis).await;
            })*
        }

        #[cfg(feature = "fred")]
        mod fred {
            $(#[tokio::test]
            async fn $test() {
                super::$test(picarcade_redis::DriverKind::Fred).await;
            })*
        }
    };
}
#[cfg(any(feature = "redis", feature = "fred"))]
pub(crate) use with_every_driver;

/// Returns a key with a static lifetime, so that futures may borrow it.
pub fn key(n: u64) -> &'static Key {
    Box::leak(Box::new(Key::builder("test", 1).part_u64(n).finish()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub u32);

/// A count of loader runs.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub fn one(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// Returns a loader that takes `time` and returns `value`.
    pub fn load<V: Clone + Send + 'static>(
        &self,
        value: V,
        time: Duration,
    ) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<V, Broken>> + Send>> + Send + 'static
    {
        let runs = self.clone();
        move || {
            Box::pin(async move {
                runs.one();
                tokio::time::sleep(time).await;
                Ok(value)
            })
        }
    }

    /// Returns a loader that takes `time` and fails.
    pub fn fail<V: Send + 'static>(
        &self,
        error: u32,
        time: Duration,
    ) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = Result<V, Broken>> + Send>> + Send + 'static
    {
        let runs = self.clone();
        move || {
            Box::pin(async move {
                runs.one();
                tokio::time::sleep(time).await;
                Err(Broken(error))
            })
        }
    }
}

/// A second level with faults: it loses messages (except `Alive`), or never answers.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Remote>,
    pub loses_messages: AtomicBool,
    pub hangs_reading: AtomicBool,
    pub hangs_writing: AtomicBool,
    /// Whether a subscription of the cache has been active.
    pub is_listened_to: Arc<AtomicBool>,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Remote>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            loses_messages: AtomicBool::new(false),
            hangs_reading: AtomicBool::new(false),
            hangs_writing: AtomicBool::new(false),
            is_listened_to: Arc::default(),
        })
    }
}

async fn hang(whether: &AtomicBool) {
    if whether.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}

type Answer<T> = Result<T, RemoteError>;

#[async_trait::async_trait]
impl Remote for Faulty {
    async fn publish(&self, space: &str, message: Bytes) -> Answer<()> {
        // An `Alive` message is the shortest, like `Clear`, which no test with lost messages sends.
        let lost = self.loses_messages.load(Ordering::SeqCst) && message.len() > 18;
        if lost { Ok(()) } else { self.inner.publish(space, message).await }
    }
    async fn read(&self, space: &str, key: &Key) -> Answer<Record> {
        hang(&self.hangs_reading).await;
        self.inner.read(space, key).await
    }
    async fn write(
        &self,
        space: &str,
        key: &Key,
        entry: Bytes,
        ttl: Duration,
        seen: KeyVersion,
    ) -> Answer<bool> {
        hang(&self.hangs_writing).await;
        self.inner.write(space, key, entry, ttl, seen).await
    }
    async fn replace(&self, space: &str, key: &Key, entry: Bytes, ttl: Duration) -> Answer<()> {
        self.inner.replace(space, key, entry, ttl).await
    }
    async fn remove(&self, space: &str, key: &Key, ttl: Duration) -> Answer<()> {
        tokio::task::yield_now().await;
        self.inner.remove(space, key, ttl).await
    }
    async fn tag_versions(&self, space: &str, scopes: &[Scope]) -> Answer<Vec<TagVersion>> {
        self.inner.tag_versions(space, scopes).await
    }
    async fn invalidate(&self, space: &str, scope: Scope, ttl: Duration) -> Answer<()> {
        self.inner.invalidate(space, scope, ttl).await
    }
    async fn acquire(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Answer<bool> {
        self.inner.acquire(space, key, token, ttl).await
    }
    async fn renew(&self, space: &str, key: &Key, token: u64, ttl: Duration) -> Answer<bool> {
        self.inner.renew(space, key, token, ttl).await
    }
    async fn release(&self, space: &str, key: &Key, token: u64) -> Answer<()> {
        self.inner.release(space, key, token).await
    }
    fn subscribe(&self, space: &str) -> tokio::sync::mpsc::Receiver<RemoteEvent> {
        let (mut events, is_listened_to) = (self.inner.subscribe(space), Arc::clone(&self.is_listened_to));
        let (sender, receiver) = tokio::sync::mpsc::channel(1024);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if event == RemoteEvent::Connected {
                    is_listened_to.store(true, Ordering::SeqCst);
                }
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
