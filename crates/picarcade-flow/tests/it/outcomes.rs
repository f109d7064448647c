//! Reports on generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use picarcade_breaker::{Config, Registry, State};
use picarcade_flow::{
    Caller, CostFlag, ErrorKind, Fleet, FlowError, FlowRequest, Generation, GenerationLog, OutcomeReport,
    ProviderUpdate, Reported, SettledReport, StoreError,
};
use picarcade_ratelimit::Scope;
use picarcade_testkit::eventually;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, caller, edit, local, local_with};

fn good(cost: f64) -> OutcomeReport {
    OutcomeReport {
        success: true,
        actual_cost: Some(cost),
        actual_time: Some(20.0),
        ..OutcomeReport::default()
    }
}

fn bad(kind: ErrorKind) -> OutcomeReport {
    OutcomeReport { error_kind: Some(kind), ..OutcomeReport::default() }
}

/// Returns the effect of an operator's report.
fn settled(reported: Reported) -> SettledReport {
    match reported {
        Reported::Settled(settlement) => settlement,
        other => panic!("{other:?}"),
    }
}

async fn spent(fixture: &Fixture, user: &str) -> u64 {
    let usage = fixture.flow.usage(&caller(user)).await.unwrap();
    let cost = |status: &&picarcade_ratelimit::LimitStatus| {
        status.scope == Scope::User && status.unit == picarcade_ratelimit::Unit::Cost
    };
    usage.statuses.iter().find(cost).unwrap().used
}

#[tokio::test]
async fn a_second_report_does_not_settle_again() {
    let fixture = local().await;
    let ann = caller("ann").operator();
    let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
    let answer = fixture.try_process(request, &ann).await.unwrap();
    assert_eq!(spent(&fixture, "ann").await, 30_000);
    let first = settled(fixture.flow.report_outcome(&answer.generation_id, &ann, good(0.01)).await.unwrap());
    assert!(first.recorded);
    assert_eq!((first.settlement.as_str(), spent(&fixture, "ann").await), ("settled", 10_000));
    let second = settled(fixture.flow.report_outcome(&answer.generation_id, &ann, good(0.5)).await.unwrap());
    assert!(!second.recorded);
    assert_eq!(spent(&fixture, "ann").await, 10_000);
}

#[tokio::test]
async fn a_generation_of_another_user_is_not_found() {
    let fixture = local().await;
    let answer = fixture.try_process(edit("make the sky purple"), &caller("ann")).await.unwrap();
    for (id, user) in [(answer.generation_id.as_str(), "bob"), ("0192", "ann"), ("", "ann")] {
        let result = fixture.flow.report_outcome(id, &caller(user), good(0.01)).await;
        assert!(matches!(result, Err(FlowError::NotFound)), "{result:?}");
    }
}

#[tokio::test]
async fn reports_open_and_close_the_breaker_of_the_models_provider() {
    let registry = Registry::new();
    // The breaker stays open for longer than a slow machine needs to observe it.
    let quick = Config::preset("replicate").open_for(Duration::from_secs(5)).success_threshold(1);
    registry.with_config("replicate", quick).unwrap();
    let fixture = local_with(|builder| builder.breakers(registry)).await;
    let ann = caller("ann").operator();
    let breakers = fixture.flow.breakers();
    for _ in 0..20 {
        let id = fixture.try_process(edit("make the sky purple"), &ann).await.unwrap().generation_id;
        fixture.flow.report_outcome(&id, &ann, bad(ErrorKind::RejectedInput)).await.unwrap();
    }
    assert_eq!(
        breakers.breaker("replicate").state(),
        State::Closed,
        "a rejected input says nothing about the provider's health"
    );
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(fixture.try_process(edit("make the sky purple"), &ann).await.unwrap().generation_id);
    }
    let last = ids.pop().unwrap();
    for id in ids {
        fixture.flow.report_outcome(&id, &ann, bad(ErrorKind::Timeout)).await.unwrap();
    }
    assert!(!breakers.breaker("replicate").is_available());
    assert_eq!(
        fixture.try_process(edit("make the sky purple"), &ann).await.unwrap().model_to_use,
        "runway_gen4_image"
    );
    eventually("the breaker is half-open", async || breakers.breaker("replicate").is_available()).await;
    fixture.flow.report_outcome(&last, &ann, good(0.03)).await.unwrap();
    assert_eq!(breakers.breaker("replicate").state(), State::Closed);
}

/// A fleet that answers a claim only when the test lets it.
#[derive(Debug)]
struct Slow {
    claimed: Semaphore,
    answered: Semaphore,
    first: AtomicBool,
}

#[async_trait]
impl Fleet for Slow {
    async fn claim(&self, _: &str) -> bool {
        self.claimed.add_permits(1);
        self.answered.acquire().await.unwrap().forget();
        self.first.swap(false, Ordering::Relaxed)
    }

    fn announce_update(&self, _: ProviderUpdate) {}
}

#[tokio::test]
async fn a_report_is_applied_without_its_caller_and_a_second_one_is_repeated() {
    let fleet = Arc::new(Slow {
        claimed: Semaphore::new(0),
        answered: Semaphore::new(0),
        first: AtomicBool::new(true),
    });
    let fixture = local_with(|builder| builder.fleet(Arc::clone(&fleet) as _)).await;
    let ann = caller("ann").operator();
    let begin = async || fixture.try_process(edit("make the sky purple"), &ann).await.unwrap().generation_id;
    let id = begin().await;
    {
        let report = fixture.flow.report_outcome(&id, &ann, good(0.01));
        tokio::select! {
            _ = report => panic!("the claim has no answer"),
            claimed = fleet.claimed.acquire() => claimed.unwrap().forget(),
        }
    }
    // The caller has left. The report is applied, and counted once.
    fleet.answered.add_permits(1);
    let breaker = fixture.flow.breakers().breaker("replicate");
    eventually("the report is counted", async || breaker.statistics().success > 0).await;
    let again = settled(fixture.flow.report_outcome(&id, &ann, good(0.01)).await.unwrap());
    assert_eq!((again.recorded, &*again.settlement), (false, "repeated"));

    let other = begin().await;
    fleet.answered.add_permits(1);
    let second = settled(fixture.flow.report_outcome(&other, &ann, good(0.01)).await.unwrap());
    assert_eq!((second.recorded, &*second.settlement), (false, "repeated"));
    assert_eq!(breaker.statistics().success, 1);
}

/// A fleet that counts its events and claims.
#[derive(Debug, Default)]
struct Counting {
    updates: AtomicUsize,
    claims: AtomicUsize,
}

#[async_trait]
impl Fleet for Counting {
    async fn claim(&self, _: &str) -> bool {
        self.claims.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn announce_update(&self, _: ProviderUpdate) {
        self.updates.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_report_of_an_end_user_changes_no_dollars_no_breaker_and_no_other_instance() {
    let fleet = Arc::new(Counting::default());
    let fixture = local_with(|builder| builder.fleet(Arc::clone(&fleet) as _)).await;
    let ann = caller("ann");
    let failed = OutcomeReport { retry_after: Some(604_800.0), ..bad(ErrorKind::ProviderError) };
    let seen = || {
        let statistics = fixture.flow.breakers().breaker("replicate").statistics();
        let sent = (fleet.updates.load(Ordering::Relaxed), fleet.claims.load(Ordering::Relaxed));
        (statistics.success, statistics.failure, sent)
    };
    for report in [good(1e6), good(0.0), failed] {
        let (before, seen_before) = (spent(&fixture, "ann").await, seen());
        let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
        let id = fixture.try_process(request, &ann).await.unwrap().generation_id;
        for _ in 0..6 {
            let reported = fixture.flow.report_outcome(&id, &ann, report.clone()).await.unwrap();
            assert_eq!(serde_json::to_value(reported).unwrap(), serde_json::json!({"status": "recorded"}));
        }
        assert_eq!(spent(&fixture, "ann").await, before + 30_000, "the reservation is unchanged");
        assert_eq!(seen(), seen_before);
        // The user's report does not claim the generation.
        let operators = fixture.flow.report_outcome(&id, &ann.clone().operator(), good(0.01)).await.unwrap();
        let operators = settled(operators);
        assert_eq!((operators.recorded, &*operators.settlement), (true, "settled"));
        assert_eq!(spent(&fixture, "ann").await, before + 10_000);
    }
}

#[tokio::test]
async fn an_implausible_cost_is_charged_at_its_bound_and_flagged() {
    let fixture = local().await;
    let operator = caller("ann").operator();
    let mut charged = 0;
    for (cost, success, micros, flag) in [
        (1e6, true, 600_000, Some(CostFlag::TooHigh)),
        (1e6, false, 600_000, Some(CostFlag::TooHigh)),
        (0.6, true, 600_000, None),
        (0.0, true, 30_000, Some(CostFlag::TooLow)),
        (0.0, false, 0, None),
    ] {
        for reserve in [true, false] {
            let request = FlowRequest { reserve, ..edit("make the sky purple") };
            let id = fixture.try_process(request, &operator).await.unwrap().generation_id;
            let report = OutcomeReport { success, ..good(cost) };
            let settlement = settled(fixture.flow.report_outcome(&id, &operator, report).await.unwrap());
            assert_eq!((settlement.recorded, settlement.cost_flag), (true, flag), "{cost} {success}");
            charged += if reserve { micros } else { 0 };
            assert_eq!(spent(&fixture, "ann").await, charged, "{cost} {success}");
        }
    }
}

/// An empty log that counts its queries.
#[derive(Debug, Default)]
struct Empty(AtomicUsize);

#[async_trait]
impl GenerationLog for Empty {
    async fn find(&self, _: &str) -> Result<Option<Generation>, StoreError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }
}

#[tokio::test]
async fn reports_on_unknown_generations_are_bounded_in_waits_and_queries() {
    const REPORTS: usize = 100;
    let log = Arc::new(Empty::default());
    let fixture = local_with(|builder| builder.generation_log(Arc::clone(&log) as _)).await;
    let report = async |caller: Caller| {
        let id = uuid::Uuid::now_v7().to_string();
        fixture.flow.report_outcome(&id, &caller, good(0.01)).await.unwrap_err()
    };
    // A user's report does not wait: one query each.
    let user = caller("ann");
    let reports = (0..REPORTS).map(|_| report(user.clone()));
    let errors = futures_util::future::join_all(reports).await;
    assert!(errors.iter().all(|error| matches!(error, FlowError::NotFound)), "{errors:?}");
    assert_eq!(log.0.swap(0, Ordering::Relaxed), REPORTS);
    // At most 16 reports of the operator wait.
    let reports = (0..REPORTS).map(|_| report(user.clone().operator()));
    let errors = futures_util::future::join_all(reports).await;
    let waited = errors.iter().filter(|error| matches!(error, FlowError::NotFound)).count();
    assert!(errors.iter().all(|error| matches!(error, FlowError::NotFound | FlowError::Unavailable { .. })));
    assert_eq!(waited, 16);
    let queries = log.0.load(Ordering::Relaxed);
    assert!(queries <= REPORTS + 16 * 6, "{queries}");
}
