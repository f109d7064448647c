//! The events of a provider that all instances count.

use std::fmt;
use std::str::FromStr;

use picarcade_breaker::CircuitBreaker;
use serde::{Deserialize, Serialize};

use crate::choice::{UnknownChoice, find};
use crate::outcome::report::{OutcomeReport, outcome};

/// A manual override of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Override {
    /// Reject every call until reset.
    ForceOpen,
    /// Admit every call until reset.
    ForceClose,
    /// Return to automatic control, without earlier results.
    Reset,
}

impl Override {
    /// Every override, in declaration order.
    pub const ALL: [Self; 3] = [Self::ForceOpen, Self::ForceClose, Self::Reset];

    /// Returns the name of the override in the admin route.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForceOpen => "force-open",
            Self::ForceClose => "force-close",
            Self::Reset => "reset",
        }
    }

    pub(crate) fn apply(self, breaker: &CircuitBreaker) {
        match self {
            Self::ForceOpen => breaker.force_open(),
            Self::ForceClose => breaker.force_close(),
            Self::Reset => breaker.reset(),
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Override {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        find(Self::ALL, Self::as_str, word)
    }
}

/// An event of a provider, as it is sent to the other instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderUpdate {
    /// The name of the provider and of its breaker.
    pub provider: String,
    /// The event.
    pub event: ProviderEvent,
}

/// An event that the provider's breaker counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderEvent {
    /// The outcome of a generation was reported.
    Reported(OutcomeReport),
    /// An operator overrode the breaker.
    Overridden(Override),
}

impl ProviderEvent {
    pub(crate) fn apply(&self, breaker: &CircuitBreaker) {
        match self {
            // The generation ran without a permit, so the report takes one: an open breaker does
            // not count it, and a half-open one takes it as its probe.
            Self::Reported(report) => {
                if let Ok(permit) = breaker.try_acquire() {
                    permit.record(outcome(report));
                }
            }
            Self::Overridden(order) => order.apply(breaker),
        }
    }
}
