//! The events of providers, counted on every instance.
//!
//! A load balancer sends the reports on one provider's generations to instances at random. Alone,
//! every instance would need its own series of failures to detect an outage, and a manual override
//! would apply to one instance only. So an instance sends each event that it receives from a client
//! to the others, and every breaker counts it.
//!
//! A report that reaches two instances at once is sent by one of them only: that instance first
//! claims the generation in the fleet, unless a reservation has already decided which is the first.

use picarcade_breaker::BreakerStatistics;

use crate::fleet::message::{Override, ProviderEvent, ProviderUpdate};
use crate::outcome::report::OutcomeReport;
use crate::service::FlowService;

impl FlowService {
    /// Applies an event that another instance has sent.
    pub fn apply_update(&self, update: &ProviderUpdate) {
        // A name from outside must not create a breaker.
        if let Some(breaker) = self.inner.breakers.find(&update.provider) {
            update.event.apply(&breaker);
        }
    }

    /// Overrides the breaker of this name on every instance. Returns its statistics, or `None` if
    /// there is no such breaker.
    pub fn override_breaker(&self, name: &str, order: Override) -> Option<BreakerStatistics> {
        let breaker = self.inner.breakers.find(name)?;
        order.apply(&breaker);
        self.announce(name, ProviderEvent::Overridden(order));
        Some(breaker.statistics())
    }

    /// Counts a report for the provider's breaker, here and on the other instances.
    pub(crate) fn count_report(&self, provider: &str, report: &OutcomeReport) {
        let event = ProviderEvent::Reported(report.clone());
        event.apply(&self.inner.breakers.breaker(provider));
        self.announce(provider, event);
    }

    fn announce(&self, provider: &str, event: ProviderEvent) {
        if let Some(fleet) = &self.inner.fleet {
            fleet.announce_update(ProviderUpdate { provider: provider.to_owned(), event });
        }
    }
}
