//! Where it is written what was really spent.

use std::fmt;

use async_trait::async_trait;

use crate::{Scope, Window};

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
