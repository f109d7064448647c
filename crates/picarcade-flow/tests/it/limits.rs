//! Requests and dollars.

use std::time::Duration;

use picarcade_flow::{Caller, CostAction, Degraded, FlowError};
use picarcade_ratelimit::{Limit, Limiter, Scope, Unit, Window};
use picarcade_testkit::Answer;

use crate::house::{edit, policy, with_mock};

const HOUR: Window = Window::Sliding(Duration::from_secs(3600));

fn limiter(limits: impl IntoIterator<Item = Limit>) -> Limiter {
    Limiter::builder().limits(limits).build().unwrap()
}

#[tokio::test]
async fn a_denied_request_consumes_nothing_and_calls_nobody() {
    let house = with_mock(|builder| builder.limiter(limiter([Limit::requests(Scope::User, 2, HOUR)]))).await;
    house.mock().answer_with(Answer::of("EDIT_IMAGE"));
    let ann = Caller::user("ann");
    for _ in 0..2 {
        house.try_ask(edit("make the sky purple"), &ann).await.unwrap();
    }
    let Err(FlowError::Limited(denial)) = house.try_ask(edit("something else"), &ann).await else {
        panic!("must be denied");
    };
    assert_eq!(denial.violated.len(), 1);
    assert!(denial.retry_after > Duration::from_secs(3000));
    assert_eq!(house.mock().count(), 1);
    house.try_ask(edit("make the sky purple"), &Caller::user("bob")).await.unwrap();
}

#[tokio::test]
async fn without_dollars_the_local_classifier_answers() {
    let poor = [Limit::cost(Scope::User, 1, HOUR)];
    let house = with_mock(|builder| builder.limiter(limiter(poor.clone()))).await;
    let answer = house.ask(edit("make the sky purple")).await;
    assert_eq!(
        (answer.degraded.as_slice(), answer.source.as_str()),
        ([Degraded::CostLimit].as_slice(), "local")
    );
    assert_eq!(house.mock().count(), 0);
    let house = with_mock(|builder| {
        let mut policy = policy();
        policy.cost_action = CostAction::Reject;
        builder.limiter(limiter(poor)).policy(policy)
    })
    .await;
    let denied = house.try_ask(edit("make the sky purple"), &Caller::user("ann")).await;
    assert!(matches!(denied, Err(FlowError::Limited(_))));
}

#[tokio::test]
async fn a_hit_costs_nothing() {
    let house =
        with_mock(|builder| builder.limiter(limiter([Limit::cost(Scope::User, 50_000_000, HOUR)]))).await;
    house.mock().answer_with(Answer::of("EDIT_IMAGE"));
    let ann = Caller::user("ann");
    house.try_ask(edit("make the sky purple"), &ann).await.unwrap();
    let spent = house.flow.usage(&ann).await.unwrap().statuses[0].used;
    assert!(spent > 0);
    for _ in 0..10 {
        house.try_ask(edit("make the sky purple"), &ann).await.unwrap();
    }
    assert_eq!(house.flow.usage(&ann).await.unwrap().statuses[0].used, spent);
}

#[tokio::test]
async fn every_scope_has_its_say_before_the_cache_and_dollars_only_behind_it() {
    let by_key = |user: &str| Caller { api_key: Some("partner".into()), ..Caller::user(user) };
    let dollars =
        || [Limit::cost(Scope::User, 50_000_000, HOUR), Limit::cost(Scope::Global, 500_000_000, HOUR)];
    for (scope, second) in [
        (Scope::User, by_key("ann")),
        (Scope::ApiKey, by_key("bob")),
        (Scope::Endpoint, Caller::user("bob")),
        (Scope::Global, Caller::user("bob").at("classify-only")),
    ] {
        let limits = dollars().into_iter().chain([Limit::requests(scope, 2, HOUR)]);
        let house = with_mock(|builder| builder.limiter(limiter(limits))).await;
        house.mock().answer_with(Answer::of("EDIT_IMAGE"));
        house.try_ask(edit("make the sky purple"), &by_key("ann")).await.unwrap();
        let spent = |statuses: &[picarcade_ratelimit::Status]| {
            statuses
                .iter()
                .filter(|status| status.unit == Unit::Cost)
                .map(|status| status.used)
                .collect::<Vec<_>>()
        };
        let paid = spent(&house.flow.usage(&by_key("ann")).await.unwrap().statuses);
        assert!(paid.iter().all(|micros| *micros > 0), "{scope}: {paid:?}");
        // A hit counts as a request, and costs nothing.
        assert!(house.try_ask(edit("make the sky purple"), &by_key("ann")).await.unwrap().cache_hit);
        let Err(FlowError::Limited(denial)) = house.try_ask(edit("make the sky purple"), &second).await
        else {
            panic!("{scope}: a hit is a request too");
        };
        assert_eq!(denial.violated.iter().map(|status| status.scope).collect::<Vec<_>>(), [scope]);
        assert_eq!(spent(&house.flow.usage(&by_key("ann")).await.unwrap().statuses), paid, "{scope}");
        assert_eq!(house.mock().count(), 1);
    }
}
