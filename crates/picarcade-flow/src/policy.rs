//! What an operator decides about the flow, as plain values.

use std::time::Duration;

use picarcade_ratelimit::{Limit, Scope, Window};

/// When the AI is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Always, when the rules leave a choice.
    #[default]
    LlmFirst,
    /// Only when the local classifier is less sure than [`Policy::cascade_threshold`].
    Cascade,
    /// Never.
    Local,
}

impl Mode {
    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LlmFirst => "llm_first",
            Self::Cascade => "cascade",
            Self::Local => "local",
        }
    }
}

/// What happens to a request whose AI call would go over a dollar limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CostAction {
    /// The local classifier answers, for nothing.
    #[default]
    Degrade,
    /// The request is denied.
    Reject,
}

/// How long the five cache levels keep an entry fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTtls {
    /// Level 1: what a request is.
    pub intent: Duration,
    /// Level 2: enhanced prompts.
    pub enhancement: Duration,
    /// Level 3: base parameters of the models.
    pub parameters: Duration,
    /// Level 4: statistics.
    pub statistics: Duration,
    /// Level 5: sessions.
    pub sessions: Duration,
}

impl Default for CacheTtls {
    fn default() -> Self {
        Self {
            intent: Duration::from_secs(3600),
            enhancement: Duration::from_secs(86_400),
            parameters: Duration::from_secs(3600),
            statistics: Duration::from_secs(300),
            sessions: Duration::from_secs(600),
        }
    }
}

/// Everything that is policy and not wiring.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// When the AI is asked.
    pub mode: Mode,
    /// Below this calibrated confidence (0..=1) of the local classifier, [`Mode::Cascade`] asks the AI.
    pub cascade_threshold: f64,
    /// What a reached dollar limit means.
    pub cost_action: CostAction,
    /// One deadline over waiting, retries and calls of the AI step.
    pub classification_timeout: Duration,
    /// AI calls in flight in this process.
    pub max_concurrent_classifications: usize,
    /// Requests that may wait for one of those; the next is answered by the local classifier at once.
    pub max_queued_classifications: usize,
    /// Paid tries for one request, the first included.
    pub max_attempts: u32,
    /// Below this confidence an AI answer is kept only for [`Policy::low_confidence_ttl`].
    pub low_confidence: f64,
    /// How long an answer is kept that is not trusted fully.
    pub low_confidence_ttl: Duration,
    /// How long the levels keep their entries.
    pub ttls: CacheTtls,
    /// How long a session lives after its last change.
    pub session_lifetime: Duration,
    /// How many requests of one batch run at once.
    pub batch_concurrency: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            cascade_threshold: 0.9,
            cost_action: CostAction::default(),
            classification_timeout: Duration::from_secs(30),
            max_concurrent_classifications: 10,
            max_queued_classifications: 1000,
            max_attempts: 2,
            low_confidence: 0.5,
            low_confidence_ttl: Duration::from_secs(60),
            ttls: CacheTtls::default(),
            session_lifetime: Duration::from_secs(86_400),
            batch_concurrency: 16,
        }
    }
}

/// The limits that hold when nobody configured any: per user 100 requests a minute, 1,000 an hour and $50 an hour; all
/// together 10,000 requests an hour and $500 a UTC day.
pub fn default_limits() -> Vec<Limit> {
    const MINUTE: Window = Window::Sliding(Duration::from_secs(60));
    const HOUR: Window = Window::Sliding(Duration::from_secs(3600));
    vec![
        Limit::requests(Scope::User, 100, MINUTE),
        Limit::requests(Scope::User, 1000, HOUR),
        Limit::requests(Scope::Global, 10_000, HOUR),
        Limit::cost(Scope::User, 50_000_000, HOUR),
        Limit::cost(Scope::Global, 500_000_000, Window::UtcDay),
    ]
}
