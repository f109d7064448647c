//! The report on every component. A probe never causes a call, least of all a paid one.
//!
//! A lost Redis or database makes the service degraded and never unhealthy, because it still
//! answers. The flow is unhealthy only while it drops events because no place accepts them, the
//! disk included. The kind of a component's last error stays visible after the component has
//! recovered.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use picarcade_breaker::{BreakerStatistics, State};
use picarcade_ratelimit::Mode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::health::ai::AiFailures;
use crate::health::budget::{Budget, Level};
use crate::health::check::{Checked, Database};
use crate::response::usd;
use crate::service::FlowService;

/// The state of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It works without restriction.
    Healthy,
    /// It works with a restriction.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// The report on one component.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComponentHealth {
    /// The state of the component.
    pub status: HealthStatus,
    /// How long its last check took, in milliseconds, if the check uses a network or a disk.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub latency_ms: Option<f64>,
    /// The kind of its last error, never its text.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub last_error: Option<String>,
    /// Further figures of the component.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub details: Value,
}

/// The number of components in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthSummary {
    /// The number of healthy components.
    pub healthy: usize,
    /// The number of degraded components.
    pub degraded: usize,
    /// The number of unhealthy components.
    pub unhealthy: usize,
    /// The number of all components.
    pub total: usize,
}

/// The report on the whole service.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// The worst state of a component.
    pub overall: HealthStatus,
    /// `cache`, `database`, `circuit_breakers`, `rate_limiter`, `flow`.
    pub components: BTreeMap<&'static str, ComponentHealth>,
    /// The components, counted by state.
    pub summary: HealthSummary,
}

impl FlowService {
    /// Returns the state of every component, from the last background check and from the components
    /// themselves. Makes no call.
    pub fn health(&self) -> Health {
        let checked = self.inner.check.last();
        let components = BTreeMap::from([
            ("cache", self.cache_health()),
            ("database", database_health(&checked.database)),
            ("circuit_breakers", self.breakers_health()),
            ("rate_limiter", self.limiter_health(&checked.budgets)),
            ("flow", self.flow_health(&checked)),
        ]);
        let mut summary = HealthSummary { total: components.len(), ..HealthSummary::default() };
        for component in components.values() {
            match component.status {
                HealthStatus::Healthy => summary.healthy += 1,
                HealthStatus::Degraded => summary.degraded += 1,
                HealthStatus::Unhealthy => summary.unhealthy += 1,
            }
        }
        let overall =
            components.values().map(|component| component.status).max().unwrap_or(HealthStatus::Healthy);
        Health { overall, components, summary }
    }

    fn cache_health(&self) -> ComponentHealth {
        let watch = self.inner.watch.as_ref();
        let on_backup = watch.is_some_and(|watch| watch.is_on_backup());
        let remote = match watch {
            None => "none",
            Some(watch) if !watch.is_up() => "down",
            Some(_) if on_backup => "backup",
            Some(_) => "primary",
        };
        let cause = watch.filter(|watch| !watch.is_up()).and_then(|watch| watch.cause());
        ComponentHealth {
            status: if self.remote_is_up() && !on_backup {
                HealthStatus::Healthy
            } else {
                HealthStatus::Degraded
            },
            latency_ms: watch.and_then(|watch| watch.latency()).map(milliseconds),
            last_error: watch.and_then(|watch| watch.last_error()),
            details: json!({ "remote": remote, "cause": cause }),
        }
    }

    fn breakers_health(&self) -> ComponentHealth {
        let all = self.inner.breakers.all();
        let statistics: Vec<_> = all.iter().map(picarcade_breaker::CircuitBreaker::statistics).collect();
        let rejecting = |state| matches!(state, State::Open | State::ForcedOpen);
        let open = statistics.iter().filter(|breaker| rejecting(breaker.state)).count();
        let half_open = statistics.iter().filter(|breaker| breaker.state == State::HalfOpen).count();
        // A failure of a breaker that is not closed comes first: it explains the state.
        let is_closed = |breaker: &&BreakerStatistics| breaker.state == State::Closed;
        let (closed, others): (Vec<_>, Vec<_>) = statistics.iter().partition(is_closed);
        let last_failure = others.iter().chain(&closed).find_map(|breaker| breaker.last_failure);
        ComponentHealth {
            status: if open + half_open == 0 { HealthStatus::Healthy } else { HealthStatus::Degraded },
            latency_ms: None,
            last_error: last_failure.map(|kind| kind.as_str().to_owned()),
            details: json!({ "open": open, "half_open": half_open, "breakers": statistics }),
        }
    }

    fn limiter_health(&self, budgets: &[Budget]) -> ComponentHealth {
        let statistics = self.inner.limiter.statistics();
        let is_reached = budgets.iter().any(|budget| budget.level == Level::Reached);
        let (status, last_error) = if statistics.mode == Mode::Local {
            (HealthStatus::Degraded, Some("store_unavailable"))
        } else if is_reached {
            (HealthStatus::Degraded, Some("budget_reached"))
        } else {
            (HealthStatus::Healthy, None)
        };
        let mut details = json!(statistics);
        details["budgets"] = budgets.iter().map(budget).collect();
        let fullest = budgets.iter().max_by_key(|budget| budget.level);
        details["reason"] = json!(fullest.and_then(Budget::reason));
        ComponentHealth { status, latency_ms: None, last_error: last_error.map(str::to_owned), details }
    }

    fn flow_health(&self, checked: &Checked) -> ComponentHealth {
        let counters = self.inner.recorder.counters();
        let refused = self.inner.rules_refused.load(Ordering::Relaxed);
        let failures = self.inner.ai.as_ref().and_then(|ai| ai.health.failures());
        let is_failing = failures.as_ref().is_some_and(AiFailures::are_persistent);
        let (status, last_error) = if checked.is_losing_events {
            (HealthStatus::Unhealthy, Some("events_lost"))
        } else if self.inner.recorder.spooling() || counters.spooled > 0 {
            (HealthStatus::Degraded, Some(counters.last_error.unwrap_or("events_spooled")))
        } else if refused {
            (HealthStatus::Degraded, Some("rules_refused"))
        } else if is_failing {
            (HealthStatus::Degraded, Some("ai_failing"))
        } else if counters.dead_lettered > 0 {
            // Requests are not affected; the rows in the file need an operator.
            (HealthStatus::Healthy, Some("events_dead_lettered"))
        } else {
            (HealthStatus::Healthy, None)
        };
        let last_error = last_error.map(str::to_owned);
        let rules = self.inner.rules.load();
        let provider = self.inner.ai.as_ref().map(|ai| &ai.provider);
        let (in_flight, queued) = self.classifications();
        #[cfg(feature = "encoder")]
        let examples = rules
            .examples()
            .map(|examples| json!({ "number": examples.len(), "version": examples.version() }));
        #[cfg(not(feature = "encoder"))]
        let examples: Option<Value> = None;
        let details = json!({
            "mode": self.inner.policy.mode.as_str(),
            "matrix_version": rules.matrix.version(),
            "catalogue_version": rules.catalogue.version(),
            "examples": examples,
            "rules_refused": refused,
            "provider": provider.map(|provider| provider.name()),
            "model": provider.map(|provider| provider.model()),
            "ai_failures": failures,
            "classifications_in_flight": in_flight,
            "classifications_queued": queued,
            "analytics": counters,
        });
        ComponentHealth { status, latency_ms: None, last_error, details }
    }
}

/// Returns a budget in US dollars.
fn budget(budget: &Budget) -> Value {
    json!({
        "window": budget.status.window,
        "limit": usd(budget.status.limit),
        "spent": usd(budget.spent()),
        "reserved": usd(budget.status.reserved),
    })
}

fn database_health(checked: &Database) -> ComponentHealth {
    let is_healthy = !checked.is_down && checked.schema.is_none();
    ComponentHealth {
        status: if is_healthy { HealthStatus::Healthy } else { HealthStatus::Degraded },
        latency_ms: checked.latency.map(milliseconds),
        last_error: checked.last_error.map(|cause| cause.as_str().to_owned()),
        details: json!({
            "reachable": !checked.is_down,
            "cause": checked.last_error.filter(|_| checked.is_down).map(picarcade_analytics::Cause::sentence),
            "schema": checked.schema,
        }),
    }
}

fn milliseconds(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}
