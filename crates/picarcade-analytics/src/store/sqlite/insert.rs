//! Inserts many rows per statement.
//!
//! A statement is sent to the thread of the connection and back, which costs little with 64 rows
//! each. Batches are cut into 64, 16, 4 and 1 rows, so each table has four statements to prepare
//! for any batch size.

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe};
use uuid::Uuid;

use super::error::Result;
use crate::event::{CostEvent, FeedbackEvent, OutcomeEvent, SystemPerformanceEvent};
use crate::record::{Record, created_at, paired_id};
use crate::statistics::bucket_of_ms;
use crate::store::sql::value::{clean, clean_json, money, unfit};
use crate::{ClassificationEvent, Event, ModelSelectionEvent, Table};

const CHUNKS: [usize; 4] = [64, 16, 4, 1];

#[derive(Debug)]
pub(super) struct Inserted {
    /// Whether the batch contained outcomes.
    pub(super) outcomes: bool,
    /// Whether all classifications were new.
    pub(super) all_new: bool,
}

/// Inserts the batch and skips existing rows, except that newer feedback replaces older feedback.
pub(super) async fn batch(connection: &mut SqliteConnection, batch: &[Record]) -> Result<Inserted> {
    let mut inserted = Inserted { outcomes: false, all_new: true };
    for table in Table::ALL {
        let rows: Vec<&Record> = batch.iter().filter(|record| record.event.table() == table).collect();
        inserted.outcomes |= table == Table::Outcome && !rows.is_empty();
        let mut new = 0;
        let mut rest = rows.as_slice();
        for size in CHUNKS {
            while let Some((chunk, after)) = rest.split_at_checked(size) {
                new += insert(connection, table, chunk).await?;
                rest = after;
            }
        }
        inserted.all_new &= table != Table::Classification || new == rows.len() as u64;
    }
    Ok(inserted)
}

/// Inserts the rows of one statement and returns how many were new.
async fn insert(connection: &mut SqliteConnection, table: Table, rows: &[&Record]) -> Result<u64> {
    let mut arguments = SqliteArguments::default();
    for record in rows {
        let mut row = Bindings(&mut arguments);
        let at = record.created_at();
        match &record.event {
            Event::Classification(event) => classification(&mut row, record.id, at, event)?,
            Event::Cost(event) => cost(&mut row, record.id, at, event)?,
            Event::ModelSelection(event) => selection(&mut row, record.id, at, event)?,
            Event::SystemPerformance(event) => performance(&mut row, record.id, at, event)?,
            Event::Outcome(event) => outcome(&mut row, record.id, at, event)?,
            Event::Feedback(event) => feedback(&mut row, at, event)?,
        }
    }
    let statement = statement(table, rows.len());
    let done = sqlx::query_with(AssertSqlSafe(statement), arguments).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Returns `INSERT … VALUES (…), (…)` for this number of rows, made of literals only.
fn statement(table: Table, rows: usize) -> String {
    let columns = match table {
        Table::Classification => {
            "id, user_id, prompt, classified_workflow, confidence, processing_time_ms, used_fallback, cache_hit, \
             circuit_breaker_state, rate_limited, source, model, cost_micros, saved_micros, duration_bucket, \
             prompt_is_whole, media_facts, reason, request_id, created_at"
        }
        Table::Cost => {
            "id, user_id, operation_type, generation_id, estimated_cost_micros, actual_cost_micros, model_used, \
             success, error_message, created_at"
        }
        Table::ModelSelection => {
            "id, user_id, generation_id, workflow_type, selected_model, fallback_models, estimated_cost_micros, \
             actual_cost_micros, estimated_time, actual_time, success, error_message, created_at"
        }
        Table::SystemPerformance => "id, component, metric, value, status, metrics, created_at",
        Table::Outcome => {
            "generation_id, user_id, success, actual_cost_micros, actual_time, error_message, cost_id, created_at"
        }
        Table::Feedback => {
            "generation_id, user_id, decided_type, source, right_type, comment, decided_at, created_at"
        }
    };
    let conflict = if table == Table::Feedback { REPLACE_FEEDBACK } else { "ON CONFLICT DO NOTHING" };
    let places = columns.split(',').map(|_| "?").collect::<Vec<_>>().join(",");
    let values = vec![format!("({places})"); rows].join(",");
    format!("INSERT INTO {} ({columns}) VALUES {values} {conflict}", table.as_str())
}

/// A spool delivers feedback later than it was given, so the time decides which one is the last.
const REPLACE_FEEDBACK: &str = "ON CONFLICT (generation_id) DO UPDATE SET decided_type = excluded.decided_type, \
    source = excluded.source, right_type = excluded.right_type, comment = excluded.comment, \
    created_at = excluded.created_at WHERE excluded.created_at > generation_feedback.created_at";

/// Binds the values of a row in the order of the columns.
struct Bindings<'a>(&'a mut SqliteArguments);

impl Bindings<'_> {
    fn add<'t, T>(&mut self, value: T) -> Result<()>
    where
        T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        Ok(Arguments::add(self.0, value).map_err(|_| unfit("a value cannot be encoded"))?)
    }

    fn id(&mut self, id: Uuid) -> Result<()> {
        self.add(id.into_bytes().to_vec())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        self.add(clean(text).into_owned())
    }

    fn maybe_text(&mut self, text: Option<&str>) -> Result<()> {
        self.add(text.map(|text| clean(text).into_owned()))
    }

    fn money(&mut self, micros: u64) -> Result<()> {
        self.add(money(micros)?)
    }

    fn maybe_money(&mut self, micros: Option<u64>) -> Result<()> {
        self.add(micros.map(money).transpose()?)
    }
}

fn classification(row: &mut Bindings<'_>, id: Uuid, at: i64, event: &ClassificationEvent) -> Result<()> {
    row.id(id)?;
    row.text(&event.user_id)?;
    row.text(&event.prompt)?;
    row.text(&event.classified_workflow)?;
    row.add(event.confidence)?;
    row.add(event.processing_time_ms)?;
    row.add(event.used_fallback)?;
    row.add(event.cache_hit)?;
    row.text(&event.circuit_breaker_state)?;
    row.add(event.rate_limited)?;
    row.text(&event.source)?;
    row.text(&event.model)?;
    row.money(event.cost_micros)?;
    row.money(event.saved_micros)?;
    row.add(i64::from(bucket_of_ms(event.processing_time_ms)))?;
    row.add(event.prompt_is_whole)?;
    row.add(event.media_facts.map(i64::from))?;
    row.text(&event.reason)?;
    row.maybe_text(event.request_id.as_deref())?;
    row.add(at)
}

fn cost(row: &mut Bindings<'_>, id: Uuid, at: i64, event: &CostEvent) -> Result<()> {
    row.id(id)?;
    row.text(&event.user_id)?;
    row.text(&event.operation_type)?;
    row.maybe_text(event.generation_id.as_deref())?;
    row.money(event.estimated_cost_micros)?;
    row.maybe_money(event.actual_cost_micros)?;
    row.text(&event.model_used)?;
    row.add(event.success)?;
    row.maybe_text(event.error_message.as_deref())?;
    row.add(at)
}

fn selection(row: &mut Bindings<'_>, id: Uuid, at: i64, event: &ModelSelectionEvent) -> Result<()> {
    row.id(id)?;
    row.text(&event.user_id)?;
    row.text(&event.generation_id)?;
    row.text(&event.workflow_type)?;
    row.text(&event.selected_model)?;
    row.add(clean_json(&event.fallback_models.iter().map(|model| &**model).collect()))?;
    row.money(event.estimated_cost_micros)?;
    row.maybe_money(event.actual_cost_micros)?;
    row.add(event.estimated_time)?;
    row.add(event.actual_time)?;
    row.add(event.success)?;
    row.maybe_text(event.error_message.as_deref())?;
    row.add(at)
}

fn performance(row: &mut Bindings<'_>, id: Uuid, at: i64, event: &SystemPerformanceEvent) -> Result<()> {
    row.id(id)?;
    row.text(&event.component)?;
    row.text(&event.metric)?;
    row.add(event.value)?;
    row.text(&event.status)?;
    row.add(clean_json(&event.metrics))?;
    row.add(at)
}

fn outcome(row: &mut Bindings<'_>, id: Uuid, at: i64, event: &OutcomeEvent) -> Result<()> {
    row.text(&event.generation_id)?;
    row.text(&event.user_id)?;
    row.add(event.success)?;
    row.maybe_money(event.actual_cost_micros)?;
    row.add(event.actual_time)?;
    row.maybe_text(event.error_message.as_deref())?;
    row.id(paired_id(id))?;
    row.add(at)
}

fn feedback(row: &mut Bindings<'_>, at: i64, event: &FeedbackEvent) -> Result<()> {
    row.text(&event.generation_id.to_string())?;
    row.text(&event.user_id)?;
    row.text(&event.decided_type)?;
    row.text(&event.source)?;
    row.text(&event.right_type)?;
    row.maybe_text(event.comment.as_deref())?;
    row.add(created_at(event.generation_id))?;
    row.add(at)
}
