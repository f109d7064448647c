//! The tables of the databases.

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
    /// `generation_outcomes`, which completes the rows of `cost_tracking` and
    /// `model_selection_logs`.
    Outcome,
    /// `generation_feedback`.
    Feedback,
}

/// The table of sessions, the only one without events.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const SESSIONS: &str = "user_sessions";

impl Table {
    /// Returns the name of the table in the databases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classification => "intent_classification_logs",
            Self::Cost => "cost_tracking",
            Self::ModelSelection => "model_selection_logs",
            Self::SystemPerformance => "system_performance_logs",
            Self::Outcome => "generation_outcomes",
            Self::Feedback => "generation_feedback",
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Table {
    /// All tables of events, in the order in which a batch is written: an outcome must find the
    /// rows of its own batch.
    pub(crate) const ALL: [Self; 6] = [
        Self::Classification,
        Self::SystemPerformance,
        Self::Cost,
        Self::ModelSelection,
        Self::Outcome,
        Self::Feedback,
    ];

    /// Returns whether rows belong to a user.
    pub(crate) const fn has_user(self) -> bool {
        !matches!(self, Self::SystemPerformance)
    }

    /// Returns whether the rows have an id, by which SQLite orders them, and PostgreSQL divides the
    /// table by week. The key of an outcome and of feedback is the generation.
    pub(crate) const fn is_partitioned(self) -> bool {
        !matches!(self, Self::Outcome | Self::Feedback)
    }

    pub(crate) fn all_with_user() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|table| table.has_user())
    }

    pub(crate) fn all_partitioned() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|table| table.is_partitioned())
    }
}
