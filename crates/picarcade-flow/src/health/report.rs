//! The state of every part, from background checks: a probe never causes a call, least of all a paid one.
//!
//! A lost Redis or database makes the service degraded, never unhealthy: it goes on answering. Unhealthy is only a flow that
//! cannot write what it owes to any place, the disk included, and gives events up. The kind of a last error stays to be
//! read after the part has recovered.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use picarcade_analytics::Store;
use picarcade_breaker::{State, Statistics};
use picarcade_ratelimit::{Limiter, Mode, Status as LimitStatus, Subjects, Unit};
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
    /// Whether a stand-in serves because the one that should is gone.
    fn is_on_backup(&self) -> bool;
}

/// What the last background check found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    database: Database,
    /// Events given up since the process began, and whether any were since the check before.
    dropped: u64,
    losing: bool,
    /// The dollar limits that all users share; as they stood when their store last answered.
    budget: Arc<[LimitStatus]>,
}

#[derive(Clone, Debug, Default)]
struct Database {
    /// `None` while it does not answer, and before the first check.
    latency: Option<Duration>,
    down: bool,
    /// Its schema is not the one that this build works with.
    schema: Option<String>,
    last_error: Option<String>,
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
    let (store, limiter, before) = {
        let shared = weak.upgrade()?;
        // A store that is known to be away is not asked: the limiter would hear of it by a question that nobody needs, and
        // of its return only by the next request.
        let limiter = shared.remote_is_up().then(|| shared.limiter.clone());
        (Arc::clone(&shared.store), limiter, shared.checked.load_full())
    };
    let (database, budget) = tokio::join!(
        check_database(&*store, before.database.last_error.clone()),
        check_budget(limiter.as_ref(), &before.budget)
    );
    let shared = weak.upgrade()?;
    let dropped = shared.recorder.counters().dropped;
    let losing = dropped > before.dropped;
    shared.checked.store(Arc::new(Checked { database, dropped, losing, budget }));
    Some(INTERVAL)
}

async fn check_budget(limiter: Option<&Limiter>, before: &Arc<[LimitStatus]>) -> Arc<[LimitStatus]> {
    let Some(limiter) = limiter else { return Arc::clone(before) };
    match tokio::time::timeout(PATIENCE, limiter.usage(&Subjects::default())).await {
        Ok(Ok(report)) if !report.local => {
            report.statuses.into_iter().filter(|status| status.unit == Unit::Cost).collect()
        }
        // Nobody knows better than the last figures.
        _ => Arc::clone(before),
    }
}

async fn check_database(store: &dyn Store, last_error: Option<String>) -> Database {
    let answered = tokio::time::timeout(PATIENCE, async {
        let latency = store.ping().await?;
        Ok((latency, store.schema().await?))
    });
    let failed =
        |kind: &str| Database { down: true, last_error: Some(kind.to_owned()), ..Database::default() };
    match answered.await {
        Ok(Ok((latency, schema))) => Database {
            latency: Some(latency),
            down: false,
            schema: (!schema.is_current()).then(|| schema.to_string()),
            last_error,
        },
        Ok(Err(error)) => {
            let error: picarcade_analytics::Error = error;
            failed(error.kind())
        }
        Err(_) => failed("timeout"),
    }
}

impl Shared {
    /// Whether the last check did not reach the database.
    pub(crate) fn database_is_away(&self) -> bool {
        self.checked.load().database.down
    }

    pub(crate) fn budget(&self) -> Arc<[LimitStatus]> {
        Arc::clone(&self.checked.load().budget)
    }

    pub(crate) fn health(&self) -> Health {
        let checked = self.checked.load();
        let components = BTreeMap::from([
            ("cache", self.cache_health()),
            ("database", database_health(&checked.database)),
            ("circuit_breakers", self.breakers_health()),
            ("rate_limiter", self.limiter_health()),
            ("flow", self.flow_health(&checked)),
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
        let on_backup = watch.is_some_and(|watch| watch.is_on_backup());
        let remote = match watch {
            None => "none",
            Some(watch) if !watch.is_up() => "down",
            Some(_) if on_backup => "backup",
            Some(_) => "primary",
        };
        ComponentHealth {
            status: if self.remote_is_up() && !on_backup { Status::Healthy } else { Status::Degraded },
            latency_ms: watch.and_then(|watch| watch.latency()).map(milliseconds),
            last_error: watch.and_then(|watch| watch.last_error()),
            details: json!({ "remote": remote }),
        }
    }

    fn breakers_health(&self) -> ComponentHealth {
        let all = self.breakers.all();
        let statistics: Vec<_> = all.iter().map(picarcade_breaker::CircuitBreaker::statistics).collect();
        let rejecting = |state| matches!(state, State::Open | State::ForcedOpen);
        let open = statistics.iter().filter(|breaker| rejecting(breaker.state)).count();
        let half_open = statistics.iter().filter(|breaker| breaker.state == State::HalfOpen).count();
        // What is the matter now, else what was the matter.
        let closed = |breaker: &&Statistics| breaker.state == State::Closed;
        let (well, ill): (Vec<_>, Vec<_>) = statistics.iter().partition(closed);
        let last_failure = ill.iter().chain(&well).find_map(|breaker| breaker.last_failure);
        ComponentHealth {
            status: if open + half_open == 0 { Status::Healthy } else { Status::Degraded },
            latency_ms: None,
            last_error: last_failure.map(|kind| kind.as_str().to_owned()),
            details: json!({ "open": open, "half_open": half_open, "breakers": statistics }),
        }
    }

    fn limiter_health(&self) -> ComponentHealth {
        let statistics = self.limiter.statistics();
        let status = if statistics.mode == Mode::Local { Status::Degraded } else { Status::Healthy };
        let local = (statistics.mode == Mode::Local).then(|| "store_unavailable".to_owned());
        ComponentHealth { status, latency_ms: None, last_error: local, details: json!(statistics) }
    }

    fn flow_health(&self, checked: &Checked) -> ComponentHealth {
        let counters = self.recorder.counters();
        let refused = self.rules_refused.load(Ordering::Relaxed);
        let (status, last_error) = if checked.losing {
            (Status::Unhealthy, Some("events_lost"))
        } else if self.recorder.spooling() || counters.spooled > 0 {
            (Status::Degraded, Some(counters.last_error.unwrap_or("events_spooled")))
        } else if refused {
            (Status::Degraded, Some("rules_refused"))
        } else if counters.dead_lettered > 0 {
            // Nothing is missing for requests; what is in the file waits for an operator.
            (Status::Healthy, Some("events_dead_lettered"))
        } else {
            (Status::Healthy, None)
        };
        let last_error = last_error.map(str::to_owned);
        let rules = self.rules.load();
        let details = json!({
            "mode": self.policy.mode.as_str(),
            "matrix_version": rules.matrix.version(),
            "catalogue_version": rules.catalogue.version(),
            "rules_refused": refused,
            "provider": self.ai.as_ref().map(|ai| ai.provider.name()),
            "model": self.ai.as_ref().map(|ai| ai.provider.model()),
            "classifications_in_flight": self.ai.as_ref().map_or(0, |ai| ai.bulkhead.in_use()),
            "classifications_queued": self.ai.as_ref().map_or(0, |ai| ai.bulkhead.queued()),
            "analytics": counters,
        });
        ComponentHealth { status, latency_ms: None, last_error, details }
    }
}

fn database_health(checked: &Database) -> ComponentHealth {
    let well = !checked.down && checked.schema.is_none();
    ComponentHealth {
        status: if well { Status::Healthy } else { Status::Degraded },
        latency_ms: checked.latency.map(milliseconds),
        last_error: checked.last_error.clone(),
        details: json!({ "reachable": !checked.down, "schema": checked.schema }),
    }
}

fn milliseconds(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1e3
}
