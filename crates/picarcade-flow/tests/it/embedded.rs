//! The set that needs nothing else.

use std::time::Duration;

use picarcade_analytics::Period;
use picarcade_flow::{CacheControl, Caller, Degraded, FlowError, FlowRequest, FlowService};
use picarcade_ratelimit::Unit;

use crate::house::{edit, local};

#[tokio::test]
async fn a_request_is_answered_and_then_from_the_cache() {
    let house = local().await;
    let first = house.ask(edit("make the sky purple")).await;
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
    let second = house.ask(edit("  make the sky purple\r\n")).await;
    assert!(second.cache_hit);
    assert_eq!((second.cache.intent, second.cache.parameters), ("l1", "l1"));
    assert_eq!(second.original_prompt, "  make the sky purple\r\n");
    assert_ne!(first.generation_id, second.generation_id);
}

#[tokio::test]
async fn cache_control_is_honoured() {
    let house = local().await;
    let caller = Caller::user("ann");
    let ask = async |control| {
        house.flow.process(edit("make it rain"), &caller, control).await.unwrap().answer.cache.intent
    };
    assert_eq!(ask(CacheControl::NoStore).await, "bypass");
    assert_eq!(ask(CacheControl::Use).await, "miss");
    assert_eq!(ask(CacheControl::Use).await, "l1");
    assert_ne!(ask(CacheControl::NoCache).await, "l1");
}

#[tokio::test]
async fn an_answer_is_its_users_own() {
    let house = local().await;
    let ask =
        async |user: &str| house.try_ask(edit("brighten it"), &Caller::user(user)).await.unwrap().cache_hit;
    assert!(!ask("ann").await);
    assert!(!ask("bob").await);
    assert!(ask("ann").await);
    house.flow.caches().remove_user("ann").await;
    assert!(!ask("ann").await);
    assert!(ask("bob").await);
}

#[tokio::test]
async fn a_wrong_request_names_its_fields_and_consumes_nothing() {
    let house = local().await;
    let caller = Caller::user("ann");
    let Err(FlowError::Invalid(problems)) = house.try_ask(FlowRequest::new(" \u{7} "), &caller).await else {
        panic!("must be refused");
    };
    assert_eq!(problems[0].pointer, "/prompt");
    let usage = house.flow.usage(&caller).await.unwrap();
    assert!(usage.statuses.iter().all(|status| status.used == 0), "{usage:?}");
}

#[tokio::test]
async fn a_batch_comes_back_in_order_and_a_bad_one_costs_itself() {
    let house = local().await;
    let caller = Caller::user("ann");
    let requests = (0..50)
        .map(|index| {
            let prompt = if index % 7 == 3 { String::new() } else { format!("make number {index} blue") };
            (edit(&prompt), caller.clone())
        })
        .collect();
    let results = house.flow.process_batch(requests, CacheControl::Use).await;
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
async fn the_statistics_count_everything() {
    let house = local().await;
    for _ in 0..3 {
        house.ask(edit("make the sky purple")).await;
    }
    house.ask(FlowRequest::new("a red fox in the snow")).await;
    house.flow.recorder().flush().await.unwrap();
    let stats = house.flow.stats(Period::Day).await.unwrap();
    assert!(!stats.cached);
    assert_eq!(stats.statistics.total_classifications, 4);
    assert_eq!(stats.statistics.by_type.get("EDIT_IMAGE"), Some(&3));
    assert_eq!(stats.statistics.by_source.get("local"), Some(&4));
    assert!((stats.statistics.cache_hit_rate - 50.0).abs() < 1e-9, "{}", stats.statistics.cache_hit_rate);
    assert!(house.flow.stats(Period::Day).await.unwrap().cached);
}

#[tokio::test]
async fn a_model_whose_provider_is_down_is_replaced() {
    let house = local().await;
    house.flow.breakers().breaker("replicate").force_open();
    let answer = house.ask(edit("make the sky purple")).await;
    assert_eq!(answer.model_to_use, "runway_gen4_image");
    assert_eq!(answer.degraded, [Degraded::ModelUnavailable]);
    assert!(house.flow.models().iter().all(|model| model.available == (model.provider != "replicate")));
    house.flow.breakers().breaker("replicate").reset();
    assert_eq!(
        house.ask(edit("make the sky purple")).await.model_to_use,
        "black-forest-labs/flux-kontext-max"
    );
}

#[tokio::test]
async fn classify_only_tells_how_it_was_decided() {
    let house = local().await;
    let caller = Caller::user("ann");
    let answer = house
        .flow
        .classify_only(edit("make the sky purple"), &caller, CacheControl::Use)
        .await
        .unwrap()
        .answer;
    assert_eq!(answer.csv_decision.row.prompt_type, answer.prompt_type);
    assert!(answer.csv_decision.feasible.contains(answer.prompt_type));
}

#[tokio::test]
async fn a_restart_keeps_what_was_reserved() {
    let directory = tempfile::TempDir::new().unwrap();
    let caller = Caller::user("ann");
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
