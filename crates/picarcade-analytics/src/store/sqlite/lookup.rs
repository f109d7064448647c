//! Sessions and generations in SQLite.

use std::time::SystemTime;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqlitePool;

use super::error::Result;
use super::store::SqliteStore;
use crate::Error;
use crate::store::lookup::{GenerationRow, GenerationRows, SessionRow, SessionRows};
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
