//! Statistics and the day's budget, through their cache.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_analytics::Period;
use picarcade_cache::{CacheSource, Loaded};
use picarcade_ratelimit::{Limit, Scope, Unit, Window};

use crate::caches::{Figures, statistics_key};
use crate::error::FlowError;
use crate::response::{BudgetBurn, StatsAnswer};
use crate::service::FlowService;

/// How long a statistics query waits for events that are still in the queue.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

impl FlowService {
    /// Returns statistics over a period. They are at most as old as the TTL of their cache.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Unavailable`] if the database does not answer and nothing is cached.
    pub async fn stats(&self, period: Period) -> Result<StatsAnswer, FlowError> {
        let loader = {
            let (recorder, store) = (self.inner.recorder.clone(), Arc::clone(&self.inner.store));
            move || async move {
                // Events that were recorded before the query belong to its result, unless the
                // database is slow.
                let _ = tokio::time::timeout(FLUSH_TIMEOUT, recorder.flush()).await;
                let now = SystemTime::now();
                let statistics = store.statistics(period, now).await?;
                let spent_today_micros = store.spent_since(Window::UtcDay.start(now), now).await?;
                Ok::<_, picarcade_analytics::Error>(Loaded::new(Figures { statistics, spent_today_micros }))
            }
        };
        let (cache, key) = (&self.inner.caches.statistics, statistics_key(period));
        match cache.get_or_load_with(&key, picarcade_cache::Options::default(), loader).await {
            Ok(found) => Ok(StatsAnswer {
                statistics: found.value.statistics.clone(),
                budget: self.budget_burn(found.value.spent_today_micros),
                cached: !matches!(found.source, CacheSource::Loaded | CacheSource::Bypass),
            }),
            Err(error) => {
                tracing::warn!(%error, "statistics could not be read");
                Err(FlowError::Unavailable { retry_after: Duration::from_secs(5) })
            }
        }
    }

    /// Returns the day's budget. Its use is that of the last background check, because the limiter
    /// decides by it.
    fn budget_burn(&self, spent_today_micros: u64) -> BudgetBurn {
        let burn = BudgetBurn::new(self.budget_per_day(), spent_today_micros);
        let checked = self.inner.check.last();
        match checked.budgets.iter().find(|budget| is_day(budget.status.window)) {
            Some(budget) => burn.with_use(budget.spent(), budget.status.reserved),
            None => burn,
        }
    }

    /// Returns the dollar limit of all users together for one day, in micro-dollars.
    fn budget_per_day(&self) -> Option<u64> {
        let is_budget = |limit: &&Limit| {
            limit.scope() == Scope::Global && limit.unit() == Unit::Cost && is_day(limit.window())
        };
        self.inner.limiter.limits().iter().find(is_budget).map(Limit::limit)
    }
}

fn is_day(window: Window) -> bool {
    matches!(window, Window::UtcDay) || window == Window::Sliding(DAY)
}
