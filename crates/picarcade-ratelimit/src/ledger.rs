//! Where it is written what was really spent.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::limit::Group;
use crate::{Error, MAX_AMOUNT, Scope, Unit, Window};

/// How long a request waits for the ledger before its dollars are refused.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The cost ledger, from which a store that lost its counters learns what was spent. Owned by whoever records costs.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// What `subject` (empty for [`Scope::Global`]) has spent, in micro-dollars, within the window that ends now: for a
    /// sliding one its length, for [`Window::UtcDay`] since midnight in UTC.
    ///
    /// # Errors
    /// One line without secrets. Money stays closed for the subject until the ledger answers.
    async fn spent_micros(&self, scope: Scope, subject: &str, window: Window) -> Result<u64, String>;
}

/// What the ledger says for each cost rule of a scope, in their order.
pub(crate) async fn spent(
    ledger: &dyn Ledger,
    scope: Scope,
    subject: &str,
    group: &Group,
) -> Result<Vec<u64>, Error> {
    let mut spent = Vec::new();
    for rule in group.rules.iter().filter(|rule| rule.unit == Unit::Cost) {
        match ledger.spent_micros(scope, subject, rule.window).await {
            Ok(micros) => spent.push(micros.min(MAX_AMOUNT)),
            Err(error) => {
                tracing::warn!(%scope, error, "the cost ledger could not be read; money is closed");
                return Err(Error::Rebuilding);
            }
        }
    }
    Ok(spent)
}
