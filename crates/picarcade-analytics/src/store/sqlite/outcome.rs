//! Completes the rows of generations whose outcome is known.
//!
//! One transaction marks the outcomes whose selection is present, completes their rows, and writes
//! the expense if no row waits for it. The first outcome of a generation counts; a second one finds
//! nothing open.

use sqlx::sqlite::SqliteConnection;

use super::error::Result;

const MARK: &str = "
UPDATE generation_outcomes SET applied = 1 WHERE applied = 0 AND EXISTS (
    SELECT 1 FROM model_selection_logs AS s
    WHERE s.generation_id = generation_outcomes.generation_id AND s.user_id = generation_outcomes.user_id
      AND s.success IS NULL)";

const STEPS: [&str; 5] = [
    "UPDATE cost_tracking SET success = o.success, actual_cost_micros = o.actual_cost_micros,
         error_message = o.error_message
     FROM generation_outcomes AS o
     WHERE o.applied = 1 AND cost_tracking.generation_id = o.generation_id AND cost_tracking.user_id = o.user_id
       AND cost_tracking.success IS NULL",
    "INSERT INTO cost_tracking (id, user_id, operation_type, generation_id, estimated_cost_micros,
         actual_cost_micros, model_used, success, error_message, created_at)
     SELECT o.cost_id, o.user_id, 'generation', o.generation_id, max(s.estimated_cost_micros),
         o.actual_cost_micros, s.selected_model, o.success, o.error_message, o.created_at
     FROM generation_outcomes AS o
     JOIN model_selection_logs AS s ON s.generation_id = o.generation_id AND s.user_id = o.user_id
     WHERE o.applied = 1 AND NOT EXISTS (
         SELECT 1 FROM cost_tracking AS c WHERE c.generation_id = o.generation_id AND c.user_id = o.user_id)
     GROUP BY o.generation_id, o.user_id
     ON CONFLICT DO NOTHING",
    "INSERT INTO rollup_late (minute)
     SELECT DISTINCT c.created_at - c.created_at % 60000000
     FROM generation_outcomes AS o
     JOIN cost_tracking AS c ON c.generation_id = o.generation_id AND c.user_id = o.user_id
     WHERE o.applied = 1 AND c.created_at < (SELECT watermark FROM rollup_state)
     ON CONFLICT DO NOTHING",
    "UPDATE model_selection_logs SET success = o.success, actual_cost_micros = o.actual_cost_micros,
         actual_time = o.actual_time, error_message = o.error_message
     FROM generation_outcomes AS o
     WHERE o.applied = 1 AND model_selection_logs.generation_id = o.generation_id
       AND model_selection_logs.user_id = o.user_id AND model_selection_logs.success IS NULL",
    "UPDATE generation_outcomes SET applied = 2 WHERE applied = 1",
];

/// Applies the possible outcomes and returns their number.
pub(super) async fn apply(connection: &mut SqliteConnection) -> Result<u64> {
    let marked = sqlx::query(MARK).execute(&mut *connection).await?.rows_affected();
    if marked > 0 {
        for step in STEPS {
            sqlx::query(step).execute(&mut *connection).await?;
        }
    }
    Ok(marked)
}
