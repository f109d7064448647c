//! The charge of a paid call by its end: usable, unusable, without a result, too late.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use picarcade_analytics::Period;
use picarcade_breaker::State;
use picarcade_flow::{CacheControl, Degraded, FlowRequest, FlowService};
use picarcade_intent::{Answer, Provider, ProviderError, ProviderErrorKind, Request, TypeSet, Unusable};
use picarcade_ratelimit::{Limit, Limiter, Scope, Window};
use picarcade_testkit::eventually;

use crate::fixture::{Fixture, caller, edit, local_with, policy};

const ESTIMATE: u64 = 10_000;

/// A provider that ignores its timeout.
#[derive(Clone, Copy, Debug)]
enum Behavior {
    Answers(u64),
    Fails(ProviderErrorKind, Option<u64>),
    Hangs,
    Panics,
}

#[async_trait]
impl Provider for Behavior {
    fn name(&self) -> &'static str {
        "stub"
    }

    fn model(&self) -> &'static str {
        "stub-1"
    }

    fn estimate_micros(&self, _: &Request) -> u64 {
        ESTIMATE
    }

    async fn classify(&self, _: &Request, _: TypeSet, _: Duration) -> Result<Answer, ProviderError> {
        match *self {
            Self::Answers(cost_micros) => {
                let answer = serde_json::json!({
                    "prompt_type": "EDIT_IMAGE", "reasoning": "", "confidence": 0.9, "enhanced_prompt": "x",
                });
                Answer::from_json(answer, cost_micros)
                    .map_err(|reason| ProviderError::unusable(reason, Some(cost_micros)))
            }
            Self::Fails(kind, cost_micros) => {
                Err(ProviderError { cost_micros, ..ProviderError::new(kind, "stub") })
            }
            Self::Hangs => std::future::pending().await,
            Self::Panics => panic!("a defect of the provider"),
        }
    }
}

async fn fixture(behavior: Behavior) -> Fixture {
    let day = Window::Sliding(Duration::from_secs(86_400));
    let limiter = Limiter::builder().limit(Limit::cost(Scope::Global, u64::pow(2, 53), day)).build().unwrap();
    local_with(|builder| {
        let mut policy = policy();
        policy.classification_timeout = Duration::from_millis(100);
        policy.max_concurrent_classifications = 1;
        policy.max_attempts = 1;
        builder.provider(Arc::new(behavior)).policy(policy).limiter(limiter)
    })
    .await
}

fn cloud(index: u32) -> FlowRequest {
    edit(&format!("make cloud {index} purple"))
}

/// Returns the dollars that the limits have counted and those in the table of costs.
async fn charged(fixture: &Fixture) -> (u64, u64) {
    let counted = fixture.flow.usage(&caller("ann")).await.unwrap().statuses[0].used;
    let spent = fixture.flow.stats(Period::Hour).await.unwrap().statistics.spent_micros;
    (counted, spent)
}

#[tokio::test]
async fn a_bill_is_bounded_for_every_kind_of_result() {
    let unusable = |reason, bill| Behavior::Fails(ProviderErrorKind::Unusable(reason), Some(bill));
    let mut cases = vec![
        (Behavior::Answers(500), 500),
        (Behavior::Answers(u64::MAX), ESTIMATE * 20),
        (Behavior::Answers(0), ESTIMATE),
        (Behavior::Answers(1), ESTIMATE),
        (Behavior::Fails(ProviderErrorKind::Timeout, None), ESTIMATE),
        (Behavior::Fails(ProviderErrorKind::Timeout, Some(u64::MAX)), ESTIMATE * 20),
        (Behavior::Fails(ProviderErrorKind::Server, Some(1 << 53)), ESTIMATE * 20),
        (Behavior::Fails(ProviderErrorKind::Server, Some(0)), 0),
        (Behavior::Fails(ProviderErrorKind::Connect, None), 0),
    ];
    for reason in
        [Unusable::Refusal, Unusable::Truncated, Unusable::TooLarge, Unusable::Missing, Unusable::Malformed]
    {
        cases.extend([
            (unusable(reason, u64::MAX), ESTIMATE * 20),
            (unusable(reason, (1 << 53) + 1), ESTIMATE * 20),
            (unusable(reason, 0), ESTIMATE),
            (unusable(reason, 500), 500),
        ]);
    }
    for (behavior, expected) in cases {
        let fixture = fixture(behavior).await;
        fixture.process(cloud(0)).await;
        assert_eq!(charged(&fixture).await, (expected, expected), "{behavior:?}");
        if let Behavior::Answers(_) = behavior {
            assert!(fixture.process(cloud(0)).await.cache_hit);
            fixture.flow.recorder().flush().await.unwrap();
            let saved = fixture.flow.stats(Period::Day).await.unwrap().statistics.saved_micros;
            assert_eq!(saved, expected, "{behavior:?}: a hit saves what was settled");
        }
    }
}

#[tokio::test]
async fn a_provider_that_ignores_its_timeout_frees_the_bulkhead_and_opens_the_breaker() {
    let fixture = fixture(Behavior::Hangs).await;
    for index in 0..5 {
        let answer = fixture.process(cloud(index)).await;
        assert_eq!(answer.degraded, [Degraded::LlmTimeout], "{index}");
        assert_eq!(fixture.flow.classifications(), (0, 0), "{index}");
    }
    let breaker = fixture.flow.breakers().breaker("stub");
    let statistics = breaker.statistics();
    assert_eq!((statistics.failure, statistics.neutral), (5, 0));
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(charged(&fixture).await, (ESTIMATE * 5, ESTIMATE * 5));
}

#[tokio::test]
async fn a_call_without_a_result_is_charged_at_the_estimate() {
    let fixture = fixture(Behavior::Panics).await;
    let answer = fixture.process(cloud(0)).await;
    assert_eq!((answer.source.as_str(), fixture.flow.classifications()), ("local", (0, 0)));
    assert_eq!(charged(&fixture).await, (ESTIMATE, ESTIMATE));
}

#[tokio::test]
async fn a_shutdown_ends_running_calls_and_charges_each() {
    let directory = tempfile::TempDir::new().unwrap();
    let flow = FlowService::embedded_builder(directory.path())
        .await
        .unwrap()
        .provider(Arc::new(Behavior::Hangs))
        .build()
        .unwrap();
    let request = tokio::spawn({
        let flow = flow.clone();
        async move { flow.process(cloud(0), &caller("ann"), CacheControl::Use).await }
    });
    eventually("the call is running", async || flow.classifications().0 == 1).await;
    flow.shutdown(Duration::from_secs(4)).await;
    assert_eq!(flow.classifications().0, 0);
    request.abort();
    drop(flow);
    let flow = FlowService::embedded(directory.path()).await.unwrap();
    let spent = flow.stats(Period::Hour).await.unwrap().statistics.spent_micros;
    assert_eq!(spent, 10_000);
}
