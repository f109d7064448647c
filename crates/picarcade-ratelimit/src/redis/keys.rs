//! Where each thing lives. Everything that one script touches carries one hash tag, so that a cluster keeps it in one slot.

use crate::{Plan, ReservationId, Scope, Subjects};

use super::wire;

/// The names of a store's keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    tag: String,
}

impl Keys {
    pub(super) fn new(tag: &str) -> Self {
        Self { tag: tag.to_owned() }
    }

    /// The state of one subject; the key of its past buckets is the same with `:p`.
    pub(super) fn state(&self, plan: &Plan, scope: Scope, subjects: &Subjects<'_>) -> String {
        let subject = subjects.of(scope).unwrap_or_default();
        format!("{{{}}}:{}:{}:{subject}", self.tag, wire::fingerprint(plan.of(scope)), scope.word())
    }

    pub(super) fn deadlines(&self) -> String {
        format!("{{{}}}:deadlines", self.tag)
    }

    pub(super) fn record(&self, id: ReservationId) -> String {
        format!("{{{}}}:reservation:{id}", self.tag)
    }
}
