//! Sessions, generations and feedback in PostgreSQL. Each statement is a transaction of its own,
//! with a bounded wait.

use std::time::SystemTime;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::connect;
use super::error::Result;
use super::statement::{column, query};
use super::store::PostgresStore;
use crate::Error;
use crate::record::created_at;
use crate::store::lookup::{
    FeedbackRow, FeedbackRows, GenerationRow, GenerationRows, SessionRow, SessionRows, media_facts,
};
use crate::store::sql::value::{clean, clean_json};
use crate::timestamp::{from_micros, micros};

#[async_trait]
impl SessionRows for PostgresStore {
    async fn session(&self, session_id: &str) -> Result<Option<SessionRow>, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let row = query(
                "SELECT user_id, current_working_image, current_working_video, metadata::text,
                     (extract(epoch FROM expires_at) * 1000000)::int8, (extract(epoch FROM updated_at) * 1000000)::int8
                 FROM user_sessions WHERE session_id = $1
                   AND (expires_at IS NULL OR expires_at > timestamptz 'epoch' + $2 * interval '1 microsecond')",
            )
            .bind(clean(session_id).into_owned())
            .bind(micros(SystemTime::now()))
            .fetch_optional(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let Some(row) = row else { return Ok(None) };
            let metadata: &str = column(&row, 3)?;
            Ok(Some(SessionRow {
                session_id: session_id.to_owned(),
                user_id: column(&row, 0)?,
                current_working_image: column(&row, 1)?,
                current_working_video: column(&row, 2)?,
                metadata: serde_json::from_str(metadata)
                    .map_err(|_| Error::Corrupt { what: "session metadata" })?,
                expires_at: column::<Option<i64>>(&row, 4)?.map(from_micros),
                updated_at: from_micros(column(&row, 5)?),
            }))
        });
        self.with_schema(answer.await).await
    }

    async fn put_session(&self, row: &SessionRow) -> Result<bool, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin(&self.pool, &self.options).await?;
            let put = query(
                "INSERT INTO user_sessions (session_id, user_id, current_working_image, current_working_video, metadata,
                     expires_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5::text::jsonb, timestamptz 'epoch' + $6 * interval '1 microsecond',
                     timestamptz 'epoch' + $7 * interval '1 microsecond')
                 ON CONFLICT (session_id) DO UPDATE SET user_id = excluded.user_id,
                     current_working_image = excluded.current_working_image,
                     current_working_video = excluded.current_working_video, metadata = excluded.metadata,
                     expires_at = excluded.expires_at, updated_at = excluded.updated_at
                 WHERE user_sessions.user_id = excluded.user_id
                    OR user_sessions.expires_at <= timestamptz 'epoch' + $8 * interval '1 microsecond'",
            )
            .bind(clean(&row.session_id).into_owned())
            .bind(clean(&row.user_id).into_owned())
            .bind(row.current_working_image.as_deref().map(|url| clean(url).into_owned()))
            .bind(row.current_working_video.as_deref().map(|url| clean(url).into_owned()))
            .bind(clean_json(&row.metadata))
            .bind(row.expires_at.map(micros))
            .bind(micros(row.updated_at))
            .bind(micros(SystemTime::now()))
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(put.rows_affected() > 0)
        });
        self.with_schema(answer.await).await
    }

    async fn delete_session(&self, session_id: &str, user_id: &str) -> Result<bool, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin(&self.pool, &self.options).await?;
            let deleted = query("DELETE FROM user_sessions WHERE session_id = $1 AND user_id = $2")
                .bind(clean(session_id).into_owned())
                .bind(clean(user_id).into_owned())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(deleted.rows_affected() > 0)
        });
        self.with_schema(answer.await).await
    }
}

#[async_trait]
impl GenerationRows for PostgresStore {
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let id = Uuid::parse_str(generation_id).ok();
            // The query reads the index of each partition of `model_selection_logs`.
            let row = query(
                "SELECT s.user_id, s.selected_model, s.estimated_cost_micros, s.success IS NOT NULL OR EXISTS (
                     SELECT 1 FROM generation_outcomes AS o
                     WHERE o.generation_id = s.generation_id AND o.user_id = s.user_id),
                     s.workflow_type, c.source, c.media_facts
                 FROM model_selection_logs AS s
                 LEFT JOIN intent_classification_logs AS c
                     ON c.created_at = timestamptz 'epoch' + $2 * interval '1 microsecond' AND c.id = $3
                     AND c.user_id = s.user_id
                 WHERE s.generation_id = $1 ORDER BY s.created_at LIMIT 1",
            )
            .bind(clean(generation_id).into_owned())
            .bind(id.map(created_at))
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(GenerationRow {
                user_id: column(&row, 0)?,
                selected_model: column(&row, 1)?,
                estimated_cost_micros: column::<i64>(&row, 2)?.unsigned_abs(),
                reported: column(&row, 3)?,
                workflow_type: column(&row, 4)?,
                source: column(&row, 5)?,
                media_facts: media_facts(column(&row, 6)?),
            }))
        });
        self.with_schema(answer.await).await
    }
}

#[async_trait]
impl FeedbackRows for PostgresStore {
    async fn feedback(&self, since: SystemTime, after: Uuid, limit: u32) -> Result<Vec<FeedbackRow>, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            // The order of the ids must not depend on the locale of the database.
            let rows = query(
                "SELECT f.generation_id::uuid, f.decided_type, f.source, f.right_type, f.comment,
                     CASE WHEN c.prompt_is_whole THEN c.prompt END, c.media_facts
                 FROM (SELECT * FROM generation_feedback
                       WHERE generation_id > $1 AND created_at >= timestamptz 'epoch' + $2 * interval '1 microsecond'
                       ORDER BY generation_id LIMIT $3) AS f
                 LEFT JOIN intent_classification_logs AS c
                     ON c.created_at = f.decided_at AND c.id = f.generation_id::uuid AND c.user_id = f.user_id
                 ORDER BY f.generation_id",
            )
            .bind(after.to_string())
            .bind(micros(since))
            .bind(i64::from(limit))
            .fetch_all(&mut *transaction)
            .await?;
            transaction.commit().await?;
            let row = |row: &PgRow| {
                Ok(FeedbackRow {
                    generation_id: column(row, 0)?,
                    decided_type: column(row, 1)?,
                    source: column(row, 2)?,
                    right_type: column(row, 3)?,
                    comment: column(row, 4)?,
                    prompt: column(row, 5)?,
                    media_facts: media_facts(column(row, 6)?),
                })
            };
            rows.iter().map(row).collect()
        });
        self.with_schema(answer.await).await
    }
}
