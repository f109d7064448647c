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

    /// The key of one subject's state. `lua/counters.lua` replaces its last byte to get the key of
    /// the past buckets.
    ///
    /// No subject can form the key of another: the parts before the subject have no separator in
    /// them, and the suffix is behind it. The 3 is the layout of a state: instances that know
    /// another layout use other keys.
    pub(super) fn state(&self, plan: &Plan, scope: Scope, subjects: &Subjects<'_>) -> String {
        let subject = subjects.of(scope).unwrap_or_default();
        let print = plan.group(scope).map(|group| &*group.print_text).unwrap_or_default();
        // Every request makes up to four of these, and `format!` would take a tenth of its time
        // here.
        ["{", &self.tag, "}:3:", print, ":", scope.word(), ":", subject, ":s"].concat()
    }

    /// The epoch of the server that holds these counters; see `lua/epoch.lua`.
    pub(super) fn epoch(&self) -> String {
        format!("{{{}}}:epoch", self.tag)
    }

    pub(super) fn deadlines(&self) -> String {
        format!("{{{}}}:deadlines", self.tag)
    }

    pub(super) fn record(&self, id: ReservationId) -> String {
        format!("{{{}}}:reservation:{id}", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Limit, Window};

    fn plan(kind: bool) -> Plan {
        let window = if kind { Window::UtcDay } else { Window::Sliding(Duration::from_secs(60)) };
        Plan::new(Scope::ALL.map(|scope| Limit::cost(scope, 1, window)).to_vec()).unwrap()
    }

    /// Texts that try to look like parts of a key.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "a",
            "b",
            ":",
            ":p",
            ":s",
            "s",
            "p",
            "{",
            "}",
            "user",
            "key",
            "3",
            "deadlines",
            "epoch",
            "\0",
        ]);
        prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn distinct_subjects_scopes_rules_and_suffixes_have_distinct_keys(texts in prop::collection::vec(text(), 1..8)) {
            let keys = Keys::new("t");
            let mut seen = HashMap::new();
            seen.insert(keys.deadlines(), "deadlines".to_owned());
            seen.insert(keys.epoch(), "epoch".to_owned());
            for (kind, text) in texts.iter().flat_map(|text| [(false, text), (true, text)]) {
                let plan = plan(kind);
                let subjects = Subjects::default().user(&**text).api_key(&**text).endpoint(&**text);
                for scope in Scope::ALL {
                    let state = keys.state(&plan, scope, &subjects);
                    prop_assert!(state.ends_with('s'));
                    let past = format!("{}p", state.strip_suffix('s').unwrap());
                    let owner = format!("{kind} {scope} {}", subjects.of(scope).unwrap());
                    for (key, suffix) in [(state, "state"), (past, "past")] {
                        let owner = format!("{suffix} {owner}");
                        let other = seen.insert(key, owner.clone());
                        prop_assert!(other.as_ref().is_none_or(|other| *other == owner), "{other:?} {owner}");
                    }
                }
            }
        }
    }
}
