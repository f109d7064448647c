//! The names of keys. All keys of one script have the same hash tag, so a cluster keeps them in one
//! slot.

use super::encoding::Encoded;
use crate::{Plan, ReservationId, Scope, Subjects};

/// The names of the keys of a store.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    tag: String,
}

impl Keys {
    pub(super) fn new(tag: &str) -> Self {
        Self { tag: tag.to_owned() }
    }

    /// Returns the names of a part, which has its own slot.
    pub(super) fn part(&self, name: &str) -> Self {
        Self { tag: format!("{}:{name}", self.tag) }
    }

    /// Returns the key of one subject's state. `lua/counters.lua` replaces its last byte to get the
    /// key of the past buckets.
    ///
    /// No subject can form the key of another: the parts before the subject contain no separator,
    /// and the suffix follows it. The 3 is the version of the layout of a state: instances with
    /// another layout use other keys.
    pub(super) fn state(&self, plan: &Plan, scope: Scope, subjects: &Subjects<'_>) -> String {
        let subject = subjects.of(scope).unwrap_or_default();
        let layout_hash = Encoded::of(plan, scope).map(|encoded| &*encoded.layout_hash).unwrap_or_default();
        // Every request needs one for each scope, and `format!` would take a tenth of its time.
        ["{", &self.tag, "}:3:", layout_hash, ":", scope.word(), ":", subject, ":s"].concat()
    }

    /// Returns the key of the epoch of the server; see `lua/epoch.lua`.
    pub(super) fn epoch(&self) -> String {
        format!("{{{}}}:epoch", self.tag)
    }

    /// Returns the key of the deadlines of all reservations.
    pub(super) fn deadlines(&self) -> String {
        format!("{{{}}}:deadlines", self.tag)
    }

    /// Returns the key of one reservation.
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

    /// Texts that look like parts of a key.
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
