//! Rows in, a batch to a statement: each column travels as one array, and `UNNEST` makes rows of them.
//!
//! Two round trips a table, whatever the size of the batch, and unlike `COPY` it can leave out what is there already.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{error, query};
use crate::database::money;
use crate::event::{CostEvent, OutcomeEvent, SystemPerformanceEvent};
use crate::histogram::bucket_of_ms;
use crate::record::{Record, paired_id};
use crate::text::{clean, clean_json};
use crate::{ClassificationEvent, Error, Event, ModelSelectionEvent};

/// A batch, column by column.
#[derive(Debug, Default)]
pub(super) struct Rows {
    classifications: Classifications,
    costs: Costs,
    selections: Selections,
    performance: Performance,
    outcomes: Outcomes,
}

/// Declares the columns of a table, and the statement that inserts them.
macro_rules! columns {
    ($name:ident { $($column:ident: $type:ty),* $(,)? } $insert:expr) => {
        #[derive(Debug, Default)]
        struct $name { $($column: Vec<$type>),* }

        impl $name {
            /// Inserts all rows; whether there were any.
            async fn insert(self, connection: &mut PgConnection) -> Result<bool, Error> {
                if self.created_at.is_empty() {
                    return Ok(false);
                }
                let insert = query($insert)$(.bind(self.$column))*;
                insert.execute(connection).await.map_err(error)?;
                Ok(true)
            }
        }
    };
}

columns!(Classifications {
    id: Uuid, user_id: String, prompt: String, classified_workflow: String, confidence: f64,
    processing_time_ms: f64, used_fallback: bool, cache_hit: bool, circuit_breaker_state: String, rate_limited: bool,
    source: String, model: String, cost_micros: i64, saved_micros: i64, duration_bucket: i16, created_at: i64,
} "INSERT INTO intent_classification_logs (id, user_id, prompt, classified_workflow, confidence, processing_time_ms,
       used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros, saved_micros,
       duration_bucket, created_at)
   SELECT r.c1, r.c2, r.c3, r.c4, r.c5, r.c6, r.c7, r.c8, r.c9, r.c10, r.c11, r.c12, r.c13, r.c14, r.c15,
       timestamptz 'epoch' + r.c16 * interval '1 microsecond'
   FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::bool[], $8::bool[],
       $9::text[], $10::bool[], $11::text[], $12::text[], $13::int8[], $14::int8[], $15::int2[], $16::int8[])
       AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16)
   ON CONFLICT DO NOTHING");

columns!(Costs {
    id: Uuid, user_id: String, operation_type: String, generation_id: Option<String>, estimated: i64,
    actual: Option<i64>, model_used: String, success: Option<bool>, error_message: Option<String>, created_at: i64,
} "INSERT INTO cost_tracking (id, user_id, operation_type, generation_id, estimated_cost_micros, actual_cost_micros,
       model_used, success, error_message, created_at)
   SELECT r.c1, r.c2, r.c3, r.c4, r.c5, r.c6, r.c7, r.c8, r.c9,
       timestamptz 'epoch' + r.c10 * interval '1 microsecond'
   FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int8[], $6::int8[], $7::text[], $8::bool[],
       $9::text[], $10::int8[]) AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10)
   ON CONFLICT DO NOTHING");

columns!(Selections {
    id: Uuid, user_id: String, generation_id: String, workflow_type: String, selected_model: String,
    fallback_models: String, estimated: i64, actual: Option<i64>, estimated_time: f64, actual_time: Option<f64>,
    success: Option<bool>, error_message: Option<String>, created_at: i64,
} "INSERT INTO model_selection_logs (id, user_id, generation_id, workflow_type, selected_model, fallback_models,
       estimated_cost_micros, actual_cost_micros, estimated_time, actual_time, success, error_message, created_at)
   SELECT r.c1, r.c2, r.c3, r.c4, r.c5, r.c6::jsonb, r.c7, r.c8, r.c9, r.c10, r.c11, r.c12,
       timestamptz 'epoch' + r.c13 * interval '1 microsecond'
   FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int8[], $8::int8[],
       $9::float8[], $10::float8[], $11::bool[], $12::text[], $13::int8[])
       AS r (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13)
   ON CONFLICT DO NOTHING");

columns!(Performance {
    id: Uuid, component: String, metric: String, value: f64, status: String, metrics: String, created_at: i64,
} "INSERT INTO system_performance_logs (id, component, metric, value, status, metrics, created_at)
   SELECT r.c1, r.c2, r.c3, r.c4, r.c5, r.c6::jsonb, timestamptz 'epoch' + r.c7 * interval '1 microsecond'
   FROM unnest($1::uuid[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::text[], $7::int8[])
       AS r (c1, c2, c3, c4, c5, c6, c7)
   ON CONFLICT DO NOTHING");

columns!(Outcomes {
    generation_id: String, user_id: String, success: bool, actual: Option<i64>, actual_time: Option<f64>,
    error_message: Option<String>, cost_id: Uuid, created_at: i64,
} "INSERT INTO generation_outcomes (generation_id, user_id, success, actual_cost_micros, actual_time, error_message,
       cost_id, created_at)
   SELECT r.c1, r.c2, r.c3, r.c4, r.c5, r.c6, r.c7, timestamptz 'epoch' + r.c8 * interval '1 microsecond'
   FROM unnest($1::text[], $2::text[], $3::bool[], $4::int8[], $5::float8[], $6::text[], $7::uuid[], $8::int8[])
       AS r (c1, c2, c3, c4, c5, c6, c7, c8)
   ON CONFLICT DO NOTHING");

impl Rows {
    /// The batch as columns.
    pub(super) fn new(batch: &[Record]) -> Result<Self, Error> {
        let mut rows = Self::default();
        for record in batch {
            let (id, at) = (record.id, record.created_at());
            match &record.event {
                Event::Classification(event) => rows.classifications.push(id, at, event)?,
                Event::Cost(event) => rows.costs.push(id, at, event)?,
                Event::ModelSelection(event) => rows.selections.push(id, at, event)?,
                Event::SystemPerformance(event) => rows.performance.push(id, at, event),
                Event::Outcome(event) => rows.outcomes.push(id, at, event)?,
            }
        }
        Ok(rows)
    }

    /// Inserts the batch, leaving rows that are there as they are; whether there were outcomes in it.
    pub(super) async fn insert(self, connection: &mut PgConnection) -> Result<bool, Error> {
        self.classifications.insert(connection).await?;
        self.performance.insert(connection).await?;
        self.costs.insert(connection).await?;
        self.selections.insert(connection).await?;
        self.outcomes.insert(connection).await
    }
}

fn text(text: &str) -> String {
    clean(text).into_owned()
}

fn maybe_text(maybe: Option<&str>) -> Option<String> {
    maybe.map(text)
}

impl Classifications {
    fn push(&mut self, id: Uuid, at: i64, event: &ClassificationEvent) -> Result<(), Error> {
        self.cost_micros.push(money(event.cost_micros)?);
        self.saved_micros.push(money(event.saved_micros)?);
        self.id.push(id);
        self.user_id.push(text(&event.user_id));
        self.prompt.push(text(&event.prompt));
        self.classified_workflow.push(text(&event.classified_workflow));
        self.confidence.push(event.confidence);
        self.processing_time_ms.push(event.processing_time_ms);
        self.used_fallback.push(event.used_fallback);
        self.cache_hit.push(event.cache_hit);
        self.circuit_breaker_state.push(text(&event.circuit_breaker_state));
        self.rate_limited.push(event.rate_limited);
        self.source.push(text(&event.source));
        self.model.push(text(&event.model));
        self.duration_bucket.push(bucket_of_ms(event.processing_time_ms).cast_signed());
        self.created_at.push(at);
        Ok(())
    }
}

impl Costs {
    fn push(&mut self, id: Uuid, at: i64, event: &CostEvent) -> Result<(), Error> {
        self.estimated.push(money(event.estimated_cost_micros)?);
        self.actual.push(event.actual_cost_micros.map(money).transpose()?);
        self.id.push(id);
        self.user_id.push(text(&event.user_id));
        self.operation_type.push(text(&event.operation_type));
        self.generation_id.push(maybe_text(event.generation_id.as_deref()));
        self.model_used.push(text(&event.model_used));
        self.success.push(event.success);
        self.error_message.push(maybe_text(event.error_message.as_deref()));
        self.created_at.push(at);
        Ok(())
    }
}

impl Selections {
    fn push(&mut self, id: Uuid, at: i64, event: &ModelSelectionEvent) -> Result<(), Error> {
        self.estimated.push(money(event.estimated_cost_micros)?);
        self.actual.push(event.actual_cost_micros.map(money).transpose()?);
        self.id.push(id);
        self.user_id.push(text(&event.user_id));
        self.generation_id.push(text(&event.generation_id));
        self.workflow_type.push(text(&event.workflow_type));
        self.selected_model.push(text(&event.selected_model));
        self.fallback_models.push(clean_json(&event.fallback_models.iter().map(|model| &**model).collect()));
        self.estimated_time.push(event.estimated_time);
        self.actual_time.push(event.actual_time);
        self.success.push(event.success);
        self.error_message.push(maybe_text(event.error_message.as_deref()));
        self.created_at.push(at);
        Ok(())
    }
}

impl Performance {
    fn push(&mut self, id: Uuid, at: i64, event: &SystemPerformanceEvent) {
        self.id.push(id);
        self.component.push(text(&event.component));
        self.metric.push(text(&event.metric));
        self.value.push(event.value);
        self.status.push(text(&event.status));
        self.metrics.push(clean_json(&event.metrics));
        self.created_at.push(at);
    }
}

impl Outcomes {
    fn push(&mut self, id: Uuid, at: i64, event: &OutcomeEvent) -> Result<(), Error> {
        self.actual.push(event.actual_cost_micros.map(money).transpose()?);
        self.generation_id.push(text(&event.generation_id));
        self.user_id.push(text(&event.user_id));
        self.success.push(event.success);
        self.actual_time.push(event.actual_time);
        self.error_message.push(maybe_text(event.error_message.as_deref()));
        self.cost_id.push(paired_id(id));
        self.created_at.push(at);
        Ok(())
    }
}
