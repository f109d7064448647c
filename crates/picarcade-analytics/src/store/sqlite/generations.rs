//! Generations in SQLite.

use async_trait::async_trait;
use sqlx::Row;

use super::error::error;
use super::store::SqliteStore;
use crate::Error;
use crate::store::generation::{GenerationRow, GenerationRows};

#[async_trait]
impl GenerationRows for SqliteStore {
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error> {
        let row = sqlx::query(
            "SELECT s.user_id, s.selected_model, s.estimated_cost_micros, s.success IS NOT NULL OR EXISTS (
                 SELECT 1 FROM generation_outcomes AS o
                 WHERE o.generation_id = s.generation_id AND o.user_id = s.user_id)
             FROM model_selection_logs AS s WHERE s.generation_id = ? ORDER BY s.id LIMIT 1",
        )
        .bind(generation_id)
        .fetch_optional(&self.readers)
        .await
        .map_err(error)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(GenerationRow {
            user_id: row.try_get(0).map_err(error)?,
            selected_model: row.try_get(1).map_err(error)?,
            estimated_cost_micros: row.try_get::<i64, _>(2).map_err(error)?.unsigned_abs(),
            reported: row.try_get(3).map_err(error)?,
        }))
    }
}
