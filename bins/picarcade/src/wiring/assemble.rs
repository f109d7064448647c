//! Assembles the service from its configuration.

use std::sync::Arc;

use picarcade_analytics::{GenerationRows, Recorder, SessionRows, SqliteStore, Store};
use picarcade_breaker::Registry;
use picarcade_cache::{DiskRemote, RedisRemote};
use picarcade_flow::{CostLedger, FlowService, GenerationLog, WorkerPool};
use picarcade_intent::examples::ExampleList;
use picarcade_ratelimit::{ExpenseLedger, Leases, Limiter, RedisStore, Unit};
use picarcade_redis::RedisHandle;

use crate::config::{Config, Database};
use crate::http::SharedStore;

use super::error::WiringError;
use super::examples::{Loaded, load, rules_with_examples};
use super::redis::Watch;
use super::sessions::Sessions;
use super::{database, fleet};

/// How many prompts may wait for the encoder. At the usual speed the last of them waits for about
/// 0.1 s; the fast stage answers the others.
const MAX_WAITING_READS: usize = 16;

/// The purpose of the assembled service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Many users: every limit holds.
    Service,
    /// One operator at a terminal: dollars are limited, the number of requests is not.
    Command,
}

/// The assembled parts.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) flow: FlowService,
    /// The examples that do not teach the service yet, because that takes too long for a start.
    pub(crate) examples: Option<ExampleList>,
    pub(crate) shared_store: Option<Arc<dyn SharedStore>>,
    /// The membership in the fleet, which ends when this is dropped.
    pub(crate) membership: Option<fleet::Membership>,
}

/// Assembles the parts.
pub(crate) async fn wire(config: &Config, purpose: Purpose) -> Result<Wired, WiringError> {
    let Loaded { rules, examples } = match purpose {
        Purpose::Service => load(config)?,
        Purpose::Command => Loaded { rules: rules_with_examples(config)?, examples: None },
    };
    let databases = databases(config).await?;
    let redis = config.redis.clone().map(RedisHandle::connect).transpose().map_err(WiringError::Redis)?;
    let recorder = recorder(config, purpose, &databases.events).await?;
    let ledger = CostLedger::new(Arc::clone(&databases.events), recorder.clone());
    let limiter = limiter(config, purpose, redis.as_ref(), Arc::new(ledger))?;
    let mut builder = FlowService::builder(recorder, databases.events)
        .sessions(Arc::new(Sessions {
            rows: databases.sessions,
            is_shared: matches!(config.database, Database::Postgres(_)),
        }))
        .generation_log(databases.generations)
        .policy(config.policy.clone())
        .rules(rules)
        .limiter(limiter)
        .breakers(breakers(config)?)
        .worker_pool(
            WorkerPool::new(WorkerPool::default_threads(), MAX_WAITING_READS)
                .map_err(WiringError::Threads)?,
        );
    if let Some(llm) = &config.llm {
        let provider = llm.provider.build(llm.settings.clone()).map_err(WiringError::Provider)?;
        builder = builder.provider(provider);
    }
    if purpose == Purpose::Service
        && let Some(disk) = disk_cache(config).await
    {
        builder = builder.local_remote(disk);
    }
    let Some(handle) = redis else {
        return Ok(Wired { flow: builder.build()?, examples, shared_store: None, membership: None });
    };
    let watch = Arc::new(Watch(handle.clone()));
    let fleet = fleet::Channel::new(handle.clone());
    let flow = builder
        .remote(RedisRemote::new(handle.clone()), Arc::<Watch>::clone(&watch))
        .fleet(Arc::new(fleet.clone()))
        .build()?;
    let membership = match purpose {
        Purpose::Service => Some(fleet::join(&fleet, &flow).map_err(WiringError::Breaker)?),
        Purpose::Command => None,
    };
    Ok(Wired { flow, examples, shared_store: Some(watch), membership })
}

/// Describes the metrics of every part. Call it after the recorder of metrics is installed.
pub(crate) fn describe_metrics() {
    picarcade_flow::describe_metrics();
    picarcade_redis::describe_metrics();
}

/// The database in its three roles: the store of events, of sessions and of generations.
struct Databases {
    events: Arc<dyn Store>,
    sessions: Arc<dyn SessionRows>,
    generations: Arc<dyn GenerationLog>,
}

/// Opens the configured database. An embedded one is migrated.
async fn databases(config: &Config) -> Result<Databases, WiringError> {
    fn all<T: Store + SessionRows + GenerationRows + 'static>(store: T) -> Databases {
        let store = Arc::new(store);
        Databases { events: Arc::clone(&store) as _, sessions: Arc::clone(&store) as _, generations: store }
    }
    Ok(match &config.database {
        Database::Sqlite(path) => all(SqliteStore::open(path).await.map_err(WiringError::Database)?),
        Database::Postgres(options) => all(database::postgres((**options).clone()).await?),
    })
}

/// Starts the recorder. A service that cannot spool would lose events, so it does not start. A
/// command records only a few events and runs without a spool.
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
        // The log and the health page report what is wrong with the database. The service answers
        // without it, and spools until it can be used.
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

/// Builds the limiter. If Redis is configured, the limits are kept there, so that a fleet shares
/// them. The database is the ledger of what was spent.
fn limiter(
    config: &Config,
    purpose: Purpose,
    redis: Option<&RedisHandle>,
    ledger: Arc<dyn ExpenseLedger>,
) -> Result<Limiter, WiringError> {
    let settings = &config.limits;
    let limits = settings
        .all
        .iter()
        .filter(|limit| purpose == Purpose::Service || limit.unit() == Unit::Cost)
        .cloned();
    let mut builder = Limiter::builder()
        .limits(limits)
        .ledger(Arc::clone(&ledger))
        .reservation_ttl(settings.reservation_ttl);
    if let Some(handle) = redis {
        builder = builder
            .store(Arc::new(RedisStore::new(handle.clone()).ledger(ledger)))
            .expected_instances(settings.expected_instances);
        if purpose == Purpose::Service && !settings.leased.is_empty() {
            builder = builder.leases(Leases::of(settings.leased.iter().cloned()));
        }
    }
    builder.build().map_err(WiringError::Limits)
}

/// Opens the cache on disk. The service runs without it if the directory cannot be used, such as
/// one that another instance uses. A command does not open it, so that it takes nothing from a
/// service.
async fn disk_cache(config: &Config) -> Option<Arc<DiskRemote>> {
    match DiskRemote::open(config.data_dir.join("cache"), config.disk_cache?).await {
        Ok(disk) => Some(disk),
        Err(error) => {
            tracing::warn!(%error, "answers are cached in memory only");
            None
        }
    }
}

fn breakers(config: &Config) -> Result<Registry, WiringError> {
    let registry = Registry::new();
    for (name, breaker) in &config.breakers {
        registry.with_config(*name, breaker.clone()).map_err(WiringError::Breaker)?;
    }
    Ok(registry)
}
