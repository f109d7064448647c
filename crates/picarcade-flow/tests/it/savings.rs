//! What answers save: the settled cost of the AI's answer, once for each request that did not pay.

use std::time::Duration;

use futures_util::future::join_all;
use picarcade_analytics::{Period, Statistics};
use picarcade_flow::{CacheControl, Mode};
use picarcade_ratelimit::Limiter;
use picarcade_testkit::{Answer, Reply};

use crate::fixture::{Fixture, caller, edit, local, policy, with_mock};

/// Returns the statistics of the fixture, and the savings that the intent cache counts.
async fn figures(fixture: &Fixture) -> (Statistics, u64) {
    fixture.flow.recorder().flush().await.unwrap();
    let statistics = fixture.flow.stats(Period::Day).await.unwrap().statistics;
    let cache = fixture.flow.caches().statistics();
    assert!(cache.iter().all(|cache| cache.name == "intent" || cache.saved_micros == 0), "{cache:?}");
    (statistics, cache[0].saved_micros)
}

#[tokio::test]
async fn every_way_to_ask_again_saves_the_cost_of_the_call() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE").enhanced("A purple sky."));
    let request = || edit("make the sky purple");
    fixture.process(request()).await;
    fixture.process(request()).await;
    let ann = caller("ann");
    fixture.flow.classify_only(request(), &ann, CacheControl::Use).await.unwrap();
    let batch = (0..4).map(|_| (request(), ann.clone())).collect();
    for result in fixture.flow.process_batch(batch, CacheControl::Use).await {
        assert_eq!(result.unwrap().answer.cache.enhancement, "l1");
    }
    let (statistics, cached) = figures(&fixture).await;
    assert!(statistics.spent_micros > 0);
    assert_eq!((statistics.saved_micros, cached), (6 * statistics.spent_micros, 6 * statistics.spent_micros));
}

#[tokio::test]
async fn callers_that_share_a_call_save_it_once_each() {
    let unlimited = Limiter::builder().build().unwrap();
    let fixture = with_mock(|builder| builder.limiter(unlimited)).await;
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_millis(300)));
    join_all((0..50).map(|_| fixture.process(edit("make the sky purple")))).await;
    let (statistics, cached) = figures(&fixture).await;
    assert_eq!((fixture.mock().count(), statistics.total_classifications), (1, 50));
    assert_eq!(
        (statistics.saved_micros, cached),
        (49 * statistics.spent_micros, 49 * statistics.spent_micros)
    );
}

#[tokio::test]
async fn requests_that_pay_or_skip_the_cache_save_nothing() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
    for control in [CacheControl::NoCache, CacheControl::NoStore, CacheControl::NoCache] {
        fixture.flow.process(edit("make the sky purple"), &caller("ann"), control).await.unwrap();
    }
    let (statistics, cached) = figures(&fixture).await;
    assert_eq!((fixture.mock().count(), statistics.saved_micros, cached), (3, 0, 0));
}

#[tokio::test]
async fn hits_on_answers_of_the_local_classifier_save_nothing() {
    let cascade = with_mock(|builder| {
        let mut policy = policy();
        (policy.mode, policy.cascade_threshold) = (Mode::Cascade, 0.0);
        builder.policy(policy)
    });
    for fixture in [local().await, cascade.await] {
        fixture.process(edit("make the sky purple")).await;
        let second = fixture.process(edit("make the sky purple")).await;
        assert_eq!((second.cache_hit, second.source.as_str()), (true, "local"));
        let (statistics, cached) = figures(&fixture).await;
        assert_eq!((statistics.saved_micros, cached), (0, 0));
    }
}
