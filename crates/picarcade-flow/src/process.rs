//! The way of a request, from its limits to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use picarcade_cache::Source as CacheSource;
use picarcade_intent::{Request, Route, Row, Verdict};
use picarcade_ratelimit::{Decision, Denial, Report, Reservation, Subjects};
use uuid::{Builder, Uuid};

use crate::degraded::Degraded;
use crate::error::FlowError;
use crate::events::{self, ClassificationFacts};
use crate::request::{CacheControl, Caller, FlowRequest, Valid};
use crate::response::{CacheWords, Classified, CsvDecision, Processed, Response, usd};
use crate::rules::Rules;
use crate::service::Shared;
use crate::step::ai::subjects;
use crate::step::intent::Decided;

/// When to ask again for dollars that could not be decided on.
const UNDECIDED: Duration = Duration::from_secs(5);

/// What an answer is made of, before it is put into the words of one route.
#[derive(Debug)]
struct Made {
    request: Arc<Request>,
    decided: Decided,
    row: Row,
    route: Route,
    enhanced: (String, CacheSource),
    degraded: Vec<Degraded>,
    rules: Arc<Rules>,
}

impl Shared {
    pub(crate) async fn process(
        self: &Arc<Self>,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> Result<Processed<Response>, FlowError> {
        let started = Instant::now();
        let valid = request.validate(caller)?;
        let limits = self.admit_classification(caller, started).await?;
        let reserve = valid.reserve;
        let made = self.make(valid, caller, control, &limits).await?;
        let Made { request, decided, route, enhanced: (enhanced_prompt, enhancement), rules, .. } = &made;
        let verdict = &decided.verdict;
        let reservation = if reserve { Some(self.reserve_generation(route, caller).await?) } else { None };
        let (model_parameters, parameters) =
            self.parameters(request, verdict, &route.model, enhanced_prompt, rules, control).await;
        // From here on nothing waits, so the caller gets the id of what stays reserved. A generation that is reserved
        // bears the reservation's id, by which any instance can settle it.
        let reservation = reservation.filter(|reservation| !reservation.is_empty());
        let reserved = reservation.as_ref().map(Reservation::estimate_micros);
        let generation_id = reservation.map_or_else(|| fresh_id().to_string(), Reservation::detach);
        let (id, model): (Arc<str>, Arc<str>) = (generation_id.as_str().into(), route.model.as_str().into());
        if let Some(micros) = reserved {
            // Before the selection: an outcome is applied once the selection is stored, and then
            // finds this row.
            self.recorder.record(events::reserved(caller, &id, &model, micros));
        }
        self.generations.begin(&id, caller, &model, route.estimated_cost_micros);
        self.recorder.record(events::selection(caller, &id, &model, verdict.prompt_type, route));
        let elapsed = started.elapsed();
        self.record(&made, caller, &model, elapsed);
        let answer = Response {
            success: true,
            prompt_type: verdict.prompt_type,
            model_to_use: route.model.clone(),
            fallback_models: route.fallback_models.clone(),
            enhanced_prompt: enhanced_prompt.clone(),
            original_prompt: request.prompt.as_str().to_owned(),
            reasoning: verdict.reasoning.clone(),
            confidence: verdict.confidence,
            source: verdict.source,
            corrected_from: verdict.corrected_from,
            estimated_cost: usd(route.estimated_cost_micros),
            estimated_time: route.estimated_time_seconds,
            model_parameters,
            classification_flags: request.facts,
            cache_hit: decided.cache_hit(),
            cache: CacheWords {
                intent: decided.cache.as_str(),
                enhancement: enhancement.as_str(),
                parameters: parameters.as_str(),
            },
            used_fallback: decided.failed.is_some(),
            circuit_breaker_state: self.provider_state(),
            rate_limited: false,
            degraded: made.degraded,
            generation_id,
            processing_time_ms: milliseconds(elapsed),
            request_id: None,
        };
        Ok(Processed { answer, limits })
    }

    pub(crate) async fn classify_only(
        self: &Arc<Self>,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> Result<Processed<Classified>, FlowError> {
        let started = Instant::now();
        let valid = request.validate(caller)?;
        let limits = self.admit_classification(caller, started).await?;
        let made = self.make(valid, caller, control, &limits).await?;
        let elapsed = started.elapsed();
        self.record(&made, caller, &made.route.model.as_str().into(), elapsed);
        let verdict: &Verdict = &made.decided.verdict;
        let answer = Classified {
            success: true,
            prompt_type: verdict.prompt_type,
            reasoning: verdict.reasoning.clone(),
            confidence: verdict.confidence,
            source: verdict.source,
            corrected_from: verdict.corrected_from,
            enhanced_prompt: made.enhanced.0,
            original_prompt: made.request.prompt.as_str().to_owned(),
            model_to_use: made.route.model,
            fallback_models: made.route.fallback_models,
            csv_decision: CsvDecision {
                row: made.row,
                feasible: made.rules.classifier.feasible(made.request.facts),
            },
            classification_flags: made.request.facts,
            cache_hit: made.decided.cache_hit(),
            used_fallback: made.decided.failed.is_some(),
            degraded: made.degraded,
            processing_time_ms: milliseconds(elapsed),
            request_id: None,
        };
        Ok(Processed { answer, limits })
    }

    /// Step 1: the request limits. A denied request leaves a row without its words.
    async fn admit_classification(&self, caller: &Caller, started: Instant) -> Result<Report, FlowError> {
        let admitted = self.admit(&subjects(caller)).await;
        if matches!(admitted, Err(FlowError::Limited(_))) && self.denials.record(Instant::now()) {
            self.recorder.record(events::classification(
                caller,
                &ClassificationFacts {
                    // Nothing was done with the words, and a flood of them would fill the database.
                    prompt: "",
                    prompt_type: None,
                    source: None,
                    model: "".into(),
                    confidence: 0.0,
                    elapsed: started.elapsed(),
                    used_fallback: false,
                    cache_hit: false,
                    breaker_state: self.provider_state(),
                    saved_micros: 0,
                },
            ));
        }
        admitted
    }

    /// Takes one request from the limits of these subjects. A store that does not answer lets the
    /// request pass: limiters decide locally by themselves, and what is left is an error of wiring.
    pub(crate) async fn admit(&self, subjects: &Subjects<'_>) -> Result<Report, FlowError> {
        match self.limiter.acquire(subjects, 1, 0).await {
            Ok(Decision::Admitted(admission)) => Ok(admission.report),
            Ok(Decision::Denied(denial)) => Err(FlowError::Limited(Box::new(denial))),
            Err(error) => {
                tracing::warn!(%error, "the request limits did not answer");
                Err(FlowError::Unavailable { retry_after: Duration::from_secs(1) })
            }
        }
    }

    /// Steps 2 to 6 but for the parameters, which only one route wants.
    async fn make(
        self: &Arc<Self>,
        valid: Valid,
        caller: &Caller,
        control: CacheControl,
        limits: &Report,
    ) -> Result<Made, FlowError> {
        let rules = self.rules.load_full();
        let request = Arc::new(self.with_session(valid, caller).await);
        let decided = self.decide(&request, caller, &rules, control).await?;
        let (row, route) = self.route(&request, &decided.verdict, &rules);
        let row = row.clone();
        let enhanced = self.enhanced(&request, caller, &decided, &rules, control).await;
        let degraded = self.degraded(&decided, &route, limits);
        Ok(Made { request, decided, row, route, enhanced, degraded, rules })
    }

    fn degraded(&self, decided: &Decided, route: &Route, limits: &Report) -> Vec<Degraded> {
        let reasons = [
            decided.failed,
            (!self.remote_is_up()).then_some(Degraded::CacheUnavailable),
            self.recorder.spooling().then_some(Degraded::AnalyticsSpooling),
            limits.local.then_some(Degraded::LimitsLocal),
            (route.replaced.is_some() || !route.available).then_some(Degraded::ModelUnavailable),
        ];
        reasons.into_iter().flatten().collect()
    }

    fn record(&self, made: &Made, caller: &Caller, model: &Arc<str>, elapsed: Duration) {
        let Made { request, decided, .. } = made;
        let cache_hit = decided.cache_hit();
        let paid = decided.verdict.source == picarcade_intent::Source::Llm;
        self.recorder.record(events::classification(
            caller,
            &ClassificationFacts {
                prompt: request.prompt.as_str(),
                prompt_type: Some(decided.verdict.prompt_type),
                source: Some(decided.verdict.source),
                model: Arc::clone(model),
                confidence: decided.verdict.confidence,
                elapsed,
                used_fallback: decided.failed.is_some(),
                cache_hit,
                breaker_state: self.provider_state(),
                saved_micros: if cache_hit && paid { self.saved_by_hit(request) } else { 0 },
            },
        ));
    }

    async fn reserve_generation(&self, route: &Route, caller: &Caller) -> Result<Reservation, FlowError> {
        match self.limiter.acquire(&subjects(caller), 0, route.estimated_cost_micros).await {
            Ok(Decision::Admitted(admission)) => Ok(admission.reservation),
            Ok(Decision::Denied(denial)) => Err(FlowError::Limited(Box::new(denial))),
            Err(error) => {
                // Money is closed while nobody can count it: no dollar is free to be promised. The same request
                // without `reserve` is answered.
                tracing::debug!(%error, "the dollar limits did not answer");
                let report = self.limiter.usage(&subjects(caller)).await.unwrap_or_default();
                Err(FlowError::Limited(Box::new(Denial::new(Vec::new(), UNDECIDED, true, report))))
            }
        }
    }
}

/// A `UUIDv7` whose random part comes from the thread's own generator: ids have to be distinct, not secret, and asking the
/// system for each costs more than everything else about them.
fn fresh_id() -> Uuid {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    fastrand::Rng::new().fill(&mut random);
    Builder::from_unix_timestamp_millis(now.as_millis() as u64, &random).into_uuid()
}

/// Rounded to microseconds: finer digits say nothing.
fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}
