//! What happened: the rows of the four tables, as plain structs with the columns' names.
//!
//! The fields are public and there is no constructor: an event is a fact that the caller knows completely. What the
//! recorder adds (the event id and, from it, `created_at`) is in [`Record`](crate::Record). Bounded words are
//! `Cow<'static, str>` so that naming a state allocates nothing; identifiers that several events of one request share
//! are `Arc<str>`. Money is in micro-dollars (1,000,000 = $1).

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A word from a bounded set, usually a literal.
pub type Word = Cow<'static, str>;

/// Something to record.
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
    /// What became of a generation: completes its rows in `model_selection_logs` and `cost_tracking`.
    Outcome(OutcomeEvent),
}

/// One request, classified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationEvent {
    /// Whose request it was.
    pub user_id: Arc<str>,
    /// The user's words. What is stored of them is [`Privacy`](crate::Privacy)'s to say.
    pub prompt: Arc<str>,
    /// The type that the flow settled on, e.g. `EDIT_IMAGE`; empty, as are source and model, for a request that was
    /// limited before it was classified.
    pub classified_workflow: Word,
    /// 0.0 to 1.0; a value outside is rejected by the database and ends as a dead letter.
    #[serde(with = "crate::float")]
    pub confidence: f64,
    /// From request to answer, in milliseconds, not negative.
    #[serde(with = "crate::float")]
    pub processing_time_ms: f64,
    /// An AI answer was wanted and the local classifier gave it.
    pub used_fallback: bool,
    /// The intent came from a cache.
    pub cache_hit: bool,
    /// The breaker of the classifier's provider: `closed`, `open`, `half_open`, …, or `none`.
    pub circuit_breaker_state: Word,
    /// The caller was over a limit.
    pub rate_limited: bool,
    /// Who decided: `llm`, `rules` or `local`.
    pub source: Word,
    /// The generation model that was chosen.
    pub model: Arc<str>,
    /// Spent on the AI call for this request. Kept with the row; the sums in statistics and budgets come from
    /// `cost_tracking`, so that no expense is counted twice.
    pub cost_micros: u64,
    /// What a cache hit saved.
    pub saved_micros: u64,
}

/// One expense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostEvent {
    /// Who caused it.
    pub user_id: Arc<str>,
    /// What for, e.g. `classification`, `generation`.
    pub operation_type: Word,
    /// The generation it belongs to; an [`OutcomeEvent`] with the same id completes a row whose `success` is open.
    pub generation_id: Option<Arc<str>>,
    /// What was expected.
    pub estimated_cost_micros: u64,
    /// What it came to; `None` while it is not known.
    pub actual_cost_micros: Option<u64>,
    /// The model that was paid.
    pub model_used: Arc<str>,
    /// Whether it worked; `None` while it is not known.
    pub success: Option<bool>,
    /// Why not.
    pub error_message: Option<String>,
}

/// One model, chosen for one generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSelectionEvent {
    /// For whom.
    pub user_id: Arc<str>,
    /// The generation that the caller will run and report on.
    pub generation_id: Arc<str>,
    /// The type of work, e.g. `NEW_VIDEO`.
    pub workflow_type: Word,
    /// The model chosen.
    pub selected_model: Arc<str>,
    /// What to try next, best first.
    pub fallback_models: Vec<Arc<str>>,
    /// What the generation is expected to cost.
    pub estimated_cost_micros: u64,
    /// What it cost; usually completed later by an [`OutcomeEvent`].
    pub actual_cost_micros: Option<u64>,
    /// Seconds it is expected to take.
    #[serde(with = "crate::float")]
    pub estimated_time: f64,
    /// Seconds it took; usually completed later.
    #[serde(with = "crate::float::option")]
    pub actual_time: Option<f64>,
    /// Whether it worked; `None` until an outcome arrives.
    pub success: Option<bool>,
    /// Why not.
    pub error_message: Option<String>,
}

/// One observation of the system itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemPerformanceEvent {
    /// The part observed, e.g. `cache`.
    pub component: Word,
    /// What was observed, e.g. `hit_rate`.
    pub metric: Word,
    /// Its value, in the metric's own unit.
    #[serde(with = "crate::float")]
    pub value: f64,
    /// `healthy`, `degraded`, `unhealthy`.
    pub status: Word,
    /// Whatever else is known, as JSON.
    pub metrics: serde_json::Value,
}

/// What became of a generation, as reported by whoever ran it.
///
/// Applying it is idempotent: the first outcome of a generation counts, later ones change nothing. It may arrive before
/// the selection that it completes; the store holds it until then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeEvent {
    /// The generation reported on.
    pub generation_id: Arc<str>,
    /// Its owner; rows of another user are not touched.
    pub user_id: Arc<str>,
    /// Whether it worked.
    pub success: bool,
    /// What it cost, if known.
    pub actual_cost_micros: Option<u64>,
    /// Seconds it took, if known.
    #[serde(with = "crate::float::option")]
    pub actual_time: Option<f64>,
    /// Why it did not work.
    pub error_message: Option<String>,
}

/// The table that an event is bound for; the label of everything counted by table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// `intent_classification_logs`.
    Classification,
    /// `cost_tracking`.
    Cost,
    /// `model_selection_logs`.
    ModelSelection,
    /// `system_performance_logs`.
    SystemPerformance,
    /// `generation_outcomes`, which completes the two tables before it.
    Outcome,
}

impl Table {
    /// The table's name in the databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classification => "intent_classification_logs",
            Self::Cost => "cost_tracking",
            Self::ModelSelection => "model_selection_logs",
            Self::SystemPerformance => "system_performance_logs",
            Self::Outcome => "generation_outcomes",
        }
    }
}

impl Event {
    /// Where the event is stored.
    pub const fn table(&self) -> Table {
        match self {
            Self::Classification(_) => Table::Classification,
            Self::Cost(_) => Table::Cost,
            Self::ModelSelection(_) => Table::ModelSelection,
            Self::SystemPerformance(_) => Table::SystemPerformance,
            Self::Outcome(_) => Table::Outcome,
        }
    }

    /// Bytes that the event keeps on the heap, for the queue's bound. What several events share counts for each of them.
    pub fn heap_bytes(&self) -> usize {
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
        }
    }
}

/// A literal keeps nothing on the heap.
fn word(word: &Word) -> usize {
    match word {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => text.capacity(),
    }
}

fn text(text: Option<&String>) -> usize {
    text.map_or(0, String::capacity)
}

/// About what a JSON value takes; fields of an object have nodes of a tree around them.
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
