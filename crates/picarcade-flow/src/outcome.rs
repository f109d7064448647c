//! What became of a generation, as reported by whoever ran it.
//!
//! A report settles the reserved dollars, completes the two tables and counts for the breaker of the model's provider: that
//! is what makes availability, fallbacks and actual costs true. Reporting twice changes nothing the second time.
//!
//! This process remembers the generations it has begun lately; older ones, and those of other instances, are looked up in
//! the log. Without a log, or while it does not answer, those are not found.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use picarcade_analytics::{Event, OutcomeEvent};
use picarcade_breaker::{FailureKind, Outcome};
use picarcade_intent::Route;
use serde::{Deserialize, Serialize};

use crate::error::{FieldProblem, FlowError};
use crate::request::Caller;
use crate::service::Shared;
use crate::session::StoreError;

/// How many generations a process remembers. At this bound the oldest is forgotten and looked up in the log.
const REMEMBERED: usize = 50_000;

/// The largest cost of one generation that is believed, in US dollars.
const MAX_DOLLARS: f64 = 1e6;

/// The longest time that is believed, in seconds: a week.
const MAX_SECONDS: f64 = 604_800.0;

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
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
    pub user_id: String,
    /// Which model makes it.
    pub model: String,
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
    pub(crate) fn begin(&self, id: &str, caller: &Caller, route: &Route) {
        let generation = Generation {
            user_id: caller.user.to_string(),
            model: route.model.clone(),
            estimated_cost_micros: route.estimated_cost_micros,
            reported: false,
        };
        self.insert(id, generation);
    }

    fn insert(&self, id: &str, generation: Generation) {
        let id: Arc<str> = Arc::from(id);
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

    fn find(&self, id: &str) -> Option<Generation> {
        self.recent.lock().by_id.get(id).cloned()
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
        &self,
        generation_id: &str,
        caller: &Caller,
        report: OutcomeReport,
    ) -> Result<Reported, FlowError> {
        check(&report)?;
        let generation = if let Some(generation) = self.generations.find(generation_id) {
            generation
        } else {
            let found = self.logged(generation_id).await.ok_or(FlowError::NotFound)?;
            self.generations.insert(generation_id, found.clone());
            found
        };
        if *generation.user_id != *caller.user {
            return Err(FlowError::NotFound);
        }
        if generation.reported || !self.generations.claim(generation_id) {
            return Ok(Reported {
                generation_id: generation_id.to_owned(),
                recorded: false,
                settlement: "repeated".to_owned(),
            });
        }
        let cost = cost(&report, generation.estimated_cost_micros);
        let settlement = self.settle(generation_id, cost).await;
        self.inform_breaker(&generation.model, &report);
        self.recorder.record(Event::Outcome(OutcomeEvent {
            generation_id: Arc::from(generation_id),
            user_id: Arc::clone(&caller.user),
            success: report.success,
            actual_cost_micros: Some(cost),
            actual_time: report.actual_time,
            error_message: report.error_kind.map(|kind| word(kind).to_owned()),
        }));
        Ok(Reported { generation_id: generation_id.to_owned(), recorded: true, settlement })
    }

    async fn logged(&self, generation_id: &str) -> Option<Generation> {
        let found = self.generation_log.as_ref()?.find(generation_id).await;
        found.unwrap_or_else(|error| {
            tracing::debug!(%error, "a generation could not be looked up");
            None
        })
    }

    async fn settle(&self, generation_id: &str, cost_micros: u64) -> String {
        match self.limiter.settle(generation_id, cost_micros).await {
            Ok(settled) => match serde_json::to_value(settled.outcome) {
                Ok(serde_json::Value::String(word)) => word,
                _ => "unknown".to_owned(),
            },
            Err(error) => {
                // It expires by its deadline and is then charged: on the safe side.
                tracing::warn!(%error, "a generation could not be settled");
                "unknown".to_owned()
            }
        }
    }

    fn inform_breaker(&self, model: &str, report: &OutcomeReport) {
        let rules = self.rules.load();
        let Some(model) = rules.catalogue.model(model) else { return };
        let breaker = self.breakers.breaker(&model.provider);
        // Nobody held a permit while the generation ran elsewhere, so the report passes the gate itself: an open breaker
        // does not count it, a half-open one takes it as its probe.
        if let Ok(permit) = breaker.try_acquire() {
            permit.record(outcome(report));
        }
    }
}

fn outcome(report: &OutcomeReport) -> Outcome {
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
    Outcome::Failure { kind, retry_after: report.retry_after.map(Duration::from_secs_f64) }
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
    fn the_oldest_generation_is_forgotten_first() {
        let generations = Generations::default();
        let generation =
            Generation { user_id: "u".into(), model: "m".into(), estimated_cost_micros: 1, reported: false };
        for id in 0..=REMEMBERED {
            generations.insert(&id.to_string(), generation.clone());
        }
        assert!(generations.find("0").is_none() && generations.find("1").is_some());
        assert!(generations.claim("1"));
        assert!(!generations.claim("1"));
    }
}
