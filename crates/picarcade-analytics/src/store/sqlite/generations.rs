//! Generations in SQLite.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqlitePool;

use super::error::Result;
use super::store::SqliteStore;
use crate::Error;
use crate::store::generation::{GenerationRow, GenerationRows};

#[async_trait]
impl GenerationRows for SqliteStore {
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error> {
        Ok(generation(&self.readers, generation_id).await?)
    }
}

async fn generation(readers: &SqlitePool, generation_id: &str) -> Result<Option<GenerationRow>> {
    let row = sqlx::query(
        "SELECT s.user_id, s.selected_model, s.estimated_cost_micros, s.success IS NOT NULL OR EXISTS (
             SELECT 1 FROM generation_outcomes AS o
             WHERE o.generation_id = s.generation_id AND o.user_id = s.user_id)
         FROM model_selection_logs AS s WHERE s.generation_id = ? ORDER BY s.id LIMIT 1",
    )
    .bind(generation_id)
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(GenerationRow {
        user_id: row.try_get(0)?,
        selected_model: row.try_get(1)?,
        estimated_cost_micros: row.try_get::<i64, _>(2)?.unsigned_abs(),
        reported: row.try_get(3)?,
    }))
}
