//! Generations in PostgreSQL. A query reads the index of each partition, with a bounded wait.

use async_trait::async_trait;

use super::connect;
use super::error::Result;
use super::statement::{column, query};
use super::store::PostgresStore;
use crate::Error;
use crate::store::generation::{GenerationRow, GenerationRows};
use crate::store::sql::text::clean;

#[async_trait]
impl GenerationRows for PostgresStore {
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let row = query(
                "SELECT s.user_id, s.selected_model, s.estimated_cost_micros, s.success IS NOT NULL OR EXISTS (
                     SELECT 1 FROM generation_outcomes AS o
                     WHERE o.generation_id = s.generation_id AND o.user_id = s.user_id)
                 FROM model_selection_logs AS s WHERE s.generation_id = $1 ORDER BY s.created_at LIMIT 1",
            )
            .bind(clean(generation_id).into_owned())
            .fetch_optional(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(GenerationRow {
                user_id: column(&row, 0)?,
                selected_model: column(&row, 1)?,
                estimated_cost_micros: column::<i64>(&row, 2)?.unsigned_abs(),
                reported: column(&row, 3)?,
            }))
        });
        self.explain(answer.await).await
    }
}
