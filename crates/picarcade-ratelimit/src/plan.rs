//! The limits of one limiter, checked and put in the order in which they are counted: by scope, then as configured.

use crate::window::Shape;
use crate::{ConfigError, Limit, Name, Scope, Unit, Window};

/// The most limits that one limiter may have.
pub const MAX_LIMITS: usize = 64;

/// One limit in the form in which it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: Name,
    pub(crate) scope: Scope,
    pub(crate) unit: Unit,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    pub(crate) shape: Shape,
}

impl Rule {
    /// What `requests` and `cost` ask of this limit.
    pub(crate) fn ask(&self, requests: u64, cost: u64) -> u64 {
        match self.unit {
            Unit::Requests => requests,
            Unit::Cost => cost,
        }
    }
}

/// The limits of one limiter.
#[derive(Debug, Clone)]
pub struct Plan {
    limits: Vec<Limit>,
    rules: Vec<Rule>,
    /// Where the rules of each scope begin; the last one is where they all end.
    bounds: [usize; 5],
}

impl Plan {
    /// Checks `limits`.
    ///
    /// # Errors
    /// [`ConfigError`] naming the limit and the field.
    pub fn new(limits: Vec<Limit>) -> Result<Self, ConfigError> {
        if limits.len() > MAX_LIMITS {
            return Err(ConfigError::Setting { field: "limits", reason: "are more than 64" });
        }
        for (index, limit) in limits.iter().enumerate() {
            limit.validate()?;
            if limits.iter().take(index).any(|other| other.name() == limit.name()) {
                return Err(ConfigError::Duplicate(limit.name().to_owned()));
            }
        }
        Ok(Self::of_valid(limits))
    }

    /// The plan of limits that come from a plan: one that is not valid is left out.
    pub(crate) fn of_valid(mut limits: Vec<Limit>) -> Self {
        limits.sort_by_key(Limit::scope);
        let mut rules: Vec<Rule> = Vec::with_capacity(limits.len());
        for limit in &limits {
            let Ok(name) = limit.validate() else { continue };
            let (scope, unit, window) = (limit.scope(), limit.unit(), limit.window());
            let shape = window.shape(limit.limit());
            rules.push(Rule { name, scope, unit, limit: limit.limit(), window, shape });
        }
        let begin = |index: usize| rules.partition_point(|rule| (rule.scope as usize) < index);
        let bounds = [begin(0), begin(1), begin(2), begin(3), begin(4)];
        Self { limits, rules, bounds }
    }

    /// The limits, by scope and then as configured.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules of one scope.
    pub(crate) fn of(&self, scope: Scope) -> &[Rule] {
        let index = scope as usize;
        match (self.bounds.get(index), self.bounds.get(index + 1)) {
            (Some(&from), Some(&to)) => self.rules.get(from..to).unwrap_or_default(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rules_are_grouped_by_scope_in_order() {
        let minute = Window::Sliding(Duration::from_mins(1));
        let hour = Window::Sliding(Duration::from_hours(1));
        let plan = Plan::new(vec![
            Limit::cost(Scope::Global, 1, Window::UtcDay),
            Limit::requests(Scope::User, 2, hour),
            Limit::requests(Scope::Endpoint, 3, minute),
            Limit::requests(Scope::User, 1, minute),
        ])
        .unwrap();
        let names = |scope| plan.of(scope).iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(Scope::User), ["user-requests-3600s", "user-requests-60s"]);
        assert!(names(Scope::ApiKey).is_empty());
        assert_eq!(names(Scope::Endpoint), ["endpoint-requests-60s"]);
        assert_eq!(names(Scope::Global), ["global-cost-utc-day"]);
    }

    #[test]
    fn one_name_is_one_limit() {
        let limit = Limit::requests(Scope::User, 2, Window::UtcDay);
        let error = Plan::new(vec![limit.clone(), limit]).unwrap_err();
        assert_eq!(error, ConfigError::Duplicate("user-requests-utc-day".to_owned()));
        assert!(Plan::new(Vec::new()).unwrap().of(Scope::Global).is_empty());
    }
}
