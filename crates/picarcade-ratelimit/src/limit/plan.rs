//! The limits of one limiter, checked and in the order in which they are counted: by scope, then as
//! configured.

use std::sync::Arc;

use super::limit::{Limit, Rule};
use super::scope::{PerScope, Scope};
use crate::counter::Counter;
use crate::hash::{fnv1a, folded};
use crate::{ConfigError, LimitStatus};

/// The most limits that one limiter may have.
const MAX_LIMITS: usize = 64;

/// The limits of one limiter.
#[derive(Debug, Clone)]
pub struct Plan {
    limits: Vec<Limit>,
    groups: PerScope<Group>,
}

impl Plan {
    /// Checks `limits`.
    ///
    /// # Errors
    /// [`ConfigError`] with the name of the limit and the field.
    pub fn new(limits: Vec<Limit>) -> Result<Self, ConfigError> {
        if limits.len() > MAX_LIMITS {
            return Err(ConfigError::Setting { field: "limits", reason: "are more than 64" });
        }
        for (index, limit) in limits.iter().enumerate() {
            limit.rule()?;
            for other in limits.iter().take(index) {
                if other.name() == limit.name() {
                    return Err(ConfigError::Duplicate(limit.name().to_owned()));
                }
                let kind = |limit: &Limit| (limit.scope(), limit.unit(), limit.window().label().to_string());
                if kind(other) == kind(limit) {
                    return Err(ConfigError::Limit {
                        limit: limit.name().to_owned(),
                        field: "window",
                        reason: "is that of another limit of the same scope and unit",
                    });
                }
            }
        }
        Ok(Self::from_valid(limits))
    }

    /// Creates a plan from limits of a valid plan. An invalid limit is left out.
    pub(crate) fn from_valid(mut limits: Vec<Limit>) -> Self {
        limits.sort_by_key(Limit::scope);
        let rules: Vec<Rule> = limits.iter().filter_map(|limit| limit.rule().ok()).collect();
        let of = |scope| rules.iter().filter(|rule| rule.scope == scope).copied().collect();
        Self { groups: PerScope::new(|scope| Group::new(of(scope))), limits }
    }

    /// Returns the limits, by scope and then as configured.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Returns the scopes that have limits, each with its group, in the order of the scopes.
    #[inline]
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Scope, &Group)> {
        self.groups.iter().filter(|(_, group)| !group.rules.is_empty())
    }

    #[inline]
    pub(crate) fn group(&self, scope: Scope) -> &Group {
        self.groups.of(scope)
    }

    /// Returns the scopes that have both limits and a subject, in order.
    #[cfg(feature = "redis")]
    pub(crate) fn present(&self, subjects: &crate::Subjects<'_>) -> Vec<Scope> {
        self.groups().map(|(scope, _)| scope).filter(|scope| subjects.of(*scope).is_some()).collect()
    }

    #[cfg(any(feature = "redis", test))]
    pub(crate) fn rules(&self, scope: Scope) -> &[Rule] {
        &self.group(scope).rules
    }
}

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
    #[cfg(feature = "redis")]
    derived: Arc<std::sync::OnceLock<Box<dyn std::any::Any + Send + Sync>>>,
}

impl Group {
    fn new(rules: Vec<Rule>) -> Self {
        let layout =
            rules.iter().flat_map(|rule| format!("{}/{};", rule.unit, rule.window.label()).into_bytes());
        Self {
            layout_hash: folded(fnv1a(layout)) as u32,
            blank: rules.iter().map(blank).collect(),
            rules: rules.into(),
            #[cfg(feature = "redis")]
            derived: Arc::default(),
        }
    }

    /// Returns what a store derives from the rules, computed at the first call.
    ///
    /// A store keeps its encoding of the rules here, because every decision needs it and the group
    /// knows no store. There is room for one type: `None` means that another one was derived first.
    #[cfg(feature = "redis")]
    pub(crate) fn derived<T: std::any::Any + Send + Sync>(
        &self,
        derive: impl FnOnce(&Self) -> T,
    ) -> Option<&T> {
        self.derived.get_or_init(|| Box::new(derive(self))).downcast_ref()
    }
}

fn blank(rule: &Rule) -> LimitStatus {
    LimitStatus::new(rule, Counter::new(rule.shape).reading(rule.shape, rule.limit, 0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Window;

    #[test]
    fn rules_are_grouped_by_scope_in_order() {
        let minute = Window::Sliding(Duration::from_secs(60));
        let hour = Window::Sliding(Duration::from_secs(3600));
        let plan = Plan::new(vec![
            Limit::cost(Scope::Global, 1, Window::UtcDay),
            Limit::requests(Scope::User, 2, hour),
            Limit::requests(Scope::Endpoint, 3, minute),
            Limit::requests(Scope::User, 1, minute),
        ])
        .unwrap();
        let names = |scope| plan.rules(scope).iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(Scope::User), ["user-requests-3600s", "user-requests-60s"]);
        assert!(names(Scope::ApiKey).is_empty());
        assert_eq!(names(Scope::Endpoint), ["endpoint-requests-60s"]);
        assert_eq!(names(Scope::Global), ["global-cost-utc-day"]);
    }

    #[test]
    fn two_limits_with_one_name_are_rejected() {
        let limit = Limit::requests(Scope::User, 2, Window::UtcDay);
        let error = Plan::new(vec![limit.clone(), limit]).unwrap_err();
        assert_eq!(error, ConfigError::Duplicate("user-requests-utc-day".to_owned()));
        assert!(Plan::new(Vec::new()).unwrap().rules(Scope::Global).is_empty());
    }

    #[test]
    fn two_limits_that_count_the_same_requests_are_rejected() {
        let limit =
            |most| Limit::requests(Scope::User, most, Window::UtcDay).named(format!("at-most-{most}"));
        let error = Plan::new(vec![limit(1), limit(2)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit at-most-2: window is that of another limit of the same scope and unit"
        );
    }

    #[test]
    fn the_layout_hash_depends_on_windows_and_units_but_not_on_amounts() {
        let hash = |limit| Plan::new(vec![limit]).unwrap().group(Scope::User).layout_hash;
        let minute = Window::Sliding(Duration::from_secs(60));
        let day = hash(Limit::requests(Scope::User, 1, Window::UtcDay));
        assert_eq!(day, hash(Limit::requests(Scope::User, 2, Window::UtcDay)));
        assert_ne!(day, hash(Limit::requests(Scope::User, 1, minute)));
        assert_ne!(day, hash(Limit::cost(Scope::User, 1, Window::UtcDay)));
    }
}
