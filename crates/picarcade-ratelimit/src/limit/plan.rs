//! The limits of one limiter, checked and put in the order in which they are counted: by scope, then as configured.

use std::sync::Arc;

use crate::counter::Counter;
use crate::limit::Shape;
use crate::{ConfigError, Limit, Name, Scope, Status, Unit, Window};

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

/// The rules of one scope, which are counted in one cell.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) rules: Arc<[Rule]>,
    /// Tells apart what may not share a cell or a key: another unit, window or order of rules is another state. The amounts
    /// of the limits are not in it, so that they can be changed while counts go on.
    pub(crate) print: u32,
    /// How the rules stand for a subject that nobody has met. A report begins as a copy of these.
    pub(crate) blank: Arc<[Status]>,
    /// The print in hexadecimal, as keys have it.
    #[cfg(feature = "redis")]
    pub(crate) print_text: Box<str>,
    /// The rules as scripts read them.
    #[cfg(feature = "redis")]
    pub(crate) packed: Arc<[u8]>,
    /// A number made of the limits' amounts.
    #[cfg(feature = "redis")]
    pub(crate) amounts: u64,
}

impl Group {
    fn new(rules: Vec<Rule>) -> Self {
        // FNV-1a, folded: short, the same in every process, and not a secret.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for rule in &rules {
            for byte in format!("{}/{};", rule.unit, rule.window).bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        let print = (hash ^ (hash >> 32)) as u32;
        Self {
            #[cfg(feature = "redis")]
            print_text: format!("{print:08x}").into(),
            #[cfg(feature = "redis")]
            packed: crate::store::redis::wire::descriptor(&rules).into(),
            #[cfg(feature = "redis")]
            amounts: crate::store::redis::wire::amounts(&rules),
            blank: rules.iter().map(blank).collect(),
            rules: rules.into(),
            print,
        }
    }
}

fn blank(rule: &Rule) -> Status {
    Status::new(rule, Counter::new(rule.shape).reading(rule.shape, rule.limit, 0))
}

/// The limits of one limiter.
#[derive(Debug, Clone)]
pub struct Plan {
    limits: Vec<Limit>,
    groups: [Group; 4],
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
            for other in limits.iter().take(index) {
                if other.name() == limit.name() {
                    return Err(ConfigError::Duplicate(limit.name().to_owned()));
                }
                let kind = |limit: &Limit| (limit.scope(), limit.unit(), limit.window().to_string());
                if kind(other) == kind(limit) {
                    return Err(ConfigError::Limit {
                        limit: limit.name().to_owned(),
                        field: "window",
                        reason: "is that of another limit of the same scope and unit",
                    });
                }
            }
        }
        Ok(Self::of_valid(limits))
    }

    /// The plan of limits that come from a plan: one that is not valid is left out.
    pub(crate) fn of_valid(mut limits: Vec<Limit>) -> Self {
        limits.sort_by_key(Limit::scope);
        let mut rules: [Vec<Rule>; 4] = Default::default();
        for limit in &limits {
            let Ok(name) = limit.validate() else { continue };
            let (scope, unit, window) = (limit.scope(), limit.unit(), limit.window());
            let shape = window.shape(limit.limit());
            if let Some(rules) = rules.get_mut(scope as usize) {
                rules.push(Rule { name, scope, unit, limit: limit.limit(), window, shape });
            }
        }
        Self { limits, groups: rules.map(Group::new) }
    }

    /// The limits, by scope and then as configured.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The rules of each scope that has any.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Scope, &Group)> {
        Scope::ALL.into_iter().zip(&self.groups).filter(|(_, group)| !group.rules.is_empty())
    }

    /// The rules of one scope.
    #[cfg(any(feature = "redis", test))]
    pub(crate) fn of(&self, scope: Scope) -> &[Rule] {
        self.group(scope).map(|group| &*group.rules).unwrap_or_default()
    }

    pub(crate) fn group(&self, scope: Scope) -> Option<&Group> {
        self.groups.get(scope as usize)
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

    #[test]
    fn two_limits_do_not_count_one_thing() {
        let limit =
            |most| Limit::requests(Scope::User, most, Window::UtcDay).named(format!("at-most-{most}"));
        let error = Plan::new(vec![limit(1), limit(2)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit at-most-2: window is that of another limit of the same scope and unit"
        );
    }

    #[test]
    fn prints_tell_windows_apart_but_not_amounts() {
        let print = |limit| Plan::new(vec![limit]).unwrap().group(Scope::User).unwrap().print;
        let minute = Window::Sliding(Duration::from_secs(60));
        let day = print(Limit::requests(Scope::User, 1, Window::UtcDay));
        assert_eq!(day, print(Limit::requests(Scope::User, 2, Window::UtcDay)));
        assert_ne!(day, print(Limit::requests(Scope::User, 1, minute)));
        assert_ne!(day, print(Limit::cost(Scope::User, 1, Window::UtcDay)));
    }
}
