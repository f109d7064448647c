//! The subject of a conformance test: a source of empty stores.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use picarcade_analytics::{GenerationRows, SessionRows, Store};

pub trait Both: Store + SessionRows + GenerationRows {}
impl<T: Store + SessionRows + GenerationRows> Both for T {}

/// Makes empty stores, and counts what is in them.
pub trait Subject {
    fn fresh(&self) -> impl Future<Output = Arc<dyn Both>>;
    /// The same store, or another one, without rows: quicker than a fresh one where that is a database of its own.
    fn emptied(&self, store: Arc<dyn Both>) -> impl Future<Output = Arc<dyn Both>> {
        let _ = store;
        self.fresh()
    }
    /// Rows of a table.
    fn count(&self, store: &dyn Both, table: &str) -> impl Future<Output = Option<u64>>;
    /// What one plain query over the rows of a stretch of time says, where there is SQL.
    fn raw_sums(&self, from: i64, until: i64) -> impl Future<Output = Option<RawSums>>;
    /// How many roll-ups hold this text, where there are roll-ups.
    fn rollups_with(&self, text: &str) -> impl Future<Output = Option<u64>>;
    /// Deletes rows of a stretch of time behind the store's back; whether it could.
    fn erase(&self, from: i64, until: i64) -> impl Future<Output = bool>;
}

/// The answer of a plain query.
#[derive(Debug, serde::Deserialize)]
pub struct RawSums {
    pub rows: u64,
    pub confidence: f64,
    pub ms: f64,
    pub fallbacks: u64,
    pub hits: u64,
    pub limited: u64,
    pub saved: u64,
    pub spent: u64,
    pub types: BTreeMap<String, u64>,
}

pub struct Memory;

impl Subject for Memory {
    async fn fresh(&self) -> Arc<dyn Both> {
        Arc::new(picarcade_analytics::MemoryStore::new())
    }

    async fn count(&self, _: &dyn Both, _: &str) -> Option<u64> {
        None
    }

    async fn raw_sums(&self, _: i64, _: i64) -> Option<RawSums> {
        None
    }

    async fn rollups_with(&self, _: &str) -> Option<u64> {
        None
    }

    async fn erase(&self, _: i64, _: i64) -> bool {
        false
    }
}
