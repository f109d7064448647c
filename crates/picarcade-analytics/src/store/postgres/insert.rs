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
use crate::event::{CostEvent, FeedbackEvent, OutcomeEvent, SystemPerformanceEvent};
use crate::record::{Record, created_at, paired_id};
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
    feedback: Feedback<'a>,
}

/// Declares a table: the arrays of its columns with the value of an event in each, further arrays,
/// and the statement that inserts them.
macro_rules! columns {
    ($name:ident($id:ident, $at:ident, $event:ident: $from:ty) {
        $($column:ident: $type:ty = $value:expr,)*
    } and { $($further:ident: $further_type:ty,)* } $insert:literal) => {
        #[derive(Debug, Default)]
        struct $name<'a> { $($column: Vec<$type>,)* $($further: Vec<$further_type>,)* }

        impl<'a> $name<'a> {
            /// Adds a row created at `$at`.
            fn push(&mut self, $id: Uuid, $at: i64, $event: &'a $from) -> Result<()> {
                $(self.$column.push($value);)*
                Ok(())
            }

            /// Inserts all rows. Returns whether there were any.
            async fn insert(&self, connection: &mut PgConnection, repeated: Repeated) -> Result<bool> {
                if self.created_at.is_empty() {
                    return Ok(false);
                }
                let statement = match repeated {
                    Repeated::Fails => $insert,
                    Repeated::Stays => concat!($insert, "\n   ON CONFLICT DO NOTHING"),
                };
                let insert = query(statement)$(.bind(&self.$column))*$(.bind(&self.$further))*;
                insert.execute(connection).await?;
                Ok(true)
            }
        }
    };
}

columns!(Classifications(id, at, event: ClassificationEvent) {
    id: Uuid = id,
    user_id: Text<'a> = clean(&event.user_id),
    prompt: Text<'a> = clean(&event.prompt),
    classified_workflow: Text<'a> = clean(&event.classified_workflow),
    confidence: f64 = event.confidence,
    processing_time_ms: f64 = event.processing_time_ms,
    used_fallback: bool = event.used_fallback,
    cache_hit: bool = event.cache_hit,
    circuit_breaker_state: Text<'a> = clean(&event.circuit_breaker_state),
    rate_limited: bool = event.rate_limited,
    source: Text<'a> = clean(&event.source),
    model: Text<'a> = clean(&event.model),
    cost_micros: i64 = money(event.cost_micros)?,
    saved_micros: i64 = money(event.saved_micros)?,
    duration_bucket: i16 = bucket_of_ms(event.processing_time_ms).cast_signed(),
    created_at: i64 = at,
    prompt_is_whole: bool = event.prompt_is_whole,
    media_facts: Option<i16> = event.media_facts.map(i16::from),
    reason: Text<'a> = clean(&event.reason),
    request_id: Option<Text<'a>> = event.request_id.as_deref().map(clean),
} and {
    minute: i64, part_minute: i64, part_last: i64, part: Vec<u8>,
} "WITH late AS (INSERT INTO rollup_late (minute) SELECT DISTINCT m FROM unnest($21::int8[]) AS m
       WHERE m < (SELECT frontier FROM rollup_state) OR cardinality($22::int8[]) = 0),
   parts AS (INSERT INTO rollup_parts (minute, last, tally)
       SELECT r.m, r.l, r.t FROM unnest($22::int8[], $23::int8[], $24::bytea[]) AS r (m, l, t))
   INSERT INTO intent_classification_logs (id, user_id, prompt, classified_workflow, confidence, processing_time_ms,
       used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros, saved_micros,
       duration_bucket, created_at, prompt_is_whole, media_facts, reason, request_id)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::float8[]),
       unnest($6::float8[]), unnest($7::bool[]), unnest($8::bool[]), unnest($9::text[]), unnest($10::bool[]),
       unnest($11::text[]), unnest($12::text[]), unnest($13::int8[]), unnest($14::int8[]), unnest($15::int2[]),
       timestamptz 'epoch' + unnest($16::int8[]) * interval '1 microsecond', unnest($17::bool[]), unnest($18::int2[]),
       unnest($19::text[]), unnest($20::text[])");

columns!(Costs(id, at, event: CostEvent) {
    id: Uuid = id,
    user_id: Text<'a> = clean(&event.user_id),
    operation_type: Text<'a> = clean(&event.operation_type),
    generation_id: Option<Text<'a>> = event.generation_id.as_deref().map(clean),
    estimated: i64 = money(event.estimated_cost_micros)?,
    actual: Option<i64> = event.actual_cost_micros.map(money).transpose()?,
    model_used: Text<'a> = clean(&event.model_used),
    success: Option<bool> = event.success,
    error_message: Option<Text<'a>> = event.error_message.as_deref().map(clean),
    created_at: i64 = at,
} and {
    minute: i64,
} "WITH late AS (INSERT INTO rollup_late (minute) SELECT DISTINCT m FROM unnest($11::int8[]) AS m
       WHERE m < (SELECT frontier FROM rollup_state))
   INSERT INTO cost_tracking (id, user_id, operation_type, generation_id, estimated_cost_micros, actual_cost_micros,
       model_used, success, error_message, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::int8[]),
       unnest($6::int8[]), unnest($7::text[]), unnest($8::bool[]), unnest($9::text[]),
       timestamptz 'epoch' + unnest($10::int8[]) * interval '1 microsecond'");

columns!(Selections(id, at, event: ModelSelectionEvent) {
    id: Uuid = id,
    user_id: Text<'a> = clean(&event.user_id),
    generation_id: Text<'a> = clean(&event.generation_id),
    workflow_type: Text<'a> = clean(&event.workflow_type),
    selected_model: Text<'a> = clean(&event.selected_model),
    fallback_models: Text<'a> = clean_json(&event.fallback_models.iter().map(|model| &**model).collect()).into(),
    estimated: i64 = money(event.estimated_cost_micros)?,
    actual: Option<i64> = event.actual_cost_micros.map(money).transpose()?,
    estimated_time: f64 = event.estimated_time,
    actual_time: Option<f64> = event.actual_time,
    success: Option<bool> = event.success,
    error_message: Option<Text<'a>> = event.error_message.as_deref().map(clean),
    created_at: i64 = at,
} and {} "INSERT INTO model_selection_logs (id, user_id, generation_id, workflow_type, selected_model, fallback_models,
       estimated_cost_micros, actual_cost_micros, estimated_time, actual_time, success, error_message, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
       unnest($6::text[])::jsonb, unnest($7::int8[]), unnest($8::int8[]), unnest($9::float8[]),
       unnest($10::float8[]), unnest($11::bool[]), unnest($12::text[]),
       timestamptz 'epoch' + unnest($13::int8[]) * interval '1 microsecond'");

columns!(Performance(id, at, event: SystemPerformanceEvent) {
    id: Uuid = id,
    component: Text<'a> = clean(&event.component),
    metric: Text<'a> = clean(&event.metric),
    value: f64 = event.value,
    status: Text<'a> = clean(&event.status),
    metrics: Text<'a> = clean_json(&event.metrics).into(),
    created_at: i64 = at,
} and {} "INSERT INTO system_performance_logs (id, component, metric, value, status, metrics, created_at)
   SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::float8[]), unnest($5::text[]),
       unnest($6::text[])::jsonb, timestamptz 'epoch' + unnest($7::int8[]) * interval '1 microsecond'");

columns!(Outcomes(id, at, event: OutcomeEvent) {
    generation_id: Text<'a> = clean(&event.generation_id),
    user_id: Text<'a> = clean(&event.user_id),
    success: bool = event.success,
    actual: Option<i64> = event.actual_cost_micros.map(money).transpose()?,
    actual_time: Option<f64> = event.actual_time,
    error_message: Option<Text<'a>> = event.error_message.as_deref().map(clean),
    cost_id: Uuid = paired_id(id),
    created_at: i64 = at,
} and {} "INSERT INTO generation_outcomes (generation_id, user_id, success, actual_cost_micros, actual_time, error_message,
       cost_id, created_at)
   SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::bool[]), unnest($4::int8[]), unnest($5::float8[]),
       unnest($6::text[]), unnest($7::uuid[]),
       timestamptz 'epoch' + unnest($8::int8[]) * interval '1 microsecond'");

// A statement can update a row only once, so older feedback of the same batch is left out. A spool
// delivers feedback later than it was given, so the time decides which one is the last. The order
// keeps two statements from waiting for each other.
columns!(Feedback(_id, at, event: FeedbackEvent) {
    generation_id: String = event.generation_id.to_string(),
    user_id: Text<'a> = clean(&event.user_id),
    decided_type: Text<'a> = clean(&event.decided_type),
    source: Text<'a> = clean(&event.source),
    right_type: Text<'a> = clean(&event.right_type),
    comment: Option<Text<'a>> = event.comment.as_deref().map(clean),
    decided_at: i64 = created_at(event.generation_id),
    created_at: i64 = at,
} and {} "INSERT INTO generation_feedback (generation_id, user_id, decided_type, source, right_type, comment, decided_at,
       created_at)
   SELECT DISTINCT ON (f.generation_id) f.* FROM (
       SELECT unnest($1::text[]) AS generation_id, unnest($2::text[]), unnest($3::text[]), unnest($4::text[]),
           unnest($5::text[]), unnest($6::text[]),
           timestamptz 'epoch' + unnest($7::int8[]) * interval '1 microsecond',
           timestamptz 'epoch' + unnest($8::int8[]) * interval '1 microsecond' AS created_at) AS f
   ORDER BY f.generation_id, f.created_at DESC
   ON CONFLICT (generation_id) DO UPDATE SET decided_type = excluded.decided_type, source = excluded.source,
       right_type = excluded.right_type, comment = excluded.comment, created_at = excluded.created_at
   WHERE excluded.created_at > generation_feedback.created_at");

impl<'a> BatchColumns<'a> {
    pub(super) fn new(batch: &'a [Record]) -> Result<Self> {
        let mut rows = Self::default();
        let mut parts = Parts::default();
        for record in batch {
            let (id, at) = (record.id, record.created_at());
            match &record.event {
                Event::Classification(event) => {
                    rows.classifications.push(id, at, event)?;
                    push_minute(&mut rows.classifications.minute, at);
                    parts.observe(at, event);
                }
                Event::Cost(event) => {
                    rows.costs.push(id, at, event)?;
                    push_minute(&mut rows.costs.minute, at);
                }
                Event::ModelSelection(event) => rows.selections.push(id, at, event)?,
                Event::SystemPerformance(event) => rows.performance.push(id, at, event)?,
                Event::Outcome(event) => rows.outcomes.push(id, at, event)?,
                Event::Feedback(event) => rows.feedback.push(id, at, event)?,
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
    /// were outcomes. A second outcome of a generation is normal and is always skipped. Second
    /// feedback is normal too, and its statement says what happens.
    pub(super) async fn insert(&self, connection: &mut PgConnection, repeated: Repeated) -> Result<bool> {
        self.classifications.insert(connection, repeated).await?;
        self.performance.insert(connection, repeated).await?;
        self.costs.insert(connection, repeated).await?;
        self.selections.insert(connection, repeated).await?;
        self.feedback.insert(connection, Repeated::Fails).await?;
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
