//! Reports of what became of generations.

use std::time::Duration;

use picarcade_breaker::{Config, Registry, State};
use picarcade_flow::{Caller, ErrorKind, FlowError, FlowRequest, OutcomeReport};
use picarcade_ratelimit::Scope;

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
