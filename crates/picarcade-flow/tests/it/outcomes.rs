//! Reports of what became of generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use picarcade_breaker::{Config, Registry, State};
use picarcade_flow::{
    Caller, CostFlag, ErrorKind, Fleet, FlowError, FlowRequest, Generation, GenerationLog, OutcomeReport,
    ProviderNews, Reported, SettledReport, StoreError,
};
use picarcade_ratelimit::Scope;
use picarcade_testkit::eventually;
use tokio::sync::Semaphore;

use crate::house::{House, edit, local, local_with};

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

/// What the report of an operator has done.
fn settled(reported: Reported) -> SettledReport {
    match reported {
        Reported::Settled(settlement) => settlement,
        other => panic!("{other:?}"),
    }
}

async fn spent(house: &House, user: &str) -> u64 {
    let usage = house.flow.usage(&Caller::user(user)).await.unwrap();
    let cost = |status: &&picarcade_ratelimit::Status| {
        status.scope == Scope::User && status.unit == picarcade_ratelimit::Unit::Cost
    };
    usage.statuses.iter().find(cost).unwrap().used
}

#[tokio::test]
async fn a_reservation_is_settled_once() {
    let house = local().await;
    let ann = Caller::user("ann").operator();
    let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
    let answer = house.try_ask(request, &ann).await.unwrap();
    assert_eq!(spent(&house, "ann").await, 30_000);
    let first = settled(house.flow.report_outcome(&answer.generation_id, &ann, good(0.01)).await.unwrap());
    assert!(first.recorded);
    assert_eq!((first.settlement.as_str(), spent(&house, "ann").await), ("settled", 10_000));
    let second = settled(house.flow.report_outcome(&answer.generation_id, &ann, good(0.5)).await.unwrap());
    assert!(!second.recorded);
    assert_eq!(spent(&house, "ann").await, 10_000);
}

#[tokio::test]
async fn another_users_generation_is_not_found() {
    let house = local().await;
    let answer = house.try_ask(edit("make the sky purple"), &Caller::user("ann")).await.unwrap();
    for (id, user) in [(answer.generation_id.as_str(), "bob"), ("0192", "ann"), ("", "ann")] {
        let result = house.flow.report_outcome(id, &Caller::user(user), good(0.01)).await;
        assert!(matches!(result, Err(FlowError::NotFound)), "{result:?}");
    }
}

#[tokio::test]
async fn failures_open_the_models_provider_and_successes_close_it() {
    let registry = Registry::new();
    // Open for longer than a slow machine needs to see it.
    let quick = Config::preset("replicate").open_for(Duration::from_secs(5)).success_threshold(1);
    registry.with_config("replicate", quick).unwrap();
    let house = local_with(|builder| builder.breakers(registry)).await;
    let ann = Caller::user("ann").operator();
    let breakers = house.flow.breakers();
    for _ in 0..20 {
        let id = house.try_ask(edit("make the sky purple"), &ann).await.unwrap().generation_id;
        house.flow.report_outcome(&id, &ann, bad(ErrorKind::RejectedInput)).await.unwrap();
    }
    assert_eq!(
        breakers.breaker("replicate").state(),
        State::Closed,
        "a rejected input is no sign of ill health"
    );
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(house.try_ask(edit("make the sky purple"), &ann).await.unwrap().generation_id);
    }
    let last = ids.pop().unwrap();
    for id in ids {
        house.flow.report_outcome(&id, &ann, bad(ErrorKind::Timeout)).await.unwrap();
    }
    assert!(!breakers.breaker("replicate").is_available());
    assert_eq!(
        house.try_ask(edit("make the sky purple"), &ann).await.unwrap().model_to_use,
        "runway_gen4_image"
    );
    eventually("the breaker is half-open", async || breakers.breaker("replicate").is_available()).await;
    house.flow.report_outcome(&last, &ann, good(0.03)).await.unwrap();
    assert_eq!(breakers.breaker("replicate").state(), State::Closed);
}

/// Another instance, which takes its time to say who is first.
#[derive(Debug)]
struct Slow {
    asked: Semaphore,
    answered: Semaphore,
    first: AtomicBool,
}

#[async_trait]
impl Fleet for Slow {
    async fn claim(&self, _: &str) -> bool {
        self.asked.add_permits(1);
        self.answered.acquire().await.unwrap().forget();
        self.first.swap(false, Ordering::Relaxed)
    }

    fn tell(&self, _: ProviderNews) {}
}

#[tokio::test]
async fn who_reports_may_leave_and_who_is_not_the_first_is_told_so() {
    let fleet = Arc::new(Slow {
        asked: Semaphore::new(0),
        answered: Semaphore::new(0),
        first: AtomicBool::new(true),
    });
    let house = local_with(|builder| builder.fleet(Arc::clone(&fleet) as _)).await;
    let ann = Caller::user("ann").operator();
    let ask = async || house.try_ask(edit("make the sky purple"), &ann).await.unwrap().generation_id;
    let id = ask().await;
    {
        let report = house.flow.report_outcome(&id, &ann, good(0.01));
        tokio::select! {
            _ = report => panic!("nobody has answered"),
            asked = fleet.asked.acquire() => asked.unwrap().forget(),
        }
    }
    // Its caller is gone. It goes on, and is counted once.
    fleet.answered.add_permits(1);
    let breaker = house.flow.breakers().breaker("replicate");
    eventually("the report is counted", async || breaker.statistics().success > 0).await;
    let again = settled(house.flow.report_outcome(&id, &ann, good(0.01)).await.unwrap());
    assert_eq!((again.recorded, &*again.settlement), (false, "repeated"));

    let other = ask().await;
    fleet.answered.add_permits(1);
    let second = settled(house.flow.report_outcome(&other, &ann, good(0.01)).await.unwrap());
    assert_eq!((second.recorded, &*second.settlement), (false, "repeated"));
    assert_eq!(breaker.statistics().success, 1);
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Counting {
    news: AtomicUsize,
    claims: AtomicUsize,
}

#[async_trait]
impl Fleet for Counting {
    async fn claim(&self, _: &str) -> bool {
        self.claims.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn tell(&self, _: ProviderNews) {
        self.news.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_report_of_an_end_user_moves_no_money_no_breaker_and_no_other_instance() {
    let fleet = Arc::new(Counting::default());
    let house = local_with(|builder| builder.fleet(Arc::clone(&fleet) as _)).await;
    let ann = Caller::user("ann");
    let failed = OutcomeReport { retry_after: Some(604_800.0), ..bad(ErrorKind::ProviderError) };
    let seen = || {
        let statistics = house.flow.breakers().breaker("replicate").statistics();
        let told = (fleet.news.load(Ordering::Relaxed), fleet.claims.load(Ordering::Relaxed));
        (statistics.success, statistics.failure, told)
    };
    for report in [good(1e6), good(0.0), failed] {
        let (before, seen_before) = (spent(&house, "ann").await, seen());
        let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
        let id = house.try_ask(request, &ann).await.unwrap().generation_id;
        for _ in 0..6 {
            let reported = house.flow.report_outcome(&id, &ann, report.clone()).await.unwrap();
            assert_eq!(serde_json::to_value(reported).unwrap(), serde_json::json!({"status": "recorded"}));
        }
        assert_eq!(spent(&house, "ann").await, before + 30_000, "the reservation is as it was");
        assert_eq!(seen(), seen_before);
        // The user's report does not take the place of the operator's.
        let operators = house.flow.report_outcome(&id, &ann.clone().operator(), good(0.01)).await.unwrap();
        let operators = settled(operators);
        assert_eq!((operators.recorded, &*operators.settlement), (true, "settled"));
        assert_eq!(spent(&house, "ann").await, before + 10_000);
    }
}

#[tokio::test]
async fn an_implausible_cost_is_charged_at_its_bound_and_flagged() {
    let house = local().await;
    let operator = Caller::user("ann").operator();
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
            let id = house.try_ask(request, &operator).await.unwrap().generation_id;
            let report = OutcomeReport { success, ..good(cost) };
            let settlement = settled(house.flow.report_outcome(&id, &operator, report).await.unwrap());
            assert_eq!((settlement.recorded, settlement.cost_flag), (true, flag), "{cost} {success}");
            charged += if reserve { micros } else { 0 };
            assert_eq!(spent(&house, "ann").await, charged, "{cost} {success}");
        }
    }
}

/// A log that knows no generation and counts how often it is asked.
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
async fn reports_on_made_up_generations_wait_in_bounded_number_and_ask_few_times() {
    const REPORTS: usize = 100;
    let log = Arc::new(Empty::default());
    let house = local_with(|builder| builder.generation_log(Arc::clone(&log) as _)).await;
    let report = async |caller: Caller| {
        let id = uuid::Uuid::now_v7().to_string();
        house.flow.report_outcome(&id, &caller, good(0.01)).await.unwrap_err()
    };
    // A user's report does not wait: one look each.
    let user = Caller::user("ann");
    let reports = (0..REPORTS).map(|_| report(user.clone()));
    let errors = futures_util::future::join_all(reports).await;
    assert!(errors.iter().all(|error| matches!(error, FlowError::NotFound)), "{errors:?}");
    assert_eq!(log.0.swap(0, Ordering::Relaxed), REPORTS);
    // The operator's waits, as long as there are few of them.
    let reports = (0..REPORTS).map(|_| report(user.clone().operator()));
    let errors = futures_util::future::join_all(reports).await;
    let waited = errors.iter().filter(|error| matches!(error, FlowError::NotFound)).count();
    assert!(errors.iter().all(|error| matches!(error, FlowError::NotFound | FlowError::Unavailable { .. })));
    assert_eq!(waited, 16);
    let looks = log.0.load(Ordering::Relaxed);
    assert!(looks <= REPORTS + 16 * 6, "{looks}");
}
