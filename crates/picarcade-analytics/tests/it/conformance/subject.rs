//! The subject of a conformance test: a source of empty stores.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use picarcade_analytics::{FeedbackRows, GenerationRows, SessionRows, Store};

pub trait Both: Store + SessionRows + GenerationRows + FeedbackRows {}
impl<T: Store + SessionRows + GenerationRows + FeedbackRows> Both for T {}

/// Creates empty stores and counts their content.
pub trait Subject {
    fn fresh(&self) -> impl Future<Output = Arc<dyn Both>>;
    /// Returns the same store or another one without rows. Emptying a database is faster than
    /// creating one.
    fn emptied(&self, store: Arc<dyn Both>) -> impl Future<Output = Arc<dyn Both>> {
        let _ = store;
        self.fresh()
    }
    /// Returns the number of rows of a table.
    fn count(&self, store: &dyn Both, table: &str) -> impl Future<Output = Option<u64>>;
    /// Returns the result of one plain query over the rows of a range, if the store has SQL.
    fn raw_sums(&self, from: i64, until: i64) -> impl Future<Output = Option<RawSums>>;
    /// Returns how many roll-ups contain this text, if the store has roll-ups.
    fn rollups_with(&self, text: &str) -> impl Future<Output = Option<u64>>;
    /// Deletes the rows of a range without the store. Returns whether that is possible.
    fn erase(&self, from: i64, until: i64) -> impl Future<Output = bool>;
}

/// The result of a plain query.
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
