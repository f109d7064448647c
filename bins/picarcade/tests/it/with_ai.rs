//! With the mock provider in the place of Anthropic: used, corrected, cached, replaced.

use picarcade_testkit::{Answer, MockProvider, Reply};
use serde_json::json;

use crate::service::Service;

async fn service(mock: &MockProvider) -> Service {
    Service::start(&[("ANTHROPIC_API_KEY", "test-key"), ("ANTHROPIC_BASE_URL", &mock.url())]).await
}

#[tokio::test]
async fn used_corrected_cached_replaced_and_counted() {
    let mock = MockProvider::start().await.unwrap();
    let service = service(&mock).await;
    let ask = async |prompt: &str| service.process(json!({"prompt": prompt, "active_image": true})).await;

    mock.push(Reply::Answer(Answer::of("EDIT_IMAGE").enhanced("A purple sky; all else stays.")));
    let used = ask("make the sky purple").await;
    assert_eq!(
        (&used["source"], &used["enhanced_prompt"]),
        (&json!("llm"), &json!("A purple sky; all else stays."))
    );
    assert_eq!(used["circuit_breaker_state"], "closed");

    mock.push(Reply::Answer(Answer::of("VIDEO_EDIT")));
    let corrected = ask("make the sea green").await;
    assert_eq!(
        (&corrected["prompt_type"], &corrected["corrected_from"]),
        (&json!("EDIT_IMAGE"), &json!("VIDEO_EDIT"))
    );

    assert_eq!(ask("make the sky purple").await["cache"]["intent"], "l1");
    assert_eq!(mock.count(), 2);

    mock.always(Reply::ServerError);
    let replaced = ask("make the grass red").await;
    assert_eq!((&replaced["source"], &replaced["used_fallback"]), (&json!("local"), &json!(true)));
    assert_eq!(replaced["degraded"], json!(["llm_error"]));

    let stats = service.get("/api/v2/stats?period=1h").await;
    assert_eq!(stats["total_classifications"], 4);
    assert_eq!(stats["by_source"], json!({"llm": 3, "local": 1}));
    assert_eq!((&stats["fallback_rate"], &stats["cache_hit_rate"]), (&json!(25.0), &json!(25.0)));
    assert!(stats["cost_spent"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn neither_key_nor_prompt_is_sent_where_it_does_not_belong() {
    let mock = MockProvider::start().await.unwrap();
    let service = service(&mock).await;
    mock.push(Reply::Status { code: 500, headers: vec![], body: "test-key said: secret words".into() });
    let answer = service.process(json!({"prompt": "make the sky purple"})).await.to_string();
    assert!(!answer.contains("test-key") && !answer.contains("secret words"));
    let detailed = service.get("/health/detailed").await.to_string();
    assert!(!detailed.contains("test-key") && !detailed.contains("purple"));
}
