//! Completes the rows of generations whose outcome is known.
//!
//! One transaction marks the outcomes whose selection is present, completes their rows, and writes
//! the expense if no row waits for it. Outcomes that another transaction is completing are skipped.
//! The first outcome of a generation counts; a second one finds nothing open.

use sqlx::postgres::PgConnection;

use super::error::Result;
use super::statement::query;

const MARK: &str = "
UPDATE generation_outcomes AS o SET applied = 1
FROM (SELECT w.generation_id, w.user_id FROM generation_outcomes AS w
      WHERE w.applied = 0 AND EXISTS (
          SELECT 1 FROM model_selection_logs AS s
          WHERE s.generation_id = w.generation_id AND s.user_id = w.user_id AND s.success IS NULL)
      ORDER BY w.generation_id, w.user_id FOR UPDATE SKIP LOCKED) AS ready
WHERE o.generation_id = ready.generation_id AND o.user_id = ready.user_id";

const STEPS: [&str; 5] = [
    "UPDATE cost_tracking AS c SET success = o.success, actual_cost_micros = o.actual_cost_micros,
         error_message = o.error_message
     FROM generation_outcomes AS o
     WHERE o.applied = 1 AND c.generation_id = o.generation_id AND c.user_id = o.user_id AND c.success IS NULL",
    "INSERT INTO cost_tracking (id, user_id, operation_type, generation_id, estimated_cost_micros,
         actual_cost_micros, model_used, success, error_message, created_at)
     SELECT DISTINCT ON (o.generation_id, o.user_id) o.cost_id, o.user_id, 'generation', o.generation_id,
         s.estimated_cost_micros, o.actual_cost_micros, s.selected_model, o.success, o.error_message, o.created_at
     FROM generation_outcomes AS o
     JOIN model_selection_logs AS s ON s.generation_id = o.generation_id AND s.user_id = o.user_id
     WHERE o.applied = 1 AND NOT EXISTS (
         SELECT 1 FROM cost_tracking AS c WHERE c.generation_id = o.generation_id AND c.user_id = o.user_id)
     ORDER BY o.generation_id, o.user_id, s.created_at
     ON CONFLICT DO NOTHING",
    "INSERT INTO rollup_late (minute)
     SELECT DISTINCT (extract(epoch FROM date_trunc('minute', c.created_at, 'UTC')) * 1000000)::bigint
     FROM generation_outcomes AS o
     JOIN cost_tracking AS c ON c.generation_id = o.generation_id AND c.user_id = o.user_id
     WHERE o.applied = 1 AND c.created_at < timestamptz 'epoch'
         + (SELECT frontier FROM rollup_state) * interval '1 microsecond'",
    "UPDATE model_selection_logs AS s SET success = o.success, actual_cost_micros = o.actual_cost_micros,
         actual_time = o.actual_time, error_message = o.error_message
     FROM generation_outcomes AS o
     WHERE o.applied = 1 AND s.generation_id = o.generation_id AND s.user_id = o.user_id AND s.success IS NULL",
    "UPDATE generation_outcomes SET applied = 2 WHERE applied = 1",
];

/// Applies the possible outcomes and returns their number. The transaction must hold the writers'
/// lock.
pub(super) async fn apply(connection: &mut PgConnection) -> Result<u64> {
    let marked = query(MARK).execute(&mut *connection).await?.rows_affected();
    if marked > 0 {
        for step in STEPS {
            query(step).execute(&mut *connection).await?;
        }
    }
    Ok(marked)
}
