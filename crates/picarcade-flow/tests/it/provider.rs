//! The answers of the AI: used, cached, shared, corrected.

use std::time::Duration;

use picarcade_analytics::Period;
use picarcade_flow::{CacheControl, Mode, Policy};
use picarcade_testkit::{Answer, Reply};

use crate::fixture::{caller, edit, policy, with_mock};

#[tokio::test]
async fn an_answer_of_the_ai_is_used_and_cached() {
    let fixture = with_mock(|builder| builder).await;
    fixture
        .mock()
        .push(Reply::Answer(Answer::of("EDIT_IMAGE").enhanced("Turn the sky purple. Keep everything else.")));
    let first = fixture.process(edit("make the sky purple")).await;
    assert_eq!((first.prompt_type.as_str(), first.source.as_str()), ("EDIT_IMAGE", "llm"));
    assert_eq!(first.enhanced_prompt, "Turn the sky purple. Keep everything else.");
    assert_eq!((first.circuit_breaker_state, first.used_fallback), ("closed", false));
    let second = fixture.process(edit("make the sky purple")).await;
    assert!(second.cache_hit);
    assert_eq!(second.enhanced_prompt, first.enhanced_prompt);
    assert_eq!(fixture.mock().count(), 1);
    fixture.flow.recorder().flush().await.unwrap();
    let stats = fixture.flow.stats(Period::Day).await.unwrap().statistics;
    assert_eq!((stats.total_classifications, stats.by_source.get("llm")), (2, Some(&2)));
    assert!(stats.spent_micros > 0, "{stats:?}");
    assert_eq!(stats.saved_micros, stats.spent_micros, "one hit saves one call");
}

#[tokio::test]
async fn an_infeasible_answer_is_corrected_and_marked() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().push(Reply::Answer(Answer::of("VIDEO_EDIT").enhanced("Edit the video.")));
    let answer = fixture.process(edit("make the sky purple")).await;
    assert_eq!(answer.prompt_type.as_str(), "EDIT_IMAGE");
    assert_eq!(answer.corrected_from.map(picarcade_intent::PromptType::as_str), Some("VIDEO_EDIT"));
    assert_eq!(answer.source.as_str(), "llm");
    assert_ne!(answer.enhanced_prompt, "Edit the video.");
}

#[tokio::test]
async fn a_thousand_callers_of_one_miss_make_one_call() {
    let fixture = with_mock(|builder| builder.limiter(unlimited())).await;
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_millis(200)));
    let requests = (0..1000).map(|_| fixture.process(edit("make the sky purple")));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| answer.source.as_str() == "llm"));
    assert_eq!(fixture.mock().count(), 1);
}

#[tokio::test]
async fn a_call_whose_caller_left_is_cached_and_settled() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_millis(200)));
    tokio::select! {
        biased;
        () = fixture.mock().arrived(1) => {}
        answer = fixture.process(edit("make the sky purple")) => panic!("answered before the call: {answer:?}"),
    }
    let answer = fixture.process(edit("make the sky purple")).await;
    assert_eq!((answer.source.as_str(), fixture.mock().count()), ("llm", 1));
    let usage = fixture.flow.usage(&caller("ann")).await.unwrap();
    let spent: Vec<_> = usage.statuses.iter().filter(|status| status.reserved > 0).collect();
    assert!(spent.is_empty(), "every reservation is settled: {spent:?}");
}

#[tokio::test]
async fn media_of_another_shape_have_another_cache_key() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE_REF"));
    for uploads in [1, 2, 2] {
        let mut request = edit("put me in this picture");
        request.uploaded_image = true;
        request.context.uploaded_images =
            (0..uploads).map(|n| format!("https://cdn.example/{n}.png")).collect();
        fixture.process(request).await;
    }
    assert_eq!(fixture.mock().count(), 2);
}

#[tokio::test]
async fn local_mode_never_calls_the_ai_and_cascade_mode_only_at_low_confidence() {
    let fixture = with_mock(|builder| builder.policy(mode(Mode::Local, 0.0))).await;
    assert_eq!(fixture.process(edit("make the sky purple")).await.circuit_breaker_state, "none");
    assert_eq!(fixture.mock().count(), 0);
    let fixture = with_mock(|builder| builder.policy(mode(Mode::Cascade, 0.0))).await;
    assert_eq!(fixture.process(edit("make the sky purple")).await.source.as_str(), "local");
    assert_eq!(fixture.mock().count(), 0);
    let fixture = with_mock(|builder| builder.policy(mode(Mode::Cascade, 1.1))).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
    assert_eq!(fixture.process(edit("make the sky purple")).await.source.as_str(), "llm");
}

#[tokio::test]
async fn no_store_calls_the_ai_each_time() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE"));
    for _ in 0..2 {
        let caller = caller("ann");
        fixture.flow.process(edit("make the sky purple"), &caller, CacheControl::NoStore).await.unwrap();
    }
    assert_eq!(fixture.mock().count(), 2);
}

fn mode(mode: Mode, threshold: f64) -> Policy {
    let mut policy = policy();
    policy.mode = mode;
    policy.cascade_threshold = threshold;
    policy
}

fn unlimited() -> picarcade_ratelimit::Limiter {
    picarcade_ratelimit::Limiter::builder().build().unwrap()
}
