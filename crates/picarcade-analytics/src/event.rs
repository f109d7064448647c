//! The rows of the tables, as plain structs with the names of the columns.
//!
//! The fields are public and there is no constructor: the caller knows an event completely. The
//! recorder adds the event id and, from it, `created_at`; see [`Record`](crate::Record). Bounded
//! words are `Cow<'static, str>`, so naming a state allocates nothing. Identifiers that several
//! events of one request share are `Arc<str>`. Money is in micro-dollars (1,000,000 = $1).

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Table;

/// A word from a bounded set, usually a literal.
pub type Word = Cow<'static, str>;

/// An event to record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A row of `intent_classification_logs`.
    Classification(ClassificationEvent),
    /// A row of `cost_tracking`.
    Cost(CostEvent),
    /// A row of `model_selection_logs`.
    ModelSelection(ModelSelectionEvent),
    /// A row of `system_performance_logs`.
    SystemPerformance(SystemPerformanceEvent),
    /// The outcome of a generation, which completes its rows in `model_selection_logs` and
    /// `cost_tracking`.
    Outcome(OutcomeEvent),
    /// A row of `generation_feedback`.
    Feedback(FeedbackEvent),
}

/// One classified request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationEvent {
    /// The user of the request.
    pub user_id: Arc<str>,
    /// The words of the user. [`Privacy`](crate::Privacy) decides what is stored of them.
    pub prompt: Arc<str>,
    /// Whether `prompt` is everything that the user wrote. [`Privacy`](crate::Privacy) clears it
    /// when it replaces the prompt.
    #[serde(default)]
    pub prompt_is_whole: bool,
    /// The facts about media as the sum of 1 (a working image), 2 (a working video), 4 (an upload)
    /// and 8 (a stored reference); `None` if unknown.
    #[serde(default)]
    pub media_facts: Option<u8>,
    /// The final type, such as `EDIT_IMAGE`. Type, source and model are empty for a request that
    /// was limited before it was classified.
    pub classified_workflow: Word,
    /// From 0.0 to 1.0. The database rejects other values, which become dead letters.
    #[serde(with = "crate::float")]
    pub confidence: f64,
    /// The time from request to answer in milliseconds, not negative.
    #[serde(with = "crate::float")]
    pub processing_time_ms: f64,
    /// An AI answer was wanted and the local classifier answered.
    pub used_fallback: bool,
    /// The intent came from a cache.
    pub cache_hit: bool,
    /// The state of the breaker of the classifier's provider: `closed`, `open`, `half_open`, …, or
    /// `none`.
    pub circuit_breaker_state: Word,
    /// The caller exceeded a limit.
    pub rate_limited: bool,
    /// The source of the decision: `llm`, `rules` or `local`.
    pub source: Word,
    /// The chosen generation model.
    pub model: Arc<str>,
    /// The cost of the AI call for this request. It is stored with the row. Statistics and budgets
    /// sum `cost_tracking` instead, so that no expense is counted twice.
    pub cost_micros: u64,
    /// What the answer had cost, if it came from a cache or from the call of another request.
    pub saved_micros: u64,
}

/// One expense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostEvent {
    /// The user who caused it.
    pub user_id: Arc<str>,
    /// The purpose, such as `classification` or `generation`.
    pub operation_type: Word,
    /// The generation of the expense. An [`OutcomeEvent`] with the same id completes a row whose
    /// `success` is open.
    pub generation_id: Option<Arc<str>>,
    /// The expected cost.
    pub estimated_cost_micros: u64,
    /// The actual cost; `None` while it is unknown.
    pub actual_cost_micros: Option<u64>,
    /// The paid model.
    pub model_used: Arc<str>,
    /// Whether the operation succeeded; `None` while it is unknown.
    pub success: Option<bool>,
    /// Why the operation failed.
    pub error_message: Option<String>,
}

/// The model that was chosen for one generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSelectionEvent {
    /// The user.
    pub user_id: Arc<str>,
    /// The generation that the caller will run and report.
    pub generation_id: Arc<str>,
    /// The type of work, such as `NEW_VIDEO`.
    pub workflow_type: Word,
    /// The chosen model.
    pub selected_model: Arc<str>,
    /// The fallback models, best first.
    pub fallback_models: Vec<Arc<str>>,
    /// The expected cost of the generation.
    pub estimated_cost_micros: u64,
    /// The actual cost, usually completed later by an [`OutcomeEvent`].
    pub actual_cost_micros: Option<u64>,
    /// The expected time in seconds.
    #[serde(with = "crate::float")]
    pub estimated_time: f64,
    /// The actual time in seconds, usually completed later.
    #[serde(with = "crate::float::option")]
    pub actual_time: Option<f64>,
    /// Whether the generation succeeded; `None` until an outcome arrives.
    pub success: Option<bool>,
    /// Why the generation failed.
    pub error_message: Option<String>,
}

/// One observation of the system itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemPerformanceEvent {
    /// The observed component, such as `cache`.
    pub component: Word,
    /// The observed quantity, such as `hit_rate`.
    pub metric: Word,
    /// The value, in the unit of the metric.
    #[serde(with = "crate::float")]
    pub value: f64,
    /// `healthy`, `degraded`, `unhealthy`.
    pub status: Word,
    /// Further data as JSON.
    pub metrics: serde_json::Value,
}

/// The reported outcome of a generation.
///
/// Applying it is idempotent: the first outcome of a generation counts, and later ones change
/// nothing. It may arrive before the selection that it completes; the store holds it until then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeEvent {
    /// The reported generation.
    pub generation_id: Arc<str>,
    /// The owner. Rows of another user are not changed.
    pub user_id: Arc<str>,
    /// Whether the generation succeeded.
    pub success: bool,
    /// The cost, if known.
    pub actual_cost_micros: Option<u64>,
    /// The time in seconds, if known.
    #[serde(with = "crate::float::option")]
    pub actual_time: Option<f64>,
    /// Why the generation failed.
    pub error_message: Option<String>,
}

/// What the type of a generation should have been, according to its user.
///
/// A generation has one row: later feedback replaces earlier feedback, in any order of arrival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedbackEvent {
    /// The generation, which is also the id of its row in `intent_classification_logs`.
    pub generation_id: Uuid,
    /// The owner.
    pub user_id: Arc<str>,
    /// The type that was decided.
    pub decided_type: Word,
    /// The source of the decision: `llm`, `rules` or `local`; empty if unknown.
    pub source: Word,
    /// The type that would have been right.
    pub right_type: Word,
    /// The words of the user about it. [`Privacy`](crate::Privacy) treats them like a prompt.
    pub comment: Option<Arc<str>>,
}

impl Event {
    /// Returns the table that stores the event.
    pub const fn table(&self) -> Table {
        match self {
            Self::Classification(_) => Table::Classification,
            Self::Cost(_) => Table::Cost,
            Self::ModelSelection(_) => Table::ModelSelection,
            Self::SystemPerformance(_) => Table::SystemPerformance,
            Self::Outcome(_) => Table::Outcome,
            Self::Feedback(_) => Table::Feedback,
        }
    }

    /// Returns the heap bytes of the event, for the bound of the queue. Shared data counts for each
    /// event that shares it.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Classification(e) => {
                e.user_id.len()
                    + e.prompt.len()
                    + e.model.len()
                    + [&e.classified_workflow, &e.circuit_breaker_state, &e.source]
                        .map(word)
                        .iter()
                        .sum::<usize>()
            }
            Self::Cost(e) => {
                e.user_id.len()
                    + e.model_used.len()
                    + e.generation_id.as_ref().map_or(0, |id| id.len())
                    + word(&e.operation_type)
                    + text(e.error_message.as_ref())
            }
            Self::ModelSelection(e) => {
                e.user_id.len()
                    + e.generation_id.len()
                    + e.selected_model.len()
                    + e.fallback_models.iter().map(|m| m.len() + size_of::<Arc<str>>()).sum::<usize>()
                    + word(&e.workflow_type)
                    + text(e.error_message.as_ref())
            }
            Self::SystemPerformance(e) => {
                [&e.component, &e.metric, &e.status].map(word).iter().sum::<usize>() + json(&e.metrics)
            }
            Self::Outcome(e) => e.user_id.len() + e.generation_id.len() + text(e.error_message.as_ref()),
            Self::Feedback(e) => {
                e.user_id.len()
                    + e.comment.as_ref().map_or(0, |comment| comment.len())
                    + [&e.decided_type, &e.source, &e.right_type].map(word).iter().sum::<usize>()
            }
        }
    }
}

/// A literal has no heap bytes.
fn word(word: &Word) -> usize {
    match word {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => text.capacity(),
    }
}

fn text(text: Option<&String>) -> usize {
    text.map_or(0, String::capacity)
}

/// Estimates the size of a JSON value. The fields of an object have tree nodes around them.
fn json(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    const NODE: usize = 32;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + json(value)).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                key.capacity() + size_of::<String>() + size_of::<Value>() + NODE + json(value)
            })
            .sum(),
    }
}
