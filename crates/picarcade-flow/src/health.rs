//! The state of every part, from background checks: a probe never causes a call, least of all a paid one.
//!
//! A lost Redis or database makes the service degraded, never unhealthy: it goes on answering. Unhealthy is only a flow that
//! cannot write what it owes to any place, the disk included.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use picarcade_breaker::State;
use picarcade_ratelimit::Mode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::service::Shared;

/// The pause between two checks.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a check waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Healthy,
    /// Works with less.
    Degraded,
    /// Does not work.
    Unhealthy,
}

/// One part.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentHealth {
    /// How it does.
    pub status: Status,
    /// How long its last check took, in milliseconds, where it is one that goes over a wire or a disk.
    pub latency_ms: Option<f64>,
    /// The kind of its last error, never its text.
    pub last_error: Option<String>,
    /// Figures of its own.
    pub details: Value,
}

/// How many parts are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HealthSummary {
    /// Parts that are healthy.
    pub healthy: usize,
    /// Parts that are degraded.
    pub degraded: usize,
    /// Parts that are unhealthy.
    pub unhealthy: usize,
    /// All parts.
    pub total: usize,
}

/// The whole service.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// The worst of the parts.
    pub overall: Status,
    /// `cache`, `database`, `circuit_breakers`, `rate_limiter`, `flow`.
    pub components: BTreeMap<&'static str, ComponentHealth>,
    /// The parts, counted.
    pub summary: HealthSummary,
}

/// Whether the second cache tier can be reached, as whoever holds its connection knows. Asked on every request and by
/// probes, so it must not make a call.
pub trait RemoteWatch: Send + Sync + std::fmt::Debug {
    /// Whether it can be reached.
    fn is_up(&self) -> bool;
    /// How long its last probe took.
    fn latency(&self) -> Option<Duration>;
    /// The kind of its last error, never its text.
    fn last_error(&self) -> Option<String>;
}

/// What the last background check found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    database: Option<Result<Duration, String>>,
}

/// Checks until the service is gone.
pub(crate) fn spawn_checks(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    tokio::spawn(async move {
        while let Some(next) = check(&weak).await {
            tokio::time::sleep(next).await;
        }
    });
}

async fn check(weak: &Weak<Shared>) -> Option<Duration> {
    let store = Arc::clone(&weak.upgrade()?.store);
    let database = match tokio::time::timeout(PATIENCE, store.ping()).await {
        Ok(Ok(latency)) => Ok(latency),
        Ok(Err(error)) => Err(error.kind().to_owned()),
        Err(_) => Err("timeout".to_owned()),
    };
    weak.upgrade()?.checked.store(Arc::new(Checked { database: Some(database) }));
    Some(INTERVAL)
}

impl Shared {
    pub(crate) fn health(&self) -> Health {
        let checked = self.checked.load();
        let components = BTreeMap::from([
            ("cache", self.cache_health()),
            ("database", database_health(checked.database.as_ref())),
            ("circuit_breakers", self.breakers_health()),
            ("rate_limiter", self.limiter_health()),
            ("flow", self.flow_health()),
        ]);
        let mut summary = HealthSummary { total: components.len(), ..HealthSummary::default() };
        for component in components.values() {
            match component.status {
                Status::Healthy => summary.healthy += 1,
                Status::Degraded => summary.degraded += 1,
                Status::Unhealthy => summary.unhealthy += 1,
            }
        }
        let overall = components.values().map(|component| component.status).max().unwrap_or(Status::Healthy);
        Health { overall, components, summary }
    }

    fn cache_health(&self) -> ComponentHealth {
        let watch = self.watch.as_ref();
        ComponentHealth {
            status: if self.remote_is_up() { Status::Healthy } else { Status::Degraded },
            latency_ms: watch.and_then(|watch| watch.latency()).map(|latency| latency.as_secs_f64() * 1e3),
            last_error: watch.and_then(|watch| watch.last_error()),
            details: json!({ "remote": if watch.is_some() { "configured" } else { "none" } }),
        }
    }

    fn breakers_health(&self) -> ComponentHealth {
        let all = self.breakers.all();
        let open =
            all.iter().filter(|breaker| matches!(breaker.state(), State::Open | State::ForcedOpen)).count();
        let statistics: Vec<_> = all.iter().map(picarcade_breaker::CircuitBreaker::statistics).collect();
        ComponentHealth {
            status: if open == 0 { Status::Healthy } else { Status::Degraded },
            latency_ms: None,
            last_error: None,
            details: json!({ "open": open, "breakers": statistics }),
        }
    }

    fn limiter_health(&self) -> ComponentHealth {
        let statistics = self.limiter.statistics();
        let status = if statistics.mode == Mode::Local { Status::Degraded } else { Status::Healthy };
        ComponentHealth { status, latency_ms: None, last_error: None, details: json!(statistics) }
    }

    fn flow_health(&self) -> ComponentHealth {
        let counters = self.recorder.counters();
        let status = if self.recorder.spooling() { Status::Degraded } else { Status::Healthy };
        let details = json!({
            "mode": self.policy.mode.as_str(),
            "provider": self.ai.as_ref().map(|ai| ai.provider.name()),
            "model": self.ai.as_ref().map(|ai| ai.provider.model()),
            "classifications_in_flight": self.ai.as_ref().map_or(0, |ai| ai.bulkhead.in_use()),
            "classifications_queued": self.ai.as_ref().map_or(0, |ai| ai.bulkhead.queued()),
            "analytics": counters,
        });
        ComponentHealth { status, latency_ms: None, last_error: None, details }
    }
}

fn database_health(checked: Option<&Result<Duration, String>>) -> ComponentHealth {
    let (status, latency_ms, last_error) = match checked {
        None => (Status::Healthy, None, None),
        Some(Ok(latency)) => (Status::Healthy, Some(latency.as_secs_f64() * 1e3), None),
        Some(Err(kind)) => (Status::Degraded, None, Some(kind.clone())),
    };
    ComponentHealth { status, latency_ms, last_error, details: json!({}) }
}
