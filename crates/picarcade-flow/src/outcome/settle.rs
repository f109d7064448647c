//! Reports on generations.
//!
//! A report of the operator settles the reserved dollars, completes the two tables and counts for
//! the breaker of the model's provider. A second report changes nothing.
//!
//! # Why authority matters
//!
//! An end user who could settle would control everybody's money: a high cost closes the budget of
//! all users, a cost of zero gives the user's own reservation back, and a few failures open a
//! provider's breaker in the whole fleet. So a report of an end user is recorded for the statistics
//! of models and changes nothing else. In particular it does not claim the generation: the
//! operator's report counts whenever it comes.
//!
//! # Look-ups
//!
//! This process remembers the generations it has begun lately; older ones, and those of other instances, are looked up in
//! the log. Without a log they are not found; while it does not answer, the report has to be sent
//! again. A generation that another instance has begun a moment ago may not be in the log yet, so a
//! report of the operator waits for it. Ids can be made up, so look-ups are bounded: [`LOOK_UPS`]
//! queries run at once, and at most [`WAITING`] reports wait.
//!
//! Two instances may be told of one generation at the same moment. The reservation, or without one a claim in the fleet,
//! decides which of them takes it for news; the other says that it is repeated.
//!
//! Whoever reports may leave before the answer: a report that has been taken for news goes on to its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_analytics::{Event, OutcomeEvent};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::FlowError;
use crate::events;
use crate::outcome::charge::charge;
use crate::outcome::generations::{Generation, GenerationLog};
use crate::outcome::report::{OutcomeReport, Reported, SettledReport, bill, check, word};
use crate::request::{Authority, Caller};
use crate::service::Shared;
use crate::session::service::finished;

/// How long after its beginning a generation may still be on its way to the log.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// The pause before the second look into the log for one that is; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How many queries for reports of operators run at once. With those of users they are fewer than
/// the connections of the smallest pool, so that other queries have one.
const LOOK_UPS: usize = 2;

/// How many queries for reports of end users run at once. They must not hold up those of operators.
const USER_LOOK_UPS: usize = 1;

/// How many reports wait for generations that are not in the log yet.
const WAITING: usize = 16;

/// How long a report waits for its turn to query.
const TURN_TIMEOUT: Duration = Duration::from_secs(1);

/// The error of a report that may succeed in a moment.
const SOON: FlowError = FlowError::Unavailable { retry_after: Duration::from_secs(1) };

/// What became of the reservation of a generation that has been reported before.
const REPEATED: &str = "repeated";

/// The same of one that nobody has.
const UNKNOWN: &str = "unknown";

/// The bounds of look-ups in the log of generations.
#[derive(Debug)]
pub(crate) struct LookUps {
    for_operators: Semaphore,
    for_users: Semaphore,
    waiting: Semaphore,
}

impl Default for LookUps {
    fn default() -> Self {
        Self {
            for_operators: Semaphore::new(LOOK_UPS),
            for_users: Semaphore::new(USER_LOOK_UPS),
            waiting: Semaphore::new(WAITING),
        }
    }
}

impl Shared {
    pub(crate) async fn report(
        self: &Arc<Self>,
        generation_id: &str,
        caller: &Caller,
        report: OutcomeReport,
    ) -> Result<Reported, FlowError> {
        check(&report)?;
        let known = self.generations.find(generation_id);
        let is_known = known.is_some();
        let generation = match known {
            Some(generation) => generation,
            None => self.logged(generation_id, caller.authority).await?,
        };
        if *generation.user_id != *caller.user {
            return Err(FlowError::NotFound);
        }
        if caller.authority == Authority::EndUser {
            if self.generations.claim_for_user(generation_id) {
                self.recorder.record(events::user_report(generation_id, &generation, &report));
            }
            return Ok(Reported::RECORDED);
        }
        // Only what is reported at once is remembered: another instance may be told of the rest.
        let generation =
            if is_known { generation } else { self.generations.remember(generation_id, generation) };
        if generation.reported || !self.generations.claim(generation_id) {
            return Ok(Reported::Settled(SettledReport {
                generation_id: generation_id.to_owned(),
                recorded: false,
                settlement: REPEATED.to_owned(),
                cost_flag: None,
            }));
        }
        let (shared, id) = (Arc::clone(self), generation_id.to_owned());
        let settlement = finished(async move { Ok(shared.conclude(id, generation, report).await) }).await?;
        Ok(Reported::Settled(settlement))
    }

    /// Applies a report of the operator that is the first one on this instance.
    async fn conclude(&self, id: String, generation: Generation, report: OutcomeReport) -> SettledReport {
        let charge = charge(bill(&report), generation.estimated_cost_micros);
        let (settlement, first) = self.settle(&id, charge.micros).await;
        if !first {
            // Another instance was; its word is on its way to the tables, and this one might overtake it.
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
        self.inform_breaker(&generation.model, &report);
        self.recorder.record(Event::Outcome(OutcomeEvent {
            generation_id: Arc::from(&*id),
            user_id: generation.user_id,
            success: report.success,
            actual_cost_micros: Some(charge.micros),
            actual_time: report.actual_time,
            error_message: events::error_message(report.error_kind.map(word), charge.flag),
        }));
        SettledReport { generation_id: id, recorded: true, settlement, cost_flag: charge.flag }
    }

    async fn logged(&self, generation_id: &str, authority: Authority) -> Result<Generation, FlowError> {
        let log = self.generation_log.as_ref().ok_or(FlowError::NotFound)?;
        // What is no id of ours needs no look.
        let id = Uuid::parse_str(generation_id).map_err(|_| FlowError::NotFound)?;
        let turns = match authority {
            Authority::Operator => &self.look_ups.for_operators,
            Authority::EndUser => &self.look_ups.for_users,
        };
        if let Some(generation) = look_up(turns, &**log, generation_id).await? {
            return Ok(generation);
        }
        let patience = match authority {
            Authority::Operator => on_its_way(id, SystemTime::now()),
            Authority::EndUser => Duration::ZERO,
        };
        if patience.is_zero() {
            return Err(FlowError::NotFound);
        }
        let _waiting = self.look_ups.waiting.try_acquire().map_err(|_| SOON)?;
        let (give_up, mut pause) = (Instant::now() + patience, FIRST_PAUSE);
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FlowError::NotFound);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause *= 2;
            if let Some(generation) = look_up(turns, &**log, generation_id).await? {
                return Ok(generation);
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

/// Looks once into the log, in turn with other reports.
async fn look_up(
    turns: &Semaphore,
    log: &dyn GenerationLog,
    generation_id: &str,
) -> Result<Option<Generation>, FlowError> {
    let turn = tokio::time::timeout(TURN_TIMEOUT, turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(SOON) };
    log.find(generation_id).await.map_err(|error| {
        tracing::debug!(%error, "a generation could not be looked up");
        SOON
    })
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
