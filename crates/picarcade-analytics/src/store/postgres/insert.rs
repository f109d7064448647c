//! Inserts one batch per statement. Each column is one array, and `UNNEST` turns the arrays into
//! rows. This takes two round trips per table for any batch size, and unlike `COPY` it can skip
//! existing rows.
//!
//! The arrays have one length and are unnested in the select list. In `FROM`, PostgreSQL would
//! first materialize each array, which takes a sixth of the server's time.
//!
//! The same statement marks the minutes below the frontier that receive rows as late, and writes
//! what the rows add to their minutes for statistics.
//!
//! Existing rows are skipped only if necessary: `ON CONFLICT` doubles the cost of a row, and rows
//! arrive twice only after an accident. The first attempt is a plain insert, which fails on an
//! existing row. The second attempt skips such rows. It does not know which ones, so it writes no
//! parts and marks all minutes as late.

use std::borrow::Cow;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::error::Result;
use super::statement::query;
use crate::event::{CostEvent, OutcomeEvent, SystemPerformanceEvent};
use crate::record::{Record, paired_id};
use crate::statistics::bucket_of_ms;
use crate::store::sql::minutes::Parts;
use crate::store::sql::value::{clean, clean_json, money};
use crate::timestamp::minute_of;
use crate::{ClassificationEvent, Event, ModelSelectionEvent};

/// The text of the batch, cleaned where necessary.
type Text<'a> = Cow<'a, str>;

/// The treatment of an existing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    /// The batch fails with a key violation.
    Fails,
    /// The existing row stays.
    Stays,
}

/// A batch, column by column.
#[derive(Debug, Default)]
pub(super) struct BatchColumns<'a> {
    classifications: Classifications<'a>,
    costs: Costs<'a>,
    selections: Selections<'a>,
    performance: Performance<'a>,
    outcomes: Outcomes<'a>,
}

/// Declares the columns of a table and its insert statement.
macro_rules! columns {
    ($name:ident { $($column:ident: $type:ty),* $(,)? } $insert:literal) => {
        #[derive(Debug, Default)]
        struct $name<'a> { $($column: Vec<$type>),* }

        impl $name<'_> {
            /// Inserts all rows. Returns whether there were any.
            async fn insert(&self, connection: &mut PgConnection, repeated: Repeated) -> Result<bool> {
                if self.created_at.is_empty() {
                    return Ok(false);
                }
                let statement = match repeated {
                    Repeated::Fails => $insert,
                    Repeated::Stays => concat!($insert, "\n   ON CONFLICT DO NOTHING"),
                };
                let insert = query(statement)$(.bind(&self.$column))*;
                insert.execute(connection).await?;
                Ok(true)
            }
        }
    };
}

columns!(Classifications {
    id: Uuid, user_id: Text<'a>, prompt: Text<'a>, classified_workflow: Text<'a>, confidence: f64,
    processing_time_ms: f64, used_fallback: bool, cache_hit: bool, circuit_breaker_state: Text<'a>, rate_limited: bool,
    source: Text<'a>, model: Text<'a>, cost_micros: i64, saved_micros: i64, duration_bucket: i16, created_at: i64,
    minute: i64, part_minute: i64, part_last: i64, part: Vec<u8>,
} "WITH late AS (INSERT INTO rollup_late (minute) SELECT DISTINCT m FROM unnest($17::int8[]) AS m
       WHERE m < (SELECT frontier FROM rollup_state) OR cardinality($18::int8[]) = 0),
   parts AS (INSERT INTO rollup_parts (minute, last, tally)
       SELECT r.m, r.l, r.t FROM unnest($18::int8[], $19::int8[], $20::bytea[]) AS r (m, l, t))
   INSERT INTO intent_classification_logs (id, user_id, prompt, classified_workflow, confidence, processing_time_ms,
       used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros, saved_micros,
       duration_bucket, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::float8[]),
       unnest($6::float8[]), unnest($7::bool[]), unnest($8::bool[]), unnest($9::text[]), unnest($10::bool[]),
       unnest($11::text[]), unnest($12::text[]), unnest($13::int8[]), unnest($14::int8[]), unnest($15::int2[]),
       timestamptz 'epoch' + unnest($16::int8[]) * interval '1 microsecond'");

columns!(Costs {
    id: Uuid, user_id: Text<'a>, operation_type: Text<'a>, generation_id: Option<Text<'a>>, estimated: i64,
    actual: Option<i64>, model_used: Text<'a>, success: Option<bool>, error_message: Option<Text<'a>>, created_at: i64,
    minute: i64,
} "WITH late AS (INSERT INTO rollup_late (minute) SELECT DISTINCT m FROM unnest($11::int8[]) AS m
       WHERE m < (SELECT frontier FROM rollup_state))
   INSERT INTO cost_tracking (id, user_id, operation_type, generation_id, estimated_cost_micros, actual_cost_micros,
       model_used, success, error_message, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::int8[]),
       unnest($6::int8[]), unnest($7::text[]), unnest($8::bool[]), unnest($9::text[]),
       timestamptz 'epoch' + unnest($10::int8[]) * interval '1 microsecond'");

columns!(Selections {
    id: Uuid, user_id: Text<'a>, generation_id: Text<'a>, workflow_type: Text<'a>, selected_model: Text<'a>,
    fallback_models: Text<'a>, estimated: i64, actual: Option<i64>, estimated_time: f64, actual_time: Option<f64>,
    success: Option<bool>, error_message: Option<Text<'a>>, created_at: i64,
} "INSERT INTO model_selection_logs (id, user_id, generation_id, workflow_type, selected_model, fallback_models,
       estimated_cost_micros, actual_cost_micros, estimated_time, actual_time, success, error_message, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
       unnest($6::text[])::jsonb, unnest($7::int8[]), unnest($8::int8[]), unnest($9::float8[]),
       unnest($10::float8[]), unnest($11::bool[]), unnest($12::text[]),
       timestamptz 'epoch' + unnest($13::int8[]) * interval '1 microsecond'");

columns!(Performance {
    id: Uuid, component: Text<'a>, metric: Text<'a>, value: f64, status: Text<'a>, metrics: Text<'a>, created_at: i64,
} "INSERT INTO system_performance_logs (id, component, metric, value, status, metrics, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::float8[]), unnest($5::text[]),
       unnest($6::text[])::jsonb, timestamptz 'epoch' + unnest($7::int8[]) * interval '1 microsecond'");

columns!(Outcomes {
    generation_id: Text<'a>, user_id: Text<'a>, success: bool, actual: Option<i64>, actual_time: Option<f64>,
    error_message: Option<Text<'a>>, cost_id: Uuid, created_at: i64,
} "INSERT INTO generation_outcomes (generation_id, user_id, success, actual_cost_micros, actual_time, error_message,
       cost_id, created_at)
   SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::bool[]), unnest($4::int8[]), unnest($5::float8[]),
       unnest($6::text[]), unnest($7::uuid[]),
       timestamptz 'epoch' + unnest($8::int8[]) * interval '1 microsecond'");

impl<'a> BatchColumns<'a> {
    /// Returns the batch as columns.
    pub(super) fn new(batch: &'a [Record]) -> Result<Self> {
        let mut rows = Self::default();
        let mut parts = Parts::default();
        for record in batch {
            let (id, at) = (record.id, record.created_at());
            match &record.event {
                Event::Classification(event) => {
                    rows.classifications.push(id, at, event)?;
                    parts.observe(at, event);
                }
                Event::Cost(event) => rows.costs.push(id, at, event)?,
                Event::ModelSelection(event) => rows.selections.push(id, at, event)?,
                Event::SystemPerformance(event) => rows.performance.push(id, at, event),
                Event::Outcome(event) => rows.outcomes.push(id, at, event)?,
            }
        }
        for (minute, last, part) in parts.encoded() {
            rows.classifications.part_minute.push(minute);
            rows.classifications.part_last.push(last);
            rows.classifications.part.push(part);
        }
        Ok(rows)
    }

    /// Removes the parts, because some of the rows may exist already: the additions to their
    /// minutes are then unknown.
    pub(super) fn forget_parts(&mut self) {
        let rows = &mut self.classifications;
        (rows.part_minute, rows.part_last, rows.part) = Default::default();
    }

    /// Inserts the batch, in a transaction that holds the writers' lock since an earlier statement:
    /// the frontier that a statement sees must not be older than the lock. Returns whether there
    /// were outcomes. A second outcome of a generation is normal and is always skipped.
    pub(super) async fn insert(&self, connection: &mut PgConnection, repeated: Repeated) -> Result<bool> {
        self.classifications.insert(connection, repeated).await?;
        self.performance.insert(connection, repeated).await?;
        self.costs.insert(connection, repeated).await?;
        self.selections.insert(connection, repeated).await?;
        self.outcomes.insert(connection, Repeated::Stays).await
    }
}

/// Adds the minute of a row. Rows are nearly in order of time, so a list without repeated neighbors
/// is short.
fn push_minute(minutes: &mut Vec<i64>, at: i64) {
    let minute = minute_of(at);
    if minutes.last() != Some(&minute) {
        minutes.push(minute);
    }
}

impl<'a> Classifications<'a> {
    fn push(&mut self, id: Uuid, at: i64, event: &'a ClassificationEvent) -> Result<()> {
        self.cost_micros.push(money(event.cost_micros)?);
        self.saved_micros.push(money(event.saved_micros)?);
        self.id.push(id);
        self.user_id.push(clean(&event.user_id));
        self.prompt.push(clean(&event.prompt));
        self.classified_workflow.push(clean(&event.classified_workflow));
        self.confidence.push(event.confidence);
        self.processing_time_ms.push(event.processing_time_ms);
        self.used_fallback.push(event.used_fallback);
        self.cache_hit.push(event.cache_hit);
        self.circuit_breaker_state.push(clean(&event.circuit_breaker_state));
        self.rate_limited.push(event.rate_limited);
        self.source.push(clean(&event.source));
        self.model.push(clean(&event.model));
        self.duration_bucket.push(bucket_of_ms(event.processing_time_ms).cast_signed());
        self.created_at.push(at);
        push_minute(&mut self.minute, at);
        Ok(())
    }
}

impl<'a> Costs<'a> {
    fn push(&mut self, id: Uuid, at: i64, event: &'a CostEvent) -> Result<()> {
        self.estimated.push(money(event.estimated_cost_micros)?);
        self.actual.push(event.actual_cost_micros.map(money).transpose()?);
        self.id.push(id);
        self.user_id.push(clean(&event.user_id));
        self.operation_type.push(clean(&event.operation_type));
        self.generation_id.push(event.generation_id.as_deref().map(clean));
        self.model_used.push(clean(&event.model_used));
        self.success.push(event.success);
        self.error_message.push(event.error_message.as_deref().map(clean));
        self.created_at.push(at);
        push_minute(&mut self.minute, at);
        Ok(())
    }
}

impl<'a> Selections<'a> {
    fn push(&mut self, id: Uuid, at: i64, event: &'a ModelSelectionEvent) -> Result<()> {
        self.estimated.push(money(event.estimated_cost_micros)?);
        self.actual.push(event.actual_cost_micros.map(money).transpose()?);
        self.id.push(id);
        self.user_id.push(clean(&event.user_id));
        self.generation_id.push(clean(&event.generation_id));
        self.workflow_type.push(clean(&event.workflow_type));
        self.selected_model.push(clean(&event.selected_model));
        let models = event.fallback_models.iter().map(|model| &**model).collect();
        self.fallback_models.push(clean_json(&models).into());
        self.estimated_time.push(event.estimated_time);
        self.actual_time.push(event.actual_time);
        self.success.push(event.success);
        self.error_message.push(event.error_message.as_deref().map(clean));
        self.created_at.push(at);
        Ok(())
    }
}

impl<'a> Performance<'a> {
    fn push(&mut self, id: Uuid, at: i64, event: &'a SystemPerformanceEvent) {
        self.id.push(id);
        self.component.push(clean(&event.component));
        self.metric.push(clean(&event.metric));
        self.value.push(event.value);
        self.status.push(clean(&event.status));
        self.metrics.push(clean_json(&event.metrics).into());
        self.created_at.push(at);
    }
}

impl<'a> Outcomes<'a> {
    fn push(&mut self, id: Uuid, at: i64, event: &'a OutcomeEvent) -> Result<()> {
        self.actual.push(event.actual_cost_micros.map(money).transpose()?);
        self.generation_id.push(clean(&event.generation_id));
        self.user_id.push(clean(&event.user_id));
        self.success.push(event.success);
        self.actual_time.push(event.actual_time);
        self.error_message.push(event.error_message.as_deref().map(clean));
        self.cost_id.push(paired_id(id));
        self.created_at.push(at);
        Ok(())
    }
}
