//! Failures of the AI: the local classifier answers, the answer contains the reason and is not
//! cached.

use std::time::Duration;

use picarcade_breaker::State;
use picarcade_flow::{Degraded, Response};
use picarcade_ratelimit::Limiter;
use picarcade_testkit::{Answer, Reply, eventually};

use crate::fixture::{Fixture, edit, policy, with_mock};

async fn degraded_fallback(fixture: &Fixture) -> Vec<Degraded> {
    let answer = fixture.process(edit("make the sky purple")).await;
    assert_eq!((answer.prompt_type.as_str(), answer.source.as_str()), ("EDIT_IMAGE", "local"));
    assert!(answer.used_fallback && !answer.cache_hit);
    answer.degraded
}

#[tokio::test]
async fn each_fault_has_its_degraded_reason_and_is_not_cached() {
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
        let fixture = with_mock(|builder| builder).await;
        let name = format!("{reply:?}");
        fixture.mock().always(reply);
        let degraded = degraded_fallback(&fixture).await;
        assert_eq!(degraded, [expected], "{name}");
        fixture.mock().recover();
        fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
        if fixture.flow.breakers().breaker("anthropic").state() == State::Closed {
            assert_eq!(
                fixture.process(edit("make the sky purple")).await.source.as_str(),
                "llm",
                "{name} was cached"
            );
        }
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_the_deadline() {
    let fixture = with_mock(|builder| {
        let mut policy = policy();
        policy.classification_timeout = Duration::from_secs(2);
        builder.policy(policy)
    })
    .await;
    fixture.mock().always(Reply::Hang);
    assert_eq!(degraded_fallback(&fixture).await, [Degraded::LlmTimeout]);
}

#[tokio::test]
async fn a_transient_fault_is_retried() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().push(Reply::Overloaded);
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")));
    assert_eq!(fixture.process(edit("make the sky purple")).await.source.as_str(), "llm");
    assert_eq!(fixture.mock().count(), 2);
}

#[tokio::test]
async fn with_an_open_breaker_no_call_is_made() {
    let fixture = with_mock(|builder| builder).await;
    fixture.flow.breakers().breaker("anthropic").force_open();
    let answer = fixture.process(edit("make the sky purple")).await;
    assert_eq!(answer.degraded, [Degraded::BreakerOpen]);
    assert_eq!((answer.circuit_breaker_state, fixture.mock().count()), ("forced_open", 0));
}

#[tokio::test]
async fn failures_open_the_breaker() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().always(Reply::ServerError);
    for index in 0..5 {
        fixture.process(edit(&format!("make cloud {index} purple"))).await;
    }
    assert_eq!(fixture.flow.breakers().breaker("anthropic").state(), State::Open);
    let calls = fixture.mock().count();
    assert_eq!(degraded_fallback(&fixture).await, [Degraded::BreakerOpen]);
    assert_eq!(fixture.mock().count(), calls);
}

async fn two_at_once(max_queued: usize) -> Response {
    let fixture = with_mock(|builder| {
        let mut policy = policy();
        policy.max_concurrent_classifications = 1;
        policy.max_queued_classifications = max_queued;
        builder.policy(policy)
    })
    .await;
    // The first call lasts until the second request has found the bulkhead full.
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_secs(2)));
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")));
    let (first, second) = tokio::join!(fixture.process(edit("make the sky purple")), async {
        fixture.mock().arrived(1).await;
        fixture.process(edit("make the sea green")).await
    });
    assert_eq!((first.source.as_str(), fixture.mock().peak()), ("llm", 1));
    second
}

#[tokio::test]
async fn requests_beyond_the_bulkhead_wait_and_beyond_its_queue_are_answered_locally() {
    assert_eq!(two_at_once(1).await.source.as_str(), "llm");
    let rejected = two_at_once(0).await;
    assert_eq!(rejected.degraded, [Degraded::ConcurrencyLimit]);
    assert_eq!(rejected.source.as_str(), "local");
}

#[tokio::test]
async fn a_stale_answer_serves_while_the_ai_fails() {
    let fixture = with_mock(|builder| {
        let mut policy = policy();
        // An answer is stale for as long as it was fresh: longer than a failed load takes.
        policy.ttls.intent = Duration::from_secs(2);
        builder.policy(policy).limiter(Limiter::builder().build().unwrap())
    })
    .await;
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")));
    assert_eq!(fixture.process(edit("make the sky purple")).await.source.as_str(), "llm");
    fixture.mock().always(Reply::ServerError);
    eventually("the answer is stale", async || {
        let answer = fixture.process(edit("make the sky purple")).await;
        assert_eq!(answer.source.as_str(), "llm");
        let is_stale = answer.cache.intent == "stale";
        assert!(!(is_stale && answer.used_fallback));
        is_stale
    })
    .await;
}
