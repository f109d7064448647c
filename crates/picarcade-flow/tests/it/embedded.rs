//! The embedded service, which needs no other server.

use std::time::Duration;

use picarcade_analytics::Period;
use picarcade_flow::{CacheControl, Degraded, FlowError, FlowRequest, FlowService};
use picarcade_ratelimit::Unit;

use crate::fixture::{caller, edit, local};

#[tokio::test]
async fn a_repeated_request_is_answered_from_the_cache() {
    let fixture = local().await;
    let first = fixture.process(edit("make the sky purple")).await;
    assert_eq!(first.prompt_type.as_str(), "EDIT_IMAGE");
    assert_eq!(first.model_to_use, "black-forest-labs/flux-kontext-max");
    assert_eq!(first.fallback_models, ["runway_gen4_image"]);
    assert_eq!((first.source.as_str(), first.circuit_breaker_state), ("local", "none"));
    assert_eq!((first.estimated_cost, first.estimated_time), (0.03, 30));
    assert!(!first.cache_hit && !first.used_fallback && first.degraded.is_empty());
    assert_eq!(
        (first.cache.intent, first.cache.enhancement, first.cache.parameters),
        ("miss", "miss", "miss")
    );
    let second = fixture.process(edit("  make the sky purple\r\n")).await;
    assert!(second.cache_hit);
    assert_eq!((second.cache.intent, second.cache.parameters), ("l1", "l1"));
    assert_eq!(second.original_prompt, "  make the sky purple\r\n");
    assert_ne!(first.generation_id, second.generation_id);
}

#[tokio::test]
async fn no_store_and_no_cache_skip_the_cache() {
    let fixture = local().await;
    let caller = caller("ann");
    let intent_source = async |control| {
        fixture.flow.process(edit("make it rain"), &caller, control).await.unwrap().answer.cache.intent
    };
    assert_eq!(intent_source(CacheControl::NoStore).await, "bypass");
    assert_eq!(intent_source(CacheControl::Use).await, "miss");
    assert_eq!(intent_source(CacheControl::Use).await, "l1");
    assert_ne!(intent_source(CacheControl::NoCache).await, "l1");
}

#[tokio::test]
async fn cached_answers_are_not_shared_between_users() {
    let fixture = local().await;
    let is_hit =
        async |user: &str| fixture.try_process(edit("brighten it"), &caller(user)).await.unwrap().cache_hit;
    assert!(!is_hit("ann").await);
    assert!(!is_hit("bob").await);
    assert!(is_hit("ann").await);
    fixture.flow.caches().remove_user(&caller("ann").user).await;
    assert!(!is_hit("ann").await);
    assert!(is_hit("bob").await);
}

#[tokio::test]
async fn an_invalid_request_names_its_fields_and_consumes_nothing() {
    let fixture = local().await;
    let caller = caller("ann");
    let Err(FlowError::Invalid(problems)) = fixture.try_process(FlowRequest::new(" \u{7} "), &caller).await
    else {
        panic!("must be rejected");
    };
    assert_eq!(problems[0].pointer, "/prompt");
    let usage = fixture.flow.usage(&caller).await.unwrap();
    assert!(usage.statuses.iter().all(|status| status.used == 0), "{usage:?}");
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_an_invalid_request_fails_alone() {
    let fixture = local().await;
    let caller = caller("ann");
    let requests = (0..50)
        .map(|index| {
            let prompt = if index % 7 == 3 { String::new() } else { format!("make number {index} blue") };
            (edit(&prompt), caller.clone())
        })
        .collect();
    let results = fixture.flow.process_batch(requests, CacheControl::Use).await;
    assert_eq!(results.len(), 50);
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(processed) => {
                assert_eq!(processed.answer.original_prompt, format!("make number {index} blue"));
            }
            Err(FlowError::Invalid(_)) => assert_eq!(index % 7, 3),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn statistics_count_every_request() {
    let fixture = local().await;
    for _ in 0..3 {
        fixture.process(edit("make the sky purple")).await;
    }
    fixture.process(FlowRequest::new("a red fox in the snow")).await;
    fixture.flow.recorder().flush().await.unwrap();
    let stats = fixture.flow.stats(Period::Day).await.unwrap();
    assert!(!stats.cached);
    assert_eq!(stats.statistics.total_classifications, 4);
    assert_eq!(stats.statistics.by_type.get("EDIT_IMAGE"), Some(&3));
    assert_eq!(stats.statistics.by_source.get("local"), Some(&4));
    assert!((stats.statistics.cache_hit_rate - 50.0).abs() < 1e-9, "{}", stats.statistics.cache_hit_rate);
    assert!(fixture.flow.stats(Period::Day).await.unwrap().cached);
}

#[tokio::test]
async fn a_model_of_an_unavailable_provider_is_replaced() {
    let fixture = local().await;
    fixture.flow.breakers().breaker("replicate").force_open();
    let answer = fixture.process(edit("make the sky purple")).await;
    assert_eq!(answer.model_to_use, "runway_gen4_image");
    assert_eq!(answer.degraded, [Degraded::ModelUnavailable]);
    assert!(fixture.flow.models().iter().all(|model| model.available == (model.provider != "replicate")));
    fixture.flow.breakers().breaker("replicate").reset();
    assert_eq!(
        fixture.process(edit("make the sky purple")).await.model_to_use,
        "black-forest-labs/flux-kontext-max"
    );
}

#[tokio::test]
async fn classify_only_returns_the_row_and_the_feasible_types() {
    let fixture = local().await;
    let caller = caller("ann");
    let answer = fixture
        .flow
        .classify_only(edit("make the sky purple"), &caller, CacheControl::Use)
        .await
        .unwrap()
        .answer;
    assert_eq!(answer.csv_decision.row.prompt_type, answer.prompt_type);
    assert!(answer.csv_decision.feasible.contains(answer.prompt_type));
}

#[tokio::test]
async fn reserved_dollars_survive_a_restart() {
    let directory = tempfile::TempDir::new().unwrap();
    let caller = caller("ann");
    for spent in [30_000, 60_000] {
        let flow = FlowService::embedded(directory.path()).await.unwrap();
        let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
        flow.process(request, &caller, CacheControl::Use).await.unwrap();
        let usage = flow.usage(&caller).await.unwrap();
        let dollars: Vec<_> = usage.statuses.iter().filter(|status| status.unit == Unit::Cost).collect();
        assert!(dollars.len() == 2 && dollars.iter().all(|status| status.used == spent), "{usage:?}");
        flow.shutdown(Duration::from_secs(30)).await;
    }
}
