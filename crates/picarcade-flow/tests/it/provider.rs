//! With an AI: used, cached, shared, corrected.

use std::time::Duration;

use picarcade_analytics::Period;
use picarcade_flow::{CacheControl, Caller, Mode, Policy};
use picarcade_testkit::{Answer, Reply};

use crate::house::{edit, policy, with_mock};

#[tokio::test]
async fn an_answer_is_used_and_cached() {
    let house = with_mock(|builder| builder).await;
    house
        .mock()
        .push(Reply::Answer(Answer::of("EDIT_IMAGE").enhanced("Turn the sky purple. Keep everything else.")));
    let first = house.ask(edit("make the sky purple")).await;
    assert_eq!((first.prompt_type.as_str(), first.source.as_str()), ("EDIT_IMAGE", "llm"));
    assert_eq!(first.enhanced_prompt, "Turn the sky purple. Keep everything else.");
    assert_eq!((first.circuit_breaker_state, first.used_fallback), ("closed", false));
    let second = house.ask(edit("make the sky purple")).await;
    assert!(second.cache_hit);
    assert_eq!(second.enhanced_prompt, first.enhanced_prompt);
    assert_eq!(house.mock().count(), 1);
    house.flow.recorder().flush().await.unwrap();
    let stats = house.flow.stats(Period::Day).await.unwrap().statistics;
    assert_eq!((stats.total_classifications, stats.by_source.get("llm")), (2, Some(&2)));
    assert!(stats.cost_spent > 0.0 && stats.cost_saved > 0.0, "{stats:?}");
}

#[tokio::test]
async fn an_infeasible_answer_is_corrected_and_says_so() {
    let house = with_mock(|builder| builder).await;
    house.mock().push(Reply::Answer(Answer::of("VIDEO_EDIT").enhanced("Edit the video.")));
    let answer = house.ask(edit("make the sky purple")).await;
    assert_eq!(answer.prompt_type.as_str(), "EDIT_IMAGE");
    assert_eq!(answer.corrected_from.map(picarcade_intent::PromptType::as_str), Some("VIDEO_EDIT"));
    assert_eq!(answer.source.as_str(), "llm");
    assert_ne!(answer.enhanced_prompt, "Edit the video.");
}

#[tokio::test]
async fn a_thousand_callers_of_one_miss_make_one_call() {
    let house = with_mock(|builder| builder.limiter(unlimited())).await;
    house.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_millis(200)));
    let asks = (0..1000).map(|_| house.ask(edit("make the sky purple")));
    let answers = futures_util::future::join_all(asks).await;
    assert!(answers.iter().all(|answer| answer.source.as_str() == "llm"));
    assert_eq!(house.mock().count(), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_waste_the_call() {
    let house = with_mock(|builder| builder).await;
    house.mock().push(Reply::Answer(Answer::of("EDIT_IMAGE")).after(Duration::from_millis(200)));
    tokio::select! {
        biased;
        () = house.mock().arrived(1) => {}
        answer = house.ask(edit("make the sky purple")) => panic!("answered before the call: {answer:?}"),
    }
    let answer = house.ask(edit("make the sky purple")).await;
    assert_eq!((answer.source.as_str(), house.mock().count()), ("llm", 1));
    let usage = house.flow.usage(&Caller::user("ann")).await.unwrap();
    let spent: Vec<_> = usage.statuses.iter().filter(|status| status.reserved > 0).collect();
    assert!(spent.is_empty(), "everything is settled: {spent:?}");
}

#[tokio::test]
async fn media_of_another_shape_are_another_request() {
    let house = with_mock(|builder| builder).await;
    house.mock().answer_with(Answer::of("EDIT_IMAGE_REF"));
    for uploads in [1, 2, 2] {
        let mut request = edit("put me in this picture");
        request.uploaded_image = true;
        request.context.uploaded_images =
            (0..uploads).map(|n| format!("https://cdn.example/{n}.png")).collect();
        house.ask(request).await;
    }
    assert_eq!(house.mock().count(), 2);
}

#[tokio::test]
async fn local_mode_never_asks_and_cascade_only_when_unsure() {
    let house = with_mock(|builder| builder.policy(mode(Mode::Local, 0.0))).await;
    assert_eq!(house.ask(edit("make the sky purple")).await.circuit_breaker_state, "none");
    assert_eq!(house.mock().count(), 0);
    let house = with_mock(|builder| builder.policy(mode(Mode::Cascade, 0.0))).await;
    assert_eq!(house.ask(edit("make the sky purple")).await.source.as_str(), "local");
    assert_eq!(house.mock().count(), 0);
    let house = with_mock(|builder| builder.policy(mode(Mode::Cascade, 1.1))).await;
    house.mock().answer_with(Answer::of("EDIT_IMAGE"));
    assert_eq!(house.ask(edit("make the sky purple")).await.source.as_str(), "llm");
}

#[tokio::test]
async fn no_store_asks_each_time() {
    let house = with_mock(|builder| builder).await;
    house.mock().answer_with(Answer::of("EDIT_IMAGE"));
    for _ in 0..2 {
        let caller = Caller::user("ann");
        house.flow.process(edit("make the sky purple"), &caller, CacheControl::NoStore).await.unwrap();
    }
    assert_eq!(house.mock().count(), 2);
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
