//! The effect of a report on a generation.
//!
//! A report of the operator settles the reserved dollars, completes the two tables and counts for
//! the breaker of the model's provider. A second report changes nothing.
//!
//! # Why authority matters
//!
//! An end user who could settle would control the money of all users: a high cost closes their
//! budget, a cost of zero returns the user's own reservation, and a few failures open a provider's
//! breaker in the whole fleet. So a report of an end user is recorded for the statistics of models
//! and changes nothing else. In particular it does not claim the generation: the operator's report
//! counts whenever it comes.
//!
//! # Concurrent reports
//!
//! Two instances may receive a report on one generation at the same moment. The reservation, or
//! without one a claim in the fleet, decides which report is the first; the other instance answers
//! that its report is repeated.
//!
//! A caller may leave before the answer: once a report is the first on its instance, it is applied
//! completely.

use std::sync::Arc;

use picarcade_analytics::{Event, OutcomeEvent};

use crate::caller::{Authority, Caller};
use crate::error::FlowError;
use crate::events;
use crate::outcome::charge::charge;
use crate::outcome::generations::Generation;
use crate::outcome::report::{ErrorKind, OutcomeReport, Reported, SettledReport, bill, check};
use crate::service::FlowService;
use crate::task::run_to_end;

/// The settlement of a generation that has been reported before.
const REPEATED: &str = "repeated";

/// The settlement of a generation without a reservation.
const UNKNOWN: &str = "unknown";

impl FlowService {
    /// Records the outcome of a generation of this caller. Its effect depends on the [`Authority`]
    /// of the caller.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::NotFound`] for a generation that is unknown or of another user,
    /// [`FlowError::Invalid`] for numbers out of range, and [`FlowError::Unavailable`] while the
    /// log of generations does not answer.
    pub async fn report_outcome(
        &self,
        generation_id: &str,
        caller: &Caller,
        report: OutcomeReport,
    ) -> Result<Reported, FlowError> {
        check(&report)?;
        let generations = &self.inner.generations;
        let known = generations.find(generation_id);
        let is_known = known.is_some();
        let generation = match known {
            Some(generation) => generation,
            None => self.inner.look_ups.find(generation_id, caller.authority).await?,
        };
        if generation.user_id != caller.user {
            return Err(FlowError::NotFound);
        }
        if caller.authority == Authority::EndUser {
            if generations.claim_for_user(generation_id) {
                self.inner.recorder.record(events::user_report(generation_id, &generation, &report));
            }
            return Ok(Reported::RECORDED);
        }
        // A generation that is looked up for a user's report is not remembered: another instance
        // may receive the operator's.
        let generation = if is_known { generation } else { generations.remember(generation_id, generation) };
        if generation.reported || !generations.claim(generation_id) {
            return Ok(Reported::Settled(SettledReport {
                generation_id: generation_id.to_owned(),
                recorded: false,
                settlement: REPEATED.to_owned(),
                cost_flag: None,
            }));
        }
        let (flow, id) = (self.clone(), generation_id.to_owned());
        let settled = run_to_end(async move { Ok(flow.apply_report(id, generation, report).await) }).await?;
        Ok(Reported::Settled(settled))
    }

    /// Applies a report of the operator that is the first one on this instance.
    async fn apply_report(&self, id: String, generation: Generation, report: OutcomeReport) -> SettledReport {
        let charge = charge(bill(&report), generation.estimated_cost_micros);
        let (settlement, is_first) = self.settle(&id, charge.micros).await;
        if !is_first {
            // The first report is on its way to the tables, and this one could overtake it.
            return SettledReport { generation_id: id, recorded: false, settlement, cost_flag: None };
        }
        if let Some(flag) = charge.flag {
            let (generation, charged_micros) = (id.as_str(), charge.micros);
            tracing::warn!(
                generation,
                charged_micros,
                flag = flag.as_str(),
                "a reported cost is implausible"
            );
        }
        if let Some(model) = self.inner.rules.load().catalogue.model(&generation.model) {
            self.count_report(&model.provider, &report);
        }
        self.inner.recorder.record(Event::Outcome(OutcomeEvent {
            generation_id: Arc::from(&*id),
            user_id: generation.user_id.shared(),
            success: report.success,
            actual_cost_micros: Some(charge.micros),
            actual_time: report.actual_time,
            error_message: events::error_message(report.error_kind.map(ErrorKind::as_str), charge.flag),
        }));
        SettledReport { generation_id: id, recorded: true, settlement, cost_flag: charge.flag }
    }

    /// Settles the reservation. Returns its settlement and whether this report is the first.
    async fn settle(&self, generation_id: &str, cost_micros: u64) -> (String, bool) {
        match self.inner.limiter.settle(generation_id, cost_micros).await {
            Ok(settled) if settled.repeated => (REPEATED.to_owned(), false),
            Ok(settled) => match serde_json::to_value(settled.outcome) {
                Ok(serde_json::Value::String(word)) if word != UNKNOWN => (word, true),
                _ => self.claim(generation_id).await,
            },
            Err(error) => {
                // The reservation expires and is then charged in full, so the budget stays safe.
                tracing::warn!(%error, "a generation could not be settled");
                self.claim(generation_id).await
            }
        }
    }

    /// Claims a generation without a reservation. Returns its settlement and whether this report is
    /// the first.
    async fn claim(&self, generation_id: &str) -> (String, bool) {
        let is_first = match &self.inner.fleet {
            Some(fleet) => fleet.claim(generation_id).await,
            None => true,
        };
        (if is_first { UNKNOWN } else { REPEATED }.to_owned(), is_first)
    }
}
