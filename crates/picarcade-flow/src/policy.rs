//! The settings of the flow, as plain values.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use picarcade_ratelimit::{Limit, Scope, Window};

use crate::choice::{UnknownChoice, find};

/// When the AI is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Always, if the rules leave a choice.
    #[default]
    LlmFirst,
    /// Only if the confidence of the local classifier is below [`Policy::cascade_threshold`].
    Cascade,
    /// Never.
    Local,
}

impl Mode {
    /// Every mode, in declaration order.
    pub const ALL: [Self; 3] = [Self::LlmFirst, Self::Cascade, Self::Local];

    /// Returns the name of the mode in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LlmFirst => "llm_first",
            Self::Cascade => "cascade",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        find(Self::ALL, Self::as_str, word)
    }
}

/// The effect of a reached dollar limit on a request that needs the AI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CostAction {
    /// The local classifier answers, which costs nothing.
    #[default]
    Degrade,
    /// The request is denied.
    Reject,
}

impl CostAction {
    /// Every action, in declaration order.
    pub const ALL: [Self; 2] = [Self::Degrade, Self::Reject];

    /// Returns the name of the action in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Degrade => "degrade",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for CostAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for CostAction {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        find(Self::ALL, Self::as_str, word)
    }
}

/// How long an entry of each cache is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTtls {
    /// Classifications, in the intent cache.
    pub intent: Duration,
    /// Enhanced prompts, in the enhancement cache.
    pub enhancement: Duration,
    /// Base parameters of models, in the parameters cache.
    pub parameters: Duration,
    /// Statistics, in the statistics cache.
    pub statistics: Duration,
    /// Sessions, in the session cache.
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

/// The settings of a flow service.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// When the AI is asked.
    pub mode: Mode,
    /// The calibrated confidence of the local classifier (0 to 1) below which [`Mode::Cascade`]
    /// asks the AI.
    pub cascade_threshold: f64,
    /// The effect of a reached dollar limit.
    pub cost_action: CostAction,
    /// The deadline of the AI step: waiting, calls and retries together.
    pub classification_timeout: Duration,
    /// The most AI calls that run at once in this process.
    pub max_concurrent_classifications: usize,
    /// The most requests that wait for an AI call. Beyond them the local classifier answers at
    /// once.
    pub max_queued_classifications: usize,
    /// The most paid attempts for one request, the first included. All retries together are limited
    /// to a fifth of the calls, and ten more.
    pub max_attempts: u32,
    /// The confidence below which an AI answer is cached only for [`Policy::low_confidence_ttl`].
    pub low_confidence: f64,
    /// How long an AI answer of low confidence is cached.
    pub low_confidence_ttl: Duration,
    /// How long entries of the caches are fresh.
    pub ttls: CacheTtls,
    /// The lifetime of a session after its last change.
    pub session_lifetime: Duration,
    /// The most requests of one batch that run at once.
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

/// Returns the limits of a service without a configuration: per user 100 requests a minute, 1,000
/// requests an hour and $50 an hour; for all users together 10,000 requests an hour and $500 a UTC
/// day.
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
