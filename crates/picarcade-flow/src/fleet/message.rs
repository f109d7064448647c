//! What the instances of a fleet tell each other about the providers, so that they act as one.
//!
//! A load balancer gives the reports on one provider's generations to instances at random: each alone would need its own run
//! of failures to see the outage, and a manual override would hold for the requests of one instance only. So whatever
//! one instance is told, it tells the others, and every breaker counts it.
//!
//! A report that reaches two instances at once is news for one of them only: before it is told, the generation is claimed
//! from the fleet, unless a reservation has already decided who was first.
//!
//! **Failure behaviour.** News are told at most once and waited for by nobody. An instance that misses some is as right as
//! it would be alone. Where nobody can be asked for a claim nobody can be told either, and each counts for itself.

use async_trait::async_trait;
use picarcade_breaker::{CircuitBreaker, Statistics};
use serde::{Deserialize, Serialize};

use crate::outcome::report::{OutcomeReport, outcome};
use crate::service::{FlowService, Shared};

/// What an operator orders a breaker to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Override {
    /// Reject every call until reset.
    ForceOpen,
    /// Admit every call until reset.
    ForceClose,
    /// Decide by itself again, from a clean slate.
    Reset,
}

impl Override {
    /// The word for it in the admin route.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForceOpen => "force-open",
            Self::ForceClose => "force-close",
            Self::Reset => "reset",
        }
    }

    fn act(self, breaker: &CircuitBreaker) {
        match self {
            Self::ForceOpen => breaker.force_open(),
            Self::ForceClose => breaker.force_close(),
            Self::Reset => breaker.reset(),
        }
    }
}

/// News of a provider, in a form that can travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderNews {
    /// The name of the provider and of its breaker.
    pub provider: String,
    /// What happened.
    pub event: ProviderEvent,
}

/// What can happen to a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderEvent {
    /// The outcome of a generation was reported.
    Reported(OutcomeReport),
    /// An operator took its breaker in hand.
    Overridden(Override),
}

/// The way to the other instances.
#[async_trait]
pub trait Fleet: Send + Sync + std::fmt::Debug {
    /// Whether this instance is the first of all to claim the outcome of this generation: one is, and stays it for at least a
    /// quarter of an hour. True when the others cannot be asked. Must not wait for longer than a second or so.
    async fn claim(&self, generation_id: &str) -> bool;

    /// Tells every other instance, which hand it to [`FlowService::hear`]. Must not wait.
    fn tell(&self, news: ProviderNews);

    /// Tells every other instance that this user was deleted; each calls
    /// [`FlowService::apply_deletion`]. Must not wait.
    ///
    /// Without it, other instances go on with the generations of the user that they have in their
    /// memory.
    fn announce_deletion(&self, user: &str) {
        let _ = user;
    }
}

impl FlowService {
    /// Takes in what another instance has told.
    pub fn hear(&self, news: &ProviderNews) {
        // Only what is known: a name from outside must not make a breaker.
        if let Some(breaker) = self.shared.breakers.find(&news.provider) {
            news.event.apply(&breaker);
        }
    }

    /// Overrides the breaker of this name by hand, on every instance, and tells how it stands; `None` without such a breaker.
    pub fn override_breaker(&self, name: &str, order: Override) -> Option<Statistics> {
        let breaker = self.shared.breakers.find(name)?;
        order.act(&breaker);
        self.shared.tell(name, ProviderEvent::Overridden(order));
        Some(breaker.statistics())
    }
}

impl Shared {
    /// Counts a report for the provider's breaker, here and on the other instances.
    pub(crate) fn provider_reported(&self, provider: &str, report: &OutcomeReport) {
        let event = ProviderEvent::Reported(report.clone());
        event.apply(&self.breakers.breaker(provider));
        self.tell(provider, event);
    }

    fn tell(&self, provider: &str, event: ProviderEvent) {
        if let Some(fleet) = &self.fleet {
            fleet.tell(ProviderNews { provider: provider.to_owned(), event });
        }
    }
}

impl ProviderEvent {
    fn apply(&self, breaker: &CircuitBreaker) {
        match self {
            // Nobody held a permit while the generation ran elsewhere, so the report passes the gate itself: an open
            // breaker does not count it, a half-open one takes it as its probe.
            Self::Reported(report) => {
                if let Ok(permit) = breaker.try_acquire() {
                    permit.record(outcome(report));
                }
            }
            Self::Overridden(order) => order.act(breaker),
        }
    }
}
