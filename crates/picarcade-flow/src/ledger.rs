//! The expenses in the table of costs, as a ledger of the limits.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use picarcade_analytics::{Period, Recorder, Store};
use picarcade_ratelimit::{ExpenseLedger, Scope, Window};

/// The only window for which the table can answer per user.
const HOUR: Duration = Duration::from_secs(3600);

/// The table of costs as an [`ExpenseLedger`], from which the limits rebuild budgets after a loss
/// of counters.
///
/// It answers for one hour of a user, and for a UTC day and any sliding window of all users
/// together. It writes the queued expenses of this process before it reads. While expenses wait for
/// the database, the table is not complete. The ledger then returns an error, and no dollars are
/// spent.
#[derive(Clone, Debug)]
pub struct CostLedger {
    store: Arc<dyn Store>,
    recorder: Recorder,
}

impl CostLedger {
    /// Creates a ledger that reads from `store`, which `recorder` writes to.
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
impl ExpenseLedger for CostLedger {
    async fn spent_micros(&self, scope: Scope, subject: &str, window: Window) -> Result<u64, String> {
        self.catch_up().await?;
        let now = SystemTime::now();
        let spent = match (scope, window) {
            (Scope::Global, Window::Sliding(_) | Window::UtcDay) => {
                self.store.spent_since(window.start(now), now).await
            }
            (Scope::User, Window::Sliding(length)) if length == HOUR => {
                let statistics = self.store.user_statistics(subject, Period::Hour, now).await;
                statistics.map(|statistics| statistics.spent_micros)
            }
            _ => return Err("the ledger does not know this window".to_owned()),
        };
        spent.map_err(|error| error.kind().to_owned())
    }
}
