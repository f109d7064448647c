//! Sessions, generations and feedback in SQLite.

use std::time::SystemTime;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use uuid::Uuid;

use super::error::Result;
use super::store::SqliteStore;
use crate::Error;
use crate::store::lookup::{
    FeedbackRow, FeedbackRows, GenerationRow, GenerationRows, SessionRow, SessionRows, media_facts,
};
use crate::timestamp::{from_micros, micros};

#[async_trait]
impl SessionRows for SqliteStore {
    async fn session(&self, session_id: &str) -> Result<Option<SessionRow>, Error> {
        Ok(session(&self.readers, session_id).await?)
    }

    async fn put_session(&self, row: &SessionRow) -> Result<bool, Error> {
        Ok(put(&self.writer, row).await?)
    }

    async fn delete_session(&self, session_id: &str, user_id: &str) -> Result<bool, Error> {
        Ok(delete(&self.writer, session_id, user_id).await?)
    }
}

async fn session(readers: &SqlitePool, session_id: &str) -> Result<Option<SessionRow>> {
    let row = sqlx::query(
        "SELECT user_id, current_working_image, current_working_video, metadata, expires_at, updated_at
         FROM user_sessions WHERE session_id = ? AND (expires_at IS NULL OR expires_at > ?)",
    )
    .bind(session_id)
    .bind(micros(SystemTime::now()))
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let metadata: String = row.try_get(3)?;
    Ok(Some(SessionRow {
        session_id: session_id.to_owned(),
        user_id: row.try_get(0)?,
        current_working_image: row.try_get(1)?,
        current_working_video: row.try_get(2)?,
        metadata: serde_json::from_str(&metadata).map_err(|_| Error::Corrupt { what: "session metadata" })?,
        expires_at: row.try_get::<Option<i64>, _>(4)?.map(from_micros),
        updated_at: from_micros(row.try_get(5)?),
    }))
}

async fn put(writer: &SqlitePool, row: &SessionRow) -> Result<bool> {
    let put = sqlx::query(
        "INSERT INTO user_sessions (session_id, user_id, current_working_image, current_working_video, metadata,
             expires_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET user_id = ?2, current_working_image = ?3, current_working_video = ?4,
             metadata = ?5, expires_at = ?6, updated_at = ?7
         WHERE user_sessions.user_id = ?2 OR user_sessions.expires_at <= ?8",
    )
    .bind(&row.session_id)
    .bind(&row.user_id)
    .bind(&row.current_working_image)
    .bind(&row.current_working_video)
    .bind(row.metadata.to_string())
    .bind(row.expires_at.map(micros))
    .bind(micros(row.updated_at))
    .bind(micros(SystemTime::now()))
    .execute(writer)
    .await?;
    Ok(put.rows_affected() > 0)
}

async fn delete(writer: &SqlitePool, session_id: &str, user_id: &str) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM user_sessions WHERE session_id = ? AND user_id = ?")
        .bind(session_id)
        .bind(user_id)
        .execute(writer)
        .await?;
    Ok(deleted.rows_affected() > 0)
}

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
             WHERE o.generation_id = s.generation_id AND o.user_id = s.user_id),
             s.workflow_type, c.source, c.media_facts
         FROM model_selection_logs AS s
         LEFT JOIN intent_classification_logs AS c ON c.id = ?2 AND c.user_id = s.user_id
         WHERE s.generation_id = ?1 ORDER BY s.id LIMIT 1",
    )
    .bind(generation_id)
    .bind(Uuid::parse_str(generation_id).ok().map(|id| id.into_bytes().to_vec()))
    .fetch_optional(readers)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(GenerationRow {
        user_id: row.try_get(0)?,
        selected_model: row.try_get(1)?,
        estimated_cost_micros: row.try_get::<i64, _>(2)?.unsigned_abs(),
        reported: row.try_get(3)?,
        workflow_type: row.try_get(4)?,
        source: row.try_get(5)?,
        media_facts: media_facts(row.try_get(6)?),
    }))
}

#[async_trait]
impl FeedbackRows for SqliteStore {
    async fn feedback(&self, since: SystemTime, after: Uuid, limit: u32) -> Result<Vec<FeedbackRow>, Error> {
        Ok(feedback(&self.readers, since, after, limit).await?)
    }
}

async fn feedback(
    readers: &SqlitePool,
    since: SystemTime,
    after: Uuid,
    limit: u32,
) -> Result<Vec<FeedbackRow>> {
    let rows = sqlx::query(
        "SELECT f.generation_id, f.decided_type, f.source, f.right_type, f.comment,
             CASE WHEN c.prompt_is_whole THEN c.prompt END, c.media_facts
         FROM generation_feedback AS f
         LEFT JOIN intent_classification_logs AS c
             ON c.id = unhex(f.generation_id, '-') AND c.user_id = f.user_id
         WHERE f.generation_id > ? AND f.created_at >= ? ORDER BY f.generation_id LIMIT ?",
    )
    .bind(after.to_string())
    .bind(micros(since))
    .bind(limit)
    .fetch_all(readers)
    .await?;
    let row = |row: &SqliteRow| {
        let id: String = row.try_get(0)?;
        Ok(FeedbackRow {
            generation_id: Uuid::parse_str(&id).map_err(|_| Error::Corrupt { what: "feedback" })?,
            decided_type: row.try_get(1)?,
            source: row.try_get(2)?,
            right_type: row.try_get(3)?,
            comment: row.try_get(4)?,
            prompt: row.try_get(5)?,
            media_facts: media_facts(row.try_get(6)?),
        })
    };
    rows.iter().map(row).collect()
}
