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

    /// The state of one subject; the key of its past buckets is the same with `:p`. The 2 is the layout of a state: instances
    /// that know another do not overwrite each other.
    pub(super) fn state(&self, plan: &Plan, scope: Scope, subjects: &Subjects<'_>) -> String {
        let subject = subjects.of(scope).unwrap_or_default();
        let print = plan.group(scope).map(|group| &*group.print_text).unwrap_or_default();
        // Four of these are made for every request: by `format!` they would be a tenth of its time here.
        ["{", &self.tag, "}:2:", print, ":", scope.word(), ":", subject].concat()
    }

    pub(super) fn deadlines(&self) -> String {
        format!("{{{}}}:deadlines", self.tag)
    }

    pub(super) fn record(&self, id: ReservationId) -> String {
        format!("{{{}}}:reservation:{id}", self.tag)
    }
}
