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

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use picarcade_analytics::{Event, GenerationRows, OutcomeEvent};
use picarcade_breaker::{FailureKind, Outcome};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{FieldProblem, FlowError};
use crate::request::Caller;
use crate::service::Shared;
use crate::session::StoreError;
use crate::working::finished;

/// How many generations a process remembers. At this bound the oldest is forgotten and looked up in the log.
const REMEMBERED: usize = 50_000;

/// The largest cost of one generation that is believed, in US dollars.
const MAX_DOLLARS: f64 = 1e6;

/// The longest time that is believed, in seconds: a week.
const MAX_SECONDS: f64 = 604_800.0;

/// How long after its beginning a generation may still be on its way to the log.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// The pause between two looks into the log for one that is.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What became of the reservation of a generation that has been reported before.
const REPEATED: &str = "repeated";

/// The same of one that nobody has.
const UNKNOWN: &str = "unknown";

/// Why a generation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The provider did not answer in time.
    Timeout,
    /// The provider asked to slow down.
    RateLimited,
    /// The provider failed.
    ProviderError,
    /// The provider refused this input: no sign of ill health.
    RejectedInput,
    /// The user took it back: no sign of ill health.
    Cancelled,
}

/// A report, in the shape of the HTTP body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutcomeReport {
    /// Whether the generation was made.
    pub success: bool,
    /// What it cost, in US dollars.
    #[serde(default)]
    pub actual_cost: Option<f64>,
    /// How long it took, in seconds.
    #[serde(default)]
    pub actual_time: Option<f64>,
    /// Why it failed.
    #[serde(default)]
    pub error_kind: Option<ErrorKind>,
    /// When the provider wants to be asked again, in seconds.
    #[serde(default)]
    pub retry_after: Option<f64>,
}

/// What a report has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// The generation.
    pub generation_id: String,
    /// False when it had been reported before.
    pub recorded: bool,
    /// What became of the reserved dollars: `settled`, `released`, `expired`, `repeated`, or `unknown` without a reservation.
    pub settlement: String,
}

/// One generation, as far as a report needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Whose it is.
    pub user_id: Arc<str>,
    /// Which model makes it.
    pub model: Arc<str>,
    /// What it was expected to cost, in micro-dollars.
    pub estimated_cost_micros: u64,
    /// An outcome is known.
    pub reported: bool,
}

/// Where generations of other processes and earlier times can be found.
#[async_trait]
pub trait GenerationLog: Send + Sync + std::fmt::Debug {
    /// The generation of this id, or nothing.
    async fn find(&self, generation_id: &str) -> Result<Option<Generation>, StoreError>;
}

/// Every database of events is a log of generations.
#[async_trait]
impl<T: GenerationRows> GenerationLog for T {
    async fn find(&self, generation_id: &str) -> Result<Option<Generation>, StoreError> {
        let row = self.generation(generation_id).await;
        let row = row.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(row.map(|row| Generation {
            user_id: row.user_id.into(),
            model: row.selected_model.into(),
            estimated_cost_micros: row.estimated_cost_micros,
            reported: row.reported,
        }))
    }
}

/// The generations that this process has begun lately.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    by_id: HashMap<Arc<str>, Generation>,
    order: VecDeque<Arc<str>>,
}

impl Generations {
    pub(crate) fn begin(&self, id: &Arc<str>, caller: &Caller, model: &Arc<str>, estimated_cost_micros: u64) {
        let (user_id, model) = (Arc::clone(&caller.user), Arc::clone(model));
        self.insert(Arc::clone(id), Generation { user_id, model, estimated_cost_micros, reported: false });
    }

    fn insert(&self, id: Arc<str>, generation: Generation) {
        let mut recent = self.recent.lock();
        if recent.by_id.insert(Arc::clone(&id), generation).is_none() {
            recent.order.push_back(id);
        }
        if recent.order.len() > REMEMBERED
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.by_id.remove(&oldest);
        }
    }

    /// Keeps one that was looked up, unless it came to be known meanwhile: what is known here may be newer.
    fn remember(&self, id: &str, generation: Generation) -> Generation {
        if let Some(known) = self.find(id) {
            return known;
        }
        self.insert(id.into(), generation.clone());
        generation
    }

    fn find(&self, id: &str) -> Option<Generation> {
        self.recent.lock().by_id.get(id).cloned()
    }

    /// Forgets those of one user.
    pub(crate) fn forget_user(&self, user_id: &str) {
        self.recent.lock().by_id.retain(|_, generation| *generation.user_id != *user_id);
    }

    /// Marks it as reported; false when somebody else was first.
    fn claim(&self, id: &str) -> bool {
        match self.recent.lock().by_id.get_mut(id) {
            Some(generation) => !std::mem::replace(&mut generation.reported, true),
            None => true,
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

/// What the breaker of the model's provider should think of it.
pub(crate) fn outcome(report: &OutcomeReport) -> Outcome {
    if report.success {
        return Outcome::Success;
    }
    let kind = match report.error_kind {
        Some(ErrorKind::RejectedInput | ErrorKind::Cancelled) => return Outcome::Neutral,
        Some(ErrorKind::Timeout) => FailureKind::Timeout,
        Some(ErrorKind::RateLimited) => FailureKind::RateLimited,
        Some(ErrorKind::ProviderError) => FailureKind::Server,
        None => FailureKind::Other,
    };
    Outcome::Failure {
        kind,
        retry_after: report.retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}

/// As reported; else nothing for what the provider surely did not bill, and the estimate for everything else.
fn cost(report: &OutcomeReport, estimate_micros: u64) -> u64 {
    match (report.actual_cost, report.success, report.error_kind) {
        (Some(dollars), _, _) => (dollars * 1e6).round() as u64,
        (None, false, Some(ErrorKind::RejectedInput | ErrorKind::RateLimited | ErrorKind::ProviderError)) => {
            0
        }
        (None, _, _) => estimate_micros,
    }
}

fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Timeout => "timeout",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::ProviderError => "provider_error",
        ErrorKind::RejectedInput => "rejected_input",
        ErrorKind::Cancelled => "cancelled",
    }
}

fn check(report: &OutcomeReport) -> Result<(), FlowError> {
    let ranges = [
        ("/actual_cost", report.actual_cost, MAX_DOLLARS),
        ("/actual_time", report.actual_time, MAX_SECONDS),
        ("/retry_after", report.retry_after, MAX_SECONDS),
    ];
    let problems: Vec<_> = ranges
        .into_iter()
        .filter(|(_, value, most)| value.is_some_and(|value| !(0.0..=*most).contains(&value)))
        .map(|(pointer, _, most)| FieldProblem::new(pointer, format!("must be between 0 and {most}")))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(FlowError::Invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(success: bool, error_kind: Option<ErrorKind>) -> OutcomeReport {
        OutcomeReport { success, error_kind, ..OutcomeReport::default() }
    }

    #[test]
    fn what_was_surely_not_billed_costs_nothing() {
        assert_eq!(cost(&report(true, None), 7), 7);
        assert_eq!(cost(&report(false, Some(ErrorKind::Timeout)), 7), 7);
        assert_eq!(cost(&report(false, Some(ErrorKind::RejectedInput)), 7), 0);
        assert_eq!(cost(&OutcomeReport { actual_cost: Some(0.03), ..report(false, None) }, 7), 30_000);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let wrong = OutcomeReport {
            actual_cost: Some(-1.0),
            actual_time: Some(f64::NAN),
            retry_after: Some(1e9),
            ..report(true, None)
        };
        let Err(FlowError::Invalid(problems)) = check(&wrong) else { panic!("must be refused") };
        let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(pointers, ["/actual_cost", "/actual_time", "/retry_after"]);
    }

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

    #[test]
    fn the_oldest_generation_is_forgotten_first() {
        let generations = Generations::default();
        let generation =
            Generation { user_id: "u".into(), model: "m".into(), estimated_cost_micros: 1, reported: false };
        for id in 0..=REMEMBERED {
            generations.insert(id.to_string().into(), generation.clone());
        }
        assert!(generations.find("0").is_none() && generations.find("1").is_some());
        assert!(generations.claim("1"));
        assert!(!generations.claim("1"));
    }
}
