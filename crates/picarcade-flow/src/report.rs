//! What became of a generation, as reported by whoever ran it.
//!
//! A report settles the reserved dollars, completes the two tables and counts for the breaker of the model's provider: that
//! is what makes availability, fallbacks and actual costs true. Reporting twice changes nothing the second time.
//!
//! This process remembers the generations it has begun lately; older ones, and those of other instances, are looked up in
//! the log. Without a log those are not found; while it does not answer, the report is to be sent again. A generation begun
//! elsewhere a moment ago may still be on its way to the log, so its report waits for it a little.
//!
//! Two instances may be told of one generation at the same moment. The reservation, or without one a claim in the fleet,
//! decides which of them takes it for news; the other says that it is repeated.
//!
//! Whoever reports may leave before the answer: a report that has been taken for news goes on to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_analytics::{Event, OutcomeEvent};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::FlowError;
use crate::generations::Generation;
use crate::outcome::{OutcomeReport, Reported, check, cost, word};
use crate::request::Caller;
use crate::service::Shared;
use crate::working::finished;

/// How long after its beginning a generation may still be on its way to the log.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// The pause between two looks into the log for one that is.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What became of the reservation of a generation that has been reported before.
const REPEATED: &str = "repeated";

/// The same of one that nobody has.
const UNKNOWN: &str = "unknown";

impl Shared {
    pub(crate) async fn report(
        self: &Arc<Self>,
        generation_id: &str,
        caller: &Caller,
        report: OutcomeReport,
    ) -> Result<Reported, FlowError> {
        check(&report)?;
        let generation = if let Some(generation) = self.generations.find(generation_id) {
            generation
        } else {
            let found = self.logged(generation_id).await?;
            self.generations.remember(generation_id, found)
        };
        if *generation.user_id != *caller.user {
            return Err(FlowError::NotFound);
        }
        if generation.reported || !self.generations.claim(generation_id) {
            return Ok(Reported {
                generation_id: generation_id.to_owned(),
                recorded: false,
                settlement: REPEATED.to_owned(),
            });
        }
        let (shared, id) = (Arc::clone(self), generation_id.to_owned());
        finished(async move { Ok(shared.conclude(id, generation, report).await) }).await
    }

    /// Takes in a report that is news to this instance.
    async fn conclude(&self, id: String, generation: Generation, report: OutcomeReport) -> Reported {
        let cost = cost(&report, generation.estimated_cost_micros);
        let (settlement, first) = self.settle(&id, cost).await;
        if !first {
            // Another instance was; its word is on its way to the tables, and this one might overtake it.
            return Reported { generation_id: id, recorded: false, settlement };
        }
        self.inform_breaker(&generation.model, &report);
        self.recorder.record(Event::Outcome(OutcomeEvent {
            generation_id: Arc::from(&*id),
            user_id: generation.user_id,
            success: report.success,
            actual_cost_micros: Some(cost),
            actual_time: report.actual_time,
            error_message: report.error_kind.map(|kind| word(kind).to_owned()),
        }));
        Reported { generation_id: id, recorded: true, settlement }
    }

    async fn logged(&self, generation_id: &str) -> Result<Generation, FlowError> {
        let log = self.generation_log.as_ref().ok_or(FlowError::NotFound)?;
        // What is no id of ours needs no look.
        let id = Uuid::parse_str(generation_id).map_err(|_| FlowError::NotFound)?;
        let give_up = Instant::now() + on_its_way(id, SystemTime::now());
        loop {
            match log.find(generation_id).await {
                Ok(Some(generation)) => return Ok(generation),
                Ok(None) if Instant::now() < give_up => tokio::time::sleep(LOOK_AGAIN).await,
                Ok(None) => return Err(FlowError::NotFound),
                Err(error) => {
                    tracing::debug!(%error, "a generation could not be looked up");
                    return Err(FlowError::Unavailable { retry_after: Duration::from_secs(1) });
                }
            }
        }
    }

    /// What became of the reservation, and whether this report was the first.
    async fn settle(&self, generation_id: &str, cost_micros: u64) -> (String, bool) {
        match self.limiter.settle(generation_id, cost_micros).await {
            Ok(settled) if settled.repeated => (REPEATED.to_owned(), false),
            Ok(settled) => match serde_json::to_value(settled.outcome) {
                Ok(serde_json::Value::String(word)) if word != UNKNOWN => (word, true),
                _ => self.claim(generation_id).await,
            },
            Err(error) => {
                // It expires by its deadline and is then charged: on the safe side.
                tracing::warn!(%error, "a generation could not be settled");
                self.claim(generation_id).await
            }
        }
    }

    /// The same for one without a reservation.
    async fn claim(&self, generation_id: &str) -> (String, bool) {
        let first = match &self.fleet {
            Some(fleet) => fleet.claim(generation_id).await,
            None => true,
        };
        (if first { UNKNOWN } else { REPEATED }.to_owned(), first)
    }

    fn inform_breaker(&self, model: &str, report: &OutcomeReport) {
        let rules = self.rules.load();
        let Some(model) = rules.catalogue.model(model) else { return };
        self.provider_reported(&model.provider, report);
    }
}

/// How much longer the generation of this id may be on its way to the log: its id says when it was begun.
fn on_its_way(id: Uuid, now: SystemTime) -> Duration {
    let Some(begun) = id.get_timestamp() else { return Duration::ZERO };
    let (seconds, nanos) = begun.to_unix();
    let begun = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    // Another instance's clock may be a little ahead.
    match now.duration_since(begun) {
        Ok(age) => ON_ITS_WAY.saturating_sub(age),
        Err(ahead) if ahead.duration() <= ON_ITS_WAY => ON_ITS_WAY,
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_generation_begun_a_moment_ago_is_waited_for() {
        let id = |seconds| Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(on_its_way(id(998), now), Duration::from_secs(3));
        assert_eq!(on_its_way(id(1002), now), ON_ITS_WAY);
        for seconds in [0, 994, 1006, 1 << 40] {
            assert_eq!(on_its_way(id(seconds), now), Duration::ZERO, "{seconds}");
        }
        assert_eq!(on_its_way(Uuid::nil(), now), Duration::ZERO);
    }
}
