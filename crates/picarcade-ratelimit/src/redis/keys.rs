//! Where each thing lives. Everything that one script touches carries one hash tag, so that a cluster keeps it in one slot.

use crate::{Plan, ReservationId, Scope, Subjects};

/// The names of a store's keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    tag: String,
}

impl Keys {
    pub(super) fn new(tag: &str) -> Self {
        Self { tag: tag.to_owned() }
    }

    /// The names of a part, in a slot of its own.
    pub(super) fn part(&self, name: &str) -> Self {
        Self { tag: format!("{}:{name}", self.tag) }
    }

    /// The state of one subject; the key of its past buckets is the same with `:p`.
    pub(super) fn state(&self, plan: &Plan, scope: Scope, subjects: &Subjects<'_>) -> String {
        let subject = subjects.of(scope).unwrap_or_default();
        let print = plan.group(scope).map_or(0, |group| group.print);
        format!("{{{}}}:{print:08x}:{}:{subject}", self.tag, scope.word())
    }

    pub(super) fn deadlines(&self) -> String {
        format!("{{{}}}:deadlines", self.tag)
    }

    pub(super) fn record(&self, id: ReservationId) -> String {
        format!("{{{}}}:reservation:{id}", self.tag)
    }
}
