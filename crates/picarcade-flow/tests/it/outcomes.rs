//! Reports of what became of generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use picarcade_breaker::{Config, Registry, State};
use picarcade_flow::{Caller, ErrorKind, Fleet, FlowError, FlowRequest, OutcomeReport, ProviderNews};
use picarcade_ratelimit::Scope;
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
    let ann = Caller::user("ann");
    let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
    let answer = house.try_ask(request, &ann).await.unwrap();
    assert_eq!(spent(&house, "ann").await, 30_000);
    let first = house.flow.report_outcome(&answer.generation_id, &ann, good(0.01)).await.unwrap();
    assert!(first.recorded);
    assert_eq!((first.settlement.as_str(), spent(&house, "ann").await), ("settled", 10_000));
    let second = house.flow.report_outcome(&answer.generation_id, &ann, good(5.0)).await.unwrap();
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
    let quick = Config::preset("replicate").open_for(Duration::from_millis(50)).success_threshold(1);
    registry.with_config("replicate", quick).unwrap();
    let house = local_with(|builder| builder.breakers(registry)).await;
    let ann = Caller::user("ann");
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
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while !breakers.breaker("replicate").is_available() {
        assert!(tokio::time::Instant::now() < deadline, "it never became half-open");
        tokio::task::yield_now().await;
    }
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
    let ann = Caller::user("ann");
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
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while breaker.statistics().success == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the report was lost");
        tokio::task::yield_now().await;
    }
    let again = house.flow.report_outcome(&id, &ann, good(0.01)).await.unwrap();
    assert_eq!((again.recorded, &*again.settlement), (false, "repeated"));

    let other = ask().await;
    fleet.answered.add_permits(1);
    let second = house.flow.report_outcome(&other, &ann, good(0.01)).await.unwrap();
    assert_eq!((second.recorded, &*second.settlement), (false, "repeated"));
    assert_eq!(breaker.statistics().success, 1);
}
