//! Assembles the service from its configuration.

use std::sync::Arc;

use picarcade_analytics::{GenerationRows, Recorder, SessionRows, SqliteStore, Store};
use picarcade_breaker::Registry;
use picarcade_cache::RedisRemote;
use picarcade_flow::{CostLedger, FlowService, GenerationLog, Policy};
use picarcade_intent::Provider;
use picarcade_ratelimit::{Leases, Ledger, Limiter, RedisStore, Unit};
use picarcade_redis::RedisHandle;

use crate::config::{BreakerSettings, Config, Database, Llm, with_builder};

use super::error::WiringError;
use super::redis::Watch;
use super::rules::rules;
use super::sessions::Sessions;
use super::{database, fleet, redis};

/// What the parts are put together for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Many users: every limit holds.
    Service,
    /// One operator at a terminal: money is limited, the number of requests is not.
    Command,
}

/// The parts that a command works with.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) flow: FlowService,
    pub(crate) redis: Option<RedisHandle>,
    /// Its place among the other instances, held for as long as this is.
    pub(crate) membership: Option<fleet::Membership>,
}

/// Puts everything together.
pub(crate) async fn wire(config: &Config, purpose: Purpose) -> Result<Wired, WiringError> {
    let rules = rules(config)?;
    let databases = databases(config).await?;
    let redis = config.redis.as_ref().map(redis::connect).transpose()?;
    let recorder = recorder(config, purpose, &databases.events).await?;
    let ledger = CostLedger::new(Arc::clone(&databases.events), recorder.clone());
    let limiter = limiter(config, purpose, redis.as_ref(), Arc::new(ledger))?;
    let mut builder = FlowService::builder(recorder, databases.events)
        .sessions(Arc::new(Sessions {
            rows: databases.sessions,
            is_shared: matches!(config.database, Database::Postgres(_)),
        }))
        .generation_log(databases.generations)
        .policy(policy(config))
        .rules(rules)
        .limiter(limiter)
        .breakers(breakers(config)?);
    if let Some(llm) = &config.llm {
        builder = builder.provider(provider(llm)?);
    }
    let Some(handle) = redis else {
        return Ok(Wired { flow: builder.build()?, redis: None, membership: None });
    };
    let fleet = fleet::Channel::new(handle.clone());
    let flow = builder
        .remote(RedisRemote::new(handle.clone()), Arc::new(Watch(handle.clone())))
        .fleet(Arc::new(fleet.clone()))
        .build()?;
    let membership = match purpose {
        Purpose::Service => Some(fleet::join(&fleet, &flow).map_err(WiringError::Breaker)?),
        Purpose::Command => None,
    };
    Ok(Wired { flow, redis: Some(handle), membership })
}

/// The database as the three things that it is: where events go, where sessions live, and where generations are found.
struct Databases {
    events: Arc<dyn Store>,
    sessions: Arc<dyn SessionRows>,
    generations: Arc<dyn GenerationLog>,
}

/// The database that is configured, migrated where it is embedded.
async fn databases(config: &Config) -> Result<Databases, WiringError> {
    fn all<T: Store + SessionRows + GenerationRows + 'static>(store: T) -> Databases {
        let store = Arc::new(store);
        Databases { events: Arc::clone(&store) as _, sessions: Arc::clone(&store) as _, generations: store }
    }
    Ok(match &config.database {
        Database::Sqlite(path) => all(SqliteStore::open(path).await.map_err(WiringError::Database)?),
        Database::Postgres(url) => all(database::postgres(url).await?),
    })
}

fn policy(config: &Config) -> Policy {
    let mut policy = Policy::default();
    policy.mode = config.mode;
    policy.cost_action = config.cost_action;
    policy.classification_timeout = config.classification_timeout;
    policy.max_concurrent_classifications = config.max_concurrent_classifications;
    policy.ttls = config.ttls;
    policy
}

/// Starts the recorder. A service that cannot spool would lose events, so it does not start; a
/// command records a few and goes on without a spool.
async fn recorder(
    config: &Config,
    purpose: Purpose,
    events: &Arc<dyn Store>,
) -> Result<Recorder, WiringError> {
    use picarcade_analytics::Error;
    let (events, settings) = (Arc::clone(events), analytics(config));
    if matches!(purpose, Purpose::Command) {
        return Ok(Recorder::start(events, settings));
    }
    match Recorder::try_start(Arc::clone(&events), settings.clone()).await {
        Err(error @ (Error::Config(_) | Error::Directory { .. } | Error::SpoolLocked { .. })) => {
            Err(WiringError::Spool(error))
        }
        // The database is not as it should be, which the log and the health page say. The service
        // answers without it, and spools until it is.
        Err(_) => Ok(Recorder::start(events, settings)),
        Ok(recorder) => Ok(recorder),
    }
}

fn analytics(config: &Config) -> picarcade_analytics::Config {
    picarcade_analytics::Config {
        spool_dir: Some(config.data_dir.join("spool")),
        privacy: config.privacy.clone(),
        ..picarcade_analytics::Config::default()
    }
}

/// The limits: in Redis where there is one, so that a fleet shares them, with the database as the ledger of what was spent.
fn limiter(
    config: &Config,
    purpose: Purpose,
    redis: Option<&RedisHandle>,
    ledger: Arc<dyn Ledger>,
) -> Result<Limiter, WiringError> {
    let limits = config
        .limits
        .iter()
        .filter(|limit| purpose == Purpose::Service || limit.unit() == Unit::Cost)
        .cloned();
    let mut builder =
        Limiter::builder().limits(limits).ledger(Arc::clone(&ledger)).reservation_ttl(config.reservation_ttl);
    if let Some(handle) = redis {
        builder = builder
            .store(Arc::new(RedisStore::new(handle.clone()).ledger(ledger)))
            .expected_instances(config.expected_instances);
        if purpose == Purpose::Service && !config.leased_limits.is_empty() {
            builder = builder.leases(Leases::of(config.leased_limits.iter().cloned()));
        }
    }
    builder.build().map_err(WiringError::Limits)
}

fn breakers(config: &Config) -> Result<Registry, WiringError> {
    let registry = Registry::new();
    for (name, settings) in &config.breakers {
        registry.with_config(*name, breaker(name, settings)).map_err(WiringError::Breaker)?;
    }
    Ok(registry)
}

fn breaker(name: &str, settings: &BreakerSettings) -> picarcade_breaker::Config {
    let mut config = picarcade_breaker::Config::preset(name);
    if let Some(threshold) = settings.failure_threshold {
        config = config.failure_threshold(threshold);
    }
    if let Some(timeout) = settings.timeout {
        config = config.open_for(timeout);
    }
    if let Some(threshold) = settings.success_threshold {
        config = config.success_threshold(threshold);
    }
    config
}

fn provider(llm: &Llm) -> Result<Arc<dyn Provider>, WiringError> {
    with_builder!(llm, builder => Ok(Arc::new(builder.build().map_err(WiringError::Provider)?)))
}
