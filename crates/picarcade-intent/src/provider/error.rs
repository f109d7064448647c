//! Failures of a provider, by what the caller does next.

use std::time::Duration;

use thiserror::Error;

use crate::answer::{Tokens, Unusable};

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// No connection: nothing was sent and nothing is billed.
    Connect,
    /// The time ran out; the answer may still be billed.
    Timeout,
    /// Too many requests or tokens in a short time. Transient.
    RateLimited,
    /// The quota or the balance of the account is exhausted; retrying does not help.
    SpendLimit,
    /// The provider is overloaded. Transient.
    Overloaded,
    /// The provider failed, or its response ended early.
    Server,
    /// The key is wrong or lacks a permission.
    Auth,
    /// The provider rejects this request.
    Rejected,
    /// The answer cannot be used.
    Unusable(Unusable),
}

impl ProviderErrorKind {
    /// Returns a name from a bounded set, such as `rate_limited`, which can be a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::SpendLimit => "spend_limit",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Auth => "auth",
            Self::Rejected => "rejected",
            Self::Unusable(_) => "unusable",
        }
    }

    /// Returns whether the same request may succeed when it is sent again.
    ///
    /// An unusable answer is not transient: it has been paid for, and the answer of the local
    /// classifier is free.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Connect | Self::Timeout | Self::RateLimited | Self::Overloaded | Self::Server)
    }
}

/// A failed call to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} failure of the provider{}", .kind.as_str(), Detail(.detail))]
pub struct ProviderError {
    /// The kind of failure.
    pub kind: ProviderErrorKind,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// What was billed without a usable answer, in micro-dollars; `None` if the provider did not
    /// say.
    pub cost_micros: Option<u64>,
    /// The tokens of the call; `None` if the provider did not say.
    pub tokens: Option<Tokens>,
    /// Details for the operator: one line of at most 200 characters, without secrets and without
    /// the words of the user.
    pub detail: String,
}

impl ProviderError {
    /// The maximum length of [`detail`](Self::detail), in characters.
    pub const MAX_DETAIL_CHARS: usize = 200;

    /// Creates a failure of this kind. The detail is cut to one bounded line.
    pub fn new(kind: ProviderErrorKind, detail: impl AsRef<str>) -> Self {
        let line = detail.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c });
        let detail = line.take(Self::MAX_DETAIL_CHARS).collect();
        Self { kind, status: None, retry_after: None, cost_micros: None, tokens: None, detail }
    }

    /// Creates a failure for an answer that cannot be used, with its cost.
    pub fn unusable(reason: Unusable, cost_micros: Option<u64>) -> Self {
        Self { cost_micros, ..Self::new(ProviderErrorKind::Unusable(reason), reason.as_str()) }
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Returns whether the same request may succeed when it is sent again.
    pub const fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }
}

/// Formats the detail after a colon, if there is one.
struct Detail<'a>(&'a str);

impl std::fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_one_bounded_line() {
        let error = ProviderError::new(ProviderErrorKind::Server, "a\nb".to_owned() + &"é".repeat(500));
        assert_eq!(error.detail.chars().count(), ProviderError::MAX_DETAIL_CHARS);
        assert!(error.to_string().starts_with("server failure of the provider: a bé"));
        assert_eq!(
            ProviderError::new(ProviderErrorKind::Auth, "").to_string(),
            "auth failure of the provider"
        );
    }

    #[test]
    fn only_passing_failures_are_transient() {
        assert!(ProviderError::new(ProviderErrorKind::Overloaded, "").is_transient());
        assert!(!ProviderError::new(ProviderErrorKind::SpendLimit, "").is_transient());
        assert!(!ProviderError::unusable(Unusable::Refusal, Some(3)).is_transient());
    }
}
