//! The record of what was actually spent.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::limit::Group;
use crate::{Error, MAX_AMOUNT, Scope, Unit, Window};

/// How long a request waits for the ledger before it is rejected.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The cost ledger, in which a store that lost its counters looks up what was spent. The component
/// that records costs implements it.
#[async_trait]
pub trait ExpenseLedger: fmt::Debug + Send + Sync {
    /// Returns what `subject` (empty for [`Scope::Global`]) spent, in micro-dollars, in the window
    /// that ends now. The window of [`Window::UtcDay`] starts at midnight in UTC.
    ///
    /// # Errors
    /// One line without secrets. Dollars of the subject are rejected until the ledger answers.
    async fn spent_micros(&self, scope: Scope, subject: &str, window: Window) -> Result<u64, String>;
}

/// Returns what was spent for each cost rule of a scope, in the order of the rules.
pub(crate) async fn spent(
    ledger: &dyn ExpenseLedger,
    scope: Scope,
    subject: &str,
    group: &Group,
) -> Result<Vec<u64>, Error> {
    let mut spent = Vec::new();
    for rule in group.rules.iter().filter(|rule| rule.unit == Unit::Cost) {
        match ledger.spent_micros(scope, subject, rule.window).await {
            Ok(micros) => spent.push(micros.min(MAX_AMOUNT)),
            Err(error) => {
                tracing::warn!(%scope, error, "cost ledger could not be read, dollars are rejected");
                return Err(Error::Rebuilding);
            }
        }
    }
    Ok(spent)
}
