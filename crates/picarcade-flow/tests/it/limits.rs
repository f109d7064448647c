//! Limits of requests and of dollars.

use std::time::Duration;

use picarcade_flow::{Caller, CostAction, Degraded, FlowError};
use picarcade_ratelimit::{Limit, Limiter, Scope, Unit, Window};
use picarcade_testkit::Answer;

use crate::fixture::{caller, edit, policy, with_mock};

const HOUR: Window = Window::Sliding(Duration::from_secs(3600));

fn limiter(limits: impl IntoIterator<Item = Limit>) -> Limiter {
    Limiter::builder().limits(limits).build().unwrap()
}

#[tokio::test]
async fn a_denied_request_consumes_nothing_and_makes_no_call() {
    let fixture =
        with_mock(|builder| builder.limiter(limiter([Limit::requests(Scope::User, 2, HOUR)]))).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
    let ann = caller("ann");
    for _ in 0..2 {
        fixture.try_process(edit("make the sky purple"), &ann).await.unwrap();
    }
    let Err(FlowError::Limited(denial)) = fixture.try_process(edit("something else"), &ann).await else {
        panic!("must be denied");
    };
    assert_eq!(denial.violated.len(), 1);
    assert!(denial.retry_after > Duration::from_secs(3000));
    assert_eq!(fixture.mock().count(), 1);
    fixture.try_process(edit("make the sky purple"), &caller("bob")).await.unwrap();
}

#[tokio::test]
async fn at_a_dollar_limit_the_local_classifier_answers_or_the_request_is_denied() {
    let one_micro = [Limit::cost(Scope::User, 1, HOUR)];
    let fixture = with_mock(|builder| builder.limiter(limiter(one_micro.clone()))).await;
    let answer = fixture.process(edit("make the sky purple")).await;
    assert_eq!(
        (answer.degraded.as_slice(), answer.source.as_str()),
        ([Degraded::CostLimit].as_slice(), "local")
    );
    assert_eq!(fixture.mock().count(), 0);
    let fixture = with_mock(|builder| {
        let mut policy = policy();
        policy.cost_action = CostAction::Reject;
        builder.limiter(limiter(one_micro)).policy(policy)
    })
    .await;
    let denied = fixture.try_process(edit("make the sky purple"), &caller("ann")).await;
    assert!(matches!(denied, Err(FlowError::Limited(_))));
}

#[tokio::test]
async fn a_cache_hit_costs_nothing() {
    let fixture =
        with_mock(|builder| builder.limiter(limiter([Limit::cost(Scope::User, 50_000_000, HOUR)]))).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
    let ann = caller("ann");
    fixture.try_process(edit("make the sky purple"), &ann).await.unwrap();
    let spent = fixture.flow.usage(&ann).await.unwrap().statuses[0].used;
    assert!(spent > 0);
    for _ in 0..10 {
        fixture.try_process(edit("make the sky purple"), &ann).await.unwrap();
    }
    assert_eq!(fixture.flow.usage(&ann).await.unwrap().statuses[0].used, spent);
}

#[tokio::test]
async fn request_limits_of_every_scope_count_cache_hits_and_dollar_limits_do_not() {
    let by_key = |user: &str| Caller { api_key: Some("partner".into()), ..caller(user) };
    let dollars =
        || [Limit::cost(Scope::User, 50_000_000, HOUR), Limit::cost(Scope::Global, 500_000_000, HOUR)];
    for (scope, second) in [
        (Scope::User, by_key("ann")),
        (Scope::ApiKey, by_key("bob")),
        (Scope::Endpoint, caller("bob")),
        (Scope::Global, caller("bob").at("classify-only")),
    ] {
        let limits = dollars().into_iter().chain([Limit::requests(scope, 2, HOUR)]);
        let fixture = with_mock(|builder| builder.limiter(limiter(limits))).await;
        fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
        fixture.try_process(edit("make the sky purple"), &by_key("ann")).await.unwrap();
        let spent = |statuses: &[picarcade_ratelimit::LimitStatus]| {
            statuses
                .iter()
                .filter(|status| status.unit == Unit::Cost)
                .map(|status| status.used)
                .collect::<Vec<_>>()
        };
        let paid = spent(&fixture.flow.usage(&by_key("ann")).await.unwrap().statuses);
        assert!(paid.iter().all(|micros| *micros > 0), "{scope}: {paid:?}");
        assert!(fixture.try_process(edit("make the sky purple"), &by_key("ann")).await.unwrap().cache_hit);
        let Err(FlowError::Limited(denial)) = fixture.try_process(edit("make the sky purple"), &second).await
        else {
            panic!("{scope}: a hit must count as a request");
        };
        assert_eq!(denial.violated.iter().map(|status| status.scope).collect::<Vec<_>>(), [scope]);
        assert_eq!(spent(&fixture.flow.usage(&by_key("ann")).await.unwrap().statuses), paid, "{scope}");
        assert_eq!(fixture.mock().count(), 1);
    }
}
