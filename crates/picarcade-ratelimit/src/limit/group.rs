//! The limits of one scope, which are counted together.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::rule::Rule;
use crate::LimitStatus;
use crate::counter::Counter;
use crate::hash::{fnv1a, folded};

/// The rules of one scope, whose counters form one cell.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) rules: Arc<[Rule]>,
    /// Identifies units, windows and order of the rules: groups that differ in them must not share
    /// a cell or a key. The amounts of the limits are not part of it, so they can change while
    /// counts continue.
    pub(crate) layout_hash: u32,
    /// The statuses of a subject without counts. A report starts as a copy of these.
    pub(crate) blank: Arc<[LimitStatus]>,
    derived: Arc<OnceLock<Box<dyn Any + Send + Sync>>>,
}

impl Group {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let layout = rules.iter().flat_map(|rule| format!("{}/{};", rule.unit, rule.window).into_bytes());
        Self {
            layout_hash: folded(fnv1a(layout)) as u32,
            blank: rules.iter().map(blank).collect(),
            rules: rules.into(),
            derived: Arc::default(),
        }
    }

    /// Returns what a store derives from the rules, computed at the first call.
    ///
    /// A store keeps its encoding of the rules here, because every decision needs it and the group
    /// knows no store. There is room for one type: `None` means that another one was derived first.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn derived<T: Any + Send + Sync>(&self, derive: impl FnOnce(&Self) -> T) -> Option<&T> {
        self.derived.get_or_init(|| Box::new(derive(self))).downcast_ref()
    }
}

fn blank(rule: &Rule) -> LimitStatus {
    LimitStatus::new(rule, Counter::new(rule.shape).reading(rule.shape, rule.limit, 0))
}
