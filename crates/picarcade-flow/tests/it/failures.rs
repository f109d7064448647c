//! Every way in which the AI can fail: the answer comes all the same, says why, and is not cached.

use std::time::Duration;

use picarcade_breaker::State;
use picarcade_flow::{Degraded, Response};
use picarcade_ratelimit::Limiter;
use picarcade_testkit::{Answer, Reply, eventually};

use crate::house::{House, edit, policy, with_mock};

async fn fallback(house: &House) -> Vec<Degraded> {
    let answer = house.ask(edit("make the sky purple")).await;
    assert_eq!((answer.prompt_type.as_str(), answer.source.as_str()), ("EDIT_IMAGE", "local"));
    assert!(answer.used_fallback && !answer.cache_hit);
    answer.degraded
}

#[tokio::test]
async fn each_fault_has_its_word() {
    let cases = [
        (Reply::ServerError, Degraded::LlmError),
        (Reply::Overloaded, Degraded::LlmError),
        (Reply::RateLimited { retry_after: Some(Duration::from_secs(60)) }, Degraded::LlmError),
        (Reply::SpendLimit, Degraded::LlmError),
        (Reply::Unauthorized, Degraded::LlmError),
        (Reply::Reset, Degraded::LlmError),
        (Reply::HalfBody, Degraded::LlmError),
        (Reply::NotJson, Degraded::LlmUnusable),
        (Reply::WrongEnum, Degraded::LlmUnusable),
        (Reply::Refusal, Degraded::LlmUnusable),
        (Reply::Truncated, Degraded::LlmUnusable),
    ];
    for (reply, expected) in cases {
        let house = with_mock(|builder| builder).await;
        let name = format!("{reply:?}");
        house.mock().always(reply);
        let degraded = fallback(&house).await;
        assert_eq!(degraded, [expected], "{name}");
        house.mock().recover();
        house.mock().answer_with(Answer::of("EDIT_IMAGE"));
        if house.flow.breakers().breaker("anthropic").state() == State::Closed {
            assert_eq!(
                house.ask(edit("make the sky purple")).await.source.as_str(),
                "llm",
                "{name} was cached"
            );
        }
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up_within_the_deadline() {
    let house = with_mock(|builder| {
        let mut policy = policy();
        policy.classification_timeout = Duration::from_secs(2);
        builder.policy(policy)
    })
    .await;
    house.mock().always(Reply::Hang);
    assert_eq!(fallback(&house).await, [Degraded::LlmTimeout]);
}

#[tokio::test]
async fn a_passing_fault_is_tried_again() {
    let house = with_mock(|builder| builder).await;
    house.mock().push(Reply::Overloaded);
    house.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")));
    assert_eq!(house.ask(edit("make the sky purple")).await.source.as_str(), "llm");
    assert_eq!(house.mock().count(), 2);
}

#[tokio::test]
async fn an_open_breaker_answers_without_a_call() {
    let house = with_mock(|builder| builder).await;
    house.flow.breakers().breaker("anthropic").force_open();
    let answer = house.ask(edit("make the sky purple")).await;
    assert_eq!(answer.degraded, [Degraded::BreakerOpen]);
    assert_eq!((answer.circuit_breaker_state, house.mock().count()), ("forced_open", 0));
}

#[tokio::test]
async fn failures_open_the_breaker() {
    let house = with_mock(|builder| builder).await;
    house.mock().always(Reply::ServerError);
    for index in 0..5 {
        house.ask(edit(&format!("make cloud {index} purple"))).await;
    }
    assert_eq!(house.flow.breakers().breaker("anthropic").state(), State::Open);
    let calls = house.mock().count();
    assert_eq!(fallback(&house).await, [Degraded::BreakerOpen]);
    assert_eq!(house.mock().count(), calls);
}

async fn two_at_once(max_queued: usize) -> Response {
    let house = with_mock(|builder| {
        let mut policy = policy();
        policy.max_concurrent_classifications = 1;
        policy.max_queued_classifications = max_queued;
        builder.policy(policy)
    })
    .await;
    // The first call lasts until the second request has found the place taken.
    house.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_secs(2)));
    house.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")));
    let (first, second) = tokio::join!(house.ask(edit("make the sky purple")), async {
        house.mock().arrived(1).await;
        house.ask(edit("make the sea green")).await
    });
    assert_eq!((first.source.as_str(), house.mock().peak()), ("llm", 1));
    second
}

#[tokio::test]
async fn too_many_at_once_wait_and_beyond_the_queue_are_answered_locally() {
    assert_eq!(two_at_once(1).await.source.as_str(), "llm");
    let turned_away = two_at_once(0).await;
    assert_eq!(turned_away.degraded, [Degraded::ConcurrencyLimit]);
    assert_eq!(turned_away.source.as_str(), "local");
}

#[tokio::test]
async fn a_stale_answer_is_better_than_none() {
    let house = with_mock(|builder| {
        let mut policy = policy();
        // An answer is stale for as long as it was fresh: longer than a failed load takes.
        policy.ttls.intent = Duration::from_secs(2);
        builder.policy(policy).limiter(Limiter::builder().build().unwrap())
    })
    .await;
    house.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")));
    assert_eq!(house.ask(edit("make the sky purple")).await.source.as_str(), "llm");
    house.mock().always(Reply::ServerError);
    eventually("the answer is stale", async || {
        let answer = house.ask(edit("make the sky purple")).await;
        assert_eq!(answer.source.as_str(), "llm");
        let is_stale = answer.cache.intent == "stale";
        assert!(!(is_stale && answer.used_fallback));
        is_stale
    })
    .await;
}
