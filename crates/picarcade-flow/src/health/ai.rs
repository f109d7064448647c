//! The state of the AI's calls, for the log and for health: failing calls that do not open the
//! breaker, such as calls with an unknown model, must be visible too.
//!
//! [`CallHealth`] decides which line is due, without a clock and without I/O. [`AiHealth`] writes
//! it.

use parking_lot::Mutex;
use picarcade_intent::{ProviderError, ProviderErrorKind, Unusable};
use serde::Serialize;

/// The number of failures in a row after which a failure is not an accident of one request.
const PERSISTENT: u32 = 3;

/// The failures since the last success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AiFailures {
    /// The kind of the last failure.
    pub(crate) kind: &'static str,
    /// The HTTP status of the last failure, if there was a response.
    pub(crate) status: Option<u16>,
    /// What the provider said, without secrets and without words of users.
    pub(crate) message: String,
    /// The number of failures without a success between them.
    pub(crate) in_a_row: u32,
    /// The number of failures of the last kind without another result between them.
    #[serde(skip)]
    of_kind: u32,
}

/// A line about the AI's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The calls began to fail.
    Began,
    /// The calls fail in another way than the last line said.
    Changed,
    /// The calls succeed again after this many failures.
    Recovered(u32),
}

/// What is known about the AI's calls, and what the log says about them.
#[derive(Debug, Default)]
struct CallHealth {
    failures: Option<AiFailures>,
    /// The kind of failure that the log states; `None` while it states none.
    logged: Option<&'static str>,
}

impl CallHealth {
    fn failed(&mut self, error: &ProviderError) -> Option<Due> {
        let kind = error.kind.as_str();
        let before = self
            .failures
            .as_ref()
            .map_or((0, 0), |before| (before.in_a_row, if before.kind == kind { before.of_kind } else { 0 }));
        let (in_a_row, of_kind) = (before.0.saturating_add(1), before.1.saturating_add(1));
        let (status, message) = (error.status, error.detail.clone());
        self.failures = Some(AiFailures { kind, status, message, in_a_row, of_kind });
        if may_be_caused_by_a_prompt(error.kind) && of_kind < PERSISTENT {
            return None;
        }
        match self.logged.replace(kind) {
            None => Some(Due::Began),
            Some(logged) => (logged != kind).then_some(Due::Changed),
        }
    }

    fn succeeded(&mut self) -> Option<Due> {
        let failures = self.failures.take();
        self.logged.take().map(|_| Due::Recovered(failures.map_or(0, |failures| failures.in_a_row)))
    }
}

/// Returns whether one prompt can cause a failure while others are answered.
const fn may_be_caused_by_a_prompt(kind: ProviderErrorKind) -> bool {
    use ProviderErrorKind as K;
    matches!(kind, K::Rejected | K::Unusable(Unusable::Refusal | Unusable::Truncated | Unusable::TooLarge))
}

/// The state of the calls of one provider, and the lines about it.
#[derive(Debug, Default)]
pub(crate) struct AiHealth(Mutex<CallHealth>);

impl AiHealth {
    /// Records that the provider gave no answer to a request. The line names no user.
    pub(crate) fn failed(&self, provider: &str, model: &str, error: &ProviderError) {
        let (status, kind, message) = (error.status, error.kind.as_str(), &*error.detail);
        match self.0.lock().failed(error) {
            Some(Due::Began) => {
                tracing::warn!(provider, model, status, kind, reason = message, "AI calls began to fail");
            }
            Some(Due::Changed) => {
                tracing::warn!(provider, model, status, kind, reason = message, "AI calls fail differently");
            }
            _ => {}
        }
    }

    /// Records that the provider answered.
    pub(crate) fn succeeded(&self, provider: &str, model: &str) {
        if let Some(Due::Recovered(failures)) = self.0.lock().succeeded() {
            tracing::info!(provider, model, failures, "AI calls succeed again");
        }
    }

    /// Returns the failures since the last success.
    pub(crate) fn failures(&self) -> Option<AiFailures> {
        self.0.lock().failures.clone()
    }
}

impl AiFailures {
    /// Returns whether the failures are no accident of a few requests.
    pub(crate) const fn are_persistent(&self) -> bool {
        self.in_a_row >= PERSISTENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(health: &mut CallHealth, kind: ProviderErrorKind) -> Option<Due> {
        health.failed(&ProviderError::new(kind, "").with_status(500))
    }

    #[test]
    fn each_change_is_due_once() {
        use ProviderErrorKind as K;
        let mut health = CallHealth::default();
        assert_eq!(health.succeeded(), None);
        assert_eq!(fails(&mut health, K::Server), Some(Due::Began));
        assert_eq!(fails(&mut health, K::Server), None);
        assert_eq!(fails(&mut health, K::Timeout), Some(Due::Changed));
        assert_eq!(fails(&mut health, K::Timeout), None);
        assert_eq!(health.succeeded(), Some(Due::Recovered(4)));
        assert_eq!(health.succeeded(), None);
        assert_eq!(fails(&mut health, K::Timeout), Some(Due::Began));
    }

    #[test]
    fn one_rejected_prompt_is_no_failure_of_the_ai_and_three_in_a_row_are() {
        use ProviderErrorKind as K;
        let mut health = CallHealth::default();
        let is_persistent = |health: &CallHealth| health.failures.as_ref().unwrap().are_persistent();
        for _ in 0..10 {
            assert_eq!(fails(&mut health, K::Rejected), None);
            assert_eq!(fails(&mut health, K::Unusable(Unusable::Refusal)), None);
            assert!(!is_persistent(&health));
            assert_eq!(health.succeeded(), None);
        }
        assert_eq!(fails(&mut health, K::Rejected), None);
        assert_eq!(fails(&mut health, K::Rejected), None);
        assert_eq!(fails(&mut health, K::Rejected), Some(Due::Began));
        assert!(is_persistent(&health));
        assert_eq!(fails(&mut health, K::Unusable(Unusable::Refusal)), None);
        assert_eq!(health.succeeded(), Some(Due::Recovered(4)));
    }
}
