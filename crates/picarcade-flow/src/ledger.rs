//! What was spent, from the table of costs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use picarcade_analytics::{Period, Recorder, Store};
use picarcade_ratelimit::{Ledger, MAX_AMOUNT, Scope, Window};

/// The window of a user that the table can answer for.
const HOUR: Duration = Duration::from_secs(3600);

/// The table of costs as a [`Ledger`], from which the limits rebuild budgets after they lost
/// counters.
///
/// It answers for one hour of a user, and for a day and any sliding window of all users together.
/// It writes the expenses that this process has queued before it reads. While they cannot be
/// written, the table is not complete: the answer is an error, which keeps dollars closed.
#[derive(Clone, Debug)]
pub struct CostLedger {
    store: Arc<dyn Store>,
    recorder: Recorder,
}

impl CostLedger {
    /// Reads from `store`, which `recorder` writes to.
    pub fn new(store: Arc<dyn Store>, recorder: Recorder) -> Self {
        Self { store, recorder }
    }

    /// Writes what is queued. Without it, a budget that is spent within one interval of the
    /// recorder could be spent again after a loss of the counters.
    async fn catch_up(&self) -> Result<(), String> {
        let lags = || "expenses wait to be written to the database".to_owned();
        if self.lags() {
            return Err(lags());
        }
        self.recorder.flush().await.map_err(|error| error.kind().to_owned())?;
        // What the database did not take is settled too, in the spool.
        if self.lags() { Err(lags()) } else { Ok(()) }
    }

    fn lags(&self) -> bool {
        let counters = self.recorder.counters();
        self.recorder.spooling() || counters.spooled > 0 || counters.last_error.is_some()
    }
}

#[async_trait]
impl Ledger for CostLedger {
    async fn spent_micros(&self, scope: Scope, subject: &str, window: Window) -> Result<u64, String> {
        self.catch_up().await?;
        let now = SystemTime::now();
        let spent = match (scope, window) {
            (Scope::Global, Window::Sliding(length)) => self.store.spent_since(now - length, now).await,
            (Scope::Global, Window::UtcDay) => {
                let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                let today = Duration::from_secs(since_epoch % 86_400);
                self.store.spent_since(now - today, now).await
            }
            (Scope::User, Window::Sliding(length)) if length == HOUR => {
                let statistics = self.store.user_statistics(subject, Period::Hour, now).await;
                let dollars = statistics.map(|statistics| statistics.cost_spent);
                dollars.map(|dollars| picarcade_ratelimit::micros(dollars).unwrap_or(MAX_AMOUNT))
            }
            _ => return Err("the ledger does not know this window".to_owned()),
        };
        spent.map_err(|error| error.kind().to_owned())
    }
}
