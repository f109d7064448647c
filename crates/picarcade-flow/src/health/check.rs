//! The background check of the components whose state is known only after a call.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use picarcade_analytics::{Cause, Recorder, Store};
use picarcade_ratelimit::{Limiter, Subjects};
use tokio::time::Instant;

use crate::health::budget::{Budget, BudgetRefusals, after_check};
use crate::health::watch::RemoteWatch;

/// The pause between two checks.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a check waits for an answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that the last check found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) database: Database,
    /// The number of events dropped since the process began.
    dropped: u64,
    /// Whether events were dropped since the check before.
    pub(crate) is_losing_events: bool,
    /// The dollar limits that all users share, from the last answer of their store.
    pub(crate) budgets: Arc<[Budget]>,
}

/// The state of the database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    /// `None` while the database does not answer, and before the first check.
    pub(crate) latency: Option<Duration>,
    pub(crate) is_down: bool,
    /// The schema of the database, if this build works with another one.
    pub(crate) schema: Option<String>,
    /// The cause of the last failure. It stays visible after the database has recovered.
    pub(crate) last_error: Option<Cause>,
    /// The time of the first failed check, while the database is down.
    down_since: Option<Instant>,
}

/// A periodic check of the database and of the shared dollar limits.
#[derive(Debug)]
pub(crate) struct BackgroundCheck {
    store: Arc<dyn Store>,
    limiter: Limiter,
    recorder: Recorder,
    watch: Option<Arc<dyn RemoteWatch>>,
    refusals: BudgetRefusals,
    last: ArcSwap<Checked>,
}

impl BackgroundCheck {
    /// Starts the check. It ends when the last handle is dropped.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        limiter: Limiter,
        recorder: Recorder,
        watch: Option<Arc<dyn RemoteWatch>>,
        refusals: BudgetRefusals,
    ) -> Arc<Self> {
        let last = ArcSwap::default();
        let check = Arc::new(Self { store, limiter, recorder, watch, refusals, last });
        let weak = Arc::downgrade(&check);
        tokio::spawn(async move {
            while run(&weak).await.is_some() {
                tokio::time::sleep(INTERVAL).await;
            }
        });
        check
    }

    /// Returns the state that the last check found.
    pub(crate) fn last(&self) -> Arc<Checked> {
        self.last.load_full()
    }

    /// Returns whether the last check could not reach the database.
    pub(crate) fn database_is_down(&self) -> bool {
        self.last.load().database.is_down
    }
}

/// Runs one check. Returns `None` once the last handle is dropped.
async fn run(weak: &Weak<BackgroundCheck>) -> Option<()> {
    let (store, limiter, refusals, before) = {
        let check = weak.upgrade()?;
        // A store that is known to be down is not asked: the limiter would notice the outage from
        // this query, and the return of the store only from the next request.
        let is_up = check.watch.as_ref().is_none_or(|watch| watch.is_up());
        let limiter = is_up.then(|| check.limiter.clone());
        (Arc::clone(&check.store), limiter, check.refusals.clone(), check.last())
    };
    let (database, budgets) = tokio::join!(
        check_database(&*store, &before.database),
        check_budgets(limiter.as_ref(), &before.budgets, &refusals)
    );
    let check = weak.upgrade()?;
    let dropped = check.recorder.counters().dropped;
    let is_losing_events = dropped > before.dropped;
    check.last.store(Arc::new(Checked { database, dropped, is_losing_events, budgets }));
    Some(())
}

async fn check_budgets(
    limiter: Option<&Limiter>,
    before: &Arc<[Budget]>,
    refusals: &BudgetRefusals,
) -> Arc<[Budget]> {
    let Some(limiter) = limiter else { return Arc::clone(before) };
    match tokio::time::timeout(CHECK_TIMEOUT, limiter.usage(&Subjects::default())).await {
        Ok(Ok(report)) if !report.local => after_check(before, report.statuses, refusals.take()),
        // A local share is worse than the last figures of the store.
        _ => Arc::clone(before),
    }
}

async fn check_database(store: &dyn Store, before: &Database) -> Database {
    let answered = tokio::time::timeout(CHECK_TIMEOUT, async {
        let latency = store.ping().await?;
        Ok((latency, store.schema().await?))
    });
    let error = match answered.await {
        Ok(Ok((latency, schema))) => {
            if let Some(since) = before.down_since {
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!(outage_seconds = seconds, "the database is available again");
            }
            return Database {
                latency: Some(latency),
                is_down: false,
                schema: (!schema.is_current()).then(|| schema.to_string()),
                last_error: before.last_error,
                down_since: None,
            };
        }
        Ok(Err(error)) => error,
        Err(_) => picarcade_analytics::Error::Timeout,
    };
    let cause = store.explain(&error).await;
    // One line for each cause of an outage.
    if !before.is_down || before.last_error != Some(cause) {
        tracing::warn!(%cause, kind = cause.as_str(), "the database cannot be used");
    }
    Database {
        is_down: true,
        last_error: Some(cause),
        down_since: before.down_since.or_else(|| Some(Instant::now())),
        ..Database::default()
    }
}
