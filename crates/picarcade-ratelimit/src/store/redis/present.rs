//! The scopes that one decision is about.

use std::ops::Deref;

use crate::{Plan, Scope, Subjects};

/// The scopes that have both limits and a subject, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    scopes: [Scope; Scope::COUNT],
    count: usize,
}

impl Present {
    pub(super) fn new(plan: &Plan, subjects: &Subjects<'_>) -> Self {
        let mut present = Self { scopes: Scope::ALL, count: 0 };
        let scopes = plan.groups().map(|(scope, _)| scope).filter(|scope| subjects.of(*scope).is_some());
        for (place, scope) in present.scopes.iter_mut().zip(scopes) {
            *place = scope;
            present.count += 1;
        }
        present
    }
}

impl Deref for Present {
    type Target = [Scope];

    fn deref(&self) -> &[Scope] {
        self.scopes.get(..self.count).unwrap_or_default()
    }
}
