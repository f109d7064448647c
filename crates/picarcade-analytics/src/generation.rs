//! Generations that were begun, looked up by whoever is told what became of one.
//!
//! The rows are those of `model_selection_logs`, so any instance finds what any other has begun, once it is written.

use async_trait::async_trait;

use crate::Error;

/// What a report on a generation needs of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// Whose it is.
    pub user_id: String,
    /// The model that was chosen for it.
    pub selected_model: String,
    /// What it was expected to cost.
    pub estimated_cost_micros: u64,
    /// An outcome has been written, applied to the row or not yet.
    pub reported: bool,
}

/// A database that knows which generations were begun.
#[async_trait]
pub trait GenerationRows: Send + Sync + std::fmt::Debug {
    /// The generation of this id, unless none was written. The caller checks the owner.
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error>;
}
