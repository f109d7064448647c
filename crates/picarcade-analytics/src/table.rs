//! The tables of events.

use serde::{Deserialize, Serialize};

/// The target table of an event, which is the label of everything counted by table.
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
    /// `generation_outcomes`, which completes the two tables above.
    Outcome,
}

impl Table {
    /// Returns the name of the table in the databases.
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
