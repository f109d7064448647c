//! What the tests share: keys, a counting loader, waiting for a condition.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use picarcade_cache::Key;

/// A key that lives as long as anybody may ask for it, so that futures may borrow it.
pub fn key(n: u64) -> &'static Key {
    Box::leak(Box::new(Key::builder("test", 1).part_u64(n).finish()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(pub u32);

/// Counts how often a loader ran.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub fn one(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    /// A loader that takes `time` and returns `value`.
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

    /// A loader that takes `time` and fails.
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

/// Waits until a condition holds; fails loudly when it does not for half a minute.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
