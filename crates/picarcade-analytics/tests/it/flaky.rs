//! A store that fails on demand. The rows are in the inner store: the tests check the code around a
//! store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use picarcade_analytics::{Error, Maintained, MemoryStore, Period, Record, SchemaState, Statistics, Store};
use tokio::sync::Semaphore;

#[derive(Debug)]
pub struct Flaky {
    pub inner: MemoryStore,
    /// Returns "unavailable".
    pub down: AtomicBool,
    /// Writes and returns "timeout", so the writer must write again.
    pub forgetful: AtomicBool,
    /// Waits for a permit before each write.
    pub gate: Option<Semaphore>,
    pub writes: AtomicU64,
}

impl Flaky {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::ungated())
    }

    pub fn gated() -> Arc<Self> {
        Arc::new(Self { gate: Some(Semaphore::new(0)), ..Self::ungated() })
    }

    fn ungated() -> Self {
        Self {
            inner: MemoryStore::new(),
            down: AtomicBool::new(false),
            forgetful: AtomicBool::new(false),
            gate: None,
            writes: AtomicU64::new(0),
        }
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Flaky {
    async fn write(&self, batch: &[Record]) -> Result<(), Error> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { source: "down".into() });
        }
        self.inner.write(batch).await?;
        if self.forgetful.load(Ordering::SeqCst) {
            return Err(Error::Timeout);
        }
        Ok(())
    }

    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error> {
        self.inner.statistics(period, now).await
    }

    async fn user_statistics(
        &self,
        user: &str,
        period: Period,
        now: SystemTime,
    ) -> Result<Statistics, Error> {
        self.inner.user_statistics(user, period, now).await
    }

    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error> {
        self.inner.spent_since(from, now).await
    }

    async fn ping(&self) -> Result<Duration, Error> {
        self.inner.ping().await
    }

    async fn forget_user(&self, user_id: &str) -> Result<u64, Error> {
        self.inner.forget_user(user_id).await
    }

    async fn migrate(&self) -> Result<(), Error> {
        self.inner.migrate().await
    }

    async fn schema(&self) -> Result<SchemaState, Error> {
        self.inner.schema().await
    }

    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error> {
        self.inner.maintain(now).await
    }
}
