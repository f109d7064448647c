//! Look-up of earlier generations, for reports about their outcome.
//!
//! The rows are those of `model_selection_logs`, so every instance finds the generations of all
//! others after they are written.

use async_trait::async_trait;

use crate::Error;

/// The part of a row that a report needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The owner.
    pub user_id: String,
    /// The chosen model.
    pub selected_model: String,
    /// The expected cost.
    pub estimated_cost_micros: u64,
    /// Whether an outcome has been written, applied to the row or not yet.
    pub reported: bool,
}

/// A database that knows earlier generations.
#[async_trait]
pub trait GenerationRows: Send + Sync + std::fmt::Debug {
    /// Returns the generation with this id, if it was written. The caller checks the owner.
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error>;
}
